//! `repot watch`: what changes, one JSON line a change.

use std::fmt::Display;
use std::io::Write as _;

use http::Method;

use repot::{Config, Repot};
use repot_core::change_log::ChangeKind;
use repot_core::store::{ChangeEntry, ChangePage, ChangePosition, ChangeScope};
use repot_core::{Error, Kind, Pacing as _};
use repot_engine::TokioPacing;
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::{inner, runtime};
use crate::args::{Global, Watch};
use crate::asking::{Asking, server_of};
use crate::errors::{Exit, Failure};
use crate::page::{Page, one_line};
use crate::paths;
use crate::serving;
use crate::settings::Environment;
use crate::wiring::Project;

/// Changes read at once.
const READ_AT_ONCE: usize = 500;
/// How often the log is looked at.
const POLL_MS: u64 = 250;
/// How long a server waits for changes before it says that there are none.
const WAIT: &str = "20s";

pub(crate) fn run(global: &Global, watch: &Watch) -> Result<Exit, Failure> {
    if server_of(&Environment::read(&global.dir), watch.at.store.as_deref()).is_some() {
        return served(&Asking::open(global, &watch.at)?, watch);
    }
    let project = Project::open(global)?;
    let config = serving::config(&project, watch.at.store.as_deref())?;
    runtime()?.block_on(follow(config, watch))
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
        let is_named = watch.collections.is_empty()
            || watch.collections.iter().any(|name| name == entry.key.collection());
        // what belongs to nobody is everybody's
        let is_theirs = watch.at.tenant.is_none()
            || entry.key.tenant().is_none()
            || entry.key.tenant() == watch.at.tenant.as_deref();
        is_named && is_theirs
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

/// The same from a server, whose messages are printed as they are.
fn served(asking: &Asking, watch: &Watch) -> Result<Exit, Failure> {
    let only = watch.collections.join(",");
    let mut since = watch.since.map(|since| since.to_string());
    let (mut is_read, mut is_first) = (true, true);
    while is_read {
        let wait = (!is_first && !watch.once).then_some(("wait", WAIT));
        let only = (!only.is_empty()).then_some(("only", only.as_str()));
        let pairs: Vec<_> =
            since.as_deref().map(|since| ("since", since)).into_iter().chain(only).chain(wait).collect();
        let answer =
            asking.ask(paths::request(Method::GET, &format!("/v1:changes?{}", paths::query(&pairs)))?)?;
        let page = Page::read(answer.into_body())?;
        let next = page.field("next").map_or("null", |next| next.raw()).to_owned();
        if is_first {
            let first = watch.since.map_or_else(|| next.clone(), |since| since.to_string());
            is_read = print(&format!("{{\"next\":{first}}}"));
        }
        is_first = false;
        page.each(|change, _| is_read = is_read && print(&one_line(change.raw())))?;
        if watch.once && page.field("more").is_none_or(|more| more.raw() != "true") {
            print(&format!("{{\"next\":{next}}}"));
            break;
        }
        since = Some(next);
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
fn print(line: &impl Display) -> bool {
    writeln!(std::io::stdout(), "{line}").is_ok()
}
