//! Documents as messages, and quotas.

use serde_json::json;

use crate::kit::{ALL, Answer, COUNCIL, Lab, MEDIA, TABLES, labs};

async fn filled(lab: &Lab, count: i64) {
    lab.send(
        "PUT /v1/media/1",
        &[],
        r#"{"id":1,"type":"movie","service":"radarr","external_id":"x","title":"T"}"#,
    )
    .await
    .is(201);
    lab.send("PUT /v1/jobs/1", &[], r#"{"id":1,"media_id":1}"#).await.is(201);
    for n in 0..count {
        lab.send(&format!("PUT /v1/queue/{n}"), &[], format!(r#"{{"id":{n},"job_id":1,"priority":{n}}}"#))
            .await
            .is(201);
    }
}

async fn claim(lab: &Lab, body: &str) -> Vec<(String, String)> {
    let answer = lab.send("POST /v1/queue:claim", &[], body.to_owned()).await.is(200).json();
    let item = |item: &serde_json::Value| {
        assert!(item["document"]["id"].is_number() && item["lease_until"].is_string(), "{item}");
        (item["path"].as_str().unwrap().to_owned(), item["lease"].as_str().unwrap().to_owned())
    };
    answer["items"].as_array().unwrap().iter().map(item).collect()
}

async fn act(lab: &Lab, (path, lease): &(String, String), verb: &str, more: &str) -> Answer {
    lab.send(&format!("POST {path}:{verb}"), &[], format!(r#"{{"lease":"{lease}"{more}}}"#)).await
}

#[tokio::test]
async fn messages_are_claimed_and_ended() {
    for lab in labs(TABLES, MEDIA).await {
        filled(&lab, 4).await;
        let claimed = claim(&lab, r#"{"count":4,"lease":"60s","worker":"w"}"#).await;
        let paths: Vec<&str> = claimed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/v1/queue/3", "/v1/queue/2", "/v1/queue/1", "/v1/queue/0"], "{}", lab.kind);
        assert!(claim(&lab, r#"{"wait":"300ms"}"#).await.is_empty());
        act(&lab, &claimed[0], "ack", "").await.is(204);
        assert_eq!(act(&lab, &claimed[0], "ack", "").await.is(409).code(), "R0501");
        // one message is not deleted under the lease of another
        let foreign = (claimed[1].0.clone(), claimed[2].1.clone());
        assert_eq!(act(&lab, &foreign, "ack", r#","delete":true"#).await.is(409).code(), "R0501");
        act(&lab, &claimed[1], "ack", r#","delete":true"#).await.is(204);
        lab.get("/v1/queue/2").await.is(404);
        assert!(
            act(&lab, &claimed[2], "extend", r#","for":"5m""#).await.is(200).json()["lease_until"]
                .is_string()
        );
        act(&lab, &claimed[2], "fail", r#","reason":"broken""#).await.is(204);
        act(&lab, &claimed[3], "retry", r#","delay":"1h""#).await.is(204);
        let stats = lab.send("POST /v1/queue:stats", &[], "").await.is(200).json();
        assert_eq!(
            [&stats["ready"], &stats["delayed"], &stats["dead"], &stats["done"]],
            [0, 1, 1, 1],
            "{stats}"
        );
        let dead = lab.send("POST /v1/queue:dead", &[], "").await.is(200).json();
        assert_eq!(
            (dead["items"][0]["path"].as_str(), dead["items"][0]["reason"].as_str()),
            (Some("/v1/queue/1"), Some("broken"))
        );
        assert_eq!(lab.send("POST /v1/queue/1:revive", &[], "").await.is(200).json()["revived"], 1);
        assert_eq!(claim(&lab, "").await.len(), 1);
    }
}

#[tokio::test]
async fn a_write_happens_only_under_its_lease() {
    for lab in labs(TABLES, MEDIA).await {
        filled(&lab, 1).await;
        let merge = ("content-type", "application/merge-patch+json");
        let claimed = claim(&lab, "").await;
        let lease = claimed[0].1.as_str();
        let state = |word: &str| format!(r#"{{"status":"{word}"}}"#);
        lab.send("PATCH /v1/jobs/1", &[merge, ("repot-lease", lease)], state("running")).await.is(200);
        lab.send("PATCH /v1/jobs/1", &[merge, ("repot-ack", lease)], state("completed")).await.is(200);
        let late = lab
            .send("PATCH /v1/media/1", &[merge, ("repot-lease", lease)], r#"{"title":"late"}"#)
            .await
            .is(409);
        assert_eq!(late.code(), "R0501", "{}", lab.kind);
        assert_eq!(lab.get("/v1/media/1").await.json()["title"], "T");
        lab.send("PATCH /v1/media/1", &[merge, ("repot-lease", "x")], "{}").await.is(409);
        // what is not done under a message does not pass it over
        let whole = r#"{"atomic":false,"requests":[]}"#;
        lab.send("POST /v1:batch", &[("repot-lease", lease)], whole).await.is(400);
        let inner = json!({"requests": [
            {"method": "PATCH", "path": "/v1/media/1", "headers": {"repot-lease": lease}, "body": {"title": "late"}}
        ]});
        lab.send("POST /v1:batch", &[], inner.to_string()).await.is(400);
        assert_eq!(lab.get("/v1/media/1").await.json()["title"], "T");
        lab.send("TRACE /v1/media/1", &[("repot-lease", "x")], "").await.is(405);
        let refused = lab.send("POST /v1/jobs/1:history", &[("repot-ack", lease)], "").await.is(400);
        assert_eq!(refused.code(), "R0440");
        let stats = lab.send("POST /v1/queue:stats", &[], "").await.json();
        assert_eq!(stats["done"], 1);
    }
}

#[tokio::test]
async fn wrong_claims_say_what_is_wrong() {
    for lab in labs(TABLES, MEDIA).await {
        for (line, body, status, code) in [
            ("POST /v1/queue:claim", r#"{"lease":"soon"}"#, 400, "R0440"),
            ("POST /v1/queue:claim", r#"{"count":-1}"#, 400, "R0440"),
            ("POST /v1/queue:claim", r#"{"other":1}"#, 400, "R0440"),
            ("POST /v1/queue:claim", "[]", 400, "R0440"),
            ("POST /v1/media:claim", "{}", 404, "R0502"),
            ("POST /v1/queue/1:ack", "{}", 409, "R0501"),
            ("GET /v1/queue:claim", "", 405, "R0441"),
        ] {
            let answer = lab.send(line, &[], body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (status, code),
                "{} {line} {body}",
                lab.kind
            );
        }
    }
}

#[tokio::test]
async fn quotas_are_exact() {
    for lab in labs(ALL, COUNCIL).await {
        let u1 = ("repot-tenant", "u1");
        lab.send("POST /v1/usage/@:spend", &[u1], "").await.is(404);
        lab.send("PUT /v1/usage/@", &[u1], r#"{"user_id":"u1"}"#).await.is(201);
        let look = lab.send("POST /v1/usage/@:spend", &[u1], r#"{"n":0}"#).await.is(200).json();
        assert_eq!(
            (&look["daily"]["left"], &look["total"]["limit"]),
            (&10.into(), &serde_json::Value::Null),
            "{look}"
        );
        assert!(look["daily"]["resets_at"].is_string());
        let headers = [u1];
        let many = (0..64).map(|_| lab.send("POST /v1/usage/@:spend", &headers, r#"{"n":1}"#));
        let answers = futures_util::future::join_all(many).await;
        let granted = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(granted, 10, "{}", lab.kind);
        let refused = answers.into_iter().find(|answer| answer.status != 200).unwrap().is(429);
        assert_eq!(refused.code(), "R0503");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        let now = lab.send("GET /v1/usage/@", &[u1], "").await.json();
        assert_eq!([&now["daily_used"], &now["total_queries"]], [10, 10]);
        lab.send("POST /v1/conversations/x:spend", &[u1], "").await.is(404);
    }
}
