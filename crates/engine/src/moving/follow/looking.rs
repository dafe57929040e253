//! One look at the old store: a listing, or single paths, beside what is known.

use std::collections::BTreeSet;

use repot_core::store::{DocumentKey, Whose};
use repot_core::{Error, Kind, Result};

use super::follower::Follower;
use super::pages::{PAGE, Pages};
use super::sight::{Found, Note, ObjectState, Sight};

/// Marks, or notes, made at once.
const BATCH: usize = 500;
/// Objects of ours beside the documents are below it.
const OWN: &str = ".repot/";

/// What a look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Objects listed.
    pub listed: u64,
    /// Marks made.
    pub marked: u64,
    /// Changed objects that were passed over, because their documents cannot be named one by one.
    pub unnamed: u64,
}

/// A look on its way: what is to be marked, and noted after that.
pub(super) struct Look<'f> {
    follower: &'f Follower,
    keys: Vec<DocumentKey>,
    notes: Vec<(String, Option<Sight>)>,
    found: Scanned,
    /// Of an object that could not be read; the look went on.
    trouble: Option<Error>,
    /// What did not change is marked, too.
    everything: bool,
}

impl<'f> Look<'f> {
    pub(super) const fn new(follower: &'f Follower) -> Self {
        let found = Scanned { listed: 0, marked: 0, unnamed: 0 };
        Self { follower, keys: Vec::new(), notes: Vec::new(), found, trouble: None, everything: false }
    }

    /// The same, which marks also what did not change.
    pub(super) fn at_everything(self) -> Self {
        Self { everything: true, ..self }
    }

    /// Everything below a folder, or everything.
    pub(super) async fn below(&mut self, prefix: &str) -> Result<()> {
        let with = &self.follower.with;
        let mut listing = Pages::below(prefix, "the listing");
        let mut recorded = Pages::below(prefix, "the record of objects");
        let mut seen = Pages::below(prefix, "what was seen");
        loop {
            if let Some(after) = listing.wanted() {
                let page = with.objects.list(prefix, after.as_deref(), PAGE).await?;
                self.found.listed += page.len() as u64;
                listing
                    .fill(page.iter().map(|meta| (meta.path.clone(), ObjectState::from(meta))).collect())?;
            }
            if let Some(after) = recorded.wanted() {
                recorded.fill(with.known.recorded(after.as_deref(), PAGE).await?)?;
            }
            if let Some(after) = seen.wanted() {
                seen.fill(with.known.seen(after.as_deref(), PAGE).await?)?;
            }
            let heads = [listing.head(), recorded.head(), seen.head()];
            let Some(path) = heads.into_iter().flatten().min().map(str::to_owned) else { return Ok(()) };
            let (listed, recorded, seen) = (listing.take(&path), recorded.take(&path), seen.take(&path));
            let found = Found {
                listed: listed.as_ref(),
                recorded: recorded.as_ref().map(Option::as_ref),
                seen: seen.as_ref(),
            };
            self.at(&path, &found).await?;
        }
    }

    async fn at(&mut self, path: &str, found: &Found<'_>) -> Result<()> {
        let whose = self.follower.whose(path);
        if whose == Whose::Nobody {
            return Ok(());
        }
        let patience = self.follower.patience();
        let now_ms = self.follower.now_ms();
        let (marks, note) = found.step(whose == Whose::Several, now_ms, patience);
        if (marks || self.everything) && !self.keys_of(path, whose, found.listed.is_some()).await? {
            return Ok(());
        }
        match note {
            Note::Keep => {}
            Note::Put(sight) => self.notes.push((path.to_owned(), Some(sight))),
            Note::Forget => self.notes.push((path.to_owned(), None)),
        }
        if self.keys.len() >= BATCH || self.notes.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// A path that was hinted at: whatever was known, it is marked.
    pub(super) async fn hinted(&mut self, path: &str) -> Result<()> {
        let whose = self.follower.whose(path);
        if whose == Whose::Nobody {
            return Ok(());
        }
        let head = self.follower.with.objects.head(path).await?;
        let state = head.as_ref().map(ObjectState::from);
        let now_ms = self.follower.now_ms();
        let several = whose == Whose::Several;
        let sight = state.map(|state| self.follower.patience().sight(&state, several, now_ms));
        if self.keys_of(path, whose, head.is_some()).await? {
            self.notes.push((path.to_owned(), sight));
        }
        if self.keys.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Puts the keys of the object's documents with those to mark; `false`: not all are known, so that the object is to be
    /// looked at again.
    async fn keys_of(&mut self, path: &str, whose: Whose, is_there: bool) -> Result<bool> {
        match whose {
            Whose::Nobody => Ok(true),
            Whose::Unnamed => {
                self.found.unnamed += 1;
                Ok(false)
            }
            Whose::One(key) => {
                self.keys.push(key);
                Ok(true)
            }
            Whose::Several => self.keys_inside(path, is_there).await,
        }
    }

    /// Of all documents that stand in the file, and of those that the new store has of it.
    async fn keys_inside(&mut self, path: &str, is_there: bool) -> Result<bool> {
        let with = &self.follower.with;
        let mut keys = BTreeSet::new();
        let mut is_whole = true;
        if is_there {
            match with.objects.get(path, self.follower.options.document_bytes_max).await {
                Ok(Some(object)) => keys = with.layout.keys_inside(path, &object.bytes),
                Ok(None) => {}
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(error) => {
                    is_whole = false;
                    self.trouble = Some(error);
                }
            }
        }
        for (collection, id) in with.known.held(path).await? {
            keys.extend(with.layout.key_inside(path, &collection, &id));
        }
        self.keys.extend(keys);
        Ok(is_whole)
    }

    /// Marks, and notes what was seen once that is durable.
    async fn flush(&mut self) -> Result<()> {
        for keys in self.keys.chunks(BATCH) {
            self.follower.with.marks.mark(keys).await?;
            self.found.marked += keys.len() as u64;
            self.follower.marked(keys.len());
        }
        self.keys.clear();
        if !self.notes.is_empty() {
            self.follower.with.known.note(&self.notes).await?;
            self.notes.clear();
        }
        Ok(())
    }

    /// The rest; what was found, and what could not be read.
    pub(super) async fn end(mut self) -> Result<(Scanned, Option<Error>)> {
        self.flush().await?;
        Ok((self.found, self.trouble))
    }
}

/// Whether nothing at this path is of the app.
pub(super) fn is_own(path: &str) -> bool {
    // no database holds a NUL in a text
    path.starts_with(OWN) || path.contains('\0')
}
