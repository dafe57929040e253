//! A server in this process, and requests to it.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use repot::{Config, Repot};
use repot_core::SystemClock;
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{App, Options, Outside, router};
use repot_testkit::{TempTree, postgres};
use serde_json::Value;
use tower::ServiceExt as _;

/// The clips app's model.
pub(crate) const CLIPS: &str = include_str!("../../../../apps/clips/repot.toml");
/// The council app's model.
pub(crate) const COUNCIL: &str = include_str!("../../../../apps/council/repot.toml");
/// The dramas app's model.
pub(crate) const DRAMAS: &str = include_str!("../../../../apps/dramas/repot.toml");
/// The media app's model.
pub(crate) const MEDIA: &str = include_str!("../../../../apps/media/repot.toml");
/// The translation app's model.
pub(crate) const TRANSLATION: &str = include_str!("../../../../apps/translation/repot.toml");

/// A store of a kind, behind the routes.
pub(crate) struct Lab {
    pub app: App,
    pub kind: &'static str,
    folder: Arc<TempTree>,
}

/// Everything of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `ETag`, with its quotes.
    pub(crate) fn etag(&self) -> String {
        self.header("etag").unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of a problem, which must be one in all its parts.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert!(body["title"].is_string() && body["detail"].is_string() && body["instance"].is_string());
        body["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Lab {
    pub(crate) async fn open(kind: &'static str, model: &str) -> Option<Self> {
        Self::with(kind, model, (outside(), Options::default())).await
    }

    /// With another outside, or other bounds.
    pub(crate) async fn with(
        kind: &'static str,
        model: &str,
        (outside, options): (Outside, Options),
    ) -> Option<Self> {
        let folder = TempTree::new();
        let url = match kind {
            "sqlite" => format!("sqlite:///{}", folder.path().join("repot.db").display()),
            "postgres" => postgres::fresh_database()?,
            "directory" => folder.path().join("data").display().to_string(),
            _ => "memory:".to_owned(),
        };
        let repot = Repot::open(Config::with_model_text(&url, model)).await.unwrap();
        let app = App::new(repot.store(), repot.layout().clone(), outside, options).unwrap();
        Some(Self { app, kind, folder: Arc::new(folder) })
    }

    /// Another app over the same folder.
    pub(crate) fn over(&self, app: App) -> Self {
        Self { app, kind: self.kind, folder: Arc::clone(&self.folder) }
    }

    /// Sends a request: a method, a path, headers, a body.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = router(self.app.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "").await
    }

    /// The path of a folder that is gone with the lab.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The machine's own time, chance and secrets.
pub(crate) fn outside() -> Outside {
    Outside { clock: Arc::new(SystemClock), pacing: Arc::new(TokioPacing), entropy: Arc::new(SystemEntropy) }
}

/// The stores of these kinds over a model; PostgreSQL is left out where it may be missing.
pub(crate) async fn labs(kinds: &[&'static str], model: &str) -> Vec<Lab> {
    let mut labs = Vec::new();
    for kind in kinds {
        labs.extend(Lab::open(kind, model).await);
    }
    assert!(!labs.is_empty());
    labs
}

/// All kinds of stores.
pub(crate) const ALL: &[&str] = &["memory", "directory", "sqlite", "postgres"];
/// Stores with tables.
pub(crate) const TABLES: &[&str] = &["sqlite", "postgres"];
