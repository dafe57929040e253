//! Another model for documents that are there: only what is an addition, see [`Additions`].

use repot_core::{Error, Kind, LockHolder, Result, Status, Target};
use repot_model::language::Model;
use repot_model::plan::{Additions, Plan};

/// A model and its plan.
pub type Planned<'a> = (&'a Model, &'a Plan);

/// What the new model has more than the old one.
///
/// # Errors
/// `R0451` with everything that is no addition as details.
pub fn additions(old: Planned<'_>, new: Planned<'_>) -> Result<Additions> {
    Additions::between(old, new).map_err(|wrong| refused("it is more than an addition", &wrong))
}

/// Makes in a database what the new model has more, so that it can be opened with it beside stores that are open with the old
/// one. Nothing where that was done already.
///
/// # Errors
/// `R0451` when it is no addition, or one that a database cannot take at once; else as [`Target::extend`].
pub fn extend(
    target: &mut dyn Target,
    (old, new): (Planned<'_>, Planned<'_>),
    model_text: &str,
    me: &LockHolder,
) -> Result<()> {
    let additions = additions(old, new)?;
    if !additions.inside.is_empty() {
        let message =
            "tables that are there would get columns or rows which the texts beside them are not in";
        return Err(refused(message, &additions.inside));
    }
    if old.1.hash == new.1.hash {
        return Ok(());
    }
    target.share(me)?;
    if !additions.collections.is_empty() {
        let counts = target.reader()?.count_objects()?;
        let unmatched = counts.iter().find(|(status, count)| *status == Status::Unmatched && *count > 0);
        if let Some((_, count)) = unmatched {
            let what = format!("{count} of the copied files match no place of the old model");
            return Err(refused("a new collection may claim files that were copied already", &[what]));
        }
    }
    target.extend(&old.1.hash, (new.1, model_text), &additions)
}

fn refused(message: &str, details: &[String]) -> Error {
    let named = details.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    let message =
        format!("the changed model cannot be taken over while documents are served: {message}: {named}");
    let error = Error::new(Kind::Refused, "R0451", message)
        .hint("Take back the change; or copy into a fresh database and start the server again.");
    details.iter().fold(error, |error, detail| error.detail(detail.clone()))
}
