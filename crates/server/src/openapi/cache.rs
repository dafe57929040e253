//! Operations on values of the cache.

use repot_core::{CACHE_KEY_MAX, CACHE_NAMESPACE_MAX};
use serde_json::{Map, Value, json};

use super::responses::{body, empty, responses};

/// Paths of `/cache`.
pub(super) fn paths() -> Map<String, Value> {
    let text = |name: &str, about: &str, most: usize| {
        json!({"name": name, "in": "path", "required": true, "description": about,
            "schema": {"type": "string", "minLength": 1, "maxLength": most}})
    };
    let namespace = || text("namespace", "A part of the cache that is emptied at once.", CACHE_NAMESPACE_MAX);
    // who speaks for a tenant sees that tenant's values only
    let tenant = || {
        json!({"name": "Repot-Tenant", "in": "header", "description": "Whose values they are; without it, everybody's.",
            "schema": {"type": "string", "pattern": r"^[!-~]([ -~]*[!-~])?$"}})
    };
    let bytes = || json!({"type": "string", "format": "binary"});
    let life = json!({
        "name": "ttl", "in": "query", "description": "Life in whole seconds; without it, what the model says for the namespace, else the server.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 31_622_400},
    });
    let value = json!({
        "parameters": [namespace(), text("key", "The name of the value.", CACHE_KEY_MAX)],
        "get": {
            "operationId": "get_cached",
            "summary": "A value of the cache",
            "description": "With the Content-Type that it was put with. It may be gone at any time.",
            "parameters": [tenant()],
            "responses": responses(&[(200, body("The value.", "*/*", &bytes()))], &[404]),
        },
        "put": {
            "operationId": "put_cached",
            "summary": "The cache keeps this value for a time",
            "parameters": [life, tenant()],
            "requestBody": {"content": {"application/octet-stream": {"schema": bytes()}}},
            "responses": responses(&[(204, empty("It is kept."))], &[408, 413]),
        },
        "delete": {
            "operationId": "delete_cached",
            "summary": "The cache forgets a value",
            "parameters": [tenant()],
            "responses": responses(&[(204, empty("It is not there."))], &[]),
        },
    });
    let purge = json!({
        "parameters": [namespace()],
        "post": {
            "operationId": "purge_cached",
            "summary": "The cache forgets all values of a namespace, in one step",
            "parameters": [tenant()],
            "responses": responses(&[(204, empty("None is there."))], &[]),
        },
    });
    Map::from_iter([
        ("/cache/{namespace}/{key}".to_owned(), value),
        ("/cache/{namespace}:purge".to_owned(), purge),
    ])
}
