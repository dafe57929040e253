//! `repot demo`: the bundled council sample through init, plan, copy, verify, query and export, each step printed
//! as the command it is. Nothing but the program itself is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use repot_core::{Error, Kind};

use crate::args::{Demo, Global};
use crate::errors::{Exit, Failure};
use crate::output::Output;

include!(concat!(env!("OUT_DIR"), "/sample.rs"));

pub(crate) fn run(global: &Global, demo: &Demo, output: &Output) -> Result<Exit, Failure> {
    let folder = global.dir.join(format!("repot-demo-{}", std::process::id()));
    let done = steps(&folder, output);
    if demo.keep && done.is_ok() {
        output.say(&format!("Kept {}.", folder.display()));
    } else {
        std::fs::remove_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    }
    done
}

fn steps(folder: &Path, output: &Output) -> Result<Exit, Failure> {
    for (path, bytes) in SAMPLE {
        let file = folder.join("data").join(path);
        let parent: PathBuf = file.parent().map(Path::to_owned).unwrap_or_default();
        std::fs::create_dir_all(&parent).map_err(|error| failed(&parent, error))?;
        std::fs::write(&file, bytes).map_err(|error| failed(&file, error))?;
    }
    output.say(&format!(
        "A sample of an AI council app: {} files in {}/data\n",
        SAMPLE.len(),
        folder.display()
    ));
    let question = "select user_id, count(*) as conversations from conversations group by 1 order by 1";
    let commands: [&[&str]; 6] =
        [&["init", "./data"], &["plan"], &["copy"], &["verify"], &["query", question], &["export", "./back"]];
    let program = std::env::current_exe().map_err(|error| failed(folder, error))?;
    let mut exit = Exit::Done;
    for words in commands {
        let shown: Vec<String> = words
            .iter()
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
            .collect();
        output.say(&format!("$ repot {}", shown.join(" ")));
        let mut command = Command::new(&program);
        command
            .arg("-C")
            .arg(folder)
            .args(words)
            .env_remove("DATABASE_URL")
            .env_remove("REPOT_SOURCE")
            .env_remove("REPOT_MODEL");
        let status = command.status().map_err(|error| failed(&program, error))?;
        match status.code() {
            Some(0) => {}
            Some(3) => exit = Exit::Done,
            code => {
                return Err(Error::new(
                    Kind::Failed,
                    "R0901",
                    format!("repot {} ended with {code:?}", words.join(" ")),
                )
                .into());
            }
        }
        output.say("");
    }
    compare(folder, output)?;
    Ok(exit)
}

/// The export must be the sample, byte for byte.
fn compare(folder: &Path, output: &Output) -> Result<(), Failure> {
    let mut same = 0;
    for (path, bytes) in SAMPLE {
        let back = std::fs::read(folder.join("back").join(path))
            .map_err(|error| failed(&folder.join(path), error))?;
        if back != *bytes {
            return Err(
                Error::new(Kind::Corrupt, "R0803", format!("{path} came back with other bytes")).into()
            );
        }
        same += 1;
    }
    output.say(&format!("Compared {same} exported files with the sample: each is the same, byte for byte."));
    Ok(())
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Failed, "R0117", format!("{} cannot be read or written", path.display())).cause(error)
}
