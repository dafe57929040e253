//! Keys, rights, tenants of keys; requests that are sent twice; rate limits.

use std::sync::Arc;

use repot_engine::SystemEntropy;
use repot_engine::ledger::{ApiKeys, NewKey, Right, Rights, Tenants};
use repot_server::{Options, Outside};
use repot_testkit::HandClock;

use crate::kit::{ALL, Answer, COUNCIL, DRAMAS, Lab, MEDIA, TABLES, TRANSLATION, labs, outside};

const ID: &str = "0190a000-0000-4000-8000-000000000001";

/// Makes a key; gives its header value.
async fn key(lab: &Lab, rights: (&[Right], &[&str]), tenants: Tenants) -> String {
    let store: Arc<dyn repot_core::store::Store> = Arc::clone(lab.app.store()) as _;
    let keys = ApiKeys::new(store, Arc::new(repot_core::SystemClock), Arc::new(SystemEntropy));
    let only: Vec<String> = rights.1.iter().map(|&name| name.to_owned()).collect();
    let new = NewKey { name: "k".into(), rights: Rights::of(rights.0, &only), tenants, expires_ms: None };
    format!("Bearer {}", keys.create(new).await.unwrap().text.reveal())
}

const RW: &[Right] = &[Right::Read, Right::Write];

#[tokio::test]
async fn keys_say_who_may_do_what() {
    for lab in labs(TABLES, COUNCIL).await {
        let own = key(&lab, (RW, &["conversations"]), Tenants::One("u1".into())).await;
        let service = key(&lab, (RW, &[]), Tenants::Any).await;
        let reader = key(&lab, (&[Right::Read], &[]), Tenants::Any).await;
        let path = format!("/v1/conversations/{ID}");
        let body = format!(r#"{{"id":"{ID}","user_id":"u1","messages":[]}}"#);
        let auth = |key: &'_ str| -> (&'static str, String) { ("authorization", key.to_owned()) };
        let send = async |line: &str, key: &str, tenant: Option<&str>, body: &str| -> Answer {
            let (name, value) = auth(key);
            let mut headers = vec![(name, value.as_str())];
            headers.extend(tenant.map(|tenant| ("repot-tenant", tenant)));
            lab.send(line, &headers, body.to_owned()).await
        };
        let none = lab.send(&format!("GET {path}"), &[("repot-tenant", "u1")], "").await.is(401);
        assert_eq!((none.code().as_str(), none.header("www-authenticate")), ("R0445", Some("Bearer")));
        let wrong = send(&format!("GET {path}"), "Bearer rpt_x", None, "").await.is(401);
        assert_eq!(wrong.code(), "R0432");
        send(&format!("GET {path}"), "Basic eA==", None, "").await.is(401);
        // a tenant's own key needs no header, and reaches nobody else's
        send(&format!("PUT {path}"), &own, None, &body).await.is(201);
        send(&format!("GET {path}"), &own, Some("u1"), "").await.is(200);
        assert_eq!(send(&format!("GET {path}"), &own, Some("u2"), "").await.is(403).code(), "R0446");
        assert_eq!(send("GET /v1/usage/@", &own, None, "").await.is(403).code(), "R0446");
        // a service says for whom it acts
        assert_eq!(send(&format!("GET {path}"), &service, None, "").await.is(400).code(), "R0406");
        send(&format!("GET {path}"), &service, Some("u1"), "").await.is(200);
        send(&format!("GET {path}"), &service, Some("u2"), "").await.is(404);
        // reading is not writing, neither alone nor in a batch
        send(&format!("GET {path}"), &reader, Some("u1"), "").await.is(200);
        assert_eq!(send(&format!("DELETE {path}"), &reader, Some("u1"), "").await.is(403).code(), "R0446");
        let batch = format!(r#"{{"requests":[{{"method":"DELETE","path":"{path}"}}]}}"#);
        assert_eq!(send("POST /v1:batch", &reader, Some("u1"), &batch).await.is(403).code(), "R0446");
        let turns = batch.replacen('{', r#"{"atomic":false,"#, 1);
        let told = send("POST /v1:batch", &reader, Some("u1"), &turns).await.is(200);
        assert_eq!(told.json()["responses"][0]["status"], 403);
        send(&format!("DELETE {path}"), &own, None, "").await.is(204);
    }
}

#[tokio::test]
async fn an_expanded_row_takes_the_right_to_its_collection() {
    for lab in labs(TABLES, DRAMAS).await {
        lab.send("PUT /v1/dramas/d1", &[], r#"{"id":"d1","title":"a","characters":[{"id":"m","name":"M"}]}"#)
            .await
            .is(201);
        let key = key(&lab, (RW, &["characters"]), Tenants::None).await;
        let auth = ("authorization", key.as_str());
        lab.send("GET /v1/characters", &[auth], "").await.is(200);
        lab.send("GET /v1/characters?expand=drama_id", &[auth], "").await.is(403);
        lab.send("GET /v1/dramas/d1", &[auth], "").await.is(403);
    }
}

/// Changes are told of what may be read; a record may be read by who may read its documents.
#[tokio::test]
async fn changes_and_records_take_the_right_to_read() {
    for lab in labs(TABLES, MEDIA).await {
        let media = r#"{"id":1,"type":"movie","service":"radarr","external_id":"x","title":"T"}"#;
        lab.send("PUT /v1/media/1", &[], media).await.is(201);
        lab.send("PUT /v1/jobs/1", &[], r#"{"id":1,"media_id":1}"#).await.is(201);
        let key = key(&lab, (&[Right::Read], &["media"]), Tenants::None).await;
        let auth = ("authorization", key.as_str());
        let all = lab.send("GET /v1:changes?since=0", &[auth], "").await.is(200).json();
        let told: Vec<&str> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["collection"].as_str().unwrap())
            .collect();
        assert_eq!(told, ["media"], "{}", lab.kind);
        assert_eq!(lab.send("GET /v1:changes?only=jobs", &[auth], "").await.is(403).code(), "R0446");
        lab.send("POST /v1/media/1:history", &[auth], "").await.is(200);
        lab.send("POST /v1/jobs/1:history", &[auth], "").await.is(403);
        lab.send("POST /v1/media/1:revert", &[auth], r#"{"entry":1}"#).await.is(403);
    }
}

#[tokio::test]
async fn a_request_sent_twice_is_done_once() {
    let merge = ("content-type", "application/merge-patch+json");
    for lab in labs(TABLES, COUNCIL).await {
        let (u1, one) = (("repot-tenant", "u1"), ("idempotency-key", "one"));
        let body = r#"{"user_id":"u1","messages":[]}"#;
        let first = lab.send("POST /v1/conversations", &[u1, one], body).await.is(201);
        assert_eq!(first.header("idempotent-replayed"), None);
        let again = lab.send("POST /v1/conversations", &[u1, one], body).await.is(201);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(
            (again.text(), again.etag(), again.header("location")),
            (first.text(), first.etag(), first.header("location"))
        );
        assert_eq!(again.header("content-type"), Some("application/json"));
        let other = lab
            .send("POST /v1/conversations", &[u1, one], r#"{"user_id":"u1","title":"x","messages":[]}"#)
            .await
            .is(422);
        assert_eq!(other.code(), "R0430");
        // another tenant's key is another key
        lab.send(
            "POST /v1/conversations",
            &[("repot-tenant", "u2"), one],
            r#"{"user_id":"u2","messages":[]}"#,
        )
        .await
        .is(201);
        let path = first.header("location").unwrap().to_owned();
        let add = format!("POST {path}/messages");
        for _ in 0..3 {
            let message = r#"{"role":"user","content":"hi"}"#;
            lab.send(&add, &[u1, ("idempotency-key", "two")], message).await.is(201);
        }
        let now = lab.send(&format!("GET {path}"), &[u1], "").await.json();
        assert_eq!(now["messages"].as_array().unwrap().len(), 1, "{}", lab.kind);
        // a request that was refused is not kept
        let three = ("idempotency-key", "three");
        lab.send(&format!("PATCH {path}"), &[u1, merge, three, ("if-match", "\"x\"")], r#"{"title":"b"}"#)
            .await
            .is(412);
        lab.send(&format!("PATCH {path}"), &[u1, merge, three], r#"{"title":"b"}"#).await.is(200);
        let batch =
            r#"{"requests":[{"method":"POST","path":"PATH","body":{"role":"user","content":"batch"}}]}"#
                .replace("PATH", &format!("{path}/messages"));
        for _ in 0..2 {
            lab.send("POST /v1:batch", &[u1, ("idempotency-key", "four")], batch.clone()).await.is(200);
        }
        let now = lab.send(&format!("GET {path}"), &[u1], "").await.json();
        assert_eq!(now["messages"].as_array().unwrap().len(), 2, "{}", lab.kind);
        let turns = batch.replacen('{', r#"{"atomic":false,"#, 1);
        let refused = lab.send("POST /v1:batch", &[u1, ("idempotency-key", "five")], turns).await.is(400);
        assert_eq!(refused.code(), "R0440");
        lab.send("POST /v1/conversations", &[u1, ("idempotency-key", "")], body).await.is(400);
    }
}

/// However many send the same request at once, it is done once, and nobody is told anything else.
#[tokio::test]
async fn many_at_once_do_it_once() {
    for lab in labs(TABLES, COUNCIL).await {
        let u1 = ("repot-tenant", "u1");
        let path = format!("/v1/conversations/{ID}");
        let body = format!(r#"{{"id":"{ID}","user_id":"u1","messages":[]}}"#);
        lab.send(&format!("PUT {path}"), &[u1], body).await.is(201);
        let add = format!("POST {path}/messages");
        let headers = [u1, ("idempotency-key", "k")];
        let send = || lab.send(&add, &headers, r#"{"role":"user","content":"x"}"#);
        let answers = futures_util::future::join_all((0..16).map(|_| send())).await;
        for answer in answers {
            assert!([201, 409].contains(&answer.status.as_u16()), "{}", answer.text());
            if answer.status == 409 {
                assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("R0431", Some("1")));
            }
        }
        let now = lab.send(&format!("GET {path}"), &[u1], "").await.json();
        assert_eq!(now["messages"].as_array().unwrap().len(), 1, "{}", lab.kind);
    }
}

#[tokio::test]
async fn rate_limits_are_shared_and_exact() {
    for kind in TABLES {
        // tokens come back with time, which stands
        let standing = Outside { clock: Arc::new(HandClock::at(1_700_000_000_000)), ..outside() };
        let Some(lab) = Lab::with(kind, TRANSLATION, (standing, Options::default())).await else { continue };
        let take = |n: u64| {
            let body = format!(r#"{{"n":{n}}}"#);
            let lab = &lab;
            async move { lab.send("POST /limits/openai:take", &[], body).await }
        };
        assert_eq!(take(490).await.is(200).json()["taken"], 490);
        let answers = futures_util::future::join_all((0..16).map(|_| take(1))).await;
        let granted = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(granted, 10, "{kind}");
        let full = answers.into_iter().find(|answer| answer.status != 200).unwrap().is(429);
        assert_eq!((full.code().as_str(), full.header("retry-after")), ("R0504", Some("1")));
        assert_eq!(take(501).await.is(400).code(), "R0504");
        assert_eq!(lab.send("POST /limits/nothing:take", &[], "").await.is(404).code(), "R0505");
        assert_eq!(lab.send("POST /limits/openai:take", &[], "{\"n\":0}").await.is(400).code(), "R0440");
    }
}

#[tokio::test]
async fn files_have_no_place_for_keys() {
    for lab in labs(ALL, DRAMAS).await {
        let answer =
            lab.send("POST /v1/dramas", &[("idempotency-key", "a")], r#"{"id":"d","title":"t"}"#).await;
        match lab.kind {
            "sqlite" | "postgres" => drop(answer.is(201)),
            _ => assert_eq!(answer.is(501).code(), "R0405"),
        }
    }
}
