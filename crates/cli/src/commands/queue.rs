//! `repot queue`: what waits in work queues, and what was given up.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request};
use repot_client::Harmless;
use repot_core::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::args::{Global, Queue, QueueCommand, Scoped};
use crate::asking::Asking;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::paths;

pub(crate) fn run(global: &Global, queue: &Queue, output: &Output) -> Result<Exit, Failure> {
    match &queue.command {
        QueueCommand::Stats(scoped) => stats(&Asking::open(global, &scoped.at)?, scoped, output)?,
        QueueCommand::Dead { scoped, limit } => {
            dead(&Asking::open(global, &scoped.at)?, (scoped, *limit), output)?;
        }
        QueueCommand::Revive { scoped, key, all } => {
            if key.is_none() && !all {
                return Err(Error::new(Kind::Invalid, "R0100", "revive needs a KEY, or --all")
                    .hint("`repot queue dead` shows the keys.")
                    .into());
            }
            let path = match key {
                Some(key) => paths::of_key(&scoped.collection, key)?,
                None => paths::of_collection(&scoped.collection)?,
            };
            let request = paths::request(Method::POST, &format!("{path}:revive"))?;
            let revived = Asking::open(global, &scoped.at)?.json(request)?["revived"].clone();
            output.done(json!({"type": "result", "revived": revived}), &[]);
            output.say(&format!("{revived} made ready again."));
        }
    }
    Ok(Exit::Done)
}

/// Asks a question, which changes nothing.
fn question(collection: &str, verb: &str, body: &Value) -> Result<Request<Bytes>> {
    let path = format!("{}:{verb}", paths::of_collection(collection)?);
    let mut request = paths::with_body(Method::POST, &path, body.to_string().into())?;
    request.extensions_mut().insert(Harmless);
    Ok(request)
}

fn stats(asking: &Asking, scoped: &Scoped, output: &Output) -> Result<()> {
    let stats = asking.json(question(&scoped.collection, "stats", &json!({}))?)?;
    if output.json {
        let mut said = json!({"type": "result"});
        if let (Some(said), Some(stats)) = (said.as_object_mut(), stats.as_object()) {
            said.extend(stats.clone());
        }
        output.done(said, &[]);
        return Ok(());
    }
    let oldest = match stats["oldest_ready_ms"].as_u64() {
        Some(ms) => format!(", the oldest for {} s", ms / 1_000),
        None => String::new(),
    };
    output.print(&format!("ready    {}{oldest}", stats["ready"]));
    for name in ["leased", "delayed", "done", "dead"] {
        output.print(&format!("{name:8} {}", stats[name]));
    }
    Ok(())
}

fn dead(asking: &Asking, (scoped, limit): (&Scoped, usize), output: &Output) -> Result<()> {
    let front = format!("{}/", paths::of_collection(&scoped.collection)?);
    let (mut letters, mut after): (Vec<Value>, Value) = (Vec::new(), Value::Null);
    while letters.len() < limit {
        let body = if after.is_null() { json!({}) } else { json!({"after": after}) };
        let mut page = asking.json(question(&scoped.collection, "dead", &body)?)?;
        for mut letter in page["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            let path = letter["path"].take();
            let key = path.as_str().unwrap_or_default();
            letter["key"] = json!(paths::decoded(key.strip_prefix(&front).unwrap_or(key)));
            letters.push(letter);
        }
        after = page["next"].take();
        if after.is_null() {
            break;
        }
    }
    let is_more = !after.is_null() || letters.len() > limit;
    letters.truncate(limit);
    if output.json {
        let said = |letter: &Value| json!({"key": letter["key"], "tries": letter["tries"], "reason": letter["reason"], "since": letter["since"]});
        let dead: Vec<Value> = letters.iter().map(said).collect();
        output.done(json!({"type": "result", "dead": dead, "more": is_more}), &[]);
        return Ok(());
    }
    let mut text = String::new();
    for letter in &letters {
        let of = |name: &str| letter[name].as_str().unwrap_or_default();
        let reason = of("reason").replace(['\n', '\r', '\t'], " ");
        let (key, tries, since) = (of("key"), &letter["tries"], of("since"));
        writeln!(text, "{key}   {tries} tries   {since}   {reason}").expect("a String takes everything");
    }
    output.print_raw(text.as_bytes());
    if is_more {
        output.say(&format!("There are more than {limit}; --limit shows more."));
    }
    Ok(())
}
