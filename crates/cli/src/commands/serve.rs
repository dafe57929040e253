//! `repot serve`: the HTTP API over the documents.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use repot::{Config, Place, Repot};
use repot_core::{Error, Kind, SystemClock};
use repot_engine::moving::Leads;
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{App, Options, Outside, Room, RoomOf, Server, Traces};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::inner;
use super::old_side::OldSide;
use crate::args::{Global, Serve};
use crate::caching;
use crate::errors::{Exit, Failure};
use crate::log::{self, LogStyle, Writer};
use crate::move_news::{MoveNews, News};
use crate::operator::ProjectOperator;
use crate::output::{self, Output};
use crate::reloading::Reloading;
use crate::serving;
use crate::wiring::Project;

/// How long a start may take that goes back to the files first, milliseconds.
const BRAKE_MS: i64 = 600_000;
/// How soon it is told that a guard stopped a rollout, or that the work of a live move fails.
const TOLD_AFTER: Duration = Duration::from_millis(500);
/// How long a collector of traces may take at the end.
const TOLD: Duration = Duration::from_secs(5);

pub(crate) fn run(global: &Global, serve: &Serve, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let style = serving::log_style(&project, serve.log, output.quiet)?;
    let address = serving::listen(&project, serve.listen.as_deref());
    let config = config(&project, serve)?;
    let runtime = super::runtime()?;
    let bytes = usize::try_from(config.document_bytes_max).unwrap_or(usize::MAX);
    let tokens = serving::tokens(&project, &serve.tokens)?;
    let traces = {
        let _inside = runtime.enter();
        serving::traces(&project)?.map(Traces::start).transpose()?
    };
    let writer = Writer::start(style);
    let (cache, cache_life_ms) = caching::cache(&project.environment, serve.cache_mb)?;
    let options = Options {
        body_bytes_max: bytes,
        connections_max: serve.connections.max(1),
        query_ms: serve.query_time.clamp(1, 86_400) * 1_000,
        log: writer.as_ref().map(Writer::log),
        room: room(&config),
        disk_low_percent: serve.disk_low,
        tokens,
        traces: traces.clone(),
        cache,
        cache_life_ms,
        operator: Some(Arc::new(ProjectOperator::new(
            global,
            serve.body_max.clamp(1, 1_024),
            place(&config)?,
        ))),
        ..Options::default()
    };
    let reloading = Reloading { global, serve, read: project.text.clone(), project };
    let ended = runtime.block_on(listen(config, (&address, options), (style, output), reloading));
    if let Some(traces) = traces {
        runtime.block_on(traces.end(TOLD));
        lost(&traces, style, output);
    }
    if let Some(writer) = writer {
        writer.end();
    }
    let cut = ended?;
    if let Some(line) = log::event(style, "stopped", &[("cut", json!(cut))]) {
        output.say(&line);
    } else if cut > 0 {
        output.say(&format!(
            "Stopped; {} cut off.",
            output::count(cut as u64, "connection was", "connections were")
        ));
    }
    output.done(json!({"type": "result", "cut": cut}), &[]);
    Ok(Exit::Done)
}

/// Says how many requests no collector was told of.
fn lost(traces: &Traces, style: LogStyle, output: &Output) {
    let lost = traces.lost();
    if lost == 0 {
        return;
    }
    let line = log::event(style, "lost", &[("traces", json!(lost))]);
    output.say(&line.unwrap_or_else(|| format!("{lost} traces were lost: the collector did not take them.")));
}

/// What the store is opened with.
pub(crate) fn config(project: &Project, serve: &Serve) -> Result<Config, Failure> {
    let config = serving::config(project, serve.store.as_deref())?;
    Ok(Config {
        follows: true,
        document_bytes_max: serve.body_max.clamp(1, 1_024) << 20,
        recent_bytes: serve.recent_mb.min(1 << 20) << 20,
        ..config
    })
}

/// Serves until it is told to stop; gives how many connections were cut off then.
async fn listen(
    config: Config,
    (listen, mut options): (&str, Options),
    (style, output): (LogStyle, &Output),
    reloading: Reloading<'_>,
) -> Result<usize, Failure> {
    let (stop, hangups) = (stopped()?, listened(SignalKind::hangup())?);
    let message = format!("Using {} storage backend", backend(&config)?);
    let repot = Repot::open(config).await.map_err(inner)?;
    if reloading.brakes() {
        brake(&repot, output).await?;
    }
    options.moving = repot.part().map(|part| Arc::clone(part.moving()));
    let outside = Outside {
        clock: Arc::new(SystemClock),
        pacing: Arc::new(TokioPacing),
        entropy: Arc::new(SystemEntropy),
    };
    let app = App::new(repot.store(), repot.layout().clone(), outside, options)?;
    let locked = app.is_locked().await?;
    // a name is looked at once the address behind it is known
    listen.parse().map_or(Ok(()), |address| hidden(address, locked))?;
    let server = Server::bind(app, listen).await?;
    let address = server.address()?;
    hidden(address, locked)?;
    let told = [
        ("message", json!(message)),
        ("storage", json!(repot.to_string())),
        ("address", json!(address.to_string())),
    ];
    if let Some(line) = log::event(style, "listening", &told) {
        output.say(&line);
    } else {
        output.say(&format!("{message}\nStorage    {repot}"));
        let open =
            if locked { "keys are required" } else { "open to everybody on this machine: no keys yet" };
        output.say(&format!("API        http://{address}/v1        {open}"));
    }
    output.line(&json!({"type": "listening", "address": address.to_string(), "store": repot.to_string()}));
    let reloading = reloading.run(repot.clone(), server.models(), hangups, (style, output));
    let cut = tokio::select! {
        cut = server.run(stop) => cut,
        never = reloading => match never {},
        never = tell_of_move(&repot, (style, output)) => match never {},
    };
    if let Some(part) = repot.part() {
        // where the database is away, the lease ends by itself
        let _away = part.leave().await;
    }
    Ok(cut)
}

/// Says what is heard of a live move.
async fn tell_of_move(repot: &Repot, (style, output): (LogStyle, &Output)) -> Infallible {
    let Some(part) = repot.part() else { return std::future::pending().await };
    let mut told = MoveNews::default();
    loop {
        for News { event, message } in told.of(part.moving()) {
            let line = log::event(style, event, &[("message", json!(message))]);
            output.say(&line.unwrap_or_else(|| format!("look {message}")));
        }
        tokio::time::sleep(TOLD_AFTER).await;
    }
}

/// `USE_DATABASE=false`: where documents move, the files lead again before anything is served.
async fn brake(repot: &Repot, output: &Output) -> Result<(), Failure> {
    let Some(part) = repot.part() else {
        output.say("look USE_DATABASE=false has no effect: no move is on its way.");
        return Ok(());
    };
    part.moving().change(&Leads::default(), "USE_DATABASE=false", BRAKE_MS).await?;
    part.moving().compare_share(0).await?;
    output.say(&format!("USE_DATABASE=false: {}.", OldSide::of_move(part.moving()).leads()));
    Ok(())
}

fn place(config: &Config) -> Result<Place, Failure> {
    Ok(Place::parse(config.url.as_deref().unwrap_or_default(), &config.directory)?)
}

/// What the store is, in the words that the apps' operators look for in the log.
fn backend(config: &Config) -> Result<&'static str, Failure> {
    Ok(match place(config)? {
        Place::Postgres(_) => "PostgreSQL",
        Place::Sqlite(_) => "SQLite",
        Place::Directory(_) => "JSON file",
        Place::Bucket { .. } => "S3 bucket",
        Place::Memory => "memory",
    })
}

/// Checks that nobody but this machine gets in without a key.
fn hidden(address: SocketAddr, locked: bool) -> Result<(), Failure> {
    if locked || address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("{address} can be reached from other machines, and there are no keys");
    Err(Error::new(Kind::Refused, "R0125", message)
        .hint(
            "Make one with repot key create, or listen on 127.0.0.1, where it is open to this machine only.",
        )
        .into())
}

/// Looks at the disk that the store is on, where it is one of this machine.
fn room(config: &Config) -> Option<RoomOf> {
    let place = Place::parse(config.url.as_deref()?, &config.directory).ok()?;
    let folder = match place {
        Place::Sqlite(file) => file.parent()?.to_owned(),
        Place::Directory(folder) => folder,
        _ => return None,
    };
    let folder = if folder.as_os_str().is_empty() { ".".into() } else { folder };
    Some(RoomOf::new(move || {
        let (free_bytes, all_bytes) = super::check::free(&folder)?;
        Some(Room { free_bytes, all_bytes })
    }))
}

fn listened(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Error::new(Kind::Failed, "R0901", "signals cannot be listened for").cause(error).into()
    })
}

/// Comes back at SIGTERM or an interrupt.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send, Failure> {
    let (mut ended, mut interrupted) =
        (listened(SignalKind::terminate())?, listened(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = ended.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}
