//! Documents as whole objects: the store over a directory, an S3 bucket or memory.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::lock::Mutex;

use super::change::Change;
use super::contract::{Capabilities, Store};
use super::document::{Cursor, Document, DocumentMeta, Page, Receipt, UnitOfWork, Write, Written};
use super::etag::{ETag, Precondition};
use super::key::{DocumentKey, Scope};
use super::layout::Layout;
use super::objects::Objects;
use crate::error::{Error, Kind, Result};

/// Objects listed at once while a page of documents is filled.
const LISTED_AT_ONCE: usize = 1_000;
/// Times that a change is made anew because another process wrote meanwhile.
const TRIES_MAX: usize = 100;
/// Changes of different documents rarely wait for one another.
const TURNS: usize = 64;

/// Documents, each in an object of its own, at the path that the model gives it.
///
/// One document is atomic; a unit of work over several is refused. The `ETag` of a document is that of its object.
#[derive(Debug)]
pub struct BucketStore {
    objects: Arc<dyn Objects>,
    layout: Layout,
    document_bytes_max: u64,
    turns: Turns,
}

/// One change of a document at a time within the process.
#[derive(Debug)]
struct Turns([Mutex<()>; TURNS]);

impl Turns {
    fn of(&self, path: &str) -> &Mutex<()> {
        let hash =
            path.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.0[hash % TURNS]
    }
}

/// The error of a change of what is not there.
pub(crate) fn absent(key: &DocumentKey) -> Error {
    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
        .hint("Check the key; `list` shows what is there.")
}

impl BucketStore {
    /// The documents of `layout` in `objects`; none larger than `document_bytes_max`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, layout: Layout, document_bytes_max: u64) -> Self {
        let turns = Turns(std::array::from_fn(|_| Mutex::new(())));
        Self { objects, layout, document_bytes_max, turns }
    }

    /// Where the document is now; `None` when it is nowhere.
    async fn locate(&self, key: &DocumentKey) -> Result<Option<String>> {
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

    async fn put(&self, key: &DocumentKey, body: Bytes, when: &Precondition) -> Result<ETag> {
        let new = self.layout.check_put(key, &body, self.document_bytes_max)?;
        let path = self.locate(key).await?.unwrap_or(new);
        self.objects.put(&path, body, when).await.map_err(|error| error.detail(format!("document: {key}")))
    }

    /// Reads, changes, and writes if nothing changed meanwhile; again when something did and the caller does not mind.
    async fn patch(&self, key: &DocumentKey, change: &Change, when: &Precondition) -> Result<ETag> {
        when.check_present()?;
        if !self.objects.powers().conditional_put {
            return Err(Error::new(
                Kind::Unsupported,
                "R0405",
                format!("{self} cannot change a part of a document safely"),
            )
            .hint(
                "Read the document, change it, and put it whole; or use a store with conditional writes.",
            ));
        }
        let path = self.locate(key).await?.ok_or_else(|| absent(key))?;
        // those of this process do not get in each other's way
        let _turn = self.turns.of(&path).lock().await;
        let mut tries = 0;
        loop {
            let found = self.objects.get(&path, self.document_bytes_max).await?;
            let Some(object) = found else {
                when.check(key, None)?;
                return Err(absent(key));
            };
            when.check(key, Some(&object.etag))?;
            let body = change.apply(&object.bytes, self.layout.limits())?;
            self.layout.check_put(key, &body, self.document_bytes_max)?;
            tries += 1;
            match self.objects.put(&path, body.into(), &Precondition::Matches(object.etag)).await {
                Err(error)
                    if error.kind() == Kind::Conflict && *when == Precondition::Any && tries < TRIES_MAX => {}
                done => return done.map_err(|error| error.detail(format!("document: {key}"))),
            }
        }
    }

    async fn delete(&self, key: &DocumentKey, when: &Precondition) -> Result<Written> {
        when.check_present()?;
        let Some(path) = self.locate(key).await? else {
            when.check(key, None)?;
            return Ok(Written::Missing);
        };
        let deleted = self.objects.delete(&path, when).await;
        let deleted = deleted.map_err(|error| error.detail(format!("document: {key}")))?;
        Ok(if deleted { Written::Deleted } else { Written::Missing })
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket({})", self.objects)
    }
}

#[async_trait]
impl Store for BucketStore {
    fn capabilities(&self) -> Capabilities {
        let powers = self.objects.powers();
        Capabilities {
            atomic_writes_max: 1,
            document_bytes_max: self.document_bytes_max,
            conditional_put: powers.conditional_put,
            conditional_delete: powers.conditional_delete,
            keys_per_tenant: true,
            queries: false,
        }
    }

    fn collections(&self) -> Vec<String> {
        self.layout.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        let Some(path) = self.locate(key).await? else { return Ok(None) };
        let found = self.objects.get(&path, self.document_bytes_max).await?;
        Ok(found.map(|object| Document { key: key.clone(), etag: object.etag, body: object.bytes }))
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        match self.locate(key).await? {
            Some(path) => Ok(self.objects.head(&path).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        let mut receipt = Receipt::default();
        if work.writes.len() > 1 {
            return Err(Error::new(
                Kind::Unsupported,
                "R0405",
                format!("{self} cannot write {} documents together", work.writes.len()),
            )
            .hint("Write one document at a time, or use a database."));
        }
        for write in work.writes {
            receipt.written.push(match write {
                Write::Put { key, body, when } => Written::Put(self.put(&key, body, &when).await?),
                Write::Patch { key, change, when } => Written::Put(self.patch(&key, &change, &when).await?),
                Write::Delete { key, when } => self.delete(&key, &when).await?,
            });
        }
        Ok(receipt)
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.layout.check_scope(scope)?;
        let prefix = self.layout.prefix(scope)?;
        let mut after = after.map(|cursor| cursor.as_str().to_owned());
        let mut items = Vec::new();
        while items.len() < most {
            let listed = self.objects.list(&prefix, after.as_deref(), LISTED_AT_ONCE).await?;
            let ends = listed.len() < LISTED_AT_ONCE;
            for object in listed {
                if items.len() == most {
                    return Ok(Page { items, next: after.map(Cursor::new) });
                }
                if let Some(key) = self.layout.identify(scope, &object.path)? {
                    items.push(DocumentMeta { key, size_bytes: object.size_bytes });
                }
                after = Some(object.path);
            }
            if ends {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: after.map(Cursor::new) })
    }

    async fn probe(&self) -> Result<()> {
        self.objects.probe().await
    }
}
