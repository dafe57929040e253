//! The source over a bucket.

use std::fmt;
use std::io;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use repot_core::{Error, Kind, Listed, Object, Read, ReadError, Result, Source, SourceHealth, path_text};
use reqwest::header::{CONTENT_RANGE, IF_MATCH, RANGE};
use tokio::runtime::Runtime;

use super::client::{Begin, Client, Head};
use super::config::S3Config;
use super::failure::Failure;
use super::listing::{Listing, unaddressable};

/// A bucket.
#[derive(Debug)]
pub struct S3Source {
    client: Arc<Client>,
    /// With a slash behind; empty for the whole bucket.
    prefix: String,
    shown: String,
    runtime: Runtime,
}

impl fmt::Display for S3Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl S3Source {
    /// Prepares the client; no request is made.
    ///
    /// # Errors
    /// `R0103` when settings are wrong.
    #[expect(clippy::needless_pass_by_value, reason = "the secrets end here")]
    pub fn open(config: S3Config) -> Result<Self> {
        let client = Arc::new(Client::new(&config)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::new(Kind::Failed, "R0102", "no threads for the network").cause(error))?;
        let prefix = config.prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { client, prefix, shown: config.shown(), runtime })
    }

    fn key(&self, path: &str) -> Result<String, ReadError> {
        let path = String::from_utf8(path_text::decode(path)).map_err(|_wrong| ReadError::Gone)?;
        let key = format!("{}{path}", self.prefix);
        unaddressable(&key).map_or(Ok(key), |reason| Err(ReadError::Unreadable(reason.to_owned())))
    }

    /// Whose trouble is it?
    fn trouble(&self, failure: Failure) -> ReadError {
        match failure {
            Failure::TooLarge(size) => ReadError::TooLarge { size },
            Failure::Changed => ReadError::Changing,
            failure if failure.is_of_bucket() => ReadError::Source(failure.whole(&self.shown)),
            Failure::Status { status: 404, .. } => ReadError::Gone,
            // of this object only, when the bucket answers otherwise
            Failure::Status { status, .. } if status >= 500 => {
                match self.runtime.block_on(self.client.page(&self.prefix, Begin::First, 1)) {
                    Ok(_) => ReadError::Unreadable(failure.says()),
                    Err(whole) => ReadError::Source(whole.whole(&self.shown)),
                }
            }
            failure => ReadError::Unreadable(failure.says()),
        }
    }

    fn object(path: &str, head: Head, size: u64) -> Object {
        Object { path: path.to_owned(), size, modified_ns: head.modified_ns, etag: head.etag }
    }
}

impl Source for S3Source {
    fn check(&self) -> Result<SourceHealth> {
        let page = self.runtime.block_on(self.client.page(&self.prefix, Begin::First, 1));
        let page = page.map_err(|failure| failure.whole(&self.shown))?;
        let mut warnings = Vec::new();
        if page.entries.is_empty() {
            warnings.push(format!("There is nothing in {}.", self.shown));
        }
        if let Some(entry) = page.entries.iter().find(|entry| unaddressable(&entry.key).is_none()) {
            // the head of the answer says whether it may be read; its body is not waited for
            let one = async {
                let mut patience = self.client.patience();
                loop {
                    match self.client.get(&entry.key, &[]).await {
                        Err(failure) if patience.again(&failure).await => {}
                        done => return done.map(|_| ()),
                    }
                }
            };
            match self.runtime.block_on(one) {
                Ok(()) | Err(Failure::Status { status: 404, .. }) => {}
                Err(failure) => {
                    return Err(failure.whole(&self.shown).detail(format!("asked for {}", entry.key)));
                }
            }
        }
        Ok(SourceHealth { message: format!("{} can be listed and read", self.shown), warnings })
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>> {
        Ok(Box::new(Listing::new(&self.runtime, Arc::clone(&self.client), &self.prefix, &self.shown)))
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError> {
        let key = self.key(path)?;
        let read = self.runtime.block_on(self.client.read(&key, bytes_max));
        let (bytes, head) = read.map_err(|failure| self.trouble(failure))?;
        let object = Self::object(path, head, bytes.len() as u64);
        Ok(Read { bytes, object })
    }

    fn read_pieces(
        &self,
        path: &str,
        piece_bytes: usize,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError> {
        let key = self.key(path)?;
        let piece_bytes = piece_bytes.max(1);
        let pour = Pour {
            client: &self.client,
            key: &key,
            piece: Vec::with_capacity(piece_bytes),
            piece_bytes,
            came: 0,
            head: None,
            hasher: Md5::new(),
        };
        let (head, size) = self.runtime.block_on(pour.run(each)).map_err(|failure| self.trouble(failure))?;
        Ok(Self::object(path, head, size))
    }
}

/// An object on its way, piece by piece; after a broken connection it goes on where that broke.
struct Pour<'c> {
    client: &'c Client,
    key: &'c str,
    piece: Vec<u8>,
    piece_bytes: usize,
    came: u64,
    head: Option<Head>,
    hasher: Md5,
}

impl Pour<'_> {
    async fn run(mut self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(Head, u64), Failure> {
        let mut patience = self.client.patience();
        loop {
            let before = self.came;
            let done = self.go_on(each).await;
            if self.came > before {
                patience = self.client.patience();
            }
            match done {
                Ok(()) => break,
                Err(failure) if patience.again(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        }
        if !self.piece.is_empty() {
            each(&self.piece).map_err(|error| Failure::Useless(error.to_string()))?;
        }
        let Some(head) = self.head else { return Err(Failure::Changed) };
        match self.client.prove(self.key, &head, self.came, self.hasher).await {
            // the pieces are given away already
            Err(Failure::Broken(reason)) => Err(Failure::Useless(reason)),
            done => done.map(|()| (head, self.came)),
        }
    }

    async fn go_on(&mut self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
        let mut headers = Vec::new();
        if let Some(head) = &self.head {
            if head.size == Some(self.came) {
                return Ok(());
            }
            let Some(etag) = &head.etag else { return Err(Failure::Changed) };
            headers.push((RANGE, format!("bytes={}-", self.came)));
            headers.push((IF_MATCH, format!("\"{etag}\"")));
        }
        let (mut answer, head) = match self.client.get(self.key, &headers).await {
            Err(Failure::Status { status: 412, .. }) => return Err(Failure::Changed),
            found => found?,
        };
        if let Some(first) = &self.head {
            let begins = format!("bytes {}-", self.came);
            let range =
                answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
            if !range.starts_with(&begins) {
                return Err(Failure::Useless(
                    "the connection broke, and the bucket cannot go on in the middle".to_owned(),
                ));
            }
            if head.etag != first.etag {
                return Err(Failure::Changed);
            }
        } else {
            self.head = Some(head);
        }
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.client.cut_off(error, self.came))? {
            self.take(&chunk, each)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        mut rest: &[u8],
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        self.came += rest.len() as u64;
        self.hasher.update(rest);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.piece_bytes - self.piece.len()));
            self.piece.extend_from_slice(now);
            rest = later;
            if self.piece.len() == self.piece_bytes {
                each(&self.piece).map_err(|error| Failure::Useless(error.to_string()))?;
                self.piece.clear();
            }
        }
        Ok(())
    }
}
