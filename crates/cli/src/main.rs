//! The `repot` command: reads arguments and environment, wires stores to the engine, prints.

mod answered;
mod args;
mod asking;
mod caching;
mod commands;
mod database_url;
mod document_args;
mod errors;
mod log;
mod move_args;
mod move_news;
mod operator;
mod output;
mod page;
mod paths;
mod progress;
mod reloading;
mod serving;
mod settings;
mod variables;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output::new(&args.global);
    match commands::run(&args, &output) {
        Ok(code) => code.into(),
        Err(failure) => output.fail(&failure).into(),
    }
}
