//! Streams and waits end with the key that opened them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use repot_core::store::{DocumentKey, Store, StoreExt as _};
use repot_core::{Clock as _, Pacing, SystemClock};
use repot_engine::ledger::{ApiKeys, NewKey, Right, Rights, Tenants};
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{Options, Outside, router};
use repot_testkit::HandClock;
use serde_json::json;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::clients::{Events, Frame, Socket};
use super::kit::{Base, Served, send};
use crate::kit::outside;

const LIFE_MS: i64 = 3_600_000;

/// Real waiting, but who waits looks at its key when the test says so.
#[derive(Debug, Default)]
struct Looks {
    now: Notify,
    waiting: AtomicUsize,
}

#[async_trait]
impl Pacing for Looks {
    async fn pause(&self, ms: u64) {
        match ms {
            1_000 => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.now.notified().await;
            }
            ms => TokioPacing.pause(ms).await,
        }
    }

    fn random(&self) -> u64 {
        TokioPacing.random()
    }
}

/// How a key ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Another process takes it back, and what was believed is over.
    Revoked,
    Expired,
}

/// A server that shows the time of a hand clock, and a key that another process made.
struct Lab {
    served: Served,
    clock: HandClock,
    looks: Arc<Looks>,
    keys: ApiKeys,
    ending: Ending,
    id: String,
    /// The value of the header.
    key: String,
    _base: Base,
}

impl Lab {
    async fn open(base: Base, ending: Ending) -> Self {
        let (clock, looks) = (HandClock::at(SystemClock.now_ms()), Arc::new(Looks::default()));
        let pacing = Arc::clone(&looks) as Arc<dyn Pacing>;
        let outside = Outside { clock: Arc::new(clock.clone()), pacing, ..outside() };
        let served = Served::over(base.app_in(Options::default(), outside).await).await;
        let elsewhere = base.app(Options::default()).await;
        let store = Arc::clone(elsewhere.store()) as Arc<dyn Store>;
        let keys = ApiKeys::new(store, Arc::new(clock.clone()), Arc::new(SystemEntropy));
        let rights = Rights::of(&[Right::Read, Right::Write], &[]);
        let expires_ms = Some(clock.now_ms() + LIFE_MS);
        let new = NewKey { name: "k".into(), rights, tenants: Tenants::None, expires_ms };
        let made = keys.create(new).await.unwrap();
        let (id, key) = (made.id, format!("Bearer {}", made.text.reveal()));
        Self { served, clock, looks, keys, ending, id, key, _base: base }
    }

    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for ending in [Ending::Revoked, Ending::Expired] {
            for base in Base::all() {
                all.push(Self::open(base, ending).await);
            }
        }
        all
    }

    async fn put(&self, id: &str) {
        let (body, path) = (json!({ "id": id }).to_string(), format!("PUT /v1/notes/{id}"));
        let (status, body) = send(&self.served.app, &path, &[("authorization", &self.key)], &body).await;
        assert_eq!(status, 201, "{body}");
    }

    /// Two streams from the beginning of the log, which have told one change.
    async fn listen(&self) -> (Events, Socket) {
        let header = format!("authorization: {}\r\n", self.key);
        let mut events = Events::open(self.served.address, "?since=0", &header).await;
        let (status, mut socket) = Socket::open(self.served.address, "?since=0", &header).await;
        assert_eq!((status, socket.text().await), (101, json!({"next": 0})));
        // looks find that the key holds
        self.looks.now.notify_waiters();
        self.put("a").await;
        assert_eq!(events.change().await.unwrap()["key"], "a");
        assert_eq!(socket.text().await["key"], "a");
        (events, socket)
    }

    async fn end_key(&self) {
        match self.ending {
            Ending::Revoked => {
                assert!(self.keys.revoke(&self.id).await.unwrap());
                self.clock.turn(5_000);
            }
            Ending::Expired => drop(self.clock.turn(LIFE_MS)),
        }
    }

    /// Lets everybody look as often as they want to.
    async fn look(&self) {
        loop {
            self.looks.now.notify_waiters();
            tokio::task::yield_now().await;
        }
    }

    /// What was sent, and that both end.
    async fn ended(&self, (mut events, mut socket): (Events, Socket)) {
        let event = events.next().await.unwrap();
        assert_eq!(event.name.as_deref(), Some("problem"), "{event:?}");
        let problem = event.data.unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("R0432")));
        assert_eq!(events.next().await, None);
        assert_eq!(socket.text().await["code"], "R0432", "{:?}", self.ending);
        assert_eq!(socket.next().await, Some(Frame::Close(4_401)));
    }
}

#[tokio::test]
async fn silent_streams_say_why_they_end() {
    for lab in Lab::all().await {
        let streams = lab.listen().await;
        lab.end_key().await;
        tokio::select! {
            () = lab.ended(streams) => {}
            () = lab.look() => {}
        }
        assert_eq!(lab.served.stop().await, 0);
    }
}

/// Also before anybody looked: what comes after the end of the key is not told.
#[tokio::test]
async fn nothing_is_told_after_the_end() {
    for lab in Lab::all().await {
        let streams = lab.listen().await;
        lab.end_key().await;
        // by somebody else
        let created = lab.served.store();
        created.create(&DocumentKey::new("notes", "b"), r#"{"id":"b"}"#).await.unwrap();
        lab.ended(streams).await;
        drop(created);
        assert_eq!(lab.served.stop().await, 0);
    }
}

#[tokio::test]
async fn waits_are_refused_when_the_key_ends() {
    for lab in Lab::all().await {
        let (app, key) = (lab.served.app.clone(), lab.key.clone());
        let waiting = tokio::spawn(async move {
            send(&app, "GET /v1:changes?wait=60s", &[("authorization", &key)], "").await
        });
        while lab.looks.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        lab.end_key().await;
        tokio::select! {
            answered = waiting => {
                let (status, body) = answered.unwrap();
                assert_eq!((status, &body["code"]), (401, &json!("R0432")), "{:?}", lab.ending);
            }
            () = lab.look() => {}
        }
        assert_eq!(lab.served.stop().await, 0);
    }
}

/// A listing in lines has sent its status already, so it is broken off, and nobody takes it for whole.
#[tokio::test]
async fn a_listing_in_lines_is_broken_off() {
    for lab in Lab::all().await {
        for id in ["n0", "n1", "n2"] {
            lab.put(id).await;
        }
        let request = axum::http::Request::get("/v1/notes?limit=1&sort=id")
            .header("accept", "application/x-ndjson")
            .header("authorization", &lab.key);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = router(lab.served.app.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.starts_with(br#"{"id":"n0""#), "{first:?}");
        lab.end_key().await;
        assert!(body.frame().await.unwrap().is_err(), "{:?}", lab.ending);
        drop(body);
        assert_eq!(lab.served.stop().await, 0);
    }
}
