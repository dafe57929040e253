//! A bucket as a place of objects by path.
//!
//! Requests run on threads of its own, so that it works under every runtime of a caller, also under several at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    ETag, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition, check_deadline, unsettled,
};
use repot_core::{Clock, Error, Kind, Result, SystemClock, path_text};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::client::{Begin, Client};
use super::config::S3Config;
use super::failure::{Failure, unkeepable};
use super::listing::unaddressable;
use super::probe;
use super::signing::SKEW_MS;
use super::write::{Change, Write, etag_of};

const KEYS_PER_PAGE: usize = 1_000;
const KEY_BYTES_MAX: usize = 1_024;
const PROBED: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 4;
const DEADLINES: u8 = 8;
/// How long a body may go on arriving after the deadline, milliseconds: servers end a connection that is silent for longer (AWS
/// after 20 seconds).
const LINGER_MS: i64 = 30_000;
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);

/// A bucket whose objects are read and written one by one.
///
/// Every key can be an object's, except those with `.` or `..` as a part, which no URL can hold: `list` names them,
/// but they cannot be read or written. [`Objects::probe`] must be called before the first write with a
/// precondition, and `delete` with one: until they are proven, they are refused.
#[derive(Debug)]
pub struct S3Objects {
    place: Arc<Place>,
    /// Taken only at the end.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Place {
    client: Client,
    /// With a slash behind; empty for the whole bucket.
    prefix: String,
    shown: String,
    /// Time of day, for deadlines.
    clock: Arc<dyn Clock>,
    /// What the last probe found.
    powers: AtomicU8,
}

impl fmt::Display for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.shown)
    }
}

impl Drop for S3Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // waiting for the threads would block the caller's
            runtime.shutdown_background();
        }
    }
}

/// Ends its task when the caller does not wait any more.
struct Ends<T>(JoinHandle<T>);

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl S3Objects {
    /// Prepares the client; no request is made.
    ///
    /// # Errors
    /// `R0103` when settings are wrong.
    pub fn open(config: S3Config) -> Result<Self> {
        Self::open_with_clock(config, Arc::new(SystemClock))
    }

    /// The same with another time of day, for deadlines.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[expect(clippy::needless_pass_by_value, reason = "the secrets end here")]
    pub fn open_with_clock(config: S3Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let client = Client::new(&config)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name("repot-s3").enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::new(Kind::Failed, "R0102", "no threads for the network").cause(error))?;
        let prefix = config.prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let place = Place { client, prefix, shown: config.shown(), clock, powers: AtomicU8::new(0) };
        Ok(Self { place: Arc::new(place), runtime: Some(runtime) })
    }

    /// Runs it on our threads while the caller's runtime does other things.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Place>) -> F + Send) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let runtime = self.runtime.as_ref().expect("it is only taken at the end");
        let mut task = Ends(runtime.spawn(work(Arc::clone(&self.place))));
        (&mut task.0)
            .await
            .map_err(|error| Error::new(Kind::Internal, "R0102", "a request ended by itself").cause(error))?
    }
}

#[async_trait]
impl Objects for S3Objects {
    fn powers(&self) -> ObjectPowers {
        let bits = self.place.powers.load(Ordering::Acquire);
        ObjectPowers {
            conditional_put: bits & PUT != 0,
            conditional_delete: bits & DELETE != 0,
            deadlines: bits & DEADLINES != 0,
            keys_per_tenant: true,
        }
    }

    async fn probe(&self) -> Result<()> {
        self.run(|place| async move { place.probe().await }).await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let path = path.to_owned();
        self.run(move |place| async move { place.get(&path, bytes_max).await }).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let path = path.to_owned();
        self.run(move |place| async move { place.head(path).await }).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        let (path, when) = (path.to_owned(), when.clone());
        self.run(move |place| async move { place.put(&path, bytes, (&when, until_ms)).await }).await
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        let (path, when) = (path.to_owned(), when.clone());
        self.run(move |place| async move { place.delete(&path, (&when, until_ms)).await }).await
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        let path = path.to_owned();
        self.run(move |place| async move { place.settle(&path, until_ms).await }).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.run(move |place| async move { place.list(&prefix, after.as_deref(), most).await }).await
    }
}

impl Place {
    /// The key of a path.
    fn key(&self, path: &str) -> Result<String> {
        let what = path.to_owned();
        let no = |why: &str| unkeepable(&what, why);
        if path.is_empty() {
            return Err(unkeepable(&"an empty path", "it names nothing"));
        }
        let Some(inside) = faithful(path) else { return Err(no("it is no UTF-8 as a key")) };
        let key = format!("{}{inside}", self.prefix);
        if key.len() > KEY_BYTES_MAX {
            return Err(no(&format!("{} bytes, {KEY_BYTES_MAX} are the most", key.len())));
        }
        unaddressable(&key).map_or(Ok(key), |why| Err(no(why)))
    }

    fn error(&self, failure: &Failure, path: &str) -> Error {
        failure.of_object(&self.shown, &path)
    }

    /// Refuses a precondition that the server was not seen to enforce.
    fn demand(&self, power: u8, what: &str) -> Result<()> {
        let bits = self.powers.load(Ordering::Acquire);
        if bits & power != 0 {
            return Ok(());
        }
        let message = if bits & PROBED == 0 {
            format!("{} was not probed, so it is not known whether it enforces {what}", self.shown)
        } else {
            format!("{} does not enforce {what}: a write could be lost without a word", self.shown)
        };
        Err(Error::new(Kind::Unsupported, "R0405", message)
            .hint("Use a bucket of a server that enforces it, or write without it."))
    }

    /// Refuses a deadline that the server was not seen to enforce, and one that is over.
    fn demand_deadlines(&self, until_ms: Option<i64>) -> Result<()> {
        if until_ms.is_some() {
            self.demand(DEADLINES, "the deadlines of signed requests, by a clock like ours")?;
        }
        check_deadline(until_ms, self.clock.now_ms())
    }

    async fn probe(&self) -> Result<()> {
        let whole = |failure: Failure| failure.of_object(&self.shown, &"a probe");
        self.client.page(&self.prefix, Begin::First, 1).await.map_err(whole)?;
        let powers = probe::try_out(&self.client, &self.prefix, &*self.clock).await.map_err(whole)?;
        let found = [
            (powers.conditional_put, PUT),
            (powers.conditional_delete, DELETE),
            (powers.deadlines, DEADLINES),
        ];
        let bits = found.iter().filter(|(can, _)| *can).fold(PROBED, |bits, (_, bit)| bits | bit);
        self.powers.store(bits, Ordering::Release);
        Ok(())
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        let Ok(key) = self.key(path) else { return Ok(None) };
        let (bytes, head) = match self.client.read(&key, bytes_max).await {
            Ok(read) => read,
            Err(Failure::Status { status: 404, code, .. }) if code != "NoSuchBucket" => return Ok(None),
            Err(failure) => return Err(self.error(&failure, path)),
        };
        let etag = etag_of(Some(&head)).ok_or_else(|| self.no_etag(path))?;
        Ok(Some(ObjectBody { bytes: bytes.into(), etag, modified_ns: head.modified_ns }))
    }

    async fn head(&self, path: String) -> Result<Option<ObjectMeta>> {
        let Ok(key) = self.key(&path) else { return Ok(None) };
        let head = self.client.head(&key).await.map_err(|failure| self.error(&failure, &path))?;
        let Some(head) = head else { return Ok(None) };
        let etag = etag_of(Some(&head)).ok_or_else(|| self.no_etag(&path))?;
        let Some(size_bytes) = head.size else {
            let failure = Failure::Useless("the answer names no size".to_owned());
            return Err(self.error(&failure, &path));
        };
        Ok(Some(ObjectMeta { path, size_bytes, modified_ns: head.modified_ns, etag: Some(etag) }))
    }

    fn no_etag(&self, path: &str) -> Error {
        self.error(&Failure::Useless("the answer names no ETag".to_owned()), path)
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        (when, until_ms): (&Precondition, Option<i64>),
    ) -> Result<ETag> {
        let key = self.key(path)?;
        self.demand_deadlines(until_ms)?;
        if *when != Precondition::Any {
            self.demand(PUT, "If-None-Match and If-Match when it writes")?;
        }
        if let Precondition::Matches(etag) = when
            && !is_sendable(etag)
        {
            self.check(&key, path, when).await?;
        }
        let change = Change::Put { bytes, mark: probe::unique() };
        let etag = self.write((&key, path), (when, until_ms), change).await?;
        etag.ok_or_else(|| self.no_etag(path))
    }

    async fn delete(&self, path: &str, (when, until_ms): (&Precondition, Option<i64>)) -> Result<bool> {
        let key = self.key(path)?;
        self.demand_deadlines(until_ms)?;
        match when {
            Precondition::Any => {}
            Precondition::Absent => {
                let message = format!("{path} cannot be removed on condition that it is not there");
                return Err(Error::new(Kind::Invalid, "R0405", message)
                    .hint("Remove it without a precondition, or with the ETag that it must have."));
            }
            Precondition::Matches(_) => self.demand(DELETE, "If-Match when it removes")?,
        }
        if !self.check(&key, path, when).await? {
            return Ok(false);
        }
        let change = Change::Delete;
        self.write((&key, path), (when, until_ms), change).await.map(|_| true)
    }

    async fn write(
        &self,
        (key, what): (&str, &str),
        (when, until_ms): (&Precondition, Option<i64>),
        change: Change,
    ) -> Result<Option<ETag>> {
        let (client, shown, clock) = (&self.client, self.shown.as_str(), &*self.clock);
        Write { client, shown, key, what, when, until_ms, clock, change }.run().await
    }

    /// Waits until a server with any clock that may be has refused, or carried out, what was sent before the deadline.
    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        let end_ms = until_ms.saturating_add(SKEW_MS + LINGER_MS);
        let left_ms = |now_ms: i64| u64::try_from(end_ms.saturating_sub(now_ms)).unwrap_or(0);
        let wait = Duration::from_millis(left_ms(self.clock.now_ms()));
        let since = Instant::now();
        loop {
            let left_ms = left_ms(self.clock.now_ms());
            if left_ms == 0 {
                return Ok(());
            }
            if since.elapsed() > wait {
                return Err(unsettled(&self.shown, path, "it is not the time yet"));
            }
            tokio::time::sleep(Duration::from_millis(left_ms).min(LOOK)).await;
        }
    }

    /// Is an object there, and is it in the state that the precondition names?
    async fn check(&self, key: &str, path: &str, when: &Precondition) -> Result<bool> {
        let head = self.client.head(key).await.map_err(|failure| self.error(&failure, path))?;
        when.check(&path, etag_of(head.as_ref()).as_ref())?;
        Ok(head.is_some())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        let under = format!("{}{}", self.prefix, roughly(prefix));
        let from =
            after.map(|after| format!("{}{}", self.prefix, roughly(after))).filter(|key| !key.is_empty());
        let mut begin = from.as_deref().map_or(Begin::First, Begin::After);
        let (mut found, mut token, mut last) = (Vec::new(), None::<String>, None::<String>);
        while found.len() < most {
            let keys_max = u16::try_from((most - found.len()).min(KEYS_PER_PAGE)).unwrap_or(u16::MAX);
            let page = self.client.page(&under, begin, keys_max).await;
            let page = page.map_err(|failure| self.error(&failure, "a listing"))?;
            for entry in page.entries {
                if last.as_ref().is_some_and(|last| *last >= entry.key) {
                    return Err(self.broken(&format!("is out of order at {}", entry.key)));
                }
                let Some(inside) = entry.key.strip_prefix(&self.prefix) else {
                    return Err(self.broken(&format!("names {}, which was not asked for", entry.key)));
                };
                let path = path_text::encode(inside.as_bytes());
                // an empty path is the marker of the folder that we are in
                let is_wanted = !path.is_empty()
                    && path.starts_with(prefix)
                    && after.is_none_or(|after| path.as_str() > after);
                if is_wanted && found.len() < most {
                    let etag = entry.etag.as_deref().map(ETag::new);
                    let (size_bytes, modified_ns) = (entry.size, entry.modified_ns);
                    found.push(ObjectMeta { path, size_bytes, modified_ns, etag });
                }
                last = Some(entry.key);
            }
            if !page.is_truncated {
                break;
            }
            if page.token.is_none() || page.token == token {
                return Err(self.broken("goes on, but the bucket does not say where"));
            }
            token = page.token;
            begin = token.as_deref().map_or(Begin::First, Begin::Token);
        }
        Ok(found)
    }

    fn broken(&self, what: &str) -> Error {
        Error::new(Kind::Unavailable, "R0204", format!("the listing of {} {what}", self.shown))
            .hint("Going on could lose objects. Report it to the maker of the server.")
    }
}

/// The key that has this path as its name; no other path is the name of that key.
fn faithful(path: &str) -> Option<String> {
    let key = String::from_utf8(path_text::decode(path)).ok()?;
    (path_text::encode(key.as_bytes()) == path).then_some(key)
}

/// The longest beginning of a path, or of a part of one, that is a key's beginning; all paths after the one are
/// after the other.
fn roughly(path: &str) -> String {
    faithful(path).unwrap_or_else(|| {
        path.chars().take_while(|character| !matches!(character, '\u{f780}'..='\u{f7ff}')).collect()
    })
}

/// Can it stand in a header without meaning something else there?
fn is_sendable(etag: &ETag) -> bool {
    !etag.as_str().is_empty()
        && etag.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !b"\"*,\\".contains(&byte))
}
