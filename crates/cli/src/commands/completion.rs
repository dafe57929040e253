//! `repot completion`: a script for a shell.

use clap::CommandFactory as _;
use repot_core::Result;

use crate::args::{Args, Completion};
use crate::errors::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(wanted: &Completion, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut Args::command(), "repot", &mut script);
    if output.json {
        let script = String::from_utf8_lossy(&script);
        output.done(serde_json::json!({"type": "result", "script": script}), &[]);
    } else {
        output.print_raw(&script);
    }
    Ok(Exit::Done)
}
