//! Pages of changes: positions, filters, tenants, waits, what is wrong.

use std::sync::Arc;

use repot_core::store::{DocumentKey, StoreExt as _};
use repot_server::Options;
use serde_json::json;

use super::kit::{Base, Served, page, send, shown};
use crate::kit::{DRAMAS, labs};

#[tokio::test]
async fn pages_go_on_from_positions() {
    for base in Base::all() {
        let app = base.app(Options::default()).await;
        let start = page(&app, "", None).await;
        assert_eq!((shown(&start).len(), &start["more"]), (0, &json!(false)));
        let since = start["next"].as_u64().unwrap();
        for id in ["a", "b c", "a"] {
            let key = id.replace(" ", "%20");
            let (status, _) =
                send(&app, &format!("PUT /v1/notes/{key}"), &[], &json!({"id": id, "n": since}).to_string())
                    .await;
            assert!(status < 300);
        }
        send(&app, "PUT /v1/boards/x", &[], r#"{"id": "x"}"#).await;
        send(&app, "DELETE /v1/notes/b%20c", &[], "").await;
        let all = page(&app, &format!("?since={since}"), None).await;
        // a document that was written as it was is no change
        let expected =
            ["/v1/notes/a put", "/v1/notes/b%20c put", "/v1/boards/x put", "/v1/notes/b%20c deleted"];
        assert_eq!(shown(&all), expected, "{}", base.kind);
        let first = &all["items"][1];
        assert_eq!((&first["collection"], &first["key"]), (&json!("notes"), &json!("b c")));
        assert!(first["at"].as_str().unwrap().ends_with('Z') && first.get("document").is_none());
        assert_eq!(all["next"], all["items"][3]["seq"]);
        let (mut at, mut seen) = (since, Vec::new());
        loop {
            let one = page(&app, &format!("?since={at}&limit=1"), None).await;
            seen.extend(shown(&one));
            at = one["next"].as_u64().unwrap();
            if one["more"] == json!(false) {
                break;
            }
        }
        assert_eq!(seen, expected);
        assert_eq!(at, all["next"].as_u64().unwrap());
        // who wants nothing of it goes on from the end all the same
        let none = page(&app, &format!("?since={since}&only=boards"), None).await;
        assert_eq!((shown(&none).len(), &none["next"]), (1, &all["next"]));
        let both = page(&app, &format!("?since={since}&only=boards,notes"), None).await;
        assert_eq!(shown(&both), expected);
    }
}

/// `watch = true`: the document stands with the change, on one line, as it is by now.
#[tokio::test]
async fn watched_documents_stand_with_their_changes() {
    for base in Base::all() {
        let app = base.app(Options::default()).await;
        send(&app, "PUT /v1/boards/x", &[], "{\"id\": \"x\"}").await;
        send(&app, "PUT /v1/boards/x", &[], "{\r\n \"id\": \"x\",\n \"title\": \"1.10 \\n\"}").await;
        send(&app, "PUT /v1/boards/y", &[], "{\"id\": \"y\"}").await;
        send(&app, "DELETE /v1/boards/y", &[], "").await;
        let all = page(&app, "?since=0", None).await;
        let etag = {
            let found = app.store().get(&DocumentKey::new("boards", "x")).await.unwrap().unwrap();
            json!(found.etag.as_str())
        };
        for at in [0, 1] {
            assert_eq!(all["items"][at]["document"], json!({"id": "x", "title": "1.10 \n"}));
            assert_eq!(all["items"][at]["etag"], etag);
        }
        assert_eq!((&all["items"][2]["kind"], &all["items"][2]["document"]), (&json!("put"), &json!(null)));
        assert_eq!((&all["items"][3]["kind"], all["items"][3].get("document")), (&json!("deleted"), None));
    }
}

#[tokio::test]
async fn tenants_see_their_own_and_what_is_everybodys() {
    for base in Base::all() {
        let app = base.app(Options::default()).await;
        for user in ["u1", "u2"] {
            let tenant = [("repot-tenant", user)];
            let body = json!({"id": format!("{user}-c"), "user": user}).to_string();
            assert_eq!(send(&app, &format!("PUT /v1/chats/{user}-c"), &tenant, &body).await.0, 201);
            let plan = json!({ "user": user }).to_string();
            let line = format!("PUT /v1/plans/@user={user}");
            assert_eq!(send(&app, &line, &tenant, &plan).await.0, 201, "{}", base.kind);
        }
        send(&app, "PUT /v1/notes/a", &[], r#"{"id": "a"}"#).await;
        let seen = |value: &serde_json::Value| -> Vec<String> {
            let items = value["items"].as_array().unwrap();
            items.iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect()
        };
        let nobody = page(&app, "?since=0", None).await;
        assert_eq!(seen(&nobody), ["/v1/notes/a"], "{}", base.kind);
        let own = page(&app, "?since=0", Some("u1")).await;
        assert_eq!(seen(&own).len(), 3, "{own}");
        for path in seen(&own) {
            assert_eq!(send(&app, &format!("GET {path}"), &[("repot-tenant", "u1")], "").await.0, 200);
            assert!(!path.contains("u2"), "{own}");
        }
        assert_eq!(own["next"], nobody["next"]);
        let plans = page(&app, "?since=0&only=plans", Some("u2")).await;
        assert_eq!(seen(&plans).len(), 1);
        assert_eq!(seen(&page(&app, "?since=0&only=chats", Some("u3")).await), [""; 0]);
        let (status, refused) = send(&app, "GET /v1:changes?since=0&only=chats", &[], "").await;
        assert_eq!((status, &refused["code"]), (400, &json!("R0406")));
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    for base in Base::all() {
        let app = base.app(Options::default()).await;
        for wrong in [
            "?other=1",
            "?since=x",
            "?since=-1",
            "?since=",
            "?since=1&since=2",
            "?since=99999999999999999999",
            "?only=",
            "?only=nothing",
            "?limit=0",
            "?limit=1001",
            "?wait=30",
            "?wait=61s",
            "?wait=1h",
        ] {
            let (status, body) = send(&app, &format!("GET /v1:changes{wrong}"), &[], "").await;
            assert_eq!((status, &body["code"]), (400, &json!("R0440")), "{wrong}: {body}");
        }
        for wrong in ["?wait=1s", "?limit=1"] {
            let accept = [("accept", "text/event-stream")];
            assert_eq!(send(&app, &format!("GET /v1:changes{wrong}"), &accept, "").await.0, 400);
        }
        // also with a wait, and as a stream: an answer that cannot begin is none
        for too_far in ["?since=1000", "?since=9999999999999999999", "?since=1000&wait=30s"] {
            let (status, body) = send(&app, &format!("GET /v1:changes{too_far}"), &[], "").await;
            assert_eq!((status, &body["code"]), (410, &json!("R0604")), "{too_far}: {body}");
        }
        let accept = [("accept", "text/event-stream"), ("last-event-id", "1000")];
        assert_eq!(send(&app, "GET /v1:changes", &accept, "").await.0, 410);
    }
    for lab in labs(&["memory", "directory"], DRAMAS).await {
        let answer = lab.get("/v1:changes").await.is(501);
        assert_eq!(answer.code(), "R0405");
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_gone() {
    let Some(base) = Base::postgres() else { return };
    let app = base.app(Options::default()).await;
    for id in ["a", "b", "c"] {
        send(&app, &format!("PUT /v1/notes/{id}"), &[], &json!({ "id": id }).to_string()).await;
    }
    assert_eq!(shown(&page(&app, "?since=0", None).await).len(), 3);
    let pruned = "delete from repot_changes where position <= 2; \
                  insert into repot_meta (key, value) values ('changes_pruned_to', '2')";
    let _done = base.ask(pruned);
    let (status, body) = send(&app, "GET /v1:changes?since=1", &[], "").await;
    assert_eq!((status, &body["code"]), (410, &json!("R0604")));
    assert_eq!(shown(&page(&app, "?since=2", None).await), ["/v1/notes/c put"]);
}

/// A wait ends with the first change that is wanted, whoever wrote it, and with the server.
#[tokio::test]
async fn waits_end_with_a_change_or_with_the_server() {
    for base in Base::all() {
        let (one, other) = (base.app(Options::default()).await, base.app(Options::default()).await);
        let served = Served::over(base.app(Options::default()).await).await;
        let mut since = page(&one, "", None).await["next"].as_u64().unwrap();
        // of this process, of another one; the one that is not wanted ends nothing
        for (writer, id) in [(&one, "a"), (&other, "b")] {
            let waiting = {
                let (app, query) = (one.clone(), format!("?since={since}&wait=60s&only=notes"));
                tokio::spawn(async move { page(&app, &query, None).await })
            };
            send(writer, &format!("PUT /v1/boards/{id}"), &[], &json!({ "id": id }).to_string()).await;
            send(writer, &format!("PUT /v1/notes/{id}"), &[], &json!({ "id": id }).to_string()).await;
            let came = waiting.await.unwrap();
            assert_eq!(shown(&came), [format!("/v1/notes/{id} put")]);
            since = came["next"].as_u64().unwrap();
        }
        let empty = page(&one, &format!("?since={since}&wait=10ms"), None).await;
        assert_eq!((shown(&empty).len(), empty["next"].as_u64()), (0, Some(since)));
        let line = format!("GET /v1:changes?since={since}&wait=60s HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes()).await.unwrap();
        // it waits for certain once a listener of the same server is answered
        let mut events = super::clients::Events::open(served.address, "", "").await;
        events.next().await.unwrap();
        assert_eq!(served.stop().await, 0);
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.is_empty() || answer.contains(r#""items":[]"#), "{answer}");
    }
}

/// A transaction that commits late is told behind those that were quicker, and not skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_is_told() {
    let Some(base) = Base::postgres() else { return };
    let served = base.serve().await;
    let _made = base.ask(
        "create sequence entered; create table gate as select 1 as shut; \
         create function gate() returns trigger language plpgsql as $$ begin perform nextval('entered'); \
         while exists (select from gate) loop null; end loop; return null; end $$; \
         create constraint trigger gate after insert on notes deferrable initially deferred \
         for each row when (new.id = 'late') execute function gate()",
    );
    let store = served.store();
    let note = |id: &str| (DocumentKey::new("notes", id), format!(r#"{{"id": "{id}"}}"#));
    let mut events = super::clients::Events::open(served.address, "?since=0", "").await;
    let late = {
        let (store, (key, body)) = (Arc::clone(&store), note("late"));
        tokio::spawn(async move { store.put(&key, body).await })
    };
    while base.ask("select is_called from entered") != "t\n" {
        tokio::task::yield_now().await;
    }
    let mut seen = Vec::new();
    for id in ["a", "b"] {
        let (key, body) = note(id);
        store.put(&key, body).await.unwrap();
        seen.push(events.change().await.unwrap()["key"].as_str().unwrap().to_owned());
    }
    assert!(!late.is_finished());
    let _opened = base.ask("delete from gate");
    late.await.unwrap().unwrap();
    seen.push(events.change().await.unwrap()["key"].as_str().unwrap().to_owned());
    assert_eq!(seen, ["a", "b", "late"]);
    drop(store);
    assert_eq!(served.stop().await, 0);
}
