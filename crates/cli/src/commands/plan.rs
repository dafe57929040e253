//! `repot plan`: what a copy would do.

use repot_engine::preview::{Notice, Preview, preview};
use repot_model::sql::Dialect;
use serde_json::{Value, json};

use super::check::not_yet;
use crate::args::{Bounds, Global, Plan};
use crate::errors::{Exit, Failure};
use crate::output::{Output, count, number, size};
use crate::progress::Shown;
use crate::wiring::Project;

pub(crate) fn run(global: &Global, plan: &Plan, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    if plan.sql {
        super::generate::print_sql(&project, output)?;
        return Ok(Exit::Done);
    }
    show(&project, &Bounds { jobs: None, document_max: 16, batch: 4_096 }, plan.check, output)
}

/// Reads the whole source and says what a copy would do.
pub(crate) fn show(
    project: &Project,
    bounds: &Bounds,
    check: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    output.hello();
    let source = project.source()?;
    let mut target = project.target()?;
    let state = target.state()?;
    let progress = Shown::new(output);
    let found = preview(source.as_ref(), &project.model, &project.plan, &project.options(bounds), &progress)?;
    progress.end();
    let target_shown = target.to_string();
    of_this_model(project, state.as_ref(), &target_shown)?;
    let made = if state.is_none() { format!("Create {target}") } else { format!("Bring {target} in step") };
    output.say(&made);
    tables(project, &found, output);
    output.say(&format!("Leave {source} as it is."));
    let tally = found.tally;
    output.say(&format!(
        "{} listed ({}) = {} moved + {} set aside + {} unmatched + {} stay",
        number(tally.listed),
        size(found.bytes),
        number(tally.moved),
        number(tally.set_aside),
        number(tally.unmatched),
        number(tally.stays)
    ));
    let later = not_yet(project);
    if !(found.notices.is_empty() && found.unmatched.is_empty() && later.is_empty()) {
        output.say("Look at this:");
        notices(&found, &later, output);
    }
    output.done(json(project, &found, (&source.to_string(), &target_shown)), &["repot copy"]);
    let pending = state.is_none() || tally.set_aside > 0 || tally.unmatched > 0;
    Ok(if check && pending { Exit::Differences } else { Exit::Done })
}

/// The tables must be of this model.
pub(crate) fn of_this_model(
    project: &Project,
    state: Option<&repot_core::State>,
    target: &str,
) -> Result<(), repot_core::Error> {
    if state.is_none_or(|state| state.plan_hash == project.plan.hash) {
        return Ok(());
    }
    let message = format!("the model changed since {target} was made from it");
    Err(repot_core::Error::new(repot_core::Kind::Unsupported, "R0151", message)
        .hint("Take back the change, or copy into a fresh database (the files still lead)."))
}

/// What a copy would do.
pub(crate) fn json(project: &Project, found: &Preview, (source, target): (&str, &str)) -> Value {
    let tally = found.tally;
    json!({
        "type": "result",
        "source": source,
        "target": target,
        "tables": project.plan.tables.iter().zip(&found.rows).map(|(table, rows)| json!({
            "name": table.name, "rows": rows,
            "indexes": table.indexes.iter().map(|index| &index.name).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "documents": found.documents,
        "listed": tally.listed, "moved": tally.moved, "set_aside": tally.set_aside,
        "unmatched": tally.unmatched, "stays": tally.stays,
        "notices": found.notices.iter().map(notice_json).collect::<Vec<_>>(),
        "unmatched_paths": found.unmatched,
        "not_yet": not_yet(project),
    })
}

fn notice_json(notice: &Notice) -> Value {
    json!({"code": notice.code, "reason": notice.reason, "documents": notice.documents, "examples": notice.examples})
}

fn tables(project: &Project, found: &Preview, output: &Output) {
    let widest = project.plan.tables.iter().map(|table| table.name.len()).max().unwrap_or(0);
    for (table, &rows) in project.plan.tables.iter().zip(&found.rows) {
        let indexes: Vec<&str> = table.indexes.iter().map(|index| index.name.as_str()).collect();
        let indexes = if indexes.is_empty() { String::new() } else { format!("   {}", indexes.join(", ")) };
        output.say(&format!(
            "  + {:widest$}  {:>9} {}{indexes}",
            table.name,
            number(rows),
            if rows == 1 { "row" } else { "rows" }
        ));
    }
    for (name, _) in &project.plan.views {
        output.say(&format!("    {name}  view"));
    }
}

fn notices(found: &Preview, later: &[String], output: &Output) {
    for notice in &found.notices {
        let documents = count(notice.documents, "document", "documents");
        output.say(&format!("  {}  {documents}: {}", notice.code, notice.reason));
        for example in &notice.examples {
            output.say(&format!("         {example}"));
        }
    }
    if !found.unmatched.is_empty() {
        output.say(&format!(
            "  {} no place of the model; they stay where they are:",
            count(found.tally.unmatched, "file matches", "files match")
        ));
        for path in &found.unmatched {
            output.say(&format!("         {path}"));
        }
    }
    for line in later {
        output.say(&format!("  {line}"));
    }
}

/// Everything that makes a fresh database, in the order in which a copy runs it.
pub(crate) fn ddl(project: &Project) -> Result<String, repot_core::Error> {
    let all = match project.dialect()? {
        Dialect::Sqlite => repot_sqlite::schema_sql(&project.plan),
        Dialect::Postgres => repot_postgres::schema_sql(&project.plan),
    };
    Ok(all.join(";\n\n") + ";\n")
}
