//! Several servers over one database.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use repot::{Config, Repot};
use repot_core::Pacing;
use repot_core::store::Queryable;
use repot_engine::TokioPacing;
use repot_server::{App, Options, Outside, Server, router};
use repot_testkit::TempTree;
use repot_testkit::postgres::{self, PgServer};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::kit::outside;

/// Collections with documents in the feed, without, and of tenants: by keys, and by a place that has no key in it.
pub(crate) const MODEL: &str = r#"
[repot]
source = "./data"

[boards]
file  = "boards/{id}.json"
watch = true

[boards.fields]
id    = "text key"
title = "text?"

[notes]
file = "notes/{id}.json"

[notes.fields]
id = "text key"
n  = "int?"

[chats]
file   = "{user}/chats/{id}.json"
tenant = "user"

[chats.fields]
id   = "text key"
user = "text"

[plans]
file   = "{user}/plan.json"
tenant = "user"

[plans.fields]
id   = "int key auto"
user = "text unique"
"#;

/// A database that several servers may be over.
pub(crate) struct Base {
    pub kind: &'static str,
    url: String,
    server: Option<PgServer>,
    _folder: TempTree,
}

impl Base {
    pub(crate) fn sqlite() -> Self {
        let folder = TempTree::new();
        let url = format!("sqlite:///{}", folder.path().join("repot.db").display());
        Self { kind: "sqlite", url, server: None, _folder: folder }
    }

    /// `None` after a printed skip.
    pub(crate) fn postgres() -> Option<Self> {
        let server = postgres::postgres()?;
        let url = server.fresh_database();
        Some(Self { kind: "postgres", url, server: Some(server), _folder: TempTree::new() })
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Some(Self::sqlite()), Self::postgres()].into_iter().flatten()
    }

    /// What PostgreSQL answers.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.server.as_ref().unwrap().query(&self.url, sql)
    }

    pub(crate) async fn app(&self, options: Options) -> App {
        self.app_with(options, Arc::new(TokioPacing)).await
    }

    pub(crate) async fn app_with(&self, options: Options, pacing: Arc<dyn Pacing>) -> App {
        self.app_in(options, Outside { pacing, ..outside() }).await
    }

    pub(crate) async fn app_in(&self, options: Options, outside: Outside) -> App {
        let repot = Repot::open(Config::with_model_text(&self.url, MODEL)).await.unwrap();
        App::new(repot.store(), repot.layout().clone(), outside, options).unwrap()
    }

    pub(crate) async fn serve(&self) -> Served {
        Served::over(self.app(Options::default()).await).await
    }
}

/// A server that listens.
pub(crate) struct Served {
    pub address: SocketAddr,
    pub app: App,
    stop: oneshot::Sender<()>,
    running: JoinHandle<usize>,
}

impl Served {
    pub(crate) async fn over(app: App) -> Self {
        let server = Server::bind(app.clone(), "127.0.0.1:0").await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            let _dropped = stopped.await;
        }));
        Self { address, app, stop, running }
    }

    pub(crate) fn store(&self) -> Arc<dyn Queryable> {
        Arc::clone(self.app.store())
    }

    /// Stops it; gives how many connections were cut off.
    pub(crate) async fn stop(self) -> usize {
        drop(self.app);
        self.stop.send(()).unwrap();
        self.running.await.unwrap()
    }
}

/// Sends a request without a socket: status and JSON.
pub(crate) async fn send(app: &App, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    use http_body_util::BodyExt as _;
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(axum::body::Body::from(body.to_owned())).unwrap();
    let response = router(app.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A page of changes, which must be one.
pub(crate) async fn page(app: &App, query: &str, tenant: Option<&str>) -> Value {
    let headers: Vec<(&str, &str)> = tenant.map(|tenant| ("repot-tenant", tenant)).into_iter().collect();
    let (status, body) = send(app, &format!("GET /v1:changes{query}"), &headers, "").await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Key and kind of each change of a page.
pub(crate) fn shown(page: &Value) -> Vec<String> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| format!("{} {}", text(item, "path"), text(item, "kind"))).collect()
}

/// Real waiting, but heartbeats come when they are told to.
#[derive(Debug, Default)]
pub(crate) struct Hearts(pub Notify);

#[async_trait]
impl Pacing for Hearts {
    async fn pause(&self, ms: u64) {
        match ms {
            15_000 => self.0.notified().await,
            ms => TokioPacing.pause(ms).await,
        }
    }

    fn random(&self) -> u64 {
        TokioPacing.random()
    }
}
