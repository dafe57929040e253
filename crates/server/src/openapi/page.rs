//! The document as a page to read: plain HTML that asks nothing of anybody else.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Documents over HTTP</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code,pre{font-family:ui-monospace,monospace}pre{background:#8881;padding:.6rem;overflow:auto}summary{cursor:pointer}summary code{font-weight:600}h2{margin-top:2.5rem}td{padding:.1rem 1rem .1rem 0;vertical-align:top}:root{color-scheme:light dark}</style></head><body>\n<h1>Documents over HTTP</h1>\n<p>Made from the model. Programs read <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).</p>\n";

/// The page of a document that [`super::document()`] made.
pub(crate) fn page(document: &Value) -> String {
    let mut out = HEAD.to_owned();
    let mut section = None;
    for (path, item) in entries(&document["paths"]) {
        let name = path.split(['/', ':']).nth(2).filter(|_| path.starts_with("/v1/"));
        if section != Some(name) {
            let title = name.unwrap_or("More");
            write(&mut out, format_args!("<h2>{}</h2>\n", escaped(title)));
            section = Some(name);
        }
        for (method, operation) in entries(item).filter(|(method, _)| *method != "parameters") {
            let own = operation["parameters"].as_array().into_iter().flatten();
            let parameters: Vec<&Value> =
                item["parameters"].as_array().into_iter().flatten().chain(own).collect();
            one(&mut out, document, (method, path), operation, &parameters);
        }
    }
    out.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        write(
            &mut out,
            format_args!(
                "<details><summary><code>{}</code></summary><pre>{}</pre></details>\n",
                escaped(name),
                escaped(&text)
            ),
        );
    }
    out.push_str("</body></html>\n");
    out
}

fn one(
    out: &mut String,
    document: &Value,
    (method, path): (&str, &str),
    operation: &Value,
    parameters: &[&Value],
) {
    let about = operation["summary"].as_str().unwrap_or_default();
    write(
        out,
        format_args!(
            "<details><summary><code>{} {}</code> {}</summary>\n<table>\n",
            method.to_uppercase(),
            escaped(path),
            escaped(about)
        ),
    );
    for parameter in parameters {
        let parameter = resolved(document, parameter);
        let text = |name: &str| escaped(parameter[name].as_str().unwrap_or_default());
        write(
            out,
            format_args!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>\n",
                text("name"),
                text("in"),
                text("description")
            ),
        );
    }
    for (status, response) in entries(&operation["responses"]) {
        let about = resolved(document, response)["description"].as_str().unwrap_or_default();
        write(out, format_args!("<tr><td>{status}</td><td></td><td>{}</td></tr>\n", escaped(about)));
    }
    out.push_str("</table></details>\n");
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
