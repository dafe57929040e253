//! `repot check`: source, target, and where each setting came from.

use repot_core::{Health, Result, RowSecurity};
use serde_json::{Value, json};

use crate::args::{Global, Tokens};
use crate::database_url::Database;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::serving;
use crate::variables::{self, Setting};
use crate::wiring::Project;

pub(crate) fn run(global: &Global, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let config = serving::config(&project, None)?;
    serving::tokens(&project, &Tokens::default())?;
    serving::traces(&project)?;
    let settings = variables::all(&project, &config)?;
    for setting in &settings {
        output.say(&setting_line(setting));
    }
    for line in variables::unknown(&project) {
        output.say(&format!("look {line}"));
    }
    let mut lines = Vec::new();
    let mut worst = Exit::Done;
    let mut report = |what: &str, health: Result<(String, Vec<String>)>| match health {
        Ok((message, warnings)) => {
            output.say(&format!("ok   {message}"));
            for warning in &warnings {
                output.say(&format!("look {warning}"));
            }
            lines.push(json!({"what": what, "ok": true, "message": message, "warnings": warnings}));
        }
        Err(error) => {
            output.say(&format!("FAIL {what}: {}", error.message()));
            if let Some(hint) = error.next_step() {
                output.say(&format!("     {hint}"));
            }
            lines.push(json!({"what": what, "ok": false, "code": error.code(), "message": error.message(), "hint": error.next_step()}));
            if worst == Exit::Done {
                worst = Failure::from(error).exit();
            }
        }
    };
    report("model", Ok((model_line(&project), not_yet(&project))));
    report(
        "source",
        project.source().and_then(|source| source.check()).map(|health| (health.message, health.warnings)),
    );
    report("target", target(&project));
    if let Ok(Database::Sqlite(file)) = project.database() {
        report("disk", disk(&file));
    }
    let settings: Vec<_> = settings.iter().map(setting_json).collect();
    let next: &[&str] = if worst == Exit::Done { &["repot plan"] } else { &["repot check"] };
    output.done(
        json!({"type": "result", "ok": worst == Exit::Done, "settings": settings, "unknown": variables::unknown(&project), "checks": lines}),
        next,
    );
    Ok(worst)
}

fn setting_line(setting: &Setting) -> String {
    let Setting { variable, value, from } = setting;
    let value = value.as_deref().unwrap_or("-");
    let later = if variable.later.is_empty() { "" } else { "; no effect: " };
    format!("     {} = {value}   ({}{later}{})", variable.name, from.words(), variable.later)
}

fn setting_json(setting: &Setting) -> Value {
    let Setting { variable, value, from } = setting;
    let later = Some(variable.later).filter(|later| !later.is_empty());
    json!({
        "name": variable.name,
        "value": value,
        "from": from.words(),
        "default": Some(variable.default).filter(|default| !default.is_empty()),
        "meaning": variable.meaning,
        "no_effect": later,
    })
}

/// The target, and whether it can hold tenants apart by itself.
fn target(project: &Project) -> Result<(String, Vec<String>)> {
    let mut target = project.target()?;
    let Health { message, mut warnings } = target.check()?;
    if let RowSecurity::Missing(why) = target.row_security(&project.plan)? {
        warnings.push(why);
    }
    Ok((message, warnings))
}

fn model_line(project: &Project) -> String {
    let collections = project.model.collections.len();
    format!("{}: {collections} collections, {} tables", project.file, project.plan.tables.len())
}

pub(crate) fn not_yet(project: &Project) -> Vec<String> {
    let mut lines: Vec<String> = project
        .model
        .not_yet()
        .iter()
        .map(|later| {
            let collection = later.collection.as_deref().unwrap_or("repot");
            format!("Not yet: {collection}, {}. {}", later.word, later.what)
        })
        .collect();
    lines.dedup();
    lines
}

/// Can the database file's folder be written?
fn disk(file: &std::path::Path) -> Result<(String, Vec<String>)> {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let probe = folder.join(format!(".repot-check-{}", std::process::id()));
    let written = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Ok(space(folder)),
        Err(error) => {
            let message = format!("{} cannot be written", folder.display());
            Err(repot_core::Error::new(repot_core::Kind::Denied, "R0113", message)
                .cause(error)
                .hint("Give the folder the right to be written, or set DATABASE_URL."))
        }
    }
}

/// How much room there is, with a warning below a tenth.
fn space(folder: &std::path::Path) -> (String, Vec<String>) {
    let shown = folder.display();
    let Some((free, all)) = free(folder) else {
        return (format!("{shown} can be written"), Vec::new());
    };
    let tight = (free < all / 10).then(|| format!("Less than a tenth of the disk of {shown} is free."));
    (format!("{shown} can be written, {} free", crate::output::size(free)), tight.into_iter().collect())
}

/// Bytes that are free on the disk of a folder, and these with all that are used: the share is that of `df`, which leaves
/// out what a file system keeps for itself.
pub(crate) fn free(folder: &std::path::Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    Some((bytes(found.f_bavail), bytes(used.saturating_add(found.f_bavail))))
}
