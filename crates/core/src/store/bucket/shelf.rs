//! [`Shelf`]: objects and the places of documents among them; what every way of writing shares.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::On;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::etag::ETag;
use crate::store::key::DocumentKey;
use crate::store::layout::Layout;
use crate::store::objects::Objects;
use crate::store::rules::Proposal;

/// Where documents lie, each in an object of its own.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) layout: Layout,
    pub(super) document_bytes_max: u64,
    /// Time of day, for the fields that the model fills with it.
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket({})", self.objects)
    }
}

impl Shelf {
    /// Where the document is now; `None` when it is nowhere.
    pub(super) async fn locate(&self, key: &DocumentKey) -> Result<Option<String>> {
        let mut paths = self.layout.paths(key)?;
        if paths.len() < 2 {
            return Ok(paths.pop());
        }
        for path in &paths {
            if self.objects.head(path).await?.is_some() {
                return Ok(Some(path.clone()));
            }
        }
        Ok(paths.into_iter().next())
    }

    /// Writes an object where all of this holds.
    pub(super) async fn put(&self, path: &str, bytes: Bytes, on: On<'_>) -> Result<ETag> {
        let On { when, until_ms, barrier } = on;
        match barrier {
            Some(barrier) => self.objects.put_behind(barrier, path, bytes, when, until_ms).await,
            None => self.objects.put(path, bytes, when, until_ms).await,
        }
    }

    /// The text to store when `body` is to be this document from now on, by the rules of the model.
    pub(super) fn revise(
        &self,
        (key, path): (&DocumentKey, &str),
        body: &Bytes,
        before: Option<&[u8]>,
    ) -> Result<Bytes> {
        self.layout.revise(Proposal {
            key,
            path,
            body,
            before,
            document_bytes_max: self.document_bytes_max,
            now_ms: self.clock.now_ms(),
        })
    }

    /// The text of the document after a change, by the rules of the model.
    pub(super) fn changed(&self, at: (&DocumentKey, &str), before: &[u8], change: &Change) -> Result<Bytes> {
        let after = change.apply(before, self.layout.limits())?;
        self.revise(at, &after.into(), Some(before))
    }

    /// Refuses what needs conditions on writes where there are none.
    pub(super) fn demand_conditions(&self, what: &str) -> Result<()> {
        if self.objects.powers().conditional_put {
            return Ok(());
        }
        Err(Error::new(Kind::Unsupported, "R0405", format!("{self} cannot {what} safely"))
            .hint("Read the document, change it, and put it whole; or use a store with conditional writes."))
    }
}
