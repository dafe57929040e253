//! The `repot` command: reads arguments and environment, wires stores to the engine, prints.

mod args;
mod caching;
mod commands;
mod database_url;
mod errors;
mod log;
mod operator;
mod output;
mod progress;
mod reloading;
mod serving;
mod settings;
mod waiting;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output::new(&args.global);
    match commands::run(&args, &output) {
        Ok(code) => code.into(),
        Err(failure) => output.fail(&failure).into(),
    }
}
