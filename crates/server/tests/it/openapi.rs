//! The `OpenAPI` document: what it says for the apps' models, and that the routes do just that.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use repot_core::store::Layout;
use repot_server::openapi;
use serde_json::Value;

use crate::documented::MODEL;
use crate::kit::{CLIPS, COUNCIL, DRAMAS, Lab, MEDIA, TRANSLATION};

/// Methods, in the order in which they are looked at.
pub(crate) const NAMES: [&str; 6] = ["get", "head", "put", "patch", "post", "delete"];

/// The document in lines: an operation with its parameters and statuses, a schema.
fn outline(document: &Value) -> String {
    let mut out = String::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let shared = item["parameters"].as_array().into_iter().flatten();
        writeln!(out, "{path}{}", parameters(shared)).unwrap();
        for (method, operation) in operations(item) {
            let statuses: Vec<&str> =
                operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            writeln!(out, "  {method} {} {}", operation["operationId"], statuses.join(" ")).unwrap();
            let own = parameters(operation["parameters"].as_array().into_iter().flatten());
            for line in own.split_terminator('\n').skip(1) {
                writeln!(out, "  {line}").unwrap();
            }
            if let Some(sent) = operation.get("requestBody") {
                writeln!(out, "    body {}", sent["content"]).unwrap();
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                if response.get("$ref").is_none() {
                    writeln!(out, "    {status} {}", response.get("content").unwrap_or(&Value::Null))
                        .unwrap();
                }
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        writeln!(out, "{name} {schema}").unwrap();
    }
    out
}

fn operations(item: &Value) -> impl Iterator<Item = (&str, &Value)> {
    NAMES.iter().filter_map(|name| Some((*name, item.get(name)?)))
}

fn parameters<'v>(list: impl Iterator<Item = &'v Value>) -> String {
    let mut out = String::new();
    for parameter in list {
        match parameter.get("$ref") {
            Some(reference) => write!(out, "\n  {}", reference.as_str().unwrap()).unwrap(),
            None => write!(
                out,
                "\n  {} {} {}",
                parameter["in"].as_str().unwrap(),
                parameter["name"],
                parameter["schema"]
            )
            .unwrap(),
        }
    }
    out
}

pub(crate) async fn layout(model: &str) -> Layout {
    Lab::open("memory", model).await.unwrap().app.layout().clone()
}

#[tokio::test]
async fn the_apps_models_are_described() {
    for (name, model) in [
        ("clips", CLIPS),
        ("council", COUNCIL),
        ("dramas", DRAMAS),
        ("media", MEDIA),
        ("translation", TRANSLATION),
    ] {
        insta::assert_snapshot!(name, outline(&openapi(&layout(model).await)));
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_names_are_unique() {
    for model in [CLIPS, COUNCIL, DRAMAS, MEDIA, TRANSLATION, MODEL] {
        let document = openapi(&layout(model).await);
        let (mut open, mut ids) = (vec![&document], BTreeSet::new());
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            if let Some(id) = value.get("operationId").and_then(Value::as_str)
                && value.get("responses").is_some()
            {
                assert!(ids.insert(id.to_owned()), "{id}");
            }
            match value {
                Value::Array(list) => open.extend(list),
                Value::Object(entries) => open.extend(entries.values()),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn the_page_asks_nobody_else() {
    let lab = Lab::open("memory", COUNCIL).await.unwrap();
    let page = lab.get("/docs").await.is(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("POST /v1/conversations/{id}/messages"));
    for outside in ["http://", "https://", "<script", "<link", "@import"] {
        assert!(!page.text().replace("https://repot.dev/e/", "").contains(outside), "{outside}");
    }
    let served = lab.get("/openapi.json").await.is(200);
    assert_eq!(served.json(), openapi(lab.app.layout()));
}
