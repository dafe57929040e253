//! One file for each command.

pub(crate) mod advise;
pub(crate) mod check;
mod completion;
pub(crate) mod copy;
mod demo;
mod documents;
pub(crate) mod explain;
mod export;
mod follow;
mod generate;
mod init;
mod key;
mod ls;
pub(crate) mod mismatches;
pub(crate) mod move_status;
pub(crate) mod move_to;
pub(crate) mod moving;
pub(crate) mod old_side;
pub(crate) mod plan;
mod query;
mod queue;
pub(crate) mod serve;
mod source;
pub(crate) mod verify;
mod watch;

use repot_core::{Error, Kind};

use crate::args::{Args, Command};
use crate::errors::{Exit, Failure};
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let global = &args.global;
    match &args.command {
        Command::Init(init) => init::run(global, init, output),
        Command::Check => check::run(global, output),
        Command::Plan(plan) => plan::run(global, plan, output),
        Command::Copy(copy) => copy::run(global, copy, output),
        Command::Verify(verify) => verify::run(global, verify, output),
        Command::Query(query) => query::run(global, query, output),
        Command::Get(get) => documents::get(global, get, output),
        Command::Put(put) => documents::put(global, put, output),
        Command::Patch(patch) => documents::patch(global, patch, output),
        Command::Rm(rm) => documents::rm(global, rm, output),
        Command::Ls(ls) => ls::run(global, ls, output),
        Command::Queue(queue) => queue::run(global, queue, output),
        Command::Export(export) => export::run(global, export, output),
        Command::Advise => advise::run(global, output),
        Command::Serve(serve) => serve::run(global, serve, output),
        Command::Move(wanted) => move_to::run(global, wanted, output),
        Command::Rollout(rollout) => moving::rollout(global, rollout, output),
        Command::Rollback(rollback) => moving::rollback(global, rollback, output),
        Command::Finish(finish) => moving::finish(global, finish, output),
        Command::Status(status) => move_status::status(global, status, output),
        Command::Mismatches(mismatches) => mismatches::run(global, mismatches, output),
        Command::Watch(watch) => watch::run(global, watch),
        Command::Explain(explain) => explain::run(explain, output),
        Command::Gen(what) => generate::run(global, what, output),
        Command::Key(key) => key::run(global, key, output),
        Command::Demo(demo) => demo::run(global, demo, output),
        Command::Completion(wanted) => completion::run(wanted, output),
    }
}

/// Threads for a command that waits for stores.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Error::new(Kind::Failed, "R0901", "the threads of the command cannot be started").cause(error).into()
    })
}

/// The error beneath one of the library for apps.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped")]
pub(crate) fn inner(error: repot::Error) -> Failure {
    Failure::Error(error.cause().clone())
}
