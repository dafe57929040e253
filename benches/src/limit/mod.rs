//! The limit: a straight pipeline, written only for this benchmark, that reads, scans, splits and loads with the
//! database's fastest way in and keeps nothing else. It proves nothing, resumes nothing and knows its two corpora.

mod documents;
mod files;
mod postgres;
mod sqlite;

use std::path::Path;

use anyhow::{Result, anyhow};
use repot_model::language::parse;
use repot_model::plan::Plan;

use crate::corpus::Kind;

/// Files a thread takes at a time.
const FILES_AT_ONCE: usize = 32;

/// The compiled model of a corpus.
pub(crate) fn plan(kind: Kind) -> Result<Plan> {
    let shown = |problems: Vec<repot_model::language::Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the model of {kind}: {}", lines.join("\n"))
    };
    let text = kind.model().replace("{source}", "./data");
    let model = parse(&text, "repot.toml", &|_| None).map_err(shown)?;
    Plan::compile(&model).map_err(shown)
}

/// Loads the corpus at `source` into a new database: a PostgreSQL URL, or the path of a SQLite file.
/// Gives back the number of rows.
pub(crate) fn run(kind: Kind, source: &Path, target: &str, threads: usize) -> Result<u64> {
    let plan = plan(kind)?;
    if target.starts_with("postgres") {
        postgres::run(kind, source, target, &plan, threads)
    } else {
        sqlite::run(kind, source, Path::new(target), &plan, threads)
    }
}
