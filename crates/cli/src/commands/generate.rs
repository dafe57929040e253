//! `repot gen`: what can be made from the model.

use repot_model::language;

use crate::args::{Gen, Generated, Global};
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::wiring::Project;

pub(crate) fn run(global: &Global, generate: &Gen, output: &Output) -> Result<Exit, Failure> {
    match generate.what {
        Generated::Schema => output.print_raw(language::json_schema().as_bytes()),
        Generated::Sql => print_sql(&Project::open(global)?, output)?,
        Generated::Model => output.print_raw(language::print(&Project::open(global)?.model).as_bytes()),
    }
    Ok(Exit::Done)
}

/// The DDL of the chosen database.
pub(crate) fn print_sql(project: &Project, output: &Output) -> Result<(), Failure> {
    let sql = super::plan::ddl(project)?;
    if output.json {
        output.line(&serde_json::json!({"type": "result", "sql": sql}));
    } else {
        output.print_raw(sql.as_bytes());
    }
    Ok(())
}
