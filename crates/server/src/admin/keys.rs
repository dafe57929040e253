//! API keys in JSON, the same over HTTP and from the command line.

use repot_core::{Error, Kind, Result};
use repot_engine::ledger::{ApiKey, CreatedKey, NewKey, Reach, Right, Rights, Tenants};
use repot_model::language::{Model, duration_seconds};
use repot_model::plan::time;
use serde_json::{Map, Value, json};

/// The first moment of the year 10000, which has no name.
const NEVER_MS: i64 = 253_402_300_800_000;

/// A key that somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyWanted {
    /// What people call it.
    pub name: String,
    /// What it may.
    pub rights: Vec<Right>,
    /// Of these collections only; empty: of all.
    pub only: Vec<String>,
    /// Whose documents it reaches.
    pub tenant: Option<String>,
    /// Any tenant's.
    pub any_tenant: bool,
    /// After how long it ends, such as `90d`.
    pub expires: Option<String>,
}

impl KeyWanted {
    /// From the JSON that [`key_json`] and the flags of the command line have the same words for.
    ///
    /// # Errors
    /// `R0440` when it is anything else.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let read = || -> Option<Self> {
            let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
            let mut wanted = Self::default();
            let words = |value: &Value| {
                let words = value.as_array()?.iter();
                words.map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            };
            let maybe = |value: &Value| match value {
                Value::Null => Some(None),
                other => other.as_str().map(|text| Some(text.to_owned())),
            };
            for (name, value) in &fields {
                match name.as_str() {
                    "name" => wanted.name = value.as_str()?.to_owned(),
                    "rights" => {
                        let rights = words(value)?;
                        wanted.rights = rights.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
                    }
                    "only" => wanted.only = words(value)?,
                    "tenant" => wanted.tenant = maybe(value)?,
                    "any_tenant" => wanted.any_tenant = value.as_bool()?,
                    "expires" => wanted.expires = maybe(value)?,
                    _ => return None,
                }
            }
            let is_whole = !wanted.name.is_empty() && !wanted.rights.is_empty();
            (is_whole && !(wanted.any_tenant && wanted.tenant.is_some())).then_some(wanted)
        };
        read().ok_or_else(|| {
            Error::new(Kind::Invalid, "R0440", "the body describes no key").hint(
                r#"Send {"name": "web", "rights": ["read", "write"]}, and if need be "only": ["notes"], "tenant": "u1" or "any_tenant": true, "expires": "90d"."#,
            )
        })
    }

    /// The key, checked against the model.
    ///
    /// # Errors
    /// `R0402` for a collection that the model does not have, `R0100` for a tenant or a time that is none.
    pub fn check(self, model: &Model, now_ms: i64) -> Result<NewKey> {
        let Self { name, rights, only, tenant, any_tenant, expires } = self;
        let known = |name: &&String| model.collection(name).is_some();
        if let Some(unknown) = only.iter().find(|name| !known(name)) {
            let message = format!("the model has no collection {unknown}");
            return Err(Error::new(Kind::NotFound, "R0402", message)
                .hint("Check the name; repot.toml lists the collections."));
        }
        let tenants = match (tenant, any_tenant) {
            (Some(tenant), _) if tenant.is_empty() => {
                return Err(wrong("an empty text is no tenant", "Name a tenant, or leave it out."));
            }
            (Some(tenant), _) => Tenants::One(tenant),
            (None, true) => Tenants::Any,
            (None, false) => Tenants::None,
        };
        let ends = |text: &String| {
            duration_seconds(text)
                .filter(|&seconds| seconds > 0)
                .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000))
                .and_then(|ms| now_ms.checked_add(ms))
                .filter(|&ms| ms < NEVER_MS)
        };
        let expires_ms = match &expires {
            None => None,
            Some(text) => {
                let hint = "Write a whole number and a unit, such as 12h, 90d or 1y.";
                let ms = ends(text);
                Some(ms.ok_or_else(|| wrong(&format!("`{text}` is no time after which a key ends"), hint))?)
            }
        };
        Ok(NewKey { name, rights: Rights::of(&rights, &only), tenants, expires_ms })
    }
}

fn wrong(message: &str, hint: &str) -> Error {
    Error::new(Kind::Invalid, "R0100", message).hint(hint)
}

/// What a key may, for whom and until when.
fn key_reach(key: &NewKey) -> Map<String, Value> {
    let rights = Right::ALL.into_iter().filter_map(|right| match key.rights.reach(right) {
        Reach::Nothing => None,
        Reach::Everything => Some((right.to_string(), json!("everything"))),
        Reach::Only(only) => Some((right.to_string(), json!(only))),
    });
    let tenant = match &key.tenants {
        Tenants::One(tenant) => json!(tenant),
        Tenants::None | Tenants::Any => Value::Null,
    };
    let shown = [
        ("rights", Value::Object(rights.collect())),
        ("tenant", tenant),
        ("any_tenant", json!(key.tenants == Tenants::Any)),
        ("expires_at", json!(key.expires_ms.map(key_end))),
    ];
    shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A time, to the second.
fn key_end(ms: i64) -> String {
    time::time_text(ms.saturating_mul(1_000), 'T', 0) + "Z"
}

/// Whether a key can be used, in a word or two.
fn key_state(key: &ApiKey, now_ms: i64) -> &'static str {
    match key.revoked_ms {
        Some(_) => "taken back",
        None if key.is_usable(now_ms) => "in use",
        None => "ended",
    }
}

/// A key that was just made, with its text.
#[must_use]
pub fn key_made(made: &CreatedKey, new: &NewKey) -> Value {
    let mut told = json!({"type": "key", "id": made.id, "key": made.text.reveal(), "name": new.name});
    if let Some(told) = told.as_object_mut() {
        told.extend(key_reach(new));
    }
    told
}

/// A key in a list of them.
#[must_use]
pub fn key_json(key: &ApiKey, now_ms: i64) -> Value {
    let mut said = key_reach(&NewKey {
        name: key.name.clone(),
        rights: key.rights.clone(),
        tenants: key.tenants.clone(),
        expires_ms: key.expires_ms,
    });
    said.insert("id".to_owned(), json!(key.id));
    said.insert("name".to_owned(), json!(key.name));
    said.insert("state".to_owned(), json!(key_state(key, now_ms)));
    said.insert("created_at".to_owned(), json!(key_end(key.created_ms)));
    said.insert("used_at".to_owned(), json!(key.used_ms.map(key_end)));
    said.insert("revoked_at".to_owned(), json!(key.revoked_ms.map(key_end)));
    Value::Object(said)
}

#[cfg(test)]
mod tests {
    use super::KeyWanted;

    #[test]
    fn a_body_says_what_a_key_may_or_is_refused() {
        for body in [
            r#"{"name":"a","rights":["read"]}"#,
            r#"{"name":"a","rights":["read","admin"],"only":["notes"],"tenant":null,"any_tenant":true,"expires":"90d"}"#,
        ] {
            KeyWanted::parse(body.as_bytes()).unwrap();
        }
        for body in [
            "",
            "[]",
            "{}",
            r#"{"name":"a"}"#,
            r#"{"name":"","rights":["read"]}"#,
            r#"{"name":"a","rights":[]}"#,
            r#"{"name":"a","rights":["own"]}"#,
            r#"{"name":"a","rights":["read"],"id":"x"}"#,
            r#"{"name":"a","rights":["read"],"tenant":"u1","any_tenant":true}"#,
            r#"{"name":"a","rights":["read"],"only":[1]}"#,
        ] {
            assert_eq!(KeyWanted::parse(body.as_bytes()).unwrap_err().code(), "R0440", "{body}");
        }
    }
}
