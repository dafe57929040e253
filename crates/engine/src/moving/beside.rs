//! What stands beside the old store, for servers that do not reach the new one: the fence, and the notes of their writes.

use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{DocumentKey, ETag, Objects, Precondition};
use repot_core::{Error, Kind, Result};

use super::control::Fence;
use super::names::{pack_key, read_key};
use crate::packed::{Packer, Unpacker};

const FORM: u8 = 1;
/// Largest of these objects, bytes.
const BYTES_MAX: u64 = 1 << 20;
/// Notes listed at once.
const LISTED: usize = 1_000;

/// Objects of ours beside the documents.
#[derive(Debug, Clone)]
pub struct Beside {
    objects: Arc<dyn Objects>,
    folder: Arc<str>,
}

/// A write to the old store that the journal may not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub path: String,
    pub key: DocumentKey,
    /// The old store refuses the write after it, milliseconds since 1970.
    pub deadline_ms: i64,
}

impl Beside {
    /// In this folder (a path ending in `/`, or nothing) of the old store; no template of the model may claim it.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, folder: &str) -> Self {
        Self { objects, folder: folder.into() }
    }

    /// The objects of the old store, ours and the documents'.
    pub(super) const fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// Where the receipts of moves that ended are: a path ending in `/`.
    pub(super) fn finished(&self) -> String {
        format!("{}finished/", self.folder)
    }

    fn fence_path(&self) -> String {
        format!("{}fence", self.folder)
    }

    fn origin_path(&self) -> String {
        format!("{}origin", self.folder)
    }

    /// The name of the old store, if it was given one.
    pub(super) async fn origin(&self) -> Result<Option<String>> {
        let found = self.objects.get(&self.origin_path(), BYTES_MAX).await?;
        Ok(found.map(|found| String::from_utf8_lossy(&found.bytes).into_owned()))
    }

    pub(super) async fn name_origin(&self, name: &str, when: &Precondition) -> Result<()> {
        let bytes = Bytes::copy_from_slice(name.as_bytes());
        self.objects.put(&self.origin_path(), bytes, when, None).await.map(drop)
    }

    /// The fence, and its state for [`Beside::write_fence`]. Where there is none, the old store leads everything.
    pub(super) async fn fence(&self) -> Result<(Option<Fence>, Option<ETag>)> {
        let Some(found) = self.objects.get(&self.fence_path(), BYTES_MAX).await? else {
            return Ok((None, None));
        };
        Ok((Some(Fence::unpack(&found.bytes)?), Some(found.etag)))
    }

    /// Writes the fence where it is still what was seen.
    pub(super) async fn write_fence(&self, fence: &Fence, seen: Option<ETag>) -> Result<()> {
        let when = seen.map_or(Precondition::Absent, Precondition::Matches);
        self.objects.put(&self.fence_path(), fence.pack().into(), &when, None).await.map(drop)
    }

    /// Leaves a note; gives its path.
    pub(super) async fn leave(&self, key: &DocumentKey, deadline_ms: i64, nonce: u64) -> Result<String> {
        let path = format!("{}notes/{nonce:016x}", self.folder);
        let note = Packer::new(FORM).number(deadline_ms).bytes(&pack_key(key)).finish();
        self.objects.put(&path, Bytes::from(note), &Precondition::Absent, None).await?;
        Ok(path)
    }

    /// Some of the notes that are there.
    pub(super) async fn notes(&self) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        for meta in self.objects.list(&format!("{}notes/", self.folder), None, LISTED).await? {
            let Some(found) = self.objects.get(&meta.path, BYTES_MAX).await? else { continue };
            let mut read = Unpacker::new("a note beside the old store", FORM, &found.bytes)?;
            let deadline_ms = read.number()?;
            let key = read_key(read.bytes()?)?;
            notes.push(Note { path: meta.path, key, deadline_ms });
        }
        Ok(notes)
    }

    /// Takes a note away whose document is marked.
    pub(super) async fn taken_up(&self, note: &Note) -> Result<()> {
        self.objects.delete(&note.path, &Precondition::Any, None).await.map(drop)
    }

    /// Comes back when no write to the document's object with this deadline can happen any more.
    pub(super) async fn settle(&self, path: &str, deadline_ms: i64) -> Result<()> {
        self.objects.settle(path, deadline_ms).await
    }
}

/// The new store leads, and is out of reach.
pub(super) fn out_of_reach(key: &DocumentKey, cause: Error) -> Error {
    let message = format!("{key} is led by the database, which is out of reach");
    away(message, "Send it again; reads and writes of it go on when the database is back.", cause)
}

/// The old store leads and is not written by note: other servers read the copy, and would not see that it is stale.
pub(super) fn not_by_note(key: &DocumentKey, cause: Error) -> Error {
    let message = format!("{key} is read from the database, which is out of reach; so it is not written");
    away(message, "Send it again; writes of it go on when the database is back. Reads go on.", cause)
}

fn away(message: String, hint: &'static str, cause: Error) -> Error {
    Error::new(Kind::Unavailable, "R0713", message).retry(repot_core::Retry::Safe).hint(hint).cause(cause)
}
