//! `repot export`: the documents back as files.

use repot_bucket::sink::{DirectorySink, SinkOptions};
use repot_engine::export::{Export as EngineExport, Report};
use serde_json::json;

use crate::args::{Export, Global};
use crate::errors::{Exit, Failure};
use crate::output::{Output, count, number, size};
use crate::progress::Shown;
use crate::wiring::{Project, seed};

pub(crate) fn run(global: &Global, export: &Export, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let target = project.copied()?;
    let directory = global.dir.join(&export.directory);
    let sink = DirectorySink::create(
        &directory,
        SinkOptions { allow_non_empty: export.into_existing, ..SinkOptions::default() },
    )?;
    output.hello();
    project.settle_aloud(&export.bounds, output)?;
    let progress = Shown::new(output);
    let options = project.options(&export.bounds);
    let engine = EngineExport {
        model: &project.model,
        plan: &project.plan,
        options: &options,
        progress: &progress,
        seed: seed(),
    };
    let report = engine.run(target.as_ref(), &sink)?;
    progress.end();
    let shown = export.directory.display();
    output.say(&format!(
        "Exported {} ({}) to {shown}",
        count(report.objects, "object", "objects"),
        size(report.bytes)
    ));
    tell(&report, output);
    let complete = report.damaged.is_empty();
    let next = compared_by(&project, &shown.to_string());
    let next: Vec<&str> = next.iter().map(String::as_str).collect();
    output.done(
        json!({
            "type": "result",
            "objects": report.objects, "bytes": report.bytes, "changed": report.changed, "notes": report.notes,
            "unmatched": report.tally.unmatched, "stays": report.tally.stays,
            "damaged": report.damaged.iter().map(|one| json!({"path": one.path, "what": one.what})).collect::<Vec<_>>(),
        }),
        &next,
    );
    Ok(if complete { Exit::Done } else { Exit::Differences })
}

/// The command that compares what was exported with the files it came from; a database or a bucket has none.
fn compared_by(project: &Project, exported: &str) -> Option<String> {
    let files = project.source_directory()?;
    // what a live move keeps beside the documents is none of them
    let apart = if project.directory.join(&files).join(".repot").exists() { " -x .repot" } else { "" };
    Some(format!("diff -r{apart} {} {exported}", files.display()))
}

fn tell(report: &Report, output: &Output) {
    if report.changed > 0 {
        output.say(&format!(
            "  {} changed with SQL: the changes are in the files, in their own formatting",
            count(report.changed, "was", "were")
        ));
    }
    let left = report.tally.unmatched + report.tally.stays;
    if left > 0 {
        output.say(&format!("  {} never copied (no place, or move = false), so not exported", number(left)));
    }
    for note in &report.notes {
        output.say(&format!("  {note}"));
    }
    for one in &report.damaged {
        output.say(&format!("  DAMAGED {}: {}", one.path.as_deref().unwrap_or_default(), one.what));
    }
}
