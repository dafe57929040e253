//! Whole documents.

use std::time::UNIX_EPOCH;

use repot_core::{Clock as _, SystemClock};

use crate::kit::{ALL, Answer, CLIPS, COUNCIL, DRAMAS, Lab, MEDIA, TABLES, TRANSLATION, labs};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

#[tokio::test]
async fn a_document_comes_back_byte_for_byte() {
    let text = "{\n  \"id\": \"d1\",  \"title\": \"Rot\\u00fa\", \"created_at\": \"2025-01-31T10:00:00Z\", \"updated_at\": \"2025-01-31T10:00:00Z\",\n \"x\": 1.10 }\n";
    for lab in labs(ALL, DRAMAS).await {
        lab.get("/v1/dramas/d1").await.is(404);
        let made = lab.send("PUT /v1/dramas/d1", &[("if-none-match", "*")], text).await.is(201);
        assert_eq!(made.header("location"), Some("/v1/dramas/d1"), "{}", lab.kind);
        let got = lab.get("/v1/dramas/d1").await.is(200);
        // `updated_at` is set with each write; everything else is what was sent
        let before = |text: &str| text.split("\"updated_at\": \"").next().unwrap().to_owned();
        assert_eq!(before(got.text()), before(text), "{}", lab.kind);
        assert!(got.text().ends_with("\",\n \"x\": 1.10 }\n"), "{}", lab.kind);
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!((made.etag(), made.text()), (got.etag(), got.text()));
        if lab.kind == "directory" {
            let file = std::fs::read(lab.folder().join("data/dramas/d1/drama.json")).unwrap();
            assert_eq!(file, got.body);
        }
        let head = lab.send("HEAD /v1/dramas/d1", &[], "").await.is(200);
        assert_eq!((head.etag(), head.body.len()), (got.etag(), 0));
        let length = head.header("content-length").map(str::to_owned);
        assert_eq!(length, Some(got.body.len().to_string()), "{}", lab.kind);
    }
}

#[tokio::test]
async fn conditions_hold_as_http_says() {
    for lab in labs(ALL, DRAMAS).await {
        let body = r#"{"id":"d1","title":"a"}"#;
        let one = lab.send("PUT /v1/dramas/d1", &[], body).await.is(201).etag();
        let taken = lab.send("PUT /v1/dramas/d1", &[("if-none-match", "*")], body).await.is(412);
        assert_eq!((taken.code().as_str(), taken.etag()), ("R0401", one.clone()), "{}", lab.kind);
        lab.send("GET /v1/dramas/d1", &[("if-none-match", &one)], "").await.is(304);
        lab.send("GET /v1/dramas/d1", &[("if-match", "\"other\"")], "").await.is(412);
        let other = r#"{"id":"d1","title":"b"}"#;
        let two = lab.send("PUT /v1/dramas/d1", &[("if-match", &one)], other).await.is(200).etag();
        assert_ne!(one, two);
        let stale = lab.send("PUT /v1/dramas/d1", &[("if-match", &one)], body).await.is(412);
        assert_eq!(stale.etag(), two);
        let several = format!("\"none\", {two}");
        let three =
            lab.send("PATCH /v1/dramas/d1", &[MERGE, ("if-match", &several)], r#"{"title":"c"}"#).await;
        let three = three.is(200).etag();
        lab.send("DELETE /v1/dramas/d1", &[("if-match", &two)], "").await.is(412);
        lab.send("PUT /v1/dramas/nothing", &[("if-match", "*")], r#"{"id":"nothing","title":"a"}"#)
            .await
            .is(412);
        lab.send("DELETE /v1/dramas/d1", &[("if-match", &three)], "").await.is(204);
        lab.send("DELETE /v1/dramas/d1", &[], "").await.is(404);
        lab.send("GET /v1/dramas/d1", &[("if-match", "d1")], "").await.is(400);
    }
}

#[tokio::test]
async fn patches_change_what_they_name() {
    for lab in labs(ALL, DRAMAS).await {
        lab.send("PUT /v1/dramas/d1", &[], "{\"id\": \"d1\",\n \"title\": \"a\", \"n\": 1.10}").await.is(201);
        let merged = lab.send("PATCH /v1/dramas/d1", &[MERGE], r#"{"title": "b"}"#).await.is(200);
        assert!(
            merged.text().starts_with("{\"id\": \"d1\",\n \"title\": \"b\", \"n\": 1.10"),
            "{}",
            merged.text()
        );
        let patch = ("content-type", "application/json-patch+json");
        let tested = r#"[{"op":"test","path":"/title","value":"x"},{"op":"remove","path":"/n"}]"#;
        let failed = lab.send("PATCH /v1/dramas/d1", &[patch], tested).await.is(409);
        assert_eq!(failed.code(), "R0408");
        let done = r#"[{"op":"replace","path":"/title","value":"c"}]"#;
        let minimal =
            lab.send("PATCH /v1/dramas/d1", &[patch, ("prefer", "return=minimal")], done).await.is(204);
        assert_eq!(minimal.header("preference-applied"), Some("return=minimal"));
        assert_eq!(lab.get("/v1/dramas/d1").await.json()["title"], "c");
        let plain =
            lab.send("PATCH /v1/dramas/d1", &[("content-type", "application/json")], "{}").await.is(415);
        assert_eq!(plain.code(), "R0443");
        lab.send("PATCH /v1/dramas/nothing", &[MERGE], "{}").await.is(404);
    }
}

#[tokio::test]
async fn what_does_not_fit_the_model_names_each_place() {
    for lab in labs(ALL, DRAMAS).await {
        let wrong = r#"{"id":"d1","title":7,"characters":[{"id":"m","name":null}]}"#;
        let refused = lab.send("PUT /v1/dramas/d1", &[], wrong).await.is(422);
        assert_eq!(refused.code(), "R0404");
        let errors = refused.json()["errors"].as_array().unwrap().clone();
        let pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/title", "/characters/0/name"], "{}", lab.kind);
        lab.send("PUT /v1/dramas/d1", &[], r#"{"id":"d2","title":"other key"}"#).await.is(422);
        lab.send("PUT /v1/dramas/d1", &[], "{").await.is(422);
        lab.get("/v1/dramas/d1").await.is(404);
    }
}

#[tokio::test]
async fn a_tenant_is_named_once_and_held_to() {
    for lab in labs(ALL, COUNCIL).await {
        let id = "0190a000-0000-4000-8000-000000000001";
        let path = format!("/v1/conversations/{id}");
        let body = format!(r#"{{"id":"{id}","user_id":"u1","messages":[]}}"#);
        let (u1, u2) = (("repot-tenant", "u1"), ("repot-tenant", "u2"));
        let none = lab.send(&format!("PUT {path}"), &[], body.clone()).await.is(400);
        assert_eq!(none.code(), "R0406");
        lab.send(&format!("PUT {path}"), &[u1], body.clone()).await.is(201);
        lab.send(&format!("GET {path}"), &[u1], "").await.is(200);
        lab.send(&format!("GET {path}"), &[u2], "").await.is(404);
        lab.send(&format!("PUT {path}"), &[u2], body.clone()).await.is(422);
        lab.send(&format!("DELETE {path}"), &[u2], "").await.is(404);
        assert_eq!(lab.send("GET /v1/conversations", &[], "").await.is(400).code(), "R0406");
        let own = lab.send("GET /v1/conversations", &[u1], "").await.is(200).json();
        assert_eq!(own["items"].as_array().unwrap().len(), 1, "{}", lab.kind);
        let others = lab.send("GET /v1/conversations", &[u2], "").await.is(200).json();
        assert_eq!(others["items"].as_array().unwrap().len(), 0);
    }
}

#[tokio::test]
async fn new_documents_are_named_by_their_body_or_get_a_key() {
    for lab in labs(ALL, COUNCIL).await {
        let u1 = ("repot-tenant", "u1");
        let made =
            lab.send("POST /v1/conversations", &[u1], r#"{"user_id":"u1","messages":[]}"#).await.is(201);
        let path = made.header("location").unwrap().to_owned();
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert_eq!((path.as_str(), id.len()), (format!("/v1/conversations/{id}").as_str(), 36));
        assert_eq!(lab.send(&format!("GET {path}"), &[u1], "").await.is(200).text(), made.text());
        assert_eq!(made.json()["title"], "New Conversation");
        let again = lab.send("POST /v1/conversations", &[u1], made.text().to_owned()).await.is(409);
        assert_eq!(again.code(), "R0401");
    }
    for lab in labs(ALL, MEDIA).await {
        let unnamed = lab.send("POST /v1/media", &[], r#"{"title":"x"}"#).await.is(422);
        assert_eq!(unnamed.code(), "R0404", "an int key is not made up");
    }
    for lab in labs(ALL, TRANSLATION).await {
        let made = lab
            .send("POST /v1/sessions", &[], r#"{"sender_id":"s 1","session_type":"upload"}"#)
            .await
            .is(201);
        let path = made.header("location").unwrap().to_owned();
        assert_eq!(lab.get(&path).await.is(200).json()["sender_id"], "s 1", "{} {path}", lab.kind);
        lab.get("/v1/sessions/@sender_id=s%201").await.is(200);
    }
}

#[tokio::test]
async fn deleted_documents_can_be_had_back() {
    for lab in labs(TABLES, MEDIA).await {
        let body = r#"{"id":1,"type":"movie","service":"radarr","external_id":"x","title":"T"}"#;
        lab.send("PUT /v1/media/1", &[], body).await.is(201);
        let before = lab.get("/v1/media/1").await.text().to_owned();
        lab.send("DELETE /v1/media/1", &[], "").await.is(204);
        let gone = lab.get("/v1/media/1").await.is(410);
        assert_eq!(gone.header("link"), Some("</v1/media/1:restore>; rel=\"restore\""));
        let back = lab.send("POST /v1/media/1:restore", &[], "").await.is(200);
        assert_eq!(back.json()["restored"][0], "/v1/media/1");
        assert_eq!(lab.get("/v1/media/1").await.is(200).text(), before);
        lab.send("POST /v1/media/1:restore", &[], "").await.is(404);
    }
}

#[tokio::test]
async fn states_that_may_not_follow_are_conflicts() {
    for lab in labs(TABLES, MEDIA).await {
        let media = r#"{"id":1,"type":"movie","service":"radarr","external_id":"x","title":"T"}"#;
        lab.send("PUT /v1/media/1", &[], media).await.is(201);
        lab.send("PUT /v1/jobs/17", &[], r#"{"id":17,"media_id":1}"#).await.is(201);
        let state = |status: &str| format!(r#"{{"status":"{status}"}}"#);
        lab.send("PATCH /v1/jobs/17", &[MERGE], state("running")).await.is(200);
        lab.send("PATCH /v1/jobs/17", &[MERGE], state("completed")).await.is(200);
        let refused = lab.send("PATCH /v1/jobs/17", &[MERGE], state("running")).await.is(409);
        assert_eq!(refused.code(), "R0410", "{}", lab.kind);
    }
}

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let lab = Lab::open("memory", DRAMAS).await.unwrap();
    for (line, status) in [
        ("GET /v1/nothing", 404),
        ("GET /v1/nothing/a", 404),
        ("GET /nowhere", 404),
        ("GET /v1/dramas//x", 400),
        ("GET /v1/dramas/%ff", 400),
        ("GET /v1/dramas/d1?x=1", 400),
        ("GET /v1/dramas/@d1", 400),
        ("GET /v1/dramas?limit=0", 400),
        ("GET /v1/dramas?limit=5&limit=6", 400),
        ("GET /v1/dramas?full=maybe", 400),
        ("GET /v1/dramas?title[=x", 400),
        ("GET /v1/dramas?title[about]=x", 400),
        ("PUT /v1/dramas", 405),
        ("OPTIONS /v1/dramas/d1", 405),
    ] {
        let answer = lab.send(line, &[], "{}").await;
        assert_eq!(answer.status.as_u16(), status, "{line}: {}", answer.text());
        assert!(answer.code().starts_with("R04"), "{line}");
    }
}

/// The clips app's source, tables in SQLite files, is not read yet; its model serves a fresh database.
#[tokio::test]
async fn a_model_of_sqlite_files_serves_a_fresh_database() {
    for lab in labs(TABLES, CLIPS).await {
        let (one, other) = ([("repot-tenant", "u1")], [("repot-tenant", "u2")]);
        let made = lab.send("POST /v1/games", &one, r#"{"id":1,"name":"Final"}"#).await.is(201);
        assert_eq!(made.header("location"), Some("/v1/games/1"));
        lab.send("PUT /v1/raw_clips/5", &one, r#"{"id":5,"game_id":1,"rating":4}"#).await.is(201);
        lab.send("PUT /v1/games/2", &other, r#"{"id":2,"name":"Other"}"#).await.is(201);
        let clips = lab.send("GET /v1/raw_clips?rating[gte]=3&expand=game_id", &one, "").await.is(200).json();
        assert_eq!(clips["items"][0]["game_id"]["name"], "Final", "{clips}");
        assert_eq!(clips["items"][0]["user_id"], "u1");
        let games = lab.send("GET /v1/games", &one, "").await.is(200).json();
        assert_eq!(games["items"].as_array().unwrap().len(), 1, "{games}");
        lab.send("GET /v1/games/1", &other, "").await.is(404);
        let patched = lab.send("PATCH /v1/games/1", &[one[0], MERGE], r#"{"video":"a.mp4"}"#).await.is(200);
        assert_eq!(patched.json()["video"], "a.mp4");
        // what refers to it goes with it
        lab.send("DELETE /v1/games/1", &one, "").await.is(204);
        lab.send("GET /v1/raw_clips/5", &one, "").await.is(404);
    }
}

/// The sample of the clips app: of each user, documents by collection, as the app's client would write them.
#[tokio::test]
async fn the_sample_of_the_clips_app_comes_back_as_it_was_written() {
    let sample = include_str!("../../../../apps/clips/documents.json");
    let sample: serde_json::Map<String, serde_json::Value> = serde_json::from_str(sample).unwrap();
    for lab in labs(TABLES, CLIPS).await {
        for (user, collections) in &sample {
            let tenant = [("repot-tenant", user.as_str())];
            for (collection, documents) in collections.as_object().unwrap() {
                for document in documents.as_array().unwrap() {
                    let put = format!("PUT /v1/{collection}/{}", document["id"]);
                    lab.send(&put, &tenant, document.to_string()).await.is(201);
                }
            }
        }
        for (user, collections) in &sample {
            let tenant = [("repot-tenant", user.as_str())];
            for (collection, documents) in collections.as_object().unwrap() {
                let listed = lab.send(&format!("GET /v1/{collection}?full=1"), &tenant, "").await.is(200);
                assert_eq!(listed.json()["items"], *documents, "{user} {collection}");
            }
        }
        let one = [("repot-tenant", "u1")];
        let best = "GET /v1/raw_clips?rating[gte]=4&expand=game_id&sort=-rating&fields=id,game_id";
        let best = lab.send(best, &one, "").await.is(200).json();
        let names: Vec<_> =
            best["items"].as_array().unwrap().iter().map(|clip| &clip["game_id"]["name"]).collect();
        assert_eq!(names, ["Semi-final", "Final"], "{best}");
        // what refers to a game goes with it, and nothing of anybody else
        lab.send("DELETE /v1/games/1", &one, "").await.is(204);
        let left = lab.send("GET /v1/raw_clips?fields=id", &one, "").await.is(200).json();
        assert_eq!(left["items"].as_array().unwrap().len(), 2, "{left}");
        lab.send("GET /v1/raw_clips/9", &[("repot-tenant", "u2")], "").await.is(200);
    }
}

#[tokio::test]
async fn a_document_says_when_it_was_written_last() {
    for lab in labs(&["directory", "sqlite", "postgres"], DRAMAS).await {
        let seconds = || u64::try_from(SystemClock.now_ms() / 1_000).unwrap();
        let said = |answer: &Answer| {
            let at = httpdate::parse_http_date(answer.header("last-modified").unwrap()).unwrap();
            at.duration_since(UNIX_EPOCH).unwrap().as_secs()
        };
        // the clock of files may be some milliseconds behind
        let before = seconds() - 1;
        let body = r#"{"id":"d1","title":"a","characters":[]}"#;
        let made = lab.send("PUT /v1/dramas/d1", &[("idempotency-key", "k")], body).await.is(201);
        let added = lab.send("POST /v1/dramas/d1/characters", &[], r#"{"id":"c","name":"C"}"#).await.is(201);
        assert!((before..=seconds()).contains(&said(&made)), "{}", lab.kind);
        let got = lab.get("/v1/dramas/d1").await.is(200);
        assert!((said(&made)..=seconds()).contains(&said(&got)), "{}", lab.kind);
        let head = lab.send("HEAD /v1/dramas/d1", &[], "").await.is(200);
        let part = lab.get("/v1/dramas/d1/characters/c/name").await.is(200);
        let same = lab.send("GET /v1/dramas/d1", &[("if-none-match", &added.etag())], "").await.is(304);
        for other in [head, part, same] {
            assert_eq!(other.header("last-modified"), got.header("last-modified"), "{}", lab.kind);
        }
        // two writes of one second have the same time, so none is a condition
        let last = got.header("last-modified").unwrap();
        lab.send("GET /v1/dramas/d1", &[("if-modified-since", last)], "").await.is(200);
        let guarded = [("if-unmodified-since", last)];
        lab.send("PUT /v1/dramas/d1", &guarded, body).await.is(400);
        assert_eq!(lab.get("/v1/dramas/d1").await.etag(), got.etag());
        let guarded = [guarded[0], ("if-match", &*got.etag())];
        lab.send("PUT /v1/dramas/d1", &guarded, body).await.is(200);
        // whole documents, and rows where there are tables
        let full = lab.get("/v1/dramas?full=1").await.is(200).json();
        let updated = full["updated"][0].as_str().unwrap();
        assert!(updated.starts_with("20") && updated.ends_with('Z') && updated.len() == 24, "{updated}");
        if TABLES.contains(&lab.kind) {
            let rows = lab.get("/v1/dramas").await.is(200).json();
            assert_eq!(rows["items"][0]["_updated"], updated, "{}", lab.kind);
            for (fields, wanted) in [("id,_updated", "_updated"), ("_etag,id", "_etag")] {
                let some = lab.get(&format!("/v1/dramas?fields={fields}")).await.is(200).json();
                assert_eq!(some["items"][0].as_object().unwrap().len(), 2);
                assert_eq!(some["items"][0][wanted], rows["items"][0][wanted]);
            }
            lab.get("/v1/dramas?fields=_updated,_etag").await.is(400);
        }
    }
}
