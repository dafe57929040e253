//! Operations behind a colon: each is brought to its answers by requests of its own.

use serde_json::json;

use super::{Labs, Operation, Record, Try, with};

/// The word behind the colon, where these requests are about it.
fn verb<'o>(operation: &Operation<'o>) -> Option<&'o str> {
    let (_, verb) = operation.path.rsplit_once(':')?;
    (verb != "restore" && verb != "batch").then_some(verb)
}

/// Sends them; `false`: it is another kind of operation.
pub(super) async fn drive(labs: &Labs, record: &mut Record<'_>, operation: &Operation<'_>) -> bool {
    let Some(verb) = verb(operation) else { return false };
    labs.fresh(operation.collection).await;
    let plain = labs.plain(operation);
    for tried in tries(labs, (operation, verb), &plain).await {
        record.note(operation, &tried, &labs.send(&labs.sqlite, operation, &tried).await);
    }
    for tried in [
        Try { path: format!("{}?nothing=1", plain.path), ..plain.clone() },
        with(&plain, "authorization", "Bearer rpt_x"),
    ] {
        record.note(operation, &tried, &labs.send(&labs.sqlite, operation, &tried).await);
    }
    if operation.own.get("requestBody").is_some() {
        labs.too_much(record, operation, &plain).await;
    }
    true
}

async fn tries(labs: &Labs, (operation, verb): (&Operation<'_>, &str), plain: &Try) -> Vec<Try> {
    let body = |body: serde_json::Value| Try { body: body.to_string(), ..plain.clone() };
    let elsewhere = |body: serde_json::Value| Try {
        path: plain.path.replacen("1:", "none:", 1),
        body: body.to_string(),
        ..plain.clone()
    };
    match verb {
        "ack" | "retry" | "extend" | "fail" => {
            let lease = labs.claim(operation.collection).await;
            vec![body(json!({"lease": "x"})), body(json!({ "lease": lease })), body(json!({"nothing": 1}))]
        }
        "claim" => vec![plain.clone(), body(json!({"count": "x"}))],
        "revert" => {
            for name in ["b", "c"] {
                let body = json!({"id": "t1", "name": name}).to_string();
                labs.sqlite.send("PUT /v1/tasks/t1", &[], body).await.is(200);
            }
            let entries = labs.sqlite.send("POST /v1/tasks/t1:history", &[], "").await.is(200).json();
            let entry = |at: usize| entries["items"][at]["id"].clone();
            let (last, before) = (entry(0), entry(1));
            vec![
                with(&body(json!({ "entry": last })), "if-match", "\"zz\""),
                // the name was changed since
                body(json!({ "entry": before })),
                body(json!({ "entry": last })),
                body(json!({ "entry": i64::MAX })),
                elsewhere(json!({ "entry": i64::MAX })),
                body(json!({ "entry": labs.made_again().await })),
            ]
        }
        "spend" => {
            vec![plain.clone(), body(json!({"n": 1_000_000})), body(json!({"n": "x"})), elsewhere(json!({}))]
        }
        "take" => vec![
            plain.clone(),
            body(json!({"n": 5})),
            body(json!({"n": 6})),
            Try { path: "/limits/none:take".to_owned(), ..plain.clone() },
        ],
        "query" => {
            vec![plain.clone(), with(plain, "repot-tenant", "u1"), body(json!({"sql": "delete from notes"}))]
        }
        "history" | "revive" if operation.path.contains('{') => vec![plain.clone(), elsewhere(json!({}))],
        _ => vec![plain.clone()],
    }
}

impl Labs {
    /// Takes a message of a collection that has one; gives the lease.
    async fn claim(&self, collection: &str) -> String {
        let path = format!("POST /v1/{collection}:claim");
        let claimed = self.sqlite.send(&path, &[], r#"{"count":100}"#).await.is(200).json();
        let items = claimed["items"].as_array().unwrap();
        let own = items.iter().find(|item| item["path"] == "/v1/tasks/t1").unwrap();
        own["lease"].as_str().unwrap().to_owned()
    }

    /// A plain request that is right in itself, so that the store has to say something.
    pub(super) async fn for_a_store(&self, operation: &Operation<'_>) -> Try {
        let plain = self.plain(operation);
        let body = match verb(operation) {
            Some("ack" | "retry" | "extend" | "fail") => {
                self.fresh(operation.collection).await;
                json!({"lease": self.claim(operation.collection).await})
            }
            Some("revert") => json!({"entry": 1}),
            _ => return plain,
        };
        Try { body: body.to_string(), ..plain }
    }

    /// Makes the task anew; gives the entry that made it.
    async fn made_again(&self) -> serde_json::Value {
        self.fresh("tasks").await;
        let entries = self.sqlite.send("POST /v1/tasks/t1:history", &[], "").await.is(200).json();
        entries["items"][0]["id"].clone()
    }
}
