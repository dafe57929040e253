//! Clients that hang up before the answer, and send the same request again at once. The clock stands still, so no lease ever ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use repot_core::{Clock as _, SystemClock};
use repot_server::{Options, Outside};
use repot_testkit::HandClock;

use crate::kit::{Answer, COUNCIL, Lab, MEDIA, TABLES, outside};

/// After how many steps requests are given up.
const STEPS: [usize; 9] = [0, 1, 2, 3, 5, 8, 13, 40, 200];

async fn lab(kind: &'static str, model: &str) -> Option<Lab> {
    // the store has a clock of its own, which goes on
    let clock = HandClock::at(SystemClock.now_ms());
    let outside = Outside { clock: Arc::new(clock), ..outside() };
    Lab::with(kind, model, (outside, Options::default())).await
}

/// Begins a request, gives it up after so many steps, and sends it again as soon as nobody works on it any more.
async fn given_up(
    lab: &Lab,
    (line, headers): (&str, &[(&str, &str)]),
    body: &'static str,
    steps: usize,
) -> Answer {
    let mut first = Box::pin(lab.send(line, headers, body));
    for _ in 0..steps {
        if poll!(&mut first).is_ready() {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(first);
    let again = async {
        loop {
            let answer = lab.send(line, headers, body).await;
            if answer.status != 409 {
                break answer;
            }
            assert_eq!(answer.code(), "R0431", "{}", answer.text());
            tokio::task::yield_now().await;
        }
    };
    // a bound for a key that is never free again
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("the key is free again")
}

#[tokio::test]
async fn the_same_key_is_answered_at_once_and_nothing_is_done_twice() {
    for kind in TABLES {
        let Some(lab) = lab(kind, COUNCIL).await else { continue };
        let tenant = ("repot-tenant", "u1");
        let body = r#"{"messages":[]}"#;
        for (before, steps) in STEPS.into_iter().enumerate() {
            let key = format!("create {steps}");
            let headers = [tenant, ("idempotency-key", key.as_str())];
            let made = given_up(&lab, ("POST /v1/conversations", &headers), body, steps).await.is(201);
            let again = lab.send("POST /v1/conversations", &headers, body).await.is(201);
            assert_eq!(again.text(), made.text(), "{kind}");
            let key = format!("append {steps}");
            let headers = [tenant, ("idempotency-key", key.as_str())];
            let add = format!("POST {}/messages", made.header("location").unwrap());
            given_up(&lab, (&add, &headers), r#"{"role":"user","content":"hi"}"#, steps).await.is(201);
            let rows = lab.send("GET /v1/messages?limit=1000", &[tenant], "").await.is(200).json();
            assert_eq!(rows["items"].as_array().unwrap().len(), before + 1, "{kind}");
        }
        let rows = lab.send("GET /v1/conversations?limit=1000", &[tenant], "").await.is(200).json();
        assert_eq!(rows["items"].as_array().unwrap().len(), STEPS.len(), "{kind}");
        // batches too
        let headers = [tenant, ("idempotency-key", "batch")];
        let batch = r#"{"requests":[{"method":"POST","path":"/v1/conversations","body":{"messages":[]}}]}"#;
        given_up(&lab, ("POST /v1:batch", &headers), batch, 3).await.is(200);
        let rows = lab.send("GET /v1/conversations?limit=1000", &[tenant], "").await.is(200).json();
        assert_eq!(rows["items"].as_array().unwrap().len(), STEPS.len() + 1, "{kind}");
    }
}

#[tokio::test]
async fn who_waited_for_messages_can_wait_again_at_once() {
    for kind in TABLES {
        let Some(lab) = lab(kind, MEDIA).await else { continue };
        let claim = ("POST /v1/queue:claim", &[("idempotency-key", "claim")][..]);
        let wait = r#"{"wait":"60s"}"#;
        let mut first = Box::pin(lab.send(claim.0, claim.1, wait));
        // until its key is taken, so that it waits, or is about to
        while lab.app.store().ledger().unwrap().facts("idempotency", None, 1).await.unwrap().is_empty() {
            assert!(poll!(&mut first).is_pending());
            tokio::task::yield_now().await;
        }
        drop(first);
        for (path, body) in [
            ("media/1", r#"{"id":1,"type":"movie","service":"radarr","external_id":"1","title":"T"}"#),
            ("jobs/1", r#"{"id":1,"media_id":1}"#),
            ("queue/1", r#"{"id":1,"job_id":1}"#),
        ] {
            lab.send(&format!("PUT /v1/{path}"), &[], body).await.is(201);
        }
        let claimed = given_up(&lab, claim, wait, 0).await.is(200).json();
        assert_eq!(claimed["items"][0]["path"], "/v1/queue/1", "{kind} {claimed}");
        // and it is held once
        let again = lab.send(claim.0, claim.1, wait).await.is(200).json();
        assert_eq!(again, claimed);
    }
}
