//! Streams: their form, heartbeats, resuming, bounds, their end.

use std::sync::Arc;

use repot_server::Options;
use serde_json::json;

use super::clients::{Events, Frame, Socket};
use super::kit::{Base, Hearts, Served, send};

async fn put(app: &repot_server::App, path: &str) {
    let id = path.rsplit_once('/').unwrap().1;
    let (status, body) = send(app, &format!("PUT {path}"), &[], &json!({ "id": id }).to_string()).await;
    assert_eq!(status, 201, "{body}");
}

#[tokio::test]
async fn events_go_on_from_the_last_one() {
    for base in Base::all() {
        let served = base.serve().await;
        let mut events = Events::open(served.address, "?since=0&only=notes", "").await;
        assert_eq!(events.next().await.unwrap().id, Some(0));
        put(&served.app, "/v1/notes/a").await;
        put(&served.app, "/v1/boards/x").await;
        put(&served.app, "/v1/notes/b").await;
        let first = events.change().await.unwrap();
        assert_eq!((&first["key"], &first["path"]), (&json!("a"), &json!("/v1/notes/a")));
        let last = format!("last-event-id: {}\r\n", first["seq"]);
        drop(events);
        let mut events = Events::open(served.address, "?since=0", &last).await;
        let second = events.change().await.unwrap();
        assert_eq!((&second["key"], &second["document"]), (&json!("x"), &json!({"id": "x"})));
        assert_eq!(events.change().await.unwrap()["key"], "b");
        assert_eq!(served.stop().await, 0);
        assert_eq!(events.next().await, None);
    }
}

/// What is silent says that it is there, and where the log is, so that a reader of little does not fall behind the log.
#[tokio::test]
async fn silence_has_a_heartbeat_with_the_position() {
    for base in Base::all() {
        let hearts = Arc::new(Hearts::default());
        let served = Served::over(base.app_with(Options::default(), Arc::clone(&hearts) as _).await).await;
        let mut events = Events::open(served.address, "?since=0&only=boards", "").await;
        assert_eq!(events.next().await.unwrap().id, Some(0));
        put(&served.app, "/v1/notes/a").await;
        put(&served.app, "/v1/notes/b").await;
        let mut last = 0;
        while last < 2 {
            hearts.0.notify_one();
            let beat = events.next().await.unwrap();
            assert_eq!((beat.comment.as_deref(), &beat.data), (Some("heartbeat"), &None));
            assert!(beat.id.unwrap() >= last);
            last = beat.id.unwrap();
        }
        put(&served.app, "/v1/boards/x").await;
        assert_eq!(events.next().await.unwrap().id, Some(3));
        drop(events);
        let (status, mut socket) = Socket::open(served.address, "?since=3", "").await;
        assert_eq!((status, socket.text().await), (101, json!({"next": 3})));
        hearts.0.notify_one();
        assert_eq!(socket.text().await, json!({"next": 3}));
        assert_eq!(served.stop().await, 0);
    }
}

#[tokio::test]
async fn sockets_tell_the_same() {
    for base in Base::all() {
        let served = base.serve().await;
        put(&served.app, "/v1/notes/a").await;
        let (status, mut socket) = Socket::open(served.address, "?since=0", "").await;
        assert_eq!((status, socket.text().await), (101, json!({"next": 0})));
        let mut events = Events::open(served.address, "?since=0", "").await;
        put(&served.app, "/v1/boards/x").await;
        for key in ["a", "x"] {
            let change = socket.text().await;
            assert_eq!(change["key"], key);
            assert_eq!(events.change().await.unwrap(), change);
        }
        socket.ping("hello").await;
        assert_eq!(socket.next().await, Some(Frame::Pong(b"hello".to_vec())));
        assert_eq!(served.stop().await, 0);
        assert_eq!(socket.next().await, Some(Frame::Close(1001)));
    }
}

/// Browsers let any page open a WebSocket to any address.
#[tokio::test]
async fn sockets_are_not_for_pages_of_others() {
    let served = Base::sqlite().serve().await;
    for (origin, expected) in
        [("http://evil.example", 403), ("null", 403), ("https://x.evil", 403), ("http://x", 101)]
    {
        let (status, _) = Socket::open(served.address, "", &format!("origin: {origin}\r\n")).await;
        assert_eq!(status, expected, "{origin}");
    }
    let (status, _) = Socket::open(served.address, "?since=7", "").await;
    assert_eq!(status, 410);
    let (status, _) = Socket::open(served.address, "?wait=1s", "").await;
    assert_eq!(status, 400);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test]
async fn too_many_listeners_are_refused() {
    let base = Base::sqlite();
    let options = Options { listeners_max: 2, ..Options::default() };
    let served = Served::over(base.app(options).await).await;
    let mut one = Events::open(served.address, "", "").await;
    let (_, two) = Socket::open(served.address, "", "").await;
    let (status, body) = send(&served.app, "GET /v1:changes?wait=60s", &[], "").await;
    assert_eq!((status, &body["code"]), (503, &json!("R0610")));
    assert_eq!(send(&served.app, "GET /v1:changes", &[], "").await.0, 200);
    drop(two);
    // its place is free once the server has noticed
    while Events::try_open(served.address, "", "").await.unwrap().status != 200 {
        tokio::task::yield_now().await;
    }
    put(&served.app, "/v1/notes/a").await;
    assert_eq!(one.change().await.unwrap()["key"], "a");
    assert_eq!(served.stop().await, 0);
}
