//! What may be wanted of a command over HTTP: its flags, as a JSON object. One table for what is checked and what is documented.

use serde_json::{Map, Value, json};

use super::operator::{Question, Work};
use crate::body::whole;
use crate::problem::{Answered, Problem};

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Text,
    Texts,
    /// Two texts.
    Pair,
    /// On or off.
    Switch,
    /// A whole number up to this one.
    Number(i64),
}

/// Name, what it takes, what it does.
pub(crate) type Flag = (&'static str, Takes, &'static str);

const TIMEOUT: Flag = ("timeout", Takes::Number(DAY_S), "Give up after so many seconds.");

const ROLLOUT: &[Flag] = &[
    ("share", Takes::Text, "So much is led by the database, such as `10%`."),
    ("only", Takes::Texts, "These tenants, such as `user_id=u1`."),
    ("collection", Takes::Text, "The share is that of this collection alone."),
    (
        "reads_only",
        Takes::Switch,
        "Only the reads of that share are served from the database; the files lead it.",
    ),
    ("compare", Takes::Text, "So many of the reads are compared with the other store, such as `10%`."),
    ("no_guard", Takes::Switch, "Nothing makes it go back by itself."),
    ("guard_errors", Takes::Text, "Go back when more of the calls fail, such as `1%`."),
    (
        "guard_p99",
        Takes::Text,
        "Go back when the slowest hundredth takes so many times what it takes in the files, such as `2x`.",
    ),
    ("guard_lag", Takes::Text, "Go back when a copy is behind for longer, such as `60s`."),
    TIMEOUT,
];

const FINISH: &[Flag] = &[
    ("confirm", Takes::Text, "The app's name."),
    (
        "keep_source",
        Takes::Text,
        "Keep the source for so many days before its removal is offered, such as `30d`.",
    ),
    (
        "remove_source",
        Takes::Switch,
        "After that time: remove from the source what the end of the move proved and nobody changed since.",
    ),
    ("dry_run", Takes::Switch, "Say what would be removed, and remove nothing."),
    TIMEOUT,
];

const MISMATCHES: &[Flag] = &[
    ("ignore", Takes::Pair, "Collection and key of a difference that is known."),
    ("tenant", Takes::Text, "Whose document it is."),
    ("reason", Takes::Text, "Why it is known."),
    ("clear", Takes::Switch, "Forget all of them."),
];

impl Work {
    /// The flags that it takes.
    pub(crate) const fn flags(self) -> &'static [Flag] {
        match self {
            Self::Plan | Self::Verify | Self::Copy => &[],
            Self::Rollout => ROLLOUT,
            Self::Rollback => &[TIMEOUT],
            Self::Finish => FINISH,
        }
    }
}

impl Question {
    /// The flags that it takes.
    pub(crate) const fn flags(self) -> &'static [Flag] {
        match self {
            Self::Advice => &[],
            Self::Mismatches => MISMATCHES,
        }
    }
}

impl Takes {
    fn schema(self) -> Value {
        let text = json!({"type": "string"});
        match self {
            Self::Text => text,
            Self::Texts => json!({"type": "array", "items": text}),
            Self::Pair => json!({"type": "array", "items": text, "minItems": 2, "maxItems": 2}),
            Self::Switch => json!({"type": "boolean"}),
            Self::Number(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
        }
    }

    /// The value as it is handed on; `None`: it is none of these.
    fn read(self, value: Value) -> Option<Value> {
        let is_texts = |value: &Value| {
            value.as_array().is_some_and(|all| {
                all.iter().all(Value::is_string) && (self == Self::Texts || all.len() == 2)
            })
        };
        match self {
            Self::Text => value.is_string().then_some(value),
            Self::Texts | Self::Pair => is_texts(&value).then_some(value),
            Self::Switch => value.is_boolean().then_some(value),
            Self::Number(most) => whole(&value).filter(|number| (0..=most).contains(number)).map(Value::from),
        }
    }
}

/// The schema of an object with these flags.
pub(crate) fn schema(flags: &[Flag]) -> Value {
    let properties: Map<String, Value> = flags
        .iter()
        .map(|(name, takes, about)| {
            let mut schema = takes.schema();
            schema["description"] = json!(about);
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Reads such an object; nothing at all is one without flags.
pub(crate) fn read(flags: &[Flag], body: &[u8]) -> Answered<Map<String, Value>> {
    let hint = "Send the flags of the command as a JSON object; /openapi.json lists them.";
    if body.is_empty() {
        return Ok(Map::new());
    }
    let given: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_no_object| Problem::bad("what is wanted is no JSON object", hint))?;
    given
        .into_iter()
        .map(|(name, value)| {
            let Some((_, takes, _)) = flags.iter().find(|(flag, _, _)| *flag == name) else {
                return Err(Problem::bad(format!("{name} is no flag of it"), hint));
            };
            let value =
                takes.read(value).ok_or_else(|| Problem::bad(format!("{name} takes another value"), hint))?;
            Ok((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Work, read};
    use crate::admin::Question;

    #[test]
    fn what_is_taken_is_what_is_documented() {
        let taken = |body: &str| read(Work::Rollout.flags(), body.as_bytes()).ok();
        let whole =
            taken(r#"{"share": "10%", "only": [], "no_guard": false, "reads_only": true, "timeout": 3.0}"#);
        assert_eq!(
            json!(whole.unwrap()),
            json!({"share": "10%", "only": [], "no_guard": false, "reads_only": true, "timeout": 3})
        );
        assert!(taken("").is_some() && taken("{}").is_some());
        for wrong in [
            "null",
            "[]",
            "{",
            r#"{"dir": "/"}"#,
            r#"{"share": null}"#,
            r#"{"share": 10}"#,
            r#"{"only": "u1"}"#,
            r#"{"only": [1]}"#,
            r#"{"no_guard": "true"}"#,
            r#"{"timeout": "3"}"#,
            r#"{"timeout": 1.5}"#,
            r#"{"timeout": -1}"#,
            r#"{"timeout": 86401}"#,
        ] {
            assert!(taken(wrong).is_none(), "{wrong}");
        }
        assert!(read(Work::Plan.flags(), br#"{"share": "10%"}"#).is_err());
        for (pair, takes) in [("[\"a\", \"b\"]", true), ("[\"a\"]", false), ("[\"a\", \"b\", \"c\"]", false)]
        {
            let body = format!(r#"{{"ignore": {pair}, "reason": "known"}}"#);
            assert_eq!(read(Question::Mismatches.flags(), body.as_bytes()).is_ok(), takes, "{pair}");
        }
    }
}
