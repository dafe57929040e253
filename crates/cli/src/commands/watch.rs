//! `repot watch`: what changes in the database, one JSON line a change.

use std::io::Write as _;

use repot::{Config, Repot};
use repot_core::change_log::ChangeKind;
use repot_core::store::{ChangeEntry, ChangePage, ChangePosition, ChangeScope};
use repot_core::{Error, Kind, Pacing as _};
use repot_engine::TokioPacing;
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use crate::args::{Global, Watch};
use crate::errors::{Exit, Failure};
use crate::output;
use crate::wiring::Project;

/// Changes read at once.
const READ_AT_ONCE: usize = 500;
/// How often the log is looked at.
const POLL_MS: u64 = 250;

pub(crate) fn run(global: &Global, watch: &Watch) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let mut config = Config::from_variables(project.file.as_ref(), project.environment.all().into_iter())
        .map_err(inner)?;
    config.url = Some(watch.store.clone().unwrap_or_else(|| project.database_url().0));
    config.model_text = Some(project.text.clone());
    config.directory.clone_from(&project.directory);
    let config = config.with_echo(output::echo).map_err(inner)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Error::new(Kind::Failed, "R0901", "the threads of the command cannot be started").cause(error)
    })?;
    runtime.block_on(follow(config, watch))
}

async fn follow(config: Config, watch: &Watch) -> Result<Exit, Failure> {
    let repot = Repot::open(config).await.map_err(inner)?;
    let store = repot.store();
    let all = store.collections();
    if let Some(unknown) = watch.collections.iter().find(|name| !all.contains(name)) {
        let message = format!("{unknown} is no collection with documents");
        return Err(Error::new(Kind::NotFound, "R0402", message)
            .hint(format!("Name some of {}.", all.join(", ")))
            .into());
    }
    let feed = store.change_feed().ok_or_else(|| {
        Error::new(Kind::Unsupported, "R0405", format!("{repot} keeps no log of changes"))
            .hint("Watch a database.")
    })?;
    let mut at = match watch.since {
        Some(since) => ChangePosition::new(since),
        None => feed.position().await?,
    };
    let wanted = |entry: &ChangeEntry| {
        watch.collections.is_empty() || watch.collections.iter().any(|name| name == entry.key.collection())
    };
    let mut is_read = print(&json!({"next": at.number()}));
    while is_read {
        let ChangePage { entries, next, more } =
            feed.changes(&ChangeScope::Everything, at, READ_AT_ONCE).await?;
        is_read = entries.iter().filter(|entry| wanted(entry)).all(|entry| print(&line(entry)));
        at = next;
        if more {
            continue;
        }
        if watch.once {
            print(&json!({"next": at.number()}));
            return Ok(Exit::Done);
        }
        TokioPacing.pause(POLL_MS).await;
    }
    Ok(Exit::Done)
}

fn line(entry: &ChangeEntry) -> Value {
    let kind = match entry.kind {
        ChangeKind::Put | ChangeKind::Sql => "put",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Collection => "collection",
    };
    let mut line = json!({
        "seq": entry.position.number(),
        "collection": entry.key.collection(),
        "key": entry.key.text(),
        "kind": kind,
        "at": utc_text(entry.at_ms),
    });
    if let (Some(tenant), Some(line)) = (entry.key.tenant(), line.as_object_mut()) {
        line.insert("tenant".to_owned(), json!(tenant));
    }
    line
}

/// `false`: nobody reads any more.
fn print(line: &Value) -> bool {
    writeln!(std::io::stdout(), "{line}").is_ok()
}

/// The error beneath one of the library for apps.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped")]
fn inner(error: repot::Error) -> Failure {
    Failure::Error(error.cause().clone())
}
