//! Several requests at once.

use serde_json::json;

use crate::kit::{DRAMAS, TABLES, labs};

#[tokio::test]
async fn all_or_nothing() {
    for lab in labs(TABLES, DRAMAS).await {
        let batch = json!({"requests": [
            {"method": "PUT", "path": "/v1/dramas/a", "headers": {"if-none-match": "*"}, "body": {"id": "a", "title": "A"}},
            {"method": "POST", "path": "/v1/dramas", "body": {"id": "b", "title": "B", "characters": []}},
        ]});
        let done = lab.send("POST /v1:batch", &[], batch.to_string()).await.is(200).json();
        assert_eq!(done["responses"][0]["status"], 201);
        assert_eq!(done["responses"][1]["path"], "/v1/dramas/b");
        let etag = lab.get("/v1/dramas/a").await.etag();
        let broken = json!({"requests": [
            {"method": "POST", "path": "/v1/dramas/b/characters", "body": {"id": "m", "name": "M"}},
            {"method": "DELETE", "path": "/v1/dramas/a", "headers": {"if-match": "\"other\""}},
        ]});
        let failed = lab.send("POST /v1:batch", &[], broken.to_string()).await.is(412);
        assert_eq!(failed.json()["request"], 1, "{} {}", lab.kind, failed.text());
        assert_eq!(lab.get("/v1/dramas/b/characters").await.text(), "[]");
        let mended = broken.to_string().replace("\\\"other\\\"", &etag.replace('"', "\\\""));
        let done = lab.send("POST /v1:batch", &[], mended).await.is(200).json();
        assert_eq!(done["responses"][1]["status"], 204);
        assert_eq!(lab.get("/v1/dramas/b/characters/m/name").await.text(), "\"M\"");
        lab.get("/v1/dramas/a").await.is(404);
    }
}

#[tokio::test]
async fn one_after_the_other_where_asked() {
    for lab in labs(TABLES, DRAMAS).await {
        let text = r#"{"atomic": false, "requests": [
            {"method": "PUT", "path": "/v1/dramas/a", "body": {"id": "a", "title": "A", "n": 1.10}},
            {"method": "GET", "path": "/v1/dramas/a"},
            {"method": "DELETE", "path": "/v1/dramas/x"}
        ]}"#;
        let done = lab.send("POST /v1:batch", &[], text).await.is(200);
        assert!(done.text().contains(r#""n": 1.10"#), "{}", done.text());
        let done = done.json();
        let statuses: Vec<u64> = (0..3).map(|at| done["responses"][at]["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [201, 200, 404]);
        assert_eq!(done["responses"][2]["body"]["code"], "R0402");
    }
}

#[tokio::test]
async fn wrong_batches_are_refused_whole() {
    for lab in labs(&["sqlite"], DRAMAS).await {
        for wrong in [
            "[]",
            "{}",
            "{",
            r#"{"requests": {}}"#,
            r#"{"requests": [1]}"#,
            r#"{"requests": [], "atomic": 1}"#,
            r#"{"requests": [], "other": 1}"#,
            r#"{"requests": [{"method": "GET", "path": "/v1/dramas/a"}]}"#,
            r#"{"requests": [{"method": "PUT", "path": "/v1/dramas/a", "headers": {"authorization": "x"}}]}"#,
            r#"{"requests": [{"method": "POST", "path": "/v1/dramas/a:restore"}]}"#,
        ] {
            let answer = lab.send("POST /v1:batch", &[], wrong).await.is(400);
            assert_eq!(answer.code(), "R0440", "{wrong}");
        }
    }
}
