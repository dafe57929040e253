//! The source after the end of a move: kept for some days, then removed where somebody asks for it
//! (`repot finish --remove-source`).

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use repot::Repot;
use repot_core::{Clock as _, Error, Kind, SystemClock, Target};
use repot_engine::moving::{About, CleanUp, Cleared, Fate, Left, LeftSource, Removed};
use repot_engine::store::LEADS;
use repot_engine::verify::Proof;
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::old_side::OldSide;
use super::{inner, runtime};
use crate::errors::{Exit, Failure};
use crate::move_args::Finish;
use crate::output::{self, Output, count};
use crate::progress::Shown;
use crate::serving;
use crate::variables::hidden;
use crate::wiring::Project;

const DAY_MS: i64 = 86_400_000;
/// Days for which a source may be kept.
const DAYS_MAX: i64 = 36_500;
/// Differences told by a refusal.
const DIFFERENCES: usize = 10;
/// Objects that are left, told by their names in the result.
const TOLD: usize = 100;

/// What is asked for by the app's name: what it does, what was not done, and the command.
pub(super) struct Asked {
    does: &'static str,
    undone: &'static str,
    command: &'static str,
}

/// The end of a move.
pub(super) const fn ends(old: OldSide) -> Asked {
    Asked { does: old.stays(), undone: "Nothing was ended.", command: "repot finish" }
}

/// The removal of the source.
const REMOVES: Asked = Asked {
    does: "This removes them from the source for good. The database is then the only place that has them.",
    undone: "Nothing was removed.",
    command: "repot finish --remove-source",
};

/// The app's name: that of its folder.
fn app(project: &Project) -> String {
    let folder = project.directory.canonicalize().ok();
    let name = folder.as_deref().and_then(|folder| folder.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Asks for the app's name.
pub(super) fn confirm(
    project: &Project,
    finish: &Finish,
    asked: &Asked,
    output: &Output,
) -> Result<(), Failure> {
    let name = app(project);
    output.say(asked.does);
    let typed = match &finish.confirm {
        Some(typed) => typed.clone(),
        None if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => {
            let mut to = std::io::stderr();
            let _unasked = write!(to, "Type the app's name to go on: ").and_then(|()| to.flush());
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|error| Error::new(Kind::Failed, "R0901", "nothing could be read").cause(error))?;
            line.trim().to_owned()
        }
        None => String::new(),
    };
    if typed == name {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, "R0719", format!("`{typed}` is not the app's name"))
        .hint(format!("{} To go on: {} --confirm={name}", asked.undone, asked.command))
        .into())
}

/// Refuses to go on without a proof.
pub(super) fn check(proof: &Proof, hint: &str) -> Result<(), Failure> {
    if proof.holds() {
        return Ok(());
    }
    let error = Error::new(Kind::Refused, "R0718", "the database could not be proved");
    let told = proof.differences.iter().take(DIFFERENCES).map(super::verify::difference);
    Err(told.fold(error, Error::detail).hint(hint).into())
}

/// Notes that documents are written in the database itself, also where nobody wrote one yet: from then on what SQL changes is
/// the documents' text, and no copy of files takes it back.
pub(super) fn leads(target: &mut dyn Target) -> Result<(), Error> {
    if target.reader()?.meta(LEADS)?.is_none() {
        target.set_meta(LEADS, Some(&SystemClock.now_ms().to_string()))?;
    }
    Ok(())
}

/// Reads `30d`: milliseconds.
pub(super) fn read_days(text: &str) -> Result<i64, Failure> {
    let days = text.strip_suffix('d').and_then(|number| number.trim().parse::<i64>().ok());
    let days = days.filter(|days| (0..=DAYS_MAX).contains(days)).ok_or_else(|| {
        Error::new(Kind::Invalid, "R0100", format!("`{text}` is no number of days")).hint("Write it as 30d.")
    })?;
    Ok(days * DAY_MS)
}

/// What a receipt says that is made now.
pub(super) fn about(project: &Project, at_ms: i64, kept_ms: i64) -> About {
    About {
        app: app(project),
        source: hidden(&project.source_name().0),
        database: hidden(&project.database_url().0),
        at_ms,
        kept_until_ms: at_ms.saturating_add(kept_ms),
    }
}

/// `repot finish --remove-source`.
pub(super) fn remove(project: &Project, finish: &Finish, output: &Output) -> Result<Exit, Failure> {
    // nothing is made where nothing was copied
    if project.target()?.state()?.is_none() {
        return Err(Error::new(Kind::Refused, "R0741", "nothing was copied into this database yet")
            .hint("Begin with repot copy.")
            .into());
    }
    let runtime = runtime()?;
    let (clean_up, cleared) = runtime.block_on(cleared(project, finish))?;
    if !finish.dry_run {
        confirm(project, finish, &REMOVES, output)?;
    }
    // a fresh proof: the database has to be whole before anything goes
    project.settle_aloud(&finish.bounds, output)?;
    let progress = Shown::new(output);
    let mut target = project.copied()?;
    let options = project.options(&finish.bounds);
    let proof = super::copy::prove(project, target.as_mut(), (&options, &progress))?;
    progress.end();
    drop(target);
    check(&proof, "Nothing was removed. repot verify shows each difference.")?;
    output.say(&format!("Proved {} of {}.", output::number(proof.proved), output::number(proof.objects)));
    let mut named: Vec<Value> = Vec::new();
    let mut each = |path: &str, fate: Fate| {
        let line = json!({"type": "object", "path": path, "fate": fate.word()});
        if !output.gathers() {
            output.line(&line);
        }
        let is_removed = fate == Fate::Removed;
        if !output.json && (finish.dry_run || (!is_removed && named.len() < TOLD)) {
            output.print(&format!("{:<20}{path}", shown(fate, finish.dry_run)));
        }
        if !is_removed && named.len() < TOLD {
            named.push(json!({"path": path, "why": fate.word()}));
        }
    };
    let removed = runtime.block_on(clean_up.run(&cleared, &proof, &mut each))?;
    tell(&removed, finish.dry_run, output);
    let next: &[&str] = if finish.dry_run { &["repot finish --remove-source"] } else { &["repot status"] };
    output.done(result(&removed, &cleared, &named, finish.dry_run), next);
    Ok(Exit::Done)
}

async fn cleared(project: &Project, finish: &Finish) -> Result<(CleanUp, Cleared), Failure> {
    let mut config = serving::config(project, None)?;
    config.document_bytes_max = project.options(&finish.bounds).document_bytes_max;
    let repot = Repot::open(config.clone()).await.map_err(inner)?;
    let clean_up = repot.clean_up(&config).await.map_err(inner)?;
    let cleared = clean_up.clear(finish.dry_run).await?;
    Ok((clean_up, cleared))
}

const fn shown(fate: Fate, is_dry: bool) -> &'static str {
    match fate {
        Fate::Removed if is_dry => "would be removed",
        Fate::Removed => "removed",
        Fate::Changed => "changed since",
        Fate::Gone => "not in database",
        Fate::Unnamed => "not in receipt",
        Fate::TooLarge => "too large",
    }
}

fn tell(removed: &Removed, is_dry: bool, output: &Output) {
    let (objects, size) = (count(removed.removed, "object", "objects"), output::size(removed.bytes));
    output.say(&if is_dry {
        format!("Would remove {objects}, {size}.")
    } else {
        format!("Removed {objects}, {size}.")
    });
    for (number, what) in [
        (removed.missing, "named by the receipt and not there"),
        (removed.changed, "left: changed since the end of the move"),
        (removed.gone, "left: the database has nothing at its path any more"),
        (removed.unnamed, "left: not named by the receipt"),
        (removed.too_large, "left: larger than --document-max"),
    ] {
        if number > 0 {
            output.say(&format!("  {} {what}", count(number, "object", "objects")));
        }
    }
}

fn result(removed: &Removed, cleared: &Cleared, named: &[Value], is_dry: bool) -> Value {
    json!({"type": "result", "dry_run": is_dry, "kept_until": utc_text(cleared.left().kept_until_ms),
        "removed": removed.removed, "bytes": removed.bytes, "missing": removed.missing,
        "left": {"changed": removed.changed, "gone_from_database": removed.gone, "unnamed": removed.unnamed,
            "too_large": removed.too_large},
        "objects_left": named})
}

/// A line of `repot status` about the source.
pub(super) fn status_line(left: &LeftSource) -> String {
    let (objects, size) = (count(left.objects, "object", "objects"), output::size(left.bytes));
    let until = utc_text(left.kept_until_ms);
    match left.state {
        Left::Kept if left.is_removable(SystemClock.now_ms()) => {
            format!("Source     no longer needed since {until}: {objects}, {size}")
        }
        Left::Kept => format!("Source     kept until {until}: {objects}, {size}"),
        Left::Removing { since_ms } => {
            format!("Source     its removal began {}, and has not ended", utc_text(since_ms))
        }
        Left::Removed { at_ms, left } => {
            format!("Source     removed, {}; left: {}", utc_text(at_ms), count(left, "object", "objects"))
        }
    }
}

/// The same for programs.
pub(super) fn status_json(left: &LeftSource) -> Value {
    let (since, at, stay) = match left.state {
        Left::Kept => (None, None, None),
        Left::Removing { since_ms } => (Some(utc_text(since_ms)), None, None),
        Left::Removed { at_ms, left } => (None, Some(utc_text(at_ms)), Some(left)),
    };
    json!({"kept_until": utc_text(left.kept_until_ms), "removable": left.is_removable(SystemClock.now_ms()),
        "objects": left.objects, "bytes": left.bytes, "receipt": left.folder,
        "removing_since": since, "removed_at": at, "left": stay})
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, read_days};

    #[test]
    fn days_are_read() {
        assert_eq!((read_days("30d").ok(), read_days("0d").ok()), (Some(30 * DAY_MS), Some(0)));
        for wrong in ["30", "d", "-1d", "1.5d", "36501d", "9999999999999999999d", "1h"] {
            assert!(read_days(wrong).is_err(), "{wrong}");
        }
    }
}
