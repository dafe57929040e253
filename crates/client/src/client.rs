//! Sends requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderName, Request, Response, StatusCode};
use repot_core::{Error, Kind, Pacing, Result, Retry};
use reqwest::Url;

use crate::attempt::{asked_for_ms, is_passing, pause_ms};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer that stands still for this long is broken off. Longer than a request may wait for changes.
const SILENCE: Duration = Duration::from_secs(70);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tries go on for this long unless somebody says otherwise, milliseconds.
const PATIENCE_MS: u64 = 30_000;

/// Put into a request's extensions: sent twice, it does no more than sent once, whatever its method says.
#[derive(Debug, Clone, Copy)]
pub struct Harmless;

/// Marks a request that the server remembers no key for: it is not sent again once it may have been done.
#[derive(Debug, Clone, Copy)]
pub struct Once;

/// What came back.
#[derive(Debug)]
pub struct Sent {
    /// The answer, with any status.
    pub answer: Response<Bytes>,
    /// A try before this one ended without an answer, and may have been done all the same.
    pub is_unsure: bool,
}

/// One server, and who asks it. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<HeaderValue>,
    pacing: Arc<dyn Pacing>,
    patience_ms: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl Client {
    /// `url` is where the server listens, such as `http://127.0.0.1:7070`, with a path where something stands before it; `key`
    /// is shown with each request. Nothing is sent yet.
    ///
    /// # Errors
    /// `R0154` when the URL or the key can be none.
    pub fn new(url: &str, key: Option<&str>, pacing: Arc<dyn Pacing>) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(Kind::Invalid, "R0154", format!("the server's URL {what}"))
                .hint("Write it as in REPOT_URL=http://127.0.0.1:7070; the key goes into REPOT_KEY.")
        };
        let base = Url::parse(url).map_err(|error| wrong("cannot be read").cause(error))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong("is none of http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("has a user or a password in it"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("has a `?` or a `#` in it"));
        }
        let key = key.map(bearer).transpose()?;
        // another part of the program may have chosen a provider already; any will do
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            // a redirect would carry the key to another host
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("repot/", env!("CARGO_PKG_VERSION")));
        let http = if is_loopback(&base) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| {
            Error::new(Kind::Failed, "R0153", "the network client cannot be made").cause(error.without_url())
        })?;
        Ok(Self { http, base, key, pacing, patience_ms: PATIENCE_MS })
    }

    /// No try begins later than this after the first, milliseconds; 0: there is one.
    #[must_use]
    pub fn with_patience(self, patience_ms: u64) -> Self {
        Self { patience_ms, ..self }
    }

    /// Sends a request whose address has a path and a query only, and gives the answer, whatever its status. Tries again for half
    /// a minute while the server is away or says that it may go better later: calls that may be repeated, and `POST` and
    /// `PATCH` under an `Idempotency-Key`, which is made where there is none.
    ///
    /// # Errors
    /// `R0153` when no answer comes; [`Retry::Unknown`] when the request may have been done all the same.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Sent> {
        let is_safe = request.method().is_safe() || request.extensions().get::<Harmless>().is_some();
        let mut is_once = request.extensions().get::<Once>().is_some();
        let mut is_keyed = !is_safe && !is_once && self.make_key(&mut request);
        if let Some(key) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, key.clone());
        }
        let (since, mut paused_ms, mut is_unsure) = (Instant::now(), 0_u64, false);
        for tries in 1.. {
            let mut tried = self.once(&request).await;
            if is_keyed && matches!(&tried, Ok(answer) if answer.status() == StatusCode::NOT_IMPLEMENTED) {
                // a store of files remembers no keys; nothing was done, and without one it is sent once
                request.headers_mut().remove(&IDEMPOTENCY_KEY);
                (is_keyed, is_once) = (false, true);
                tried = self.once(&request).await;
            }
            let spent_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(paused_ms);
            let pause_ms = again_ms(&tried, is_unsure)
                .map(|asked_ms| asked_ms.max(pause_ms(tries, self.pacing.random())))
                .filter(|pause_ms| spent_ms.saturating_add(*pause_ms) <= self.patience_ms);
            let may_be_done = !is_safe && may_be_done(&tried);
            let pause_ms = pause_ms.filter(|_| !(is_once && may_be_done));
            let Some(pause_ms) = pause_ms else {
                return match tried {
                    Ok(answer) => Ok(Sent { answer, is_unsure }),
                    Err(error) => Err(self.broken(error, is_unsure || may_be_done)),
                };
            };
            is_unsure |= may_be_done;
            self.pacing.pause(pause_ms).await;
            paused_ms = paused_ms.saturating_add(pause_ms);
        }
        Err(Error::new(Kind::Internal, "R0901", "a request was tried without end"))
    }

    /// Gives a request that may not be repeated by itself a key under which it may; `false`: it needs none, or has one.
    fn make_key(&self, request: &mut Request<Bytes>) -> bool {
        if request.method().is_idempotent() || request.headers().contains_key(&IDEMPOTENCY_KEY) {
            return false;
        }
        let key = format!("{:016x}{:016x}", self.pacing.random(), self.pacing.random());
        let key = HeaderValue::from_str(&key).ok();
        request.headers_mut().extend(key.map(|key| (IDEMPOTENCY_KEY, key)));
        true
    }

    async fn once(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let mut url = self.base.clone();
        let front = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{front}{}", request.uri().path()));
        url.set_query(request.uri().query());
        let sending = self
            .http
            .request(request.method().clone(), url)
            .headers(request.headers().clone())
            .body(request.body().clone());
        let mut came = sending.send().await?;
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = came.status();
        *answer.headers_mut() = std::mem::take(came.headers_mut());
        *answer.body_mut() = came.bytes().await?;
        Ok(answer)
    }

    fn broken(&self, error: reqwest::Error, may_be_done: bool) -> Error {
        let told = Error::new(Kind::TargetUnavailable, "R0153", format!("no answer came from {self}"))
            .hint("Check REPOT_URL, and that the server runs: repot serve.");
        let told = if may_be_done {
            told.detail("the request may have been done all the same; read before it is sent again")
                .retry(Retry::Unknown)
        } else {
            told.retry(Retry::Safe)
        };
        told.cause(error.without_url())
    }
}

/// The pause that is asked for before the next try, milliseconds; `None`: this is the answer. `is_unsure`: a try before may have
/// been done, so that its key may be in work.
fn again_ms(tried: &Result<Response<Bytes>, reqwest::Error>, is_unsure: bool) -> Option<u64> {
    let Ok(answer) = tried else { return Some(0) };
    let asked_ms = asked_for_ms(answer.headers());
    let is_in_work = is_unsure && answer.status() == StatusCode::CONFLICT && asked_ms.is_some();
    (is_in_work || is_passing(answer.status())).then(|| asked_ms.unwrap_or(0))
}

/// Whether a write may have been done although nobody said so.
fn may_be_done(tried: &Result<Response<Bytes>, reqwest::Error>) -> bool {
    match tried {
        Ok(answer) => answer.status().is_server_error(),
        Err(error) => !error.is_connect() && !error.is_builder(),
    }
}

fn bearer(key: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {key}"));
    let mut value = value.map_err(|_no_header| {
        // not the key itself, which is a secret
        Error::new(Kind::Invalid, "R0154", "REPOT_KEY is no key")
            .hint("Set it to what repot key create printed, without spaces or line breaks.")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Nothing but this machine: no proxy stands between.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
