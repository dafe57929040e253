//! An app sees the statements that its store sends, and no value in them.

use std::sync::{Arc, Mutex};

use repot::{Echo, Repot};
use repot_core::store::{DocumentKey, Precondition, StoreExt as _};

use crate::stores::{all, model, wait};

#[test]
fn an_app_sees_statements_without_values() {
    for fresh in all(&model("media")) {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = Arc::clone(&said);
        let mut config = fresh.config.clone();
        config.echo = Some(Echo::new(move |sql| sink.lock().unwrap().push(sql.to_owned())));
        wait(async {
            let repot = Repot::open(config).await.unwrap();
            let key = DocumentKey::new("media", "987654321");
            let text = r#"{"id": 987654321, "title": "canary2", "type": "movie", "service": "radarr", "external_id": "canary3"}"#;
            let store = repot.store();
            store.put(&key, text).await.unwrap_or_else(|error| panic!("{}: {error:?}", fresh.name));
            assert_eq!(store.require(&key).await.unwrap().key, key);
            assert!(store.delete(&key, Precondition::Any).await.unwrap());
        });
        let said = said.lock().unwrap();
        let is_database = ["SQLite", "PostgreSQL"].contains(&fresh.name);
        let told = |part: &str| said.iter().any(|sql| sql.contains(part));
        assert_eq!(told("repot_documents"), is_database, "{}", fresh.name);
        assert!(!told("canary") && !told("987654321"), "{said:?}");
        drop(fresh.keep);
    }
}
