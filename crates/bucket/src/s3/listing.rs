//! A listing, page after page; the next page is on its way while one is used.

use std::sync::Arc;

use repot_core::{Error, Kind, Listed, Object, Result, path_text};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::client::{Begin, Client};
use super::failure::Failure;
use super::page::{Entry, Page};

const KEYS_PER_PAGE: u16 = 1_000;

/// A listing.
#[derive(Debug)]
pub(crate) struct Listing<'s> {
    runtime: &'s Runtime,
    client: Arc<Client>,
    /// With a slash behind; empty for the whole bucket.
    prefix: &'s str,
    shown: &'s str,
    page: std::vec::IntoIter<Entry>,
    next: Option<JoinHandle<Result<Page, Failure>>>,
    token: Option<String>,
    last: Option<String>,
}

impl<'s> Listing<'s> {
    pub(crate) fn new(runtime: &'s Runtime, client: Arc<Client>, prefix: &'s str, shown: &'s str) -> Self {
        let mut listing = Self {
            runtime,
            client,
            prefix,
            shown,
            page: Vec::new().into_iter(),
            next: None,
            token: None,
            last: None,
        };
        listing.ask();
        listing
    }

    fn ask(&mut self) {
        let (client, prefix, token) = (Arc::clone(&self.client), self.prefix.to_owned(), self.token.clone());
        let page = async move {
            client.page(&prefix, token.as_deref().map_or(Begin::First, Begin::Token), KEYS_PER_PAGE).await
        };
        self.next = Some(self.runtime.spawn(page));
    }

    fn broken(&self, what: &str) -> Error {
        Error::new(Kind::SourceUnavailable, "R0204", format!("the listing of {} {what}", self.shown))
            .hint("Going on could lose objects. Report it to the maker of the server; copy from a directory meanwhile.")
    }

    /// Takes the page that is on its way and asks for the one after it.
    fn turn(&mut self, on_its_way: JoinHandle<Result<Page, Failure>>) -> Result<()> {
        let page = self.runtime.block_on(on_its_way);
        let page = page
            .map_err(|error| Error::new(Kind::Internal, "R0102", "a listing ended by itself").cause(error))?;
        let page = page.map_err(|failure| failure.whole(self.shown))?;
        if page.is_truncated {
            if page.token.is_none() || page.token == self.token {
                return Err(self.broken("goes on, but the bucket does not say where"));
            }
            self.token = page.token;
            self.ask();
        }
        self.page = page.entries.into_iter();
        Ok(())
    }

    /// `None`: nothing to list, the folder's own marker.
    fn listed(&mut self, entry: Entry) -> Result<Option<Listed>> {
        if self.last.as_ref().is_some_and(|last| *last >= entry.key) {
            return Err(self.broken(&format!("is out of order at {}", entry.key)));
        }
        self.last = Some(entry.key.clone());
        let Some(inside) = entry.key.strip_prefix(self.prefix) else {
            return Err(self.broken(&format!("names {}, which was not asked for", entry.key)));
        };
        let path = path_text::encode(inside.as_bytes());
        if let Some(reason) = unaddressable(&entry.key) {
            return Ok(Some(Listed::Skipped { path, reason: reason.to_owned(), hides: false }));
        }
        if entry.size == 0 && (inside.is_empty() || inside.ends_with('/')) {
            let reason = "the marker of a folder".to_owned();
            return Ok((!inside.is_empty()).then_some(Listed::Skipped { path, reason, hides: false }));
        }
        Ok(Some(Listed::Object(Object {
            path,
            size: entry.size,
            modified_ns: entry.modified_ns,
            etag: entry.etag,
        })))
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let step = match self.page.next() {
                Some(entry) => self.listed(entry),
                None => {
                    let on_its_way = self.next.take()?;
                    self.turn(on_its_way).map(|()| None)
                }
            };
            match step {
                Ok(None) => {}
                Ok(Some(listed)) => return Some(Ok(listed)),
                Err(error) => {
                    self.page = Vec::new().into_iter();
                    self.next = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if let Some(on_its_way) = &self.next {
            on_its_way.abort();
        }
    }
}

/// Why a key cannot be asked for: such parts are resolved away in every URL.
pub(crate) fn unaddressable(key: &str) -> Option<&'static str> {
    let odd = key.split('/').any(|part| matches!(part, "." | ".."));
    odd.then_some("a part of the key is . or .., which no URL can hold, so it cannot be asked for")
}
