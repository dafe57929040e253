//! `repot serve`: the HTTP API over the documents.

use std::sync::Arc;

use repot::{Config, Repot};
use repot_core::{Error, Kind, SystemClock};
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{App, Options, Outside, Server};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Global, Serve};
use crate::errors::{Exit, Failure};
use crate::output::{self, Output};
use crate::wiring::Project;

pub(crate) fn run(global: &Global, serve: &Serve, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let url = serve.store.clone().unwrap_or_else(|| project.database_url().0);
    let mut config = Config::from_variables(project.file.as_ref(), project.environment.all().into_iter())
        .map_err(inner)?;
    config.url = Some(url);
    config.model_text = Some(project.text.clone());
    config.directory.clone_from(&project.directory);
    config.document_bytes_max = serve.body_max.clamp(1, 1_024) << 20;
    let config = config.with_echo(output::echo).map_err(inner)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Error::new(Kind::Failed, "R0901", "the threads of the server cannot be started").cause(error)
    })?;
    let bytes = usize::try_from(config.document_bytes_max).unwrap_or(usize::MAX);
    let options =
        Options { body_bytes_max: bytes, connections_max: serve.connections.max(1), ..Options::default() };
    runtime.block_on(listen(config, (serve, options), output))
}

async fn listen(
    config: Config,
    (serve, options): (&Serve, Options),
    output: &Output,
) -> Result<Exit, Failure> {
    let repot = Repot::open(config).await.map_err(inner)?;
    let outside = Outside {
        clock: Arc::new(SystemClock),
        pacing: Arc::new(TokioPacing),
        entropy: Arc::new(SystemEntropy),
    };
    let app = App::new(repot.store(), repot.layout().clone(), outside, options)?;
    let server = Server::bind(app.clone(), &serve.listen).await?;
    let address = server.address()?;
    let locked = app.is_locked().await?;
    if !address.ip().is_loopback() && !locked {
        return Err(Error::new(
            Kind::Refused,
            "R0125",
            format!("{address} can be reached from other machines, and there are no keys"),
        )
        .hint(
            "Make one with repot key create, or listen on 127.0.0.1, where it is open to this machine only.",
        )
        .into());
    }
    output.say(&format!("Storage    {repot}"));
    let open = if locked { "keys are required" } else { "open to everybody on this machine: no keys yet" };
    output.say(&format!("API        http://{address}/v1        {open}"));
    output.line(&json!({"type": "listening", "address": address.to_string(), "store": repot.to_string()}));
    let cut = server.run(stopped()?).await;
    if cut > 0 {
        output.say(&format!(
            "Stopped; {} cut off.",
            output::count(cut as u64, "connection was", "connections were")
        ));
    }
    output.done(json!({"type": "result", "cut": cut}), &[]);
    Ok(Exit::Done)
}

/// Comes back at SIGTERM or an interrupt.
fn stopped() -> Result<impl Future<Output = ()> + Send, Failure> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Error::new(Kind::Failed, "R0901", "signals cannot be listened for").cause(error))
    };
    let (mut ended, mut interrupted) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = ended.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

/// The error beneath one of the library for apps.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped")]
fn inner(error: repot::Error) -> Failure {
    Failure::Error(error.cause().clone())
}
