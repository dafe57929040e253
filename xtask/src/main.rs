//! Development tasks, run as `cargo xtask NAME`: test, ci, tidy, bench. Nothing here is part of the product.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the person who runs it"
)]

mod bench;
mod ci;
mod command;
mod http_tools;
mod servers;
mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [--full] [-- ARGS]   run the tests with a private PostgreSQL, pgbouncer and Redis; --full: longer
                            fault tests;
                            ARGS go to cargo nextest (cargo test if there is no nextest): -- -p repot-json numbers
  ci [--full]               everything that must be green: tidy, format, clippy, test, doc
  tidy                      file sizes, forgotten tests, banned packages, broken links
  bench ARGS                benchmarks (release build): bench copy, bench store, bench serve, bench peer
  help                      this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", rest @ ..] => test::Options::parse(rest).and_then(|options| test::run(&options)),
        ["ci", rest @ ..] => ci::run(rest),
        ["tidy"] => tidy::run(),
        ["bench", rest @ ..] => bench::run(rest),
        [servers::KEEP] => servers::keep(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(format!("there is no `cargo xtask {}`\n\n{HELP}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
