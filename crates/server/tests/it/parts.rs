//! Parts of documents.

use crate::kit::{ALL, DRAMAS, labs};

const DRAMA: &str = r#"{"id":"d1","title":"a","characters":[{"id":"mara","name":"Mara","voice":"low"},{"id":"jon","name":"Jon"}]}"#;

#[tokio::test]
async fn parts_are_named_by_key_or_place() {
    for lab in labs(ALL, DRAMAS).await {
        lab.send("PUT /v1/dramas/d1", &[], DRAMA).await.is(201);
        let voice = lab.get("/v1/dramas/d1/characters/mara/voice").await.is(200);
        assert_eq!(voice.text(), "\"low\"", "{}", lab.kind);
        assert_eq!(voice.etag(), lab.get("/v1/dramas/d1").await.etag());
        assert_eq!(lab.get("/v1/dramas/d1/characters/@1/name").await.is(200).text(), "\"Jon\"");
        for absent in ["characters/eve", "characters/@2", "characters/mara/x", "characters/0/name", "title/x"]
        {
            lab.get(&format!("/v1/dramas/d1/{absent}")).await.is(404);
        }
        let set = lab.send("PUT /v1/dramas/d1/characters/jon/voice", &[], "\"high\"").await.is(204);
        assert_eq!(set.etag(), lab.get("/v1/dramas/d1").await.etag());
        lab.send("PUT /v1/dramas/d1/title", &[("if-match", "\"x\"")], "\"b\"").await.is(412);
        lab.send("PUT /v1/dramas/d1/title", &[("if-match", &set.etag())], "\"b\"").await.is(204);
        let merge = ("content-type", "application/merge-patch+json");
        lab.send("PATCH /v1/dramas/d1/characters/mara", &[merge], r#"{"voice":null,"gender":"f"}"#)
            .await
            .is(204);
        lab.send("DELETE /v1/dramas/d1/characters/jon/voice", &[], "").await.is(204);
        let added =
            lab.send("POST /v1/dramas/d1/characters", &[], r#"{"id":"eve","name":"Eve"}"#).await.is(201);
        assert_eq!(added.header("location"), Some("/v1/dramas/d1"));
        let now = lab.get("/v1/dramas/d1").await.json();
        assert_eq!(now["title"], "b");
        assert_eq!(
            now["characters"].to_string(),
            r#"[{"id":"mara","name":"Mara","gender":"f"},{"id":"jon","name":"Jon"},{"id":"eve","name":"Eve"}]"#,
            "{}",
            lab.kind
        );
        lab.send("DELETE /v1/dramas/d1/characters/mara", &[], "").await.is(204);
        assert_eq!(lab.get("/v1/dramas/d1/characters/@0/id").await.text(), "\"jon\"");
        let wrong = lab.send("PUT /v1/dramas/d1/title", &[], "7").await.is(422);
        assert_eq!(wrong.json()["errors"][0]["pointer"], "/title", "{}", wrong.text());
        lab.send("PUT /v1/dramas/nothing/title", &[], "\"x\"").await.is(404);
        lab.send("PUT /v1/dramas/nothing/characters/a/name", &[], "\"x\"").await.is(404);
    }
}

/// A row is named by its key in the state that is changed, also while others change its place in the list.
#[tokio::test]
async fn a_row_keeps_its_name_while_others_move_it() {
    for lab in labs(ALL, DRAMAS).await {
        let many: Vec<String> = (0..40).map(|n| format!(r#"{{"id":"c{n}","name":"n"}}"#)).collect();
        let drama = format!(r#"{{"id":"d1","title":"a","characters":[{}]}}"#, many.join(","));
        lab.send("PUT /v1/dramas/d1", &[], drama).await.is(201);
        let remove = async {
            for n in 0..20 {
                lab.send(&format!("DELETE /v1/dramas/d1/characters/c{n}"), &[], "").await.is(204);
            }
        };
        let name = async {
            for n in 20..40 {
                let value = format!("\"N{n}\"");
                lab.send(&format!("PUT /v1/dramas/d1/characters/c{n}/name"), &[], value).await.is(204);
            }
        };
        futures_util::join!(remove, name);
        let now = lab.get("/v1/dramas/d1").await.json();
        let left = now["characters"].as_array().unwrap();
        assert_eq!(left.len(), 20, "{}", lab.kind);
        for (at, character) in left.iter().enumerate() {
            let n = at + 20;
            assert_eq!(character.to_string(), format!(r#"{{"id":"c{n}","name":"N{n}"}}"#), "{}", lab.kind);
        }
    }
}
