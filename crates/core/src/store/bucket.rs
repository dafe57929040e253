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
use super::rules::Proposal;
use crate::clock::{Clock, SystemClock};
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
    clock: Arc<dyn Clock>,
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
        Self { objects, layout, document_bytes_max, clock: Arc::new(SystemClock), turns }
    }

    /// The same store with another time of day: for the fields that the model fills with it.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
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
        self.layout.check_precondition(key, when)?;
        if self.layout.has_rules(key)? {
            let new = self.layout.check_size(key, body.len(), self.document_bytes_max)?;
            self.check_conditions("write a document by the rules of the model")?;
            let path = self.locate(key).await?.unwrap_or(new);
            return self.rewrite((key, &path), when, &|_| Ok(body.clone())).await;
        }
        let new = self.layout.check_put(key, &body, self.document_bytes_max)?;
        let path = self.locate(key).await?.unwrap_or(new);
        self.objects.put(&path, body, when).await.map_err(|error| error.detail(format!("document: {key}")))
    }

    async fn patch(&self, key: &DocumentKey, change: &Change, when: &Precondition) -> Result<ETag> {
        when.check_present()?;
        self.layout.check_precondition(key, when)?;
        self.check_conditions("change a part of a document")?;
        let path = self.locate(key).await?.ok_or_else(|| absent(key))?;
        let limits = self.layout.limits();
        let make = |before: Option<&[u8]>| match before {
            Some(before) => change.apply(before, limits).map(Bytes::from),
            None => Err(absent(key)),
        };
        self.rewrite((key, &path), when, &make).await
    }

    fn check_conditions(&self, what: &str) -> Result<()> {
        if self.objects.powers().conditional_put {
            return Ok(());
        }
        Err(Error::new(Kind::Unsupported, "R0405", format!("{self} cannot {what} safely"))
            .hint("Read the document, change it, and put it whole; or use a store with conditional writes."))
    }

    /// Reads, makes a new text of what is there, and writes it if nothing changed meanwhile; again when something did
    /// and the caller does not mind.
    async fn rewrite(
        &self,
        (key, path): (&DocumentKey, &str),
        when: &Precondition,
        make: &(dyn Fn(Option<&[u8]>) -> Result<Bytes> + Send + Sync),
    ) -> Result<ETag> {
        // those of this process do not get in each other's way
        let _turn = self.turns.of(path).lock().await;
        let mut tries = 0;
        loop {
            let found = self.objects.get(path, self.document_bytes_max).await?;
            when.check(key, found.as_ref().map(|object| &object.etag))?;
            let before = found.as_ref().map(|object| &object.bytes[..]);
            let body = self.layout.revise(Proposal {
                key,
                body: &make(before)?,
                before,
                document_bytes_max: self.document_bytes_max,
                now_ms: self.clock.now_ms(),
            })?;
            let unchanged = found.map_or(Precondition::Absent, |object| Precondition::Matches(object.etag));
            tries += 1;
            match self.objects.put(path, body, &unchanged).await {
                Err(error)
                    if error.kind() == Kind::Conflict && *when == Precondition::Any && tries < TRIES_MAX => {}
                done => return done.map_err(|error| error.detail(format!("document: {key}"))),
            }
        }
    }

    async fn delete(&self, key: &DocumentKey, when: &Precondition) -> Result<Written> {
        when.check_present()?;
        self.layout.check_precondition(key, when)?;
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
