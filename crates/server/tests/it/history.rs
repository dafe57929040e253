//! The record of changes: what is on it, texts as they were, changes taken back.

use repot_core::store::{DocumentKey, Precondition, UnitOfWork, Write};
use serde_json::{Value, json};

use crate::kit::{COUNCIL, Lab, MEDIA, TABLES, labs};

fn body(title: &str, year: &str) -> String {
    format!(
        r#"{{"id": 1, "type": "movie", "service": "radarr", "external_id": "x", "title": "{title}", "year": {year}}}"#
    )
}

async fn put(lab: &Lab, actor: &str, body: String) {
    let key = DocumentKey::new("media", "1");
    let write = Write::Put { key, body: body.into(), when: Precondition::Any };
    lab.app.store().apply(UnitOfWork::default().with(write).by(actor)).await.unwrap();
}

async fn history(lab: &Lab, query: &str) -> Value {
    lab.send(&format!("POST /v1/media/1:history{query}"), &[], "").await.is(200).json()
}

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_record_tells_who_changed_what() {
    for lab in labs(TABLES, MEDIA).await {
        put(&lab, "anna", body("A", "1")).await;
        put(&lab, "ben", body("B", "1")).await;
        put(&lab, "anna", body("B", "2")).await;
        lab.send("DELETE /v1/media/1", &[], "").await.is(204);
        lab.send("POST /v1/media/1:restore", &[], "").await.is(200);
        let all = history(&lab, "").await;
        let events: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| &item["event"]).collect();
        assert_eq!(events, ["restored", "deleted", "put", "put", "put"], "{}: {all}", lab.kind);
        let (third, second) = (&all["items"][2], &all["items"][3]);
        assert_eq!(third["changes"][0], json!({"at": "/year", "old": 1, "new": 2}));
        assert_eq!(third["changes"][1]["at"], "/updated_at");
        assert_eq!((&third["actor"], &third["path"]), (&json!("anna"), &json!("/v1/media/1")));
        assert_eq!((&third["version"], &third["before"]), (&json!(3), &second["etag"]));
        assert_eq!(ids(&history(&lab, "?actor=ben").await), [second["id"].as_i64().unwrap()]);
        assert_eq!(ids(&history(&lab, "?place=/title").await).len(), 2 + 2, "{}", lab.kind);
        // pages, the newest first
        let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
        loop {
            let page = history(&lab, &query).await;
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_i64() else { break };
            query = format!("?limit=2&before={next}");
        }
        assert_eq!(seen, ids(&all));
        let at = third["at"].as_str().unwrap();
        let from = history(&lab, &format!("?from={at}")).await;
        assert!(ids(&from).contains(&third["id"].as_i64().unwrap()));
        let until = history(&lab, &format!("?until={at}")).await;
        assert!(!ids(&until).contains(&third["id"].as_i64().unwrap()));
        assert_eq!(ids(&history(&lab, "?until=2001-01-01").await), [0_i64; 0]);
        // of the whole collection
        let whole = lab.send("POST /v1/media:history?actor=ben", &[], "").await.is(200).json();
        assert_eq!(ids(&whole), [second["id"].as_i64().unwrap()]);
    }
}

/// Also numbers that no float holds.
#[tokio::test]
async fn texts_are_had_as_they_were() {
    for lab in labs(TABLES, MEDIA).await {
        let first = body("A", "1").replace("\"year\": 1", "\"year\": 1, \"n\": 1.10000000000000000001");
        put(&lab, "anna", first).await;
        let was = lab.get("/v1/media/1").await.text().to_owned();
        assert!(was.contains("1.10000000000000000001"), "{was}");
        put(&lab, "anna", body("B", "2")).await;
        let page = history(&lab, "").await;
        assert!(
            lab.send("POST /v1/media/1:history", &[], "").await.text().contains("1.10000000000000000001")
        );
        let one = lab.get("/v1/media/1?at=1").await.is(200);
        assert_eq!((one.text(), one.header("content-type")), (was.as_str(), Some("application/json")));
        assert_eq!(one.header("etag"), None);
        let at = page["items"][0]["at"].as_str().unwrap();
        let two = lab.get(&format!("/v1/media/1?at={at}")).await.is(200).text().to_owned();
        assert_eq!(two, lab.get("/v1/media/1").await.text());
        assert_eq!(lab.get("/v1/media/1?at=9").await.is(404).code(), "R0402");
        assert_eq!(lab.get("/v1/media/1?at=2001-01-01").await.is(404).code(), "R0402");
        for wrong in ["?at=", "?at=yesterday", "?at=1&at=2", "?other=1", "?at=99999999999999999999"] {
            assert_eq!(lab.get(&format!("/v1/media/1{wrong}")).await.is(400).code(), "R0440", "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_change_is_taken_back_alone() {
    for lab in labs(TABLES, MEDIA).await {
        put(&lab, "anna", body("A", "1")).await;
        put(&lab, "anna", body("B", "1")).await;
        put(&lab, "anna", body("B", "2")).await;
        let all = ids(&history(&lab, "").await);
        let entry = json!({"entry": all[1]}).to_string();
        let line = "POST /v1/media/1:revert";
        assert_eq!(lab.send(line, &[("if-match", "\"other\"")], entry.clone()).await.is(412).code(), "R0401");
        let before = lab.get("/v1/media/1").await;
        let (etag, before) = (before.etag(), before.json());
        let both = format!("\"other\", {etag}");
        let back = lab.send(line, &[("if-match", &both)], entry.clone()).await.is(200);
        let now = back.json();
        assert_eq!((&now["title"], &now["year"]), (&json!("A"), &json!(2)));
        assert_ne!(back.etag(), etag);
        assert_eq!(back.etag(), lab.get("/v1/media/1").await.etag());
        assert!(now["updated_at"].as_str() > before["updated_at"].as_str(), "a write has its own time");
        // once more changes nothing; then the same place is changed by somebody else
        lab.send(line, &[], entry.clone()).await.is(200);
        put(&lab, "ben", body("C", "2")).await;
        assert_eq!(lab.send(line, &[], entry).await.is(409).code(), "R0414");
        let other = json!({"entry": 1_000_000}).to_string();
        assert_eq!(lab.send(line, &[], other).await.is(404).code(), "R0402");
        for wrong in ["", "{}", "[]", r#"{"entry": "1"}"#, r#"{"entry": 1, "other": 1}"#] {
            assert_eq!(lab.send(line, &[], wrong).await.is(400).code(), "R0440", "{wrong}");
        }
        lab.send(
            "PUT /v1/media/2",
            &[],
            body("C", "1").replace("\"id\": 1", "\"id\": 2").replace("\"x\"", "\"y\""),
        )
        .await
        .is(201);
        let made = lab.send("POST /v1/media/2:history", &[], "").await.is(200).json();
        let entry = json!({"entry": ids(&made)[0]}).to_string();
        lab.send("POST /v1/media/2:revert", &[], entry).await.is(204);
        lab.get("/v1/media/2").await.is(410);
    }
}

#[tokio::test]
async fn what_is_wrong_or_not_on_record_is_refused() {
    for lab in labs(TABLES, MEDIA).await {
        for wrong in
            ["?other=1", "?limit=0", "?before=x", "?from=x", "?place=x", "?actor=a&actor=b", "?limit=1001"]
        {
            let answer = lab.send(&format!("POST /v1/media/1:history{wrong}"), &[], "").await.is(400);
            assert_eq!(answer.code(), "R0440", "{wrong}");
        }
        assert_eq!(lab.send("POST /v1/queue/1:history", &[], "").await.is(501).code(), "R0405");
        assert_eq!(lab.send("GET /v1/media/1:history", &[], "").await.is(405).code(), "R0441");
        lab.send("POST /v1/nothing:history", &[], "").await.is(404);
        lab.send("POST /v1/media/1/title:history", &[], "").await.is(404);
        lab.send("POST /v1/media:revert", &[], "").await.is(404);
    }
    for lab in labs(&["memory", "directory"], MEDIA).await {
        for line in ["POST /v1/media/1:history", "GET /v1/media/1?at=1", "POST /v1/media/1:revert"] {
            assert_eq!(lab.send(line, &[], r#"{"entry": 1}"#).await.is(501).code(), "R0405", "{line}");
        }
    }
    for lab in labs(&["sqlite"], COUNCIL).await {
        assert_eq!(lab.send("POST /v1/conversations/a:history", &[], "").await.is(400).code(), "R0406");
    }
}
