//! From a unit of work to the steps that do it: preconditions are checked and changes made on the documents as they
//! are. Nothing is written here.

use std::collections::HashSet;

use bytes::Bytes;

use super::absent;
use super::journal::{Done, Journal, UNIT_BYTES_MAX, UNIT_WRITES_MAX};
use super::record::Step;
use super::shelf::Shelf;
use crate::error::{Error, Kind, Result};
use crate::store::document::{Receipt, UnitOfWork, Write, Written};
use crate::store::key::DocumentKey;
use crate::store::objects::ObjectBody;

/// Does a unit of work with the journal.
pub(super) async fn run(shelf: &Shelf, journal: &Journal, work: &UnitOfWork) -> Result<Receipt> {
    check(shelf, work)?;
    journal.demand_conditions(&*shelf.objects)?;
    let mut written = vec![Written::Missing; work.writes.len()];
    for (write, done) in journal.run(shelf, work).await? {
        written[write] = match done {
            Done::Put(etag) => Written::Put(etag),
            Done::Deleted => Written::Deleted,
        };
    }
    Ok(Receipt { written })
}

fn check(shelf: &Shelf, work: &UnitOfWork) -> Result<()> {
    let count = work.writes.len();
    if count > UNIT_WRITES_MAX {
        let message = format!("{count} writes in one unit of work, {UNIT_WRITES_MAX} are the most");
        return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Write in several units of work."));
    }
    let (mut keys, mut paths) = (HashSet::new(), HashSet::new());
    for write in &work.writes {
        if !keys.insert(write.key()) {
            return Err(twice(write.key()));
        }
        if let Write::Patch { when, .. } | Write::Delete { when, .. } = write {
            when.check_present()?;
        }
        match write {
            Write::Put { key, body, .. } if shelf.layout.has_rules(key)? => {
                shelf.layout.check_size(key, body.len(), shelf.document_bytes_max)?;
            }
            Write::Put { key, body, .. } => {
                shelf.layout.check_put(key, body, shelf.document_bytes_max)?;
            }
            Write::Update { .. } | Write::Patch { .. } | Write::Delete { .. } => {}
        }
        // one document may have two names, but has one path
        if !shelf.layout.paths(write.key())?.into_iter().all(|path| paths.insert(path)) {
            return Err(twice(write.key()));
        }
        shelf.layout.check_precondition(write.key(), write.when())?;
    }
    Ok(())
}

fn twice(key: &DocumentKey) -> Error {
    Error::new(Kind::Invalid, "R0405", format!("{key} is written twice in one unit of work"))
        .hint("Join the two writes.")
}

/// What a unit of work is, with the documents as they are.
pub(super) struct Decided {
    /// Of each step the number of its write.
    pub(super) writes: Vec<usize>,
    /// In the order in which they are done.
    pub(super) steps: Vec<Step>,
    /// Writes that change nothing.
    pub(super) same: Vec<(usize, Done)>,
}

/// Decides on each write; nothing is written.
pub(super) async fn decide(shelf: &Shelf, work: &UnitOfWork) -> Result<Decided> {
    let (mut steps, mut same) = (Vec::new(), Vec::new());
    for (number, write) in work.writes.iter().enumerate() {
        let step = match write {
            Write::Put { key, body, when } => {
                let path = place(shelf, key).await?;
                let there = there(shelf, &path).await?;
                when.check(key, there.as_ref().map(|object| &object.etag))?;
                let body =
                    shelf.revise((key, &path), body, there.as_ref().map(|object| &object.bytes[..]))?;
                Some((path, there, Some(body)))
            }
            Write::Update { key, edit, when } => {
                let path = place(shelf, key).await?;
                let there = there(shelf, &path).await?;
                when.check(key, there.as_ref().map(|object| &object.etag))?;
                let before = there.as_ref().map(|object| &object.bytes[..]);
                let body = edit.apply(before)?.filter(|body| before != Some(body.as_ref()));
                let body = body.map(|body| shelf.revise((key, &path), &body, before)).transpose()?;
                if body.is_none()
                    && let Some(object) = &there
                {
                    same.push((number, Done::Put(object.etag.clone())));
                }
                body.map(|body| (path, there, Some(body)))
            }
            Write::Patch { key, change, when } => {
                let path = shelf.locate(key).await?.ok_or_else(|| absent(key))?;
                let there = there(shelf, &path).await?;
                when.check(key, there.as_ref().map(|object| &object.etag))?;
                let object = there.ok_or_else(|| absent(key))?;
                let body = shelf.changed((key, &path), &object.bytes, change)?;
                Some((path, Some(object), Some(body)))
            }
            Write::Delete { key, when } => {
                let path = shelf.locate(key).await?;
                let there = match &path {
                    Some(path) => there(shelf, path).await?,
                    None => None,
                };
                when.check(key, there.as_ref().map(|object| &object.etag))?;
                path.zip(there).map(|(path, object)| (path, Some(object), None))
            }
        };
        let Some((path, there, after)) = step else { continue };
        steps.push((number, Step { path, before: there.map(|object| object.etag), after }));
    }
    let bytes: usize = steps.iter().map(|(_, step)| step.after.as_ref().map_or(0, Bytes::len)).sum();
    if bytes > UNIT_BYTES_MAX {
        let message = format!("{bytes} bytes in one unit of work, {UNIT_BYTES_MAX} are the most");
        return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Write in several units of work."));
    }
    // new objects can be refused; as long as no other was touched, those before them can be removed again
    steps.sort_by_key(|(_, step)| (step.before.is_some(), step.after.is_none()));
    let (writes, steps) = steps.into_iter().unzip();
    Ok(Decided { writes, steps, same })
}

/// Where the document is, or a new one comes.
async fn place(shelf: &Shelf, key: &DocumentKey) -> Result<String> {
    match shelf.locate(key).await? {
        Some(path) => Ok(path),
        None => shelf.layout.paths(key)?.into_iter().next().ok_or_else(|| shelf.layout.cannot_hold(key)),
    }
}

async fn there(shelf: &Shelf, path: &str) -> Result<Option<ObjectBody>> {
    shelf.objects.get(path, shelf.document_bytes_max).await
}

/// Refuses several writes where there is no journal.
pub(super) fn refuse_several(shelf: &Shelf, work: &UnitOfWork) -> Result<()> {
    if work.writes.len() < 2 {
        return Ok(());
    }
    let message = format!("{shelf} cannot write {} documents together", work.writes.len());
    Err(Error::new(Kind::Unsupported, "R0405", message)
        .hint("Write one document at a time, open it with a recovery journal, or use a database."))
}
