//! Signed requests: one page of a listing, one object. What passes is tried again with growing, random pauses.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use repot_core::{Error, Kind, Result};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use reqwest::{Method, Response, Url};

use super::config::{S3Config, is_loopback, wrong};
use super::failure::{Failure, is_late};
use super::page::{Page, error_of, plain_etag};
use super::signing::{self, Valid};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
const TRIES_MAX: u32 = 12;
/// An answer that is wrong so often stays wrong.
const BROKEN_MAX: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// A slower way up is no way: a write ends after `SILENCE` and the time that its bytes take at this speed.
const BYTES_PER_SECOND_MIN: u64 = 50_000;
/// Tells our write from another of the same bytes.
const MARK: HeaderName = HeaderName::from_static("x-amz-meta-repot-write");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// Of an error document or page: far more than any has.
const ANSWER_MAX: usize = 16 << 20;
const MESSAGE_MAX: usize = 300;
/// What is shorter is no secret of a real server, and would turn up in any text.
const SECRET_MIN: usize = 8;

/// Talks to one bucket.
pub(crate) struct Client {
    http: reqwest::Client,
    /// For writes: the silence while a body goes up is no sign of anything.
    writing: reqwest::Client,
    base: String,
    region: String,
    credential: AwsCredential,
    retry: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What the head of an answer says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub size: Option<u64>,
    pub modified_ns: i64,
    pub etag: Option<String>,
    /// MD5 of the content in hex, where the ETag is one.
    pub md5: Option<String>,
    /// Of the write that made it, where that was ours.
    pub mark: Option<String>,
}

impl Head {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let etag = text(&ETAG).and_then(plain_etag);
        let modified = text(&LAST_MODIFIED).and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        // with these, the ETag looks like an MD5 and is none
        let is_encrypted = headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
            || headers
                .get("x-amz-server-side-encryption")
                .is_some_and(|how| how.as_bytes().starts_with(b"aws:kms"));
        let is_md5 = |etag: &&str| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self {
            size: text(&CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            modified_ns: modified
                .map_or(0, |time| time.timestamp().as_second().saturating_mul(1_000_000_000)),
            md5: etag.as_deref().filter(is_md5).filter(|_| !is_encrypted).map(str::to_ascii_lowercase),
            mark: text(&MARK).map(str::to_owned),
            etag,
        }
    }
}

/// Where a listing goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begin<'a> {
    First,
    /// Strictly after this key.
    After(&'a str),
    /// Where the page before this one ended.
    Token(&'a str),
}

/// One request.
struct Ask<'a> {
    method: Method,
    url: &'a str,
    headers: &'a [(HeaderName, String)],
    body: Option<&'a Bytes>,
    /// `None`: for as long as the server believes it.
    valid: Option<Valid>,
}

/// Patience with one request.
#[derive(Debug)]
pub(crate) struct Patience {
    since: Instant,
    limit: Duration,
    tries: u32,
    broken: u32,
}

impl Patience {
    /// Waits a while and says whether to ask again.
    pub(crate) async fn again(&mut self, failure: &Failure) -> bool {
        self.broken += u32::from(matches!(failure, Failure::Broken(_)));
        failure.passes() && self.wait().await
    }

    /// As `again`, for what does not pass by itself, but may by another writer's doing.
    pub(crate) async fn wait(&mut self) -> bool {
        self.tries += 1;
        let longest = FIRST_PAUSE.saturating_mul(1 << self.tries.min(16)).min(LONGEST_PAUSE);
        // random, so that many who were turned away together do not come back together
        let share = u32::try_from(RandomState::new().hash_one(self.tries) % 1_000).unwrap_or(0);
        let pause = longest / 2 + longest / 2_000 * share;
        let over =
            self.since.elapsed() + pause > self.limit || self.tries >= TRIES_MAX || self.broken >= BROKEN_MAX;
        if !over {
            tokio::time::sleep(pause).await;
        }
        !over
    }
}

impl Client {
    pub(crate) fn new(config: &S3Config) -> Result<Self> {
        let base = config.base()?;
        let url = Url::parse(&base).map_err(|error| wrong("the endpoint is no URL").cause(error))?;
        // another part of the program may have chosen a provider already; any will do
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let http = || {
            let http = reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                // a redirect would carry the signature to another host
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("repot/", env!("CARGO_PKG_VERSION")));
            if is_loopback(&url) { http.no_proxy() } else { http }
        };
        let build = |http: reqwest::ClientBuilder| {
            http.build().map_err(|error| {
                Error::new(Kind::Failed, "R0102", "the network client cannot be made")
                    .cause(error.without_url())
            })
        };
        Ok(Self {
            http: build(http().read_timeout(SILENCE))?,
            writing: build(http())?,
            base,
            region: config.region().to_owned(),
            credential: AwsCredential {
                key_id: config.access_key.clone(),
                secret_key: config.secret_key.clone(),
                token: config.session_token.clone(),
            },
            retry: Duration::from_secs(config.retry_seconds()),
        })
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience { since: Instant::now(), limit: self.retry, tries: 0, broken: 0 }
    }

    /// One page of keys under `prefix`.
    pub(crate) async fn page(&self, prefix: &str, begin: Begin<'_>, keys_max: u16) -> Result<Page, Failure> {
        let mut query = vec![("list-type", "2".to_owned()), ("encoding-type", "url".to_owned())];
        query.push(("max-keys", keys_max.to_string()));
        query.extend((!prefix.is_empty()).then(|| ("prefix", prefix.to_owned())));
        match begin {
            Begin::First => {}
            Begin::After(key) => query.push(("start-after", key.to_owned())),
            Begin::Token(token) => query.push(("continuation-token", token.to_owned())),
        }
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value, ""))).collect();
        let slash = if Url::parse(&self.base).is_ok_and(|url| url.path() == "/") { "/" } else { "" };
        let url = format!("{}{slash}?{}", self.base, query.join("&"));
        let mut patience = self.patience();
        loop {
            let found = match self.send(Method::GET, &url).await {
                Ok(answer) => {
                    self.small(answer).await.and_then(|xml| Page::parse(&xml).map_err(Failure::Broken))
                }
                Err(failure) => Err(failure),
            };
            match found {
                Err(failure) if patience.again(&failure).await => {}
                done => return done,
            }
        }
    }

    /// Asks for an object; the answer's body is still to be read.
    pub(crate) async fn get(
        &self,
        key: &str,
        headers: &[(HeaderName, String)],
    ) -> Result<(Response, Head), Failure> {
        let url = self.address(key);
        let ask = Ask { method: Method::GET, url: &url, headers, body: None, valid: None };
        let answer = self.ask(ask).await?;
        let head = Head::of(answer.headers());
        Ok((answer, head))
    }

    /// A whole object of at most `bytes_max` bytes, tried again while that may help.
    pub(crate) async fn read(&self, key: &str, bytes_max: u64) -> Result<(Vec<u8>, Head), Failure> {
        let mut patience = self.patience();
        loop {
            match self.read_once(key, bytes_max).await {
                Err(failure) if patience.again(&failure).await => {}
                done => return done,
            }
        }
    }

    async fn read_once(&self, key: &str, bytes_max: u64) -> Result<(Vec<u8>, Head), Failure> {
        let (mut answer, head) = self.get(key, &[]).await?;
        if let Some(size) = head.size.filter(|&size| size > bytes_max) {
            return Err(Failure::TooLarge(size));
        }
        let mut bytes =
            Vec::with_capacity(head.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| self.cut_off(error, bytes.len() as u64))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > bytes_max {
                return Err(Failure::TooLarge(bytes.len() as u64));
            }
        }
        let mut hasher = Md5::new();
        if head.md5.is_some() {
            hasher.update(&bytes);
        }
        self.prove(key, &head, bytes.len() as u64, hasher).await?;
        Ok((bytes, head))
    }

    /// Is what came what the server has? By its MD5, or where the ETag is none, by the length that a second
    /// question gives.
    pub(crate) async fn prove(
        &self,
        key: &str,
        head: &Head,
        length: u64,
        hasher: Md5,
    ) -> Result<(), Failure> {
        if head.size.is_some_and(|size| size != length) {
            return Err(Failure::Broken(format!(
                "{length} bytes came instead of {}",
                head.size.unwrap_or(0)
            )));
        }
        if let Some(md5) = &head.md5 {
            let found = repot_core::hex(&hasher.finalize());
            let reason = "the bytes that came do not have the MD5 that the bucket names as ETag";
            return if found == *md5 { Ok(()) } else { Err(Failure::Broken(reason.to_owned())) };
        }
        match self.send(Method::HEAD, &self.address(key)).await {
            Ok(answer) => {
                let now = Head::of(answer.headers());
                match now.size {
                    _ if now.etag != head.etag => {
                        Err(Failure::Broken("it changed while it was read".to_owned()))
                    }
                    Some(size) if size != length => {
                        Err(Failure::Broken(format!("{length} bytes came instead of {size}")))
                    }
                    _ => Ok(()),
                }
            }
            Err(failure) if failure.passes() => Err(failure),
            // deleted meanwhile, or a server that does not answer this question
            Err(_) => Ok(()),
        }
    }

    /// An answer that ended before its end.
    pub(crate) fn cut_off(&self, error: reqwest::Error, came: u64) -> Failure {
        Failure::Broken(format!(
            "the answer was cut off after {came} bytes: {}",
            self.plain(&chain(&error.without_url()))
        ))
    }

    fn address(&self, key: &str) -> String {
        format!("{}/{}", self.base, encoded(key, "/"))
    }

    /// Whether an object is there, tried again while that may help.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Head>, Failure> {
        let mut patience = self.patience();
        loop {
            match self.send(Method::HEAD, &self.address(key)).await {
                Ok(answer) => return Ok(Some(Head::of(answer.headers()))),
                Err(Failure::Status { status: 404, code, .. }) if code != "NoSuchBucket" => return Ok(None),
                Err(failure) if patience.again(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Sends an object, once; gives its `ETag`.
    pub(crate) async fn put(
        &self,
        key: &str,
        (body, mark): (&Bytes, &str),
        condition: Option<&(HeaderName, String)>,
        valid: Option<Valid>,
    ) -> Result<String, Failure> {
        let media = if key.ends_with(".json") { "application/json" } else { "application/octet-stream" };
        let mut headers = vec![
            (CONTENT_MD5, STANDARD.encode(Md5::digest(body))),
            (CONTENT_TYPE, media.to_owned()),
            (MARK, mark.to_owned()),
        ];
        headers.extend(condition.cloned());
        let url = self.address(key);
        let ask = Ask { method: Method::PUT, url: &url, headers: &headers, body: Some(body), valid };
        let answer = self.ask(ask).await?;
        let etag = Head::of(answer.headers()).etag;
        etag.ok_or_else(|| Failure::Broken("the answer to a write names no ETag".to_owned()))
    }

    /// Removes an object, once.
    pub(crate) async fn delete(
        &self,
        key: &str,
        condition: Option<&(HeaderName, String)>,
        valid: Option<Valid>,
    ) -> Result<(), Failure> {
        let (url, headers) = (self.address(key), condition.cloned());
        let ask = Ask { method: Method::DELETE, url: &url, headers: headers.as_slice(), body: None, valid };
        self.ask(ask).await.map(|_| ())
    }

    async fn send(&self, method: Method, url: &str) -> Result<Response, Failure> {
        self.ask(Ask { method, url, headers: &[], body: None, valid: None }).await
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Response, Failure> {
        let Ask { ref method, valid, .. } = ask;
        let writes = matches!(*method, Method::PUT | Method::DELETE);
        let useless = |reason| Failure::Useless(format!("the request cannot be made: {reason}"));
        let mut request = self.signed(&ask).map_err(useless)?;
        let length = ask.body.map_or(0, |body| body.len() as u64);
        if let Some(body) = ask.body {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            *request.body_mut() = Some(body.clone().into());
        }
        if writes {
            let most = SILENCE + Duration::from_secs(length / BYTES_PER_SECOND_MIN);
            *request.timeout_mut() = Some(valid.map_or(most, |valid| most.min(valid.patience())));
        }
        let sent = if writes { &self.writing } else { &self.http }.execute(request).await;
        let answer = sent.map_err(|error| {
            let is_connect = error.is_connect();
            let says = self.plain(&chain(&error.without_url()));
            if is_connect { Failure::Unreached(says) } else { Failure::Network(says) }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.small(answer).await.unwrap_or_default();
        let (code, message) = error_of(&body);
        if valid.is_some() && is_late(status.as_u16(), &code, &message) {
            return Err(Failure::Late);
        }
        Err(Failure::Status {
            status: status.as_u16(),
            code: self.plain(&code),
            message: self.plain(&message),
        })
    }

    /// The request without its body.
    fn signed(&self, ask: &Ask<'_>) -> Result<reqwest::Request, String> {
        let Ask { method, url, headers, body, valid } = ask;
        let mut named = HeaderMap::with_capacity(headers.len());
        for (name, value) in *headers {
            named.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        let mut address = Cow::Borrowed(*url);
        if let Some(valid) = valid {
            let keys = (&self.credential, self.region.as_str());
            address = signing::signed(keys, method, url, headers, *valid)?.into();
        } else {
            let body = body.map_or_else(HttpRequestBody::empty, |body| body.clone().into());
            let mut signed = HttpRequest::new(body);
            *signed.uri_mut() = url.parse().map_err(|error| format!("{error}"))?;
            signed.method_mut().clone_from(method);
            *signed.headers_mut() = named;
            let authorizer = AwsAuthorizer::new(&self.credential, "s3", &self.region);
            authorizer.try_authorize(&mut signed, None).map_err(|error| error.to_string())?;
            named = std::mem::take(signed.headers_mut());
        }
        let address = Url::parse(&address).map_err(|error| error.to_string())?;
        let mut request = reqwest::Request::new(method.clone(), address);
        *request.headers_mut() = named;
        Ok(request)
    }

    /// The body of an answer that is no object.
    async fn small(&self, mut answer: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| self.cut_off(error, body.len() as u64))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX {
                return Err(Failure::Useless("the answer has no end".to_owned()));
            }
        }
        Ok(body)
    }

    /// A server's words: short, on one line, without secrets, should it echo them.
    fn plain(&self, text: &str) -> String {
        let secrets = [Some(&self.credential.secret_key), self.credential.token.as_ref()];
        let mut text = text.to_owned();
        for secret in secrets.into_iter().flatten().filter(|secret| secret.len() >= SECRET_MIN) {
            text = text.replace(secret.as_str(), "***");
        }
        text.chars()
            .map(|character| if character.is_control() { ' ' } else { character })
            .take(MESSAGE_MAX)
            .collect()
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// All but letters, digits, `-._~` and `keep` as percent signs, as signing demands.
pub(crate) fn encoded(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
