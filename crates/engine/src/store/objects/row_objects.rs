//! [`RowObjects`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    DocumentKey, ETag, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition, Store as _, UnitOfWork,
    Whereabouts, Whose, Write, Written,
};
use repot_core::{Error, Kind, Pacing, Result};

use super::OWN;
use super::replace::Replacing;
use super::view::{Look, View};
use crate::store::jobs::Job;
use crate::store::queue::Task;
use crate::store::row_store::RowStore;
use crate::store::writing::lost;

/// The documents of a [`RowStore`] as objects.
pub struct RowObjects {
    pub(super) rows: Arc<RowStore>,
    pub(super) pacing: Arc<dyn Pacing>,
}

impl RowObjects {
    /// The documents of this database.
    #[must_use]
    pub fn new(rows: Arc<RowStore>, pacing: Arc<dyn Pacing>) -> Self {
        Self { rows, pacing }
    }

    /// The database.
    #[must_use]
    pub const fn rows(&self) -> &Arc<RowStore> {
        &self.rows
    }

    /// What is at a path that is none of ours. Rows that plain SQL changed become texts first, where they can.
    pub(super) async fn view(&self, path: &str, bytes_max: u64) -> Result<Option<View>> {
        for settles in [true, false] {
            let own = path.to_owned();
            let look = self.rows.read(move |desk, layout| {
                let look = desk.object_at((layout, &own), bytes_max, settles)?;
                Ok(look)
            });
            match look.await? {
                Look::There(view) => return Ok(Some(*view)),
                Look::Nothing => return Ok(None),
                Look::Unsettled(keys) => self.rows.write(Task::Settle(keys)).await.map(drop)?,
            }
        }
        Err(lost(path))
    }

    /// Writes the only document of an object, by its key: references, the record of changes and the log see it as any write.
    async fn write_one(&self, write: Write, until_ms: Option<i64>) -> Result<Written> {
        let work = UnitOfWork { until_ms, ..UnitOfWork::default().with(write) };
        let receipt = self.rows.submit_copies(work).await?;
        receipt.written.into_iter().next().ok_or_else(|| lost("a write"))
    }

    /// The only document of an object, whose key leads there and nowhere else.
    fn only(&self, path: &str) -> Result<Option<DocumentKey>> {
        let layout = self.rows.layout();
        let Whose::One(key) = layout.whose(path) else { return Ok(None) };
        let Whereabouts { paths, elsewhere } = layout.whereabouts(&key)?;
        Ok(Some(key).filter(|_| !elsewhere && paths == [path]))
    }

    /// Writes an object whole, or removes it.
    async fn replace(
        &self,
        path: &str,
        body: Option<Bytes>,
        (when, until_ms): (&Precondition, Option<i64>),
    ) -> Result<Written> {
        let collection = self.rows.layout().collections_at(path).into_iter().next();
        let key = DocumentKey::of_text(&collection.unwrap_or_default(), "");
        let replacing = Replacing { key, path: path.to_owned(), body, when: when.clone(), until_ms };
        // its documents are not known before it is read, so it is in no transaction with others
        let receipt = self.rows.write(Task::Alone(Job::Replace(replacing))).await?;
        receipt.written.into_iter().next().ok_or_else(|| lost("a write"))
    }
}

impl fmt::Display for RowObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

impl fmt::Debug for RowObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowObjects").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Refuses a path at which the model has no documents.
fn unclaimed(path: &str) -> Error {
    Error::new(Kind::Invalid, "R0403", format!("no section of the model says what is at {path}"))
        .hint("Write to a path that a `file` of the model matches.")
}

#[async_trait]
impl Objects for RowObjects {
    fn powers(&self) -> ObjectPowers {
        ObjectPowers {
            conditional_put: true,
            conditional_delete: true,
            deadlines: true,
            keys_per_tenant: false,
        }
    }

    async fn probe(&self) -> Result<()> {
        self.rows.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        if path.starts_with(OWN) {
            return self.own(path, bytes_max).await;
        }
        let found = self.view(path, bytes_max).await?;
        Ok(found.map(|view| ObjectBody {
            bytes: view.bytes.into(),
            etag: view.etag,
            modified_ns: view.modified_ns,
        }))
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        if path.starts_with(OWN) {
            return self.own_head(path).await;
        }
        let found = self.view(path, u64::MAX).await?;
        Ok(found.map(|view| view.meta(path.to_owned())))
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        if path.starts_with(OWN) {
            return self.put_own(path, bytes, when, until_ms).await;
        }
        if path.contains('\0') {
            return Err(Error::new(Kind::Invalid, "R0403", "no database holds a NUL in a path"));
        }
        if self.rows.layout().whose(path) == Whose::Nobody {
            return Err(unclaimed(path));
        }
        let written = match self.only(path)? {
            Some(key) => {
                self.write_one(Write::Put { key, body: bytes, when: when.clone() }, until_ms).await?
            }
            None => self.replace(path, Some(bytes), (when, until_ms)).await?,
        };
        match written {
            Written::Put(etag) => Ok(etag),
            Written::Deleted | Written::Missing => Err(lost(path)),
        }
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        when.check_present()?;
        if path.starts_with(OWN) {
            return self.delete_own(path, when, until_ms).await;
        }
        if path.contains('\0') {
            return when.check(&path, None).map(|()| false);
        }
        let written = match self.only(path)? {
            Some(key) => self.write_one(Write::Delete { key, when: when.clone() }, until_ms).await?,
            None => self.replace(path, None, (when, until_ms)).await?,
        };
        Ok(written == Written::Deleted)
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.settled(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.listed(prefix, after, most).await
    }
}
