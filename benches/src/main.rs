//! `cargo xtask bench`: benchmarks of Repot against the limit of the machine.

mod args;
mod check;
mod child;
mod copy;
mod corpus;
mod database;
mod ground;
mod limit;
mod list;
mod live;
mod machine;
mod random;
mod report;
mod serve;
mod server;
mod steps;
mod store;
mod target;

use std::io::Write as _;

use anyhow::Result;
use clap::Parser as _;

use crate::args::{Arguments, Command};
use crate::corpus::Corpus;

fn main() -> Result<()> {
    let mut out = std::io::stdout();
    match Arguments::parse().command {
        Command::Copy(arguments) => copy::run(&arguments, &mut out)?,
        Command::Store(arguments) => store::run(&arguments, &mut out)?,
        Command::Serve(arguments) => serve::run(&arguments, &mut out)?,
        Command::Live(arguments) => live::run(&arguments, &mut out)?,
        Command::Peer(arguments) => serve::peer(&arguments, &mut out)?,
        Command::LimitServe { place, connections } => serve::limit(&place, connections, &mut out)?,
        Command::Generate { kind, size, directory } => {
            let corpus = Corpus::write(kind, size, &directory)?;
            writeln!(out, "{}: {} files, {} bytes", corpus.path.display(), corpus.documents, corpus.bytes)?;
        }
        Command::Limit { kind, source, target, threads } => {
            let rows = limit::run(kind, &source, &target, threads)?;
            let peak_kib = child::own_peak_kib().unwrap_or(0);
            writeln!(out, "{rows} {peak_kib}")?;
        }
        Command::List { source } => writeln!(out, "{}", list::run(&source)?)?,
    }
    Ok(())
}
