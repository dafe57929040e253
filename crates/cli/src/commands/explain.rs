//! `repot explain`: what a code means.

use repot_core::catalogue::{CATALOGUE, Entry};
use repot_core::{Error, Kind};
use serde_json::json;

use crate::args::Explain;
use crate::errors::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(explain: &Explain, output: &Output) -> Result<Exit, Failure> {
    let all = entries();
    let Some(code) = &explain.code else {
        for entry in &all {
            output.line(&json!({"code": entry.code, "title": entry.title}));
            if !output.json {
                output.print(&format!("{}  {}", entry.code, entry.title));
            }
        }
        return Ok(Exit::Done);
    };
    let wanted = code.trim().to_ascii_uppercase();
    let Some(entry) = all.iter().find(|entry| entry.code == wanted) else {
        return Err(Error::new(Kind::Invalid, "R0100", format!("there is no code {code}"))
            .hint("Run repot explain without a code for the list.")
            .into());
    };
    if output.json {
        output.line(&json!({"type": "result", "code": entry.code, "title": entry.title, "explanation": entry.explanation, "mend": entry.mend}));
    } else {
        output.print(&format!(
            "{}  {}\n\n{}\n\nTo mend it: {}",
            entry.code, entry.title, entry.explanation, entry.mend
        ));
    }
    Ok(Exit::Done)
}

/// A code as it stands in the catalogue.
pub(crate) fn known(code: &str) -> Option<&'static str> {
    entries().into_iter().find(|entry| entry.code == code).map(|entry| entry.code)
}

/// All codes, sorted.
fn entries() -> Vec<Entry> {
    let beside = repot_model::language::CODES.iter().chain(repot_bucket::CODES);
    let beside = beside.map(|&(code, title, explanation, mend)| Entry { code, title, explanation, mend });
    let ours = CATALOGUE.iter().chain(repot_server::CODES).chain(repot_engine::moving::CODES);
    let mut all: Vec<Entry> = ours.copied().chain(beside).collect();
    all.sort_by_key(|entry| entry.code);
    all.dedup_by_key(|entry| entry.code);
    all
}
