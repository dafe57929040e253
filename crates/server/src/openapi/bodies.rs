//! Small bodies of ours: what they hold, as schemas.

use serde_json::{Map, Value, json};

/// A length of time, as the server reads it: up to 30 days.
pub(super) fn length(about: &str) -> Value {
    json!({
        "type": "string",
        "description": about,
        "pattern": "^([1-9][0-9]{0,2}(ms|s|m|h)|([1-9]|[12][0-9]|30)d)$",
        "examples": ["60s"],
    })
}

/// An instant that the server tells.
pub(super) fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// An object with these fields and no others; those whose names end with `?` may be missing.
pub(super) fn object(fields: &[(&str, Value)]) -> Value {
    let name = |(name, schema): &(&str, Value)| (name.trim_end_matches('?').to_owned(), schema.clone());
    let properties: Map<String, Value> = fields.iter().map(name).collect();
    let required: Vec<&str> =
        fields.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A list of these.
pub(super) fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

/// Sent as JSON.
pub(super) fn sent(schema: &Value, required: bool) -> Value {
    json!({"required": required, "content": {"application/json": {"schema": schema}}})
}
