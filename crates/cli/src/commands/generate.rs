//! `repot gen`: what can be made from the model.

use std::sync::Arc;

use repot_core::store::Layout;
use repot_json::Limits;
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
        Generated::Openapi => {
            let project = Project::open(global)?;
            let (model, plan) = (Arc::new(project.model), Arc::new(project.plan));
            let document = repot_server::openapi(&Layout::new(model, plan, Limits::default())?);
            output.print_raw(format!("{document:#}\n").as_bytes());
        }
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
