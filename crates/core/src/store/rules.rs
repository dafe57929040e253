//! What the model demands of a write, the same on every store: called before anything is stored.

use bytes::Bytes;
use repot_model::plan::{Place, Problem, Revision, Splitter, StateChange};

use super::document::UnitOfWork;
use super::etag::Precondition;
use super::key::DocumentKey;
use super::layout::Layout;
use crate::error::{Error, Kind, Result};

/// Code of a change of a state that the model does not allow.
const TRANSITION: &str = "R0410";

/// A text that is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// As which document.
    pub key: &'a DocumentKey,
    /// Where it is, or goes to.
    pub path: &'a str,
    /// The text.
    pub body: &'a Bytes,
    /// The text that it replaces; `None` when the document is new.
    pub before: Option<&'a [u8]>,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: i64,
}

impl Layout {
    /// Checks that a write says what it expects to find, where its collection demands that (`etag = "required"`).
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0416`; else as [`Layout::paths`].
    pub fn check_precondition(&self, key: &DocumentKey, when: &Precondition) -> Result<()> {
        let (_, collection) = self.collection(key.collection())?;
        if *when == Precondition::Any && collection.etag_required && !self.is_verbatim {
            return Err(Error::new(
                Kind::Invalid,
                "R0416",
                format!("{key} is written without saying what must be there"),
            )
            .hint("Write with the ETag that was read, or say that nothing may be there."));
        }
        Ok(())
    }

    /// Checks that nobody wants to be on record, for stores that keep none: a unit of work that says who writes is refused
    /// where its documents are on audit.
    ///
    /// # Errors
    /// [`Kind::Unsupported`], code `R0405`; else as [`Layout::audit`].
    pub fn check_off_record(&self, work: &UnitOfWork) -> Result<()> {
        if work.actor.is_none() {
            return Ok(());
        }
        for write in &work.writes {
            if self.audit(write.key().collection())?.is_some() {
                let message = format!("{} is on audit, and this store keeps no record", write.key());
                return Err(Error::new(Kind::Unsupported, "R0405", message)
                    .hint("Write it in a database, or without saying who writes."));
            }
        }
        Ok(())
    }

    /// How long changes of this collection's documents are kept on record, seconds; `None`: they are not recorded.
    ///
    /// # Errors
    /// As [`Layout::check_scope`], without the tenant.
    pub fn audit(&self, collection: &str) -> Result<Option<u64>> {
        Ok(self.plan.audit(self.collection(collection)?.0))
    }

    /// Whether anything of this collection's documents is recorded: all changes, or those of states.
    ///
    /// # Errors
    /// As [`Layout::audit`].
    pub fn keeps_history(&self, collection: &str) -> Result<bool> {
        Ok(self.plan.keeps_history(self.collection(collection)?.0))
    }

    /// Whether what is stored depends on what was there before: the model has defaults, times that writes set, or state
    /// machines for this collection. Then [`Layout::revise`] decides what is stored, else [`Layout::check_put`] is
    /// enough.
    ///
    /// # Errors
    /// As [`Layout::paths`].
    pub fn has_rules(&self, key: &DocumentKey) -> Result<bool> {
        Ok(!self.is_verbatim && self.plan.has_rules(self.collection(key.collection())?.0))
    }

    /// Checks that a document of this size may be written under this key; gives the path of a new document.
    ///
    /// # Errors
    /// `R0403` or `R0213`; else as [`Layout::paths`].
    pub fn check_size(&self, key: &DocumentKey, size_bytes: usize, bytes_max: u64) -> Result<String> {
        let path = self.paths(key)?.into_iter().next().ok_or_else(|| self.cannot_hold(key))?;
        Self::check_length(key, size_bytes, bytes_max)?;
        Ok(path)
    }

    /// Checks that a document of this size may be written.
    ///
    /// # Errors
    /// [`Kind::Unsupported`], code `R0213`.
    pub fn check_length(key: &DocumentKey, size_bytes: usize, bytes_max: u64) -> Result<()> {
        if size_bytes as u64 > bytes_max {
            let message = format!("{key} has {size_bytes} bytes, {bytes_max} are the most");
            return Err(Error::new(Kind::Unsupported, "R0213", message)
                .hint("Raise the bound with --document-max, or keep the large part beside the document."));
        }
        Ok(())
    }

    /// Checks that `body` may be written as the document `key`: the key gives a path, the body is not too large, it is
    /// what the model says, and its key is this one. Gives the path of a new document.
    ///
    /// # Errors
    /// `R0403`, `R0404` with all that is wrong, or `R0213`; else as [`Layout::paths`].
    pub fn check_put(&self, key: &DocumentKey, body: &[u8], bytes_max: u64) -> Result<String> {
        let path = self.check_size(key, body.len(), bytes_max)?;
        self.fits_inside(key, body)?;
        self.split(key, &path, |splitter, place| splitter.examine(place, &path, body))
            .and_then(|own| self.same_key(key, &own))?;
        Ok(path)
    }

    /// What is to be stored when this text is written: the text itself, with the fields filled in that the model gives
    /// a default or a time. Every byte outside of them stays.
    ///
    /// # Errors
    /// As [`Layout::check_put`]; [`Kind::Conflict`], code `R0410`, when nothing is wrong but changes of states that the
    /// model does not allow.
    pub fn revise(&self, proposal: Proposal<'_>) -> Result<Bytes> {
        self.revise_states(proposal).map(|(text, _)| text)
    }

    /// [`Layout::revise`], with the changes of states.
    ///
    /// # Errors
    /// As [`Layout::revise`].
    pub fn revise_states(&self, proposal: Proposal<'_>) -> Result<(Bytes, Vec<StateChange>)> {
        let Proposal { key, path, body, before, document_bytes_max, now_ms } = proposal;
        Self::check_length(key, body.len(), document_bytes_max)?;
        self.fits_inside(key, body)?;
        let revision = Revision { after: body, before, now_us: now_ms.saturating_mul(1_000) };
        let revised = self.split(key, path, |splitter, place| splitter.revise(place, path, revision))?;
        self.same_key(key, &revised.key)?;
        let Some(text) = revised.text else { return Ok((body.clone(), revised.states)) };
        Self::check_length(key, text.len(), document_bytes_max)?;
        self.fits_inside(key, &text)?;
        Ok((text.into(), revised.states))
    }

    fn split<T>(
        &self,
        key: &DocumentKey,
        path: &str,
        work: impl FnOnce(&mut Splitter<'_>, &Place<'_>) -> Result<T, Vec<Problem>>,
    ) -> Result<T> {
        let (root, _) = self.collection(key.collection())?;
        let own = self.plan.roots[root].collection;
        let Some(route) = self.router.route(path) else { return Err(self.cannot_hold(key)) };
        let found = route.collections.iter().position(|&other| other == own);
        let Some(&template) = found.and_then(|at| route.templates.get(at)) else {
            return Err(self.cannot_hold(key));
        };
        let place = Place { root, template, values: &route.values };
        let mut splitter = Splitter::new(&self.plan, self.limits());
        splitter.stand(self.within(key)?.map(|within| within.standing(0)));
        work(&mut splitter, &place).map_err(|problems| unfit(key, problems))
    }

    fn same_key(&self, key: &DocumentKey, own: &str) -> Result<()> {
        // a place says which fields the text may have: that was compared when it was split
        let id = self.within(key)?.map(|within| within.id);
        if id.as_deref().or(key.id()).is_none_or(|id| id == own) {
            return Ok(());
        }
        let message = format!("its key is {own}");
        let problem = Problem { code: "R0404", pointer: String::new(), line: 1, column: 1, message };
        Err(unfit(key, vec![problem]))
    }
}

/// The error of a document with these problems.
fn unfit(key: &DocumentKey, mut problems: Vec<Problem>) -> Error {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    let more = match problems.len() {
        0 | 1 => String::new(),
        2 => ", and another problem".to_owned(),
        count => format!(", and {} more problems", count - 1),
    };
    let first = problems.first().map_or("it is not one document", |problem| problem.message.as_str());
    let transitions = !problems.is_empty() && problems.iter().all(|problem| problem.code == TRANSITION);
    let error = if transitions {
        Error::new(Kind::Conflict, TRANSITION, format!("{key}: {first}{more}"))
            .hint("Make one of the changes that the model allows, or change the transitions in the model.")
    } else {
        Error::new(Kind::Invalid, "R0404", format!("{key} does not fit the model: {first}{more}"))
            .hint("Mend the document at the place named, or change the model.")
    };
    problems.into_iter().fold(error, |error, problem| {
        let line = problem.to_string();
        error.detail(line).problem(problem)
    })
}
