//! What the new store knows of the objects of the old one.

use std::fmt::Debug;

use async_trait::async_trait;
use repot_core::Result;

use super::sight::{ObjectState, Sight};

/// What the new store knows of the objects of the old one: what was copied, and what a follower saw since.
#[async_trait]
pub trait Known: Debug + Send + Sync {
    /// At most `most` objects after this path that the new store has, in byte order of the path, with the state that
    /// they were copied from; `None` where that is not known, because they were written in the new store since.
    /// Fewer than `most` means that there are no more.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn recorded(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Option<ObjectState>)>>;

    /// Collection and key, as text, of the documents that the new store has of the object at this path.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn held(&self, path: &str) -> Result<Vec<(String, String)>>;

    /// At most `most` objects after this path that were seen, in byte order of the path. Fewer means that there are no
    /// more.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn seen(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Sight)>>;

    /// The state in which the object at this path was followed to the end: its documents were copied from it, or marked since, when
    /// it had stood long enough to be believed. `None`: it was not.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn followed(&self, path: &str) -> Result<Option<ObjectState>>;

    /// Notes what was seen; `None`: nothing was. Durable when it returns. What cannot be noted (a path that is too long)
    /// is left out, and is as new each time.
    ///
    /// # Errors
    /// When it could not be noted; some of it may have been.
    async fn note(&self, sights: &[(String, Option<Sight>)]) -> Result<()>;
}
