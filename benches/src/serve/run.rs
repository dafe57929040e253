//! All places, one report.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::load::{Connection, Load, Server as Way, Task, measure};
use super::processes::Process;
use super::report::{self, Section};
use crate::args::ServeArguments;
use crate::corpus::Corpus;
use crate::database::Session;
use crate::ground::Ground;
use crate::random::Random;
use crate::store::by_hand::{Postgres, Sqlite};
use crate::store::{PER_USER, Place, chat_model, fill};
use crate::target::Target;

/// Conversations that are looked at.
const LOOKED_AT: usize = 20;

struct Runner<'a> {
    arguments: &'a ServeArguments,
    program: PathBuf,
    ground: &'a Ground,
    runtime: Runtime,
}

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &ServeArguments, out: &mut impl Write) -> Result<()> {
    let places = [Place::Sqlite, Place::Postgres];
    let places: Vec<Place> =
        places.into_iter().filter(|place| arguments.only.is_none_or(|only| only == *place)).collect();
    ensure!(!places.is_empty(), "documents are served from SQLite or PostgreSQL here");
    // held until the end: dropping it stops the server
    let ground = Ground::prepare(&arguments.ground, places.contains(&Place::Postgres))?;
    let runner = Runner {
        arguments,
        program: ground.program(arguments.ground.repot.as_deref())?,
        ground: &ground,
        runtime: Builder::new_multi_thread().enable_all().build()?,
    };
    let (corpus, chats) = Corpus::chats(arguments.size, PER_USER, ground.scratch())?;
    let chats: Arc<[(String, String)]> = chats.into();
    let mut sections = Vec::new();
    for &place in &places {
        sections.push(runner.section(place, &corpus, &chats)?);
    }
    if arguments.ground.json {
        report::json(&ground.machine, arguments, &sections, out)
    } else {
        report::tables(&ground.machine, arguments, &sections, out)
    }
}

impl Runner<'_> {
    fn section(&self, place: Place, corpus: &Corpus, chats: &Arc<[(String, String)]>) -> Result<Section> {
        let model = chat_model(&corpus.path);
        let server = if place == Place::Postgres { self.ground.url.as_deref() } else { None };
        let target = Target::make(self.ground.scratch(), "serve", server)?;
        fill(&self.program, &target, &model)?;
        let mut repot = Command::new(&self.program);
        repot.arg("--json").arg("-C").arg(&target.directory).args(["serve", "--listen", "127.0.0.1:0"]);
        let mut limit = Command::new(&self.ground.own);
        limit.arg("limit-serve");
        // held until the end: dropping it drops the database
        let mut other = None;
        match (server, target.url()) {
            (Some(server), Some(url)) => {
                let copy = other.insert(Target::copy_of(self.ground.scratch(), "by_hand", server, url)?);
                let by_hand = copy.url().context("a target on a server has a URL")?;
                Postgres::make(by_hand)?;
                Session::open(url)?.run("vacuum (analyze)")?;
                Session::open(url)?.run("checkpoint")?;
                repot.env("DATABASE_URL", url);
                limit.arg(by_hand);
            }
            _ => {
                let by_hand = target.directory.join("by_hand.db");
                Sqlite::make(&target.directory.join("repot.db"), &by_hand)?;
                repot.env_remove("DATABASE_URL");
                limit.arg(by_hand);
            }
        }
        limit.arg(self.arguments.pool.to_string());
        let most = self.arguments.pool.to_string();
        repot.env("POSTGRES_MAX_CONNECTIONS", &most).env_remove("DATABASE_POOL_SIZE");
        let servers = [(Way::Limit, Process::start(&mut limit)?), (Way::Repot, Process::start(&mut repot)?)];
        let section = self.measure(place, corpus, &servers, chats)?;
        drop(servers);
        drop(other);
        Ok(section)
    }

    fn measure(
        &self,
        place: Place,
        corpus: &Corpus,
        servers: &[(Way, Process)],
        chats: &Arc<[(String, String)]>,
    ) -> Result<Section> {
        let mut section = Section::new(place, corpus);
        self.runtime.block_on(same_answers(servers, chats))?;
        let rounds = self.arguments.rounds;
        let seconds = self.arguments.seconds / f64::from(rounds);
        let wanted = |load: &Load| self.arguments.loads.is_empty() || self.arguments.loads.contains(load);
        for load in Load::ALL.into_iter().filter(wanted) {
            for &connections in &self.arguments.connections {
                writeln!(std::io::stderr(), "{place}: {}, {connections} connections", load.name())?;
                for round in 0..rounds {
                    for (server, process) in servers {
                        let (server, address) = (*server, process.address);
                        let seed = u64::from(round) + 1;
                        let task = Task { server, address, load, connections, seconds, seed };
                        let before = process.cpu_seconds();
                        let (measured, requests) = self.runtime.block_on(measure(&task, chats))?;
                        let cpu = (process.cpu_seconds() - before, requests);
                        section.add((load, connections, server), measured, cpu);
                    }
                }
            }
        }
        section.memory = servers.iter().map(|(way, process)| (*way, process.memory_kib())).collect();
        self.runtime.block_on(same_answers(servers, chats))?;
        Ok(section)
    }
}

/// Both give the same documents and lists, and take another message.
async fn same_answers(servers: &[(Way, Process)], chats: &[(String, String)]) -> Result<()> {
    let mut random = Random::new(7);
    for _ in 0..LOOKED_AT {
        let chat = &chats[usize::try_from(random.below(chats.len() as u64)).unwrap_or(0)];
        let mut lists = Vec::new();
        for (way, process) in servers {
            let mut connection = Connection::open(process.address).await?;
            let mut messages = async || {
                let body = connection.send(&way.request(Load::Get, chat, "")).await?;
                let chat: Value = serde_json::from_slice(body)?;
                let messages = chat.get("messages").and_then(Value::as_array).context("messages")?;
                let last = messages.last().and_then(|last| last.get("content")).cloned();
                anyhow::Ok((messages.len(), last))
            };
            let (before, _) = messages().await?;
            let text = format!("a last word {}", random.below(1_000));
            let mut writing = Connection::open(process.address).await?;
            writing.send(&way.request(Load::Append, chat, &text)).await?;
            let after = messages().await?;
            ensure!(after == (before + 1, Some(Value::from(text))), "{}: {after:?}", way.name());
            let list: Value =
                serde_json::from_slice(writing.send(&way.request(Load::List, chat, "")).await?)?;
            let items = list.get("items").and_then(Value::as_array).context("items")?;
            let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
            lists.push(items.iter().map(id).collect::<Option<Vec<_>>>().context("ids")?);
        }
        ensure!(lists.windows(2).all(|pair| pair[0] == pair[1]), "lists differ: {lists:?}");
    }
    Ok(())
}
