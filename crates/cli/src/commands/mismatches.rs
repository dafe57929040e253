//! `repot mismatches`: documents that were found to differ between the two stores, and which of these are known.

use repot_core::moving::Lead;
use repot_core::{Error, Kind, hex};
use repot_engine::moving::{Difference, Journal, Side};
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::moving::{opened, part};
use super::runtime;
use crate::args::Global;
use crate::errors::{Exit, Failure};
use crate::move_args::Mismatches;
use crate::output::{Output, count};
use crate::wiring::Project;

/// Differences that are kept at the most.
const KEPT: usize = 1_000;
/// Characters of a text shown to people.
const SHOWN: usize = 200;

pub(crate) fn run(global: &Global, wanted: &Mismatches, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let runtime = runtime()?;
    let repot = opened(&project, &runtime)?;
    runtime.block_on(of_move(part(&repot)?.moving().journal(), wanted, output))
}

/// The same for somebody who takes part in the move.
pub(crate) async fn of_move(
    journal: &Journal,
    wanted: &Mismatches,
    output: &Output,
) -> Result<Exit, Failure> {
    if wanted.clear {
        let gone = journal.forget_differences().await?;
        output.say(&format!("{} forgotten.", count(gone, "difference", "differences")));
        output.done(json!({"type": "result", "forgotten": gone}), &["repot status"]);
        return Ok(Exit::Done);
    }
    if let Some([collection, key]) = wanted.ignore.as_deref() {
        ignore(journal, (collection, key), wanted).await?;
        output.say("It is ignored from now on: still counted, and no reason to go back.");
        output.done(json!({"type": "result", "ignored": 1}), &["repot mismatches"]);
        return Ok(Exit::Done);
    }
    let kept = journal.differences(KEPT).await?;
    for difference in kept.iter().take(wanted.limit) {
        if output.json {
            output.line(&told(difference));
        } else {
            output.print(&shown(difference));
        }
    }
    let heeded = kept.iter().filter(|difference| difference.ignored.is_none()).count();
    output.say(&format!(
        "{}, {} of them ignored.",
        count(kept.len() as u64, "document differs", "documents differ"),
        kept.len() - heeded
    ));
    output.done(json!({"type": "result", "differences": kept.len(), "ignored": kept.len() - heeded}), &[]);
    Ok(if heeded > 0 { Exit::Differences } else { Exit::Done })
}

/// Finds the difference by how it is listed.
async fn ignore(
    journal: &Journal,
    (collection, key): (&str, &str),
    wanted: &Mismatches,
) -> Result<(), Failure> {
    let is_it = |difference: &Difference| {
        let own = &difference.key;
        own.collection() == collection && own.text() == key && own.tenant() == wanted.tenant.as_deref()
    };
    let found = journal.differences(KEPT).await?.into_iter().find(is_it).ok_or_else(|| {
        Error::new(Kind::NotFound, "R0722", format!("no difference of {collection}/{key} is known"))
            .hint("repot mismatches lists them, with collection, key and tenant.")
    })?;
    Ok(journal.ignore(&found.key, wanted.reason.as_deref().unwrap_or_default()).await?)
}

fn leads(difference: &Difference) -> &'static str {
    match difference.lead {
        Lead::Old => "files",
        Lead::New => "database",
    }
}

fn side(side: Option<&Side>) -> Value {
    side.map_or(Value::Null, |side| {
        let text = String::from_utf8_lossy(&side.text);
        json!({"bytes": side.size_bytes, "sha256": hex(&side.sha256), "text": text})
    })
}

fn told(difference: &Difference) -> Value {
    let ignored = difference.ignored.as_ref();
    json!({
        "type": "difference",
        "collection": difference.key.collection(),
        "key": difference.key.text(),
        "tenant": difference.key.tenant(),
        "cause": difference.cause.word(),
        "leads": leads(difference),
        "epoch": difference.epoch,
        "first": utc_text(difference.first_ms),
        "last": utc_text(difference.last_ms),
        "times": difference.times,
        "files": side(difference.old.as_ref()),
        "database": side(difference.new.as_ref()),
        "ignored": ignored.map(|ignored| json!({"at": utc_text(ignored.at_ms), "reason": ignored.reason})),
    })
}

fn shown(difference: &Difference) -> String {
    let text = |side: Option<&Side>| {
        side.map_or_else(
            || "(not there)".to_owned(),
            |side| {
                let text = String::from_utf8_lossy(&side.text);
                let begin: String =
                    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
                format!("{} B   {begin}", side.size_bytes)
            },
        )
    };
    let ignored = difference.ignored.as_ref();
    let ignored = ignored.map_or_else(String::new, |ignored| format!("\n  ignored   {}", ignored.reason));
    format!(
        "{}   {}, the {} leads, {} times, last {}\n  old store {}\n  new store {}{ignored}",
        difference.key,
        difference.cause.word(),
        match difference.lead {
            Lead::Old => "old store",
            Lead::New => "new store",
        },
        difference.times,
        utc_text(difference.last_ms),
        text(difference.old.as_ref()),
        text(difference.new.as_ref()),
    )
}
