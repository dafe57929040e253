//! `repot get`, `put`, `patch`, `rm`: one document, or a part of one.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{Method, Request, Response, StatusCode};
use repot_client::Harmless;
use repot_core::{Error, Kind, Result};
use repot_json::{Limits, Tree};
use serde_json::{Value, json};

use crate::answered::{self, etag};
use crate::args::Global;
use crate::asking::Asking;
use crate::document_args::{At, Expects, Get, Named, Patch, Put, Rm};
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::page::one_line;
use crate::paths;

/// No document ever has this state.
const NO_STATE: &str = "\"none: this is tried out only\"";

pub(crate) fn get(global: &Global, get: &Get, output: &Output) -> Result<Exit, Failure> {
    let path = path(&get.named)?;
    let answer = Asking::open(global, &get.at)?.ask(paths::request(Method::GET, &path)?)?;
    if output.json {
        output.print(&told(&answer));
    } else {
        output.print_raw(answer.body());
    }
    Ok(Exit::Done)
}

/// `{"type":"document","etag":...,"document":...}` on one line; the document is its own text, without line breaks between its values.
fn told(answer: &Response<Bytes>) -> String {
    let mut object = json!({"type": "document", "etag": etag(answer), "media": answered::media(answer)});
    let text = std::str::from_utf8(answer.body()).ok();
    match text {
        Some(text) if answered::media(answer) == "application/json" => {
            let mut line = object.to_string();
            line.truncate(line.len().saturating_sub(1));
            return format!("{line},\"document\":{}}}", one_line(text));
        }
        Some(text) => object["text"] = json!(text),
        None => object["base64"] = json!(STANDARD.encode(answer.body())),
    }
    object.to_string()
}

pub(crate) fn put(global: &Global, put: &Put, output: &Output) -> Result<Exit, Failure> {
    let mut request = paths::with_body(Method::PUT, &path(&put.named)?, read(global, &put.file)?)?;
    expect(&mut request, &put.expects)?;
    if put.if_none_match {
        request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    }
    write(global, (&put.at, put.dry_run), request, output)
}

pub(crate) fn patch(global: &Global, patch: &Patch, output: &Output) -> Result<Exit, Failure> {
    let mut request = paths::with_body(Method::PATCH, &path(&patch.named)?, read(global, &patch.file)?)?;
    expect(&mut request, &patch.expects)?;
    let media = if patch.json_patch { "application/json-patch+json" } else { "application/merge-patch+json" };
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    write(global, (&patch.at, patch.dry_run), request, output)
}

/// Writes, and prints the new state.
fn write(
    global: &Global,
    (at, dry_run): (&At, bool),
    mut request: Request<Bytes>,
    output: &Output,
) -> Result<Exit, Failure> {
    let asking = Asking::open(global, at)?;
    if dry_run {
        return Ok(try_out(&asking, &request, output)?);
    }
    request
        .headers_mut()
        .insert(HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal"));
    let answer = asking.ask(request)?;
    let created = answer.headers().contains_key(LOCATION);
    let state = etag(&answer);
    if !output.json {
        output.print(state.as_deref().unwrap_or_default());
    }
    output.say(if created { "Created." } else { "Written." });
    output.done(json!({"type": "result", "etag": state, "created": created}), &[]);
    Ok(Exit::Done)
}

pub(crate) fn rm(global: &Global, rm: &Rm, output: &Output) -> Result<Exit, Failure> {
    let path = path(&rm.named)?;
    let mut request = paths::request(Method::DELETE, &path)?;
    expect(&mut request, &rm.expects)?;
    let asking = Asking::open(global, &rm.at)?;
    if rm.dry_run {
        // nothing there is no failure of a batch
        let mut look = paths::request(Method::GET, &path)?;
        look.headers_mut().clone_from(request.headers());
        asking.ask(look)?;
        return Ok(try_out(&asking, &request, output)?);
    }
    let sent = asking.send(request)?;
    // it went with a try whose answer was lost
    let is_gone = sent.is_unsure && sent.answer.status() == StatusCode::NOT_FOUND;
    if !is_gone {
        answered::checked(sent)?;
    }
    output.say("Removed.");
    output.done(json!({"type": "result", "removed": true}), &[]);
    Ok(Exit::Done)
}

/// Sends the write together with one that cannot be done, all or nothing: whether it would be is known, and nothing is.
fn try_out(asking: &Asking, request: &Request<Bytes>, output: &Output) -> Result<Exit> {
    let path = request.uri().path();
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), json!(value.to_str().ok()?))))
        .collect();
    let mut first =
        json!({"method": request.method().as_str(), "path": path, "headers": headers}).to_string();
    if !request.body().is_empty() {
        let body = std::str::from_utf8(request.body()).ok();
        let body = body.filter(|body| Tree::parse(body.as_bytes(), Limits::default()).is_ok());
        let body = body.ok_or_else(|| {
            Error::new(Kind::Invalid, "R0404", "what is to be written is no JSON, so it cannot be tried out")
                .hint("Mend it, or write without --dry-run where documents of the collection are no JSON.")
        })?;
        first.truncate(first.len().saturating_sub(1));
        first.push_str(&format!(",\"body\":{body}}}"));
    }
    let last = json!({"method": "DELETE", "path": beside(path)?, "headers": {"if-match": NO_STATE}});
    let mut batch =
        paths::with_body(Method::POST, "/v1:batch", format!("{{\"requests\":[{first},{last}]}}").into())?;
    batch.extensions_mut().insert(Harmless);
    let sent = asking.send(batch)?;
    if sent.answer.status() == StatusCode::PRECONDITION_FAILED
        && answered::failed_request(&sent.answer) == Some(1)
    {
        output.say("The store would take it. Nothing was changed.");
        output.done(json!({"type": "result", "dry_run": true}), &[]);
        return Ok(Exit::Done);
    }
    answered::checked(sent)?;
    Err(Error::new(Kind::Internal, "R0901", "a write that was to be tried out only was done"))
}

/// Another document's path: one document cannot be written twice in a batch.
fn beside(path: &str) -> Result<String> {
    let mut segments = path.split('/');
    let front: Vec<&str> = segments.by_ref().take(4).collect();
    if front.last() == Some(&"@") {
        let message = "a document that nothing but its tenant names cannot be tried out";
        return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Leave out --dry-run."));
    }
    let rest = segments.map(|segment| format!("/{segment}"));
    Ok(format!("{}~{}", front.join("/"), rest.collect::<String>()))
}

fn path(named: &Named) -> Result<String> {
    paths::of_key(&named.collection, &named.key)
}

fn expect(request: &mut Request<Bytes>, expects: &Expects) -> Result<()> {
    let Some(tag) = &expects.if_match else { return Ok(()) };
    let text = if tag == "*" { tag.clone() } else { format!("\"{}\"", tag.trim_matches('"')) };
    let value = HeaderValue::from_str(&text).map_err(|error| {
        Error::new(Kind::Invalid, "R0100", format!("`{tag}` is no ETag"))
            .hint("Give it as get --json and writes print it.")
            .cause(error)
    })?;
    request.headers_mut().insert(IF_MATCH, value);
    Ok(())
}

/// A file, or with `-` what comes in.
fn read(global: &Global, file: &str) -> Result<Bytes> {
    let read = if file == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_length| bytes)
    } else {
        std::fs::read(global.dir.join(file))
    };
    read.map(Bytes::from).map_err(|error| {
        Error::new(Kind::Invalid, "R0100", format!("`{file}` cannot be read"))
            .hint("Name a file, or - for what comes in.")
            .cause(error)
    })
}
