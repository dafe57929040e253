//! The S3 server by itself, for a person who wants to try something: `repot-s3lab [--port N] [FOLDER]`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the person who runs it"
)]

use std::path::Path;
use std::process::ExitCode;

use repot_s3lab::S3Lab;

const HELP: &str =
    "repot-s3lab [--port N] [FOLDER]   an S3 server in memory, filled with the files of FOLDER";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = run(&words);
    if let Err(message) = &outcome {
        eprintln!("error: {message}");
    }
    ExitCode::from(u8::from(outcome.is_err()))
}

fn run(words: &[&str]) -> Result<(), String> {
    let (port, folder) = match words {
        ["--help" | "-h"] => {
            println!("{HELP}");
            return Ok(());
        }
        ["--port", port, rest @ ..] => {
            (port.parse().map_err(|error| format!("{port} is no port: {error}"))?, rest)
        }
        rest => (0, rest),
    };
    let lab = S3Lab::start_on(port).map_err(|error| format!("the server cannot start: {error}"))?;
    match folder {
        [] => {}
        [folder] => fill(&lab, Path::new(folder))?,
        _ => return Err(HELP.to_owned()),
    }
    println!("endpoint {} bucket {} ({} objects)", lab.endpoint(), lab.bucket(), lab.keys().len());
    println!("export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", lab.access_key(), lab.secret_key());
    println!("Ctrl-C stops it");
    loop {
        std::thread::park();
    }
}

fn fill(lab: &S3Lab, folder: &Path) -> Result<(), String> {
    let tree = repot_testkit::read_tree(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    for (path, bytes) in tree {
        let key =
            path.to_str().ok_or_else(|| format!("{} is no UTF-8, so it cannot be a key", path.display()))?;
        lab.put(key, bytes);
    }
    Ok(())
}
