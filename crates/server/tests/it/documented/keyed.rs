//! What requests with an `Idempotency-Key`, or under a message, are answered.

use std::sync::Arc;

use repot_engine::ledger::{Begin, Caller, Fingerprint, Idempotency, IdempotencyOptions};

use super::{Labs, Operation, Record, Try, with};
use crate::kit::outside;

/// Whether an operation takes a header.
fn takes(operation: &Operation<'_>, header: &str) -> bool {
    let reference = format!("#/components/parameters/{header}");
    let parameters = operation.own["parameters"].as_array();
    parameters.into_iter().flatten().any(|parameter| parameter["$ref"] == reference.as_str())
}

/// Sends what brings an operation to the answers that it has for the sake of its headers alone.
pub(super) async fn drive(labs: &Labs, record: &mut Record<'_>, operation: &Operation<'_>) {
    let plain = labs.plain(operation);
    labs.fresh(operation.collection).await;
    if takes(operation, "RepotLease") {
        for name in ["repot-lease", "repot-ack"] {
            let tried = with(&plain, name, "tasks.1.999");
            let answer = labs.send(&labs.sqlite, operation, &tried).await;
            assert_eq!(answer.status, 409, "{name}: {} {}", operation.id, answer.text());
            record.note(operation, &tried, &answer);
        }
    }
    if !takes(operation, "IdempotencyKey") {
        return;
    }
    let used = with(&plain, "idempotency-key", &format!("used {}", operation.id));
    begun(labs, &used, Fingerprint::of(&[b"another request"])).await;
    let busy = with(&plain, "idempotency-key", &format!("busy {}", operation.id));
    let header = |name: &str| {
        let found = busy.headers.iter().find(|(own, _)| *own == name);
        found.map_or(&b""[..], |(_, value)| value.as_bytes())
    };
    let method = operation.method.to_uppercase();
    let parts = [method.as_bytes(), busy.path.as_bytes(), header("content-type"), busy.body.as_bytes()];
    begun(labs, &busy, Fingerprint::of(&parts)).await;
    for (tried, status) in [(used, 422), (busy, 409), (with(&plain, "idempotency-key", " "), 400)] {
        let answer = labs.send(&labs.sqlite, operation, &tried).await;
        assert_eq!(answer.status, status, "{} {}", operation.id, answer.text());
        record.note(operation, &tried, &answer);
    }
    if operation.own.get("requestBody").is_none() {
        labs.too_much(record, operation, &with(&plain, "idempotency-key", "large")).await;
    }
}

/// Somebody works under the key of this request, on what the print says.
async fn begun(labs: &Labs, tried: &Try, print: Fingerprint) {
    let app = &labs.sqlite.app;
    let outside = outside();
    let store = Arc::clone(app.store()) as Arc<dyn repot_core::store::Store>;
    let keys = Idempotency::new(store, outside.clock, outside.entropy, IdempotencyOptions::default());
    let value =
        |name: &str| tried.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
    let owner = Caller { principal: "", tenant: value("repot-tenant") };
    let key = value("idempotency-key").unwrap();
    let begun = keys.begin(owner, key, print).await.unwrap();
    assert!(matches!(begun, Begin::New(_)), "{begun:?}");
}
