//! `repot serve` beside Kinto, over two databases of one PostgreSQL server: the same conversations, the same load generator.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::load::{Load, Server as Way, Task, measure};
use super::processes::Process;
use crate::args::PeerArguments;
use crate::corpus::Corpus;
use crate::database::Session;
use crate::ground::Ground;
use crate::report::{grouped, whole};
use crate::store::work::Measured;
use crate::store::{PER_USER, chat_model, fill};
use crate::target::Target;

/// What both can do.
const LOADS: [Load; 3] = [Load::Get, Load::List, Load::Create];
/// Connections of each to its database, at the most; the script says the same of Kinto.
const POOL: &str = "15";

/// Connections and the server's name, for each kind of work in the order of the report.
type Lines = BTreeMap<(usize, usize, &'static str), Measured>;

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &PeerArguments, out: &mut impl Write) -> Result<()> {
    let ground = Ground::prepare(&arguments.ground, true)?;
    let program = ground.program(arguments.ground.repot.as_deref())?;
    let server = ground.url.as_deref().context("there is a server")?;
    let (corpus, chats) = Corpus::chats(arguments.size, PER_USER, ground.scratch())?;
    let chats: Arc<[(String, String)]> = chats.into();
    // held until the end: dropping them drops the databases
    let (own, other) = (
        Target::make(ground.scratch(), "peer", Some(server))?,
        Target::make(ground.scratch(), "kinto", Some(server))?,
    );
    let url = |target: &Target| target.url().map(str::to_owned).context("a target on a server has a URL");
    fill(&program, &own, &chat_model(&corpus.path))?;
    let mut kinto = Command::new("python3");
    kinto.arg(&arguments.script).arg(&arguments.installed).arg(url(&other)?).arg(&corpus.path);
    let mut repot = Command::new(&program);
    repot.arg("--json").arg("-C").arg(&own.directory).args(["serve", "--listen", "127.0.0.1:0"]);
    repot.env("DATABASE_URL", url(&own)?).env("POSTGRES_MAX_CONNECTIONS", POOL);
    repot.env_remove("DATABASE_POOL_SIZE");
    let servers = [(Way::Kinto, Process::start(&mut kinto)?), (Way::Repot, Process::start(&mut repot)?)];
    for target in [&own, &other] {
        Session::open(&url(target)?)?.run("vacuum (analyze)")?;
    }
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let mut lines = Lines::new();
    let seconds = arguments.seconds / f64::from(arguments.rounds);
    for (at, load) in LOADS.into_iter().enumerate() {
        // of records that are made at the same time Kinto refuses some (409, Retry-After)
        let alone = load == Load::Create;
        for &connections in arguments.connections.iter().filter(|&&connections| !alone || connections == 1) {
            writeln!(std::io::stderr(), "{}, {connections} connections", load.name())?;
            for round in 0..arguments.rounds {
                for (server, process) in &servers {
                    let (server, address) = (*server, process.address);
                    let seed = u64::from(round) + 1;
                    let task = Task { server, address, load, connections, seconds, seed };
                    let (measured, _) = runtime.block_on(measure(&task, &chats))?;
                    lines.entry((at, connections, server.name())).or_default().add(measured);
                }
            }
        }
    }
    drop(servers);
    report(&ground, arguments, &lines, out)
}

fn report(ground: &Ground, arguments: &PeerArguments, lines: &Lines, out: &mut impl Write) -> Result<()> {
    let of_kinto = |at: usize, connections: usize| lines.get(&(at, connections, Way::Kinto.name()));
    if arguments.ground.json {
        let line = |((at, connections, server), measured): (&(usize, usize, &str), &Measured)| {
            json!({"load": LOADS[*at].name(), "connections": connections, "server": server,
                "p50_us": measured.percentile(50), "p99_us": measured.percentile(99),
                "requests_a_second": measured.rate()})
        };
        let lines: Vec<Value> = lines.iter().map(line).collect();
        let report = json!({"machine": ground.machine.json(), "conversations": arguments.size,
            "seconds": arguments.seconds, "rounds": arguments.rounds, "lines": lines});
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    for (name, value) in &ground.machine.facts {
        writeln!(out, "- {name}: {value}")?;
    }
    let (size, seconds, rounds) = (grouped(arguments.size as u64), arguments.seconds, arguments.rounds);
    writeln!(
        out,
        "- {size} conversations; {seconds} s of each load and server, in {rounds} rounds; {POOL} connections to the database, of both\n"
    )?;
    writeln!(out, "| load | connections | server | p50 \u{b5}s | p99 \u{b5}s | requests/s | x Kinto |")?;
    writeln!(out, "| --- | ---: | --- | ---: | ---: | ---: | ---: |")?;
    for ((at, connections, server), measured) in lines {
        let ratio = of_kinto(*at, *connections).filter(|_| *server != Way::Kinto.name());
        writeln!(
            out,
            "| {} | {connections} | {server} | {:.0} | {:.0} | {} | {} |",
            LOADS[*at].name(),
            measured.percentile(50),
            measured.percentile(99),
            grouped(whole(measured.rate())),
            ratio.map_or_else(|| "-".to_owned(), |kinto| format!("{:.1}", measured.rate() / kinto.rate())),
        )?;
    }
    Ok(())
}
