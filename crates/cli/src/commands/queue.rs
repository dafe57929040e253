//! `repot queue`: what waits in work queues, and what was given up.

use std::fmt::Write as _;

use repot_core::store::{DeadLetter, DocumentKey, Scope, WorkQueue as _};
use repot_core::{Error, Kind};
use repot_engine::store::RowStore;
use repot_model::plan::time::time_text;
use serde_json::json;

use crate::args::{Global, Queue, QueueCommand, Scoped};
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::waiting::wait;
use crate::wiring::Project;

/// Dead letters read at once.
const PAGE: usize = 500;

pub(crate) fn run(global: &Global, queue: &Queue, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let store = project.store()?;
    match &queue.command {
        QueueCommand::Stats(scoped) => stats(&store, scoped, output)?,
        QueueCommand::Dead { scoped, limit } => dead(&store, scoped, *limit, output)?,
        QueueCommand::Revive { scoped, key, all } => {
            if key.is_none() && !all {
                return Err(Error::new(Kind::Invalid, "R0100", "revive needs a KEY, or --all")
                    .hint("`repot queue dead` shows the keys.")
                    .into());
            }
            let scope = scope(scoped);
            let key = key.as_ref().map(|key| match &scope.tenant {
                Some(tenant) => DocumentKey::of_text(&scope.collection, key).in_tenant(tenant),
                None => DocumentKey::of_text(&scope.collection, key),
            });
            let revived = wait(store.revive(&scope, key.as_ref()))?;
            output.done(json!({"type": "result", "revived": revived}), &[]);
            output.say(&format!("{revived} made ready again."));
        }
    }
    Ok(Exit::Done)
}

fn scope(scoped: &Scoped) -> Scope {
    Scope { collection: scoped.collection.clone(), tenant: scoped.tenant.clone() }
}

fn stats(store: &RowStore, scoped: &Scoped, output: &Output) -> Result<(), Failure> {
    let stats = wait(store.stats(&scope(scoped)))?;
    if output.json {
        output.done(
            json!({
                "type": "result",
                "ready": stats.ready,
                "leased": stats.leased,
                "delayed": stats.delayed,
                "done": stats.done,
                "dead": stats.dead,
                "oldest_ready_ms": stats.oldest_ready_ms,
            }),
            &[],
        );
        return Ok(());
    }
    let oldest = match stats.oldest_ready_ms {
        Some(ms) => format!(", the oldest for {} s", ms / 1_000),
        None => String::new(),
    };
    output.print(&format!("ready    {}{oldest}", stats.ready));
    output.print(&format!("leased   {}", stats.leased));
    output.print(&format!("delayed  {}", stats.delayed));
    output.print(&format!("done     {}", stats.done));
    output.print(&format!("dead     {}", stats.dead));
    Ok(())
}

fn dead(store: &RowStore, scoped: &Scoped, limit: usize, output: &Output) -> Result<(), Failure> {
    let (mut letters, mut after): (Vec<DeadLetter>, _) = (Vec::new(), None);
    while letters.len() < limit {
        let most = PAGE.min(limit - letters.len());
        let page = wait(store.dead(&scope(scoped), after.as_ref(), most))?;
        letters.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let since = |letter: &DeadLetter| time_text(letter.since_ms.saturating_mul(1_000), 'T', 0) + "Z";
    if output.json {
        let said = letters.iter().map(|letter| {
            json!({"key": letter.key.text(), "tries": letter.tries, "reason": letter.reason, "since": since(letter)})
        });
        let dead: Vec<_> = said.collect();
        output.done(json!({"type": "result", "dead": dead, "more": after.is_some()}), &[]);
        return Ok(());
    }
    let mut text = String::new();
    for letter in &letters {
        let reason = letter.reason.replace(['\n', '\r', '\t'], " ");
        let (key, tries, since) = (letter.key.text(), letter.tries, since(letter));
        writeln!(text, "{key}   {tries} tries   {since}   {reason}").expect("a String takes everything");
    }
    output.print_raw(text.as_bytes());
    if after.is_some() {
        output.say(&format!("There are more than {limit}; --limit shows more."));
    }
    Ok(())
}
