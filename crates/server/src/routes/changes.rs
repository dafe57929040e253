//! What changed since: `GET /v1:changes`, as a page, after a wait where that is asked for, or as a stream.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use repot_core::Result;
use serde_json::json;

use super::{accepts, changes_stream};
use crate::answer;
use crate::app::App;
use crate::caller::{Caller, Standing};
use crate::feed::{Entry, Listener, Parameters, Teller, Wanted, text_of};
use crate::problem::Answered;

/// Reads of the log for one page, of which each may have nothing that is wanted.
const READS_MAX: usize = 16;
/// Bytes of a page after which it takes no further change.
const PAGE_BYTES: usize = 4 << 20;

pub(super) async fn changes(State(app): State<App>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    let answered = answer(&app, &mut head).await;
    answered.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn answer(app: &App, head: &mut Parts) -> Answered {
    let caller = Caller::of(app, &head.headers).await?;
    let standing = Standing::of(&head.headers);
    let is_socket = changes_stream::is_socket(&head.headers);
    let streams = is_socket || accepts(&head.headers, changes_stream::EVENTS);
    let parameters = Parameters::of(head, streams)?;
    let wanted = Wanted::of(app, &caller, parameters.only.as_deref())?;
    let since = match parameters.since {
        Some(since) => since,
        None => app.feed().position().await?,
    };
    if streams {
        let upgrade = if is_socket { Some(changes_stream::upgrade(head, app).await?) } else { None };
        let listener = Listener::new(app.feed().clone(), wanted, since)?;
        let teller = Teller::open(app.clone(), standing, listener).await?;
        return Ok(match upgrade {
            Some(upgrade) => changes_stream::socket(upgrade, teller),
            None => changes_stream::events(teller),
        });
    }
    let mut page = Page { items: Vec::new(), next: since, more: false, bytes: 0, most: parameters.limit };
    page.fill(app, &wanted).await?;
    if let Some(wait_ms) = parameters.wait_ms.filter(|_| page.items.is_empty() && !page.more) {
        page.wait(app, (wanted, &standing), wait_ms).await?;
    }
    Ok(page.answer())
}

/// A page while it is filled.
struct Page {
    items: Vec<String>,
    next: u64,
    more: bool,
    bytes: usize,
    most: usize,
}

impl Page {
    /// From the log itself: what was written before the request came is there.
    async fn fill(&mut self, app: &App, wanted: &Wanted) -> Result<()> {
        for _ in 0..READS_MAX {
            let (found, next, more) = app.feed().page(self.next).await?;
            let found: Vec<_> = found.into_iter().filter(|entry| wanted.has(entry)).collect();
            if !self.take(app, wanted, &found).await? {
                return Ok(());
            }
            (self.next, self.more) = (next, more);
            if !more || self.items.len() >= self.most {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `false`: there was no room for all of them.
    async fn take(&mut self, app: &App, wanted: &Wanted, found: &[Arc<Entry>]) -> Result<bool> {
        for entry in found {
            if self.items.len() >= self.most || self.bytes >= PAGE_BYTES {
                self.more = true;
                return Ok(false);
            }
            let text = text_of(app, wanted, entry).await?;
            self.bytes += text.len();
            self.items.push(text);
            self.next = entry.seq;
        }
        Ok(true)
    }

    /// Waits for a change; an end of the wait or of the server is an empty page, that of the key an error.
    async fn wait(
        &mut self,
        app: &App,
        (wanted, standing): (Wanted, &Standing),
        wait_ms: u64,
    ) -> Answered<()> {
        let mut listener = Listener::new(app.feed().clone(), wanted.clone(), self.next)?;
        let found = tokio::select! {
            biased;
            () = app.feed().ending() => Vec::new(),
            problem = standing.ended(app) => return Err(problem),
            found = listener.next() => found?,
            () = app.pacing().pause(wait_ms) => Vec::new(),
        };
        standing.check(app).await?;
        if self.take(app, &wanted, &found).await? {
            self.next = listener.position();
        }
        Ok(())
    }

    fn answer(self) -> Response {
        let body =
            format!(r#"{{"items":[{}],"next":{},"more":{}}}"#, self.items.join(","), self.next, self.more);
        let mut response = answer::json(StatusCode::OK, &json!(null));
        *response.body_mut() = body.into();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
