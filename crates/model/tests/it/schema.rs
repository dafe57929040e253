//! The JSON Schema accepts what the language accepts, and refuses plain mistakes.

use repot_model::language::{json_schema, parse};
use serde_json::{Map, Value, json};
use toml_edit::{Document, Item, TableLike, Value as TomlValue};

use crate::apps::{APPS, text};

/// The keywords the schema uses; any other makes the test fail, so none is taken as kept to unread.
fn validate(schema: &Value, value: &Value, root: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema.as_bool().expect("a schema is an object or a bool");
    };
    schema.iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "$id" | "$defs" | "title" | "description" | "examples" => true,
        "$ref" => {
            let name = wanted
                .as_str()
                .and_then(|text| text.strip_prefix("#/$defs/"))
                .expect("a reference to a definition");
            validate(root["$defs"].get(name).unwrap_or_else(|| panic!("no definition {name}")), value, root)
        }
        "type" => match wanted.as_str().expect("one type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other}"),
        },
        "enum" => wanted.as_array().expect("a list").contains(value),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().expect("a number")),
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().expect("a number"))
        }
        "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().expect("a number")),
        "anyOf" => wanted.as_array().expect("a list").iter().any(|schema| validate(schema, value, root)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| validate(wanted, item, root))),
        "required" => value.as_object().is_none_or(|object| {
            wanted
                .as_array()
                .expect("a list")
                .iter()
                .all(|key| object.contains_key(key.as_str().expect("a name")))
        }),
        "propertyNames" => value
            .as_object()
            .is_none_or(|object| object.keys().all(|key| validate(wanted, &json!(key), root))),
        "properties" | "patternProperties" | "additionalProperties" => {
            value.as_object().is_none_or(|object| members(schema, object, root))
        }
        "pattern" => {
            value.as_str().is_none_or(|text| regex(wanted.as_str().expect("a pattern")).is_match(text))
        }
        other => panic!("keyword {other}"),
    })
}

fn regex(pattern: &str) -> regex::Regex {
    // this engine has no look-ahead; what it keeps out is tested by name below
    let plain = pattern.replace("(?![rR][eE][pP][oO][tT]_)(?!repot$)", "");
    regex::Regex::new(&plain).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

fn members(schema: &Map<String, Value>, object: &Map<String, Value>, root: &Value) -> bool {
    object.iter().all(|(key, value)| {
        if let Some(own) = schema.get("properties").and_then(|own| own.get(key)) {
            return validate(own, value, root);
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let matching: Vec<&Value> =
            patterns.filter(|(pattern, _)| regex(pattern).is_match(key)).map(|(_, schema)| schema).collect();
        if matching.is_empty() {
            return schema.get("additionalProperties").is_none_or(|schema| validate(schema, value, root));
        }
        matching.iter().all(|schema| validate(schema, value, root))
    })
}

fn from_table(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(key, item)| (key.to_owned(), from_item(item))).collect())
}

fn from_item(item: &Item) -> Value {
    match item.as_table_like() {
        Some(table) => from_table(table),
        None => item.as_value().map_or(Value::Null, from_value),
    }
}

fn from_value(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => json!(text.value()),
        TomlValue::Integer(number) => json!(number.value()),
        TomlValue::Boolean(truth) => json!(truth.value()),
        TomlValue::Array(items) => items.iter().map(from_value).collect(),
        TomlValue::InlineTable(table) => from_table(table),
        TomlValue::Float(_) | TomlValue::Datetime(_) => Value::Null,
    }
}

fn accepts(model: &str) -> bool {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    let document = Document::parse(model).expect("TOML");
    validate(&schema, &from_table(document.as_table()), &schema)
}

#[test]
fn the_five_models_fit_the_schema() {
    for app in APPS {
        assert!(accepts(&text(app)), "{app}");
    }
}

#[test]
fn schema_and_language_agree_on_small_models() {
    let base = "[c]\nfile = \"{id}.json\"\nSETTING\n[c.fields]\nid = \"text key\"\nFIELD\n";
    for (setting, field, good) in [
        ("", "", true),
        ("indxe = [\"id\"]", "", false),
        ("index = [\"by_id: id desc\"]", "", true),
        ("index = [\"id down\"]", "", false),
        ("cache = \"5 minutes\"", "", false),
        ("cache = \"5m\"", "", true),
        ("cache = 5", "", false),
        ("queue = { lease = \"5s\", tries = 0 }", "", false),
        ("queue = { lease = \"5s\" }", "", false),
        ("queue = { lease = \"5s\", tries = 2 }", "", true),
        ("format = \"yaml\"", "", false),
        ("unknown = \"refuse\"", "", true),
        ("move = \"no\"", "", false),
        ("", "a = \"txt\"", false),
        ("", "a = \"text(20)? unique = x\"", true),
        ("", "a = \"'movie'\"", true),
        ("", "a = \"open | done | null = open\"", true),
        ("", "a = \"-> c | d\"\n[d]\nfile = \"d/{id}.json\"\n[d.fields]\nid = \"int key\"", true),
        ("", "a = \"[text]?\"", true),
        ("", "a = \"[txt]\"", false),
        ("", "a = 5", false),
        ("", "\"a b\" = \"text\"", false),
        ("view = 1", "", false),
    ] {
        let text = base.replace("SETTING", setting).replace("FIELD", field);
        assert_eq!(parse(&text, "repot.toml", &|_| None).is_ok(), good, "{text}");
        assert_eq!(accepts(&text), good, "schema: {text}");
    }
}

#[test]
fn schema_names_every_key_and_no_other() {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    for (definition, section) in [("collection", "c"), ("settings", "repot")] {
        let problems = parse(&format!("[{section}]\nzzzzzzzzzz = 1\n"), "repot.toml", &|_| None)
            .expect_err("no such key");
        let hint =
            problems.iter().find(|problem| problem.code == "R0121").expect("an unknown key").hint.clone();
        let listed = hint
            .strip_prefix("Known here are ")
            .and_then(|list| list.strip_suffix('.'))
            .expect("the list of keys");
        let mut listed: Vec<&str> = listed.split(", ").collect();
        let properties = schema["$defs"][definition]["properties"].as_object().expect("properties");
        let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        listed.sort_unstable();
        keys.sort_unstable();
        assert_eq!(keys, listed);
    }
    assert!(
        schema["patternProperties"]
            .as_object()
            .expect("patterns")
            .keys()
            .all(|pattern| pattern.contains("(?!repot$)"))
    );
}
