//! `POST /v1:query`: who may ask, what comes back, and when it ends.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use repot_engine::SystemEntropy;
use repot_engine::ledger::{ApiKeys, NewKey, Right, Rights, Tenants};
use repot_server::Options;
use serde_json::{Value, json};

use crate::kit::{Answer, DRAMAS, Lab, TABLES, labs, outside};

async fn ask(lab: &Lab, body: &Value) -> Answer {
    lab.send("POST /v1:query", &[], body.to_string()).await
}

async fn filled(lab: &Lab) {
    for n in 0..4 {
        let body = format!(r#"{{"id":"d{n}","title":"T {n}","created_at":"2025-01-01T00:00:00Z"}}"#);
        lab.send(&format!("PUT /v1/dramas/d{n}"), &[], body).await.is(201);
    }
}

#[tokio::test]
async fn rows_come_in_one_piece_or_as_lines() {
    for lab in labs(TABLES, DRAMAS).await {
        filled(&lab).await;
        let sql = "select id, title from dramas where id > $1 order by id";
        let all = ask(&lab, &json!({"sql": sql, "params": ["d0"]})).await.is(200);
        let wanted = json!({"columns": ["id", "title"], "more": false, "rows": [
            {"id": "d1", "title": "T 1"}, {"id": "d2", "title": "T 2"}, {"id": "d3", "title": "T 3"},
        ]});
        assert_eq!(all.json(), wanted, "{}", lab.kind);
        let some = ask(&lab, &json!({"sql": sql, "params": ["d0"], "limit": 2})).await.is(200).json();
        assert_eq!((some["rows"].as_array().unwrap().len(), &some["more"]), (2, &json!(true)));
        let none = ask(&lab, &json!({"sql": sql, "params": ["x"]})).await.is(200).json();
        assert_eq!((&none["rows"], &none["columns"]), (&json!([]), &json!(["id", "title"])));
        let accept = [("accept", "application/x-ndjson")];
        let body = json!({"sql": sql, "params": ["d1"]}).to_string();
        let lines = lab.send("POST /v1:query", &accept, body).await.is(200);
        assert_eq!(lines.text(), "{\"id\":\"d2\",\"title\":\"T 2\"}\n{\"id\":\"d3\",\"title\":\"T 3\"}\n");
        let body = json!({"sql": sql, "params": ["x"]}).to_string();
        assert_eq!(lab.send("POST /v1:query", &accept, body).await.is(200).text(), "");
        // what fails before the first line is an error of its own
        let wrong = lab.send("POST /v1:query", &accept, r#"{"sql":"select nothing"}"#).await.is(400);
        assert_eq!(wrong.code(), "R0111", "{}", lab.kind);
        for wrong in [
            json!({}),
            json!([]),
            json!({"sql": ""}),
            json!({"sql": 7}),
            json!({"sql": "select 1 as a", "params": {}}),
            json!({"sql": "select 1 as a", "limit": 0}),
            json!({"sql": "select $1 as a", "params": [[1]]}),
            json!({"sql": "select $1 as a", "params": [18_446_744_073_709_551_615_u64]}),
            json!({"sql": "select 1 as a", "more": 1}),
        ] {
            assert_eq!(ask(&lab, &wrong).await.is(400).code(), "R0440", "{wrong}");
        }
        let writes = json!({"sql": "delete from dramas"});
        assert_eq!(ask(&lab, &writes).await.is(400).code(), "R0111", "{}", lab.kind);
        lab.get("/v1/dramas/d1").await.is(200);
    }
    let files = Lab::open("memory", DRAMAS).await.unwrap();
    assert_eq!(ask(&files, &json!({"sql": "select 1 as a"})).await.is(501).code(), "R0405");
}

#[tokio::test]
async fn only_who_runs_the_server_may_ask() {
    for lab in labs(TABLES, DRAMAS).await {
        let store: Arc<dyn repot_core::store::Store> = Arc::clone(lab.app.store()) as _;
        let keys = ApiKeys::new(store, Arc::new(repot_core::SystemClock), Arc::new(SystemEntropy));
        let body = r#"{"sql":"select 1 as a"}"#;
        let tenant = ("repot-tenant", "u1");
        let open = Lab::open(lab.kind, DRAMAS).await.unwrap();
        open.send("POST /v1:query", &[tenant], body).await.is(403);
        for (rights, only, tenants, status) in [
            (&[Right::Admin][..], &[][..], Tenants::None, 200),
            (&[Right::Admin], &[], Tenants::Any, 200),
            (&[Right::Admin], &[], Tenants::One("u1".into()), 403),
            (&[Right::Read, Right::Write], &[], Tenants::Any, 403),
            (&[Right::Admin], &["dramas".to_owned()], Tenants::None, 403),
        ] {
            let is_any = matches!(tenants, Tenants::Any);
            let new =
                NewKey { name: "k".into(), rights: Rights::of(rights, only), tenants, expires_ms: None };
            let key = format!("Bearer {}", keys.create(new).await.unwrap().text.reveal());
            let auth = ("authorization", key.as_str());
            lab.send("POST /v1:query", &[auth], body).await.is(status);
            if is_any {
                assert_eq!(lab.send("POST /v1:query", &[auth, tenant], body).await.is(403).code(), "R0446");
            }
        }
        assert_eq!(lab.send("POST /v1:query", &[], body).await.is(401).code(), "R0445");
    }
}

/// A statement that does not end by itself, as a body.
fn endless(lab: &Lab) -> String {
    let sql = match lab.kind {
        "sqlite" => {
            "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0"
        }
        _ => "select pg_sleep(3600)",
    };
    json!({ "sql": sql }).to_string()
}

#[tokio::test]
async fn a_statement_ends_with_its_time_and_with_its_client() {
    for kind in TABLES {
        let quick = Options { query_ms: 50, ..Options::default() };
        let Some(lab) = Lab::with(kind, DRAMAS, (outside(), quick)).await else { continue };
        let late = lab.send("POST /v1:query", &[], endless(&lab)).await.is(408);
        assert_eq!(late.code(), "R0435", "{kind}");
        let one = Options { query_ms: 600_000, queries_max: 1, ..Options::default() };
        let lab = Lab::with(kind, DRAMAS, (outside(), one)).await.unwrap();
        let path = "POST /v1:query";
        {
            // the question of the other one may have the turn at first
            let endless = std::pin::pin!(async {
                while lab.send(path, &[], endless(&lab)).await.status == 503 {
                    tokio::task::yield_now().await;
                }
            });
            let busy = async {
                loop {
                    let answer = lab.send(path, &[], r#"{"sql":"select 1 as a"}"#).await;
                    if answer.status == 503 {
                        break answer;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let futures_util::future::Either::Right((busy, _)) =
                futures_util::future::select(endless, std::pin::pin!(busy)).await
            else {
                panic!("it does not end");
            };
            assert_eq!((busy.code().as_str(), busy.header("retry-after")), ("R0437", Some("1")));
        }
        // its client is gone: the one turn that there is comes back, long before the time is up
        while lab.send(path, &[], r#"{"sql":"select 1 as a"}"#).await.status == 503 {
            tokio::task::yield_now().await;
        }
        // a client that takes a part of the lines only
        let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 900000) select i from n";
        let request = axum::http::Request::post("/v1:query")
            .header("accept", "application/x-ndjson")
            .body(axum::body::Body::from(json!({ "sql": many }).to_string()))
            .unwrap();
        let response =
            tower::ServiceExt::oneshot(repot_server::router(lab.app.clone()), request).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(&body.frame().await.unwrap().unwrap().into_data().unwrap()[..], b"{\"i\":1}\n");
        drop(body);
        while lab.send(path, &[], r#"{"sql":"select 1 as a"}"#).await.status == 503 {
            tokio::task::yield_now().await;
        }
    }
}
