//! `repot query`: asks the database, read-only.

use repot_core::QueryResult;
use serde_json::{Map, Value, json};

use crate::args::{Global, Query};
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::wiring::Project;

/// Widest column of a table; longer values are cut there (not in CSV and JSON).
const WIDEST: usize = 60;

pub(crate) fn run(global: &Global, query: &Query, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let target = project.copied()?;
    let result = target.reader()?.query(&query.sql, query.limit)?;
    if output.json {
        let rows: Vec<Value> = result.rows.iter().map(|row| row_json(&result.columns, row)).collect();
        output.done(
            json!({"type": "result", "columns": result.columns, "rows": rows, "more": result.more}),
            &[],
        );
    } else if query.csv {
        output.print_raw(csv(&result).as_bytes());
    } else {
        output.print_raw(table(&result).as_bytes());
        if result.more {
            output.say(&format!("There are more than {} rows; --limit shows more.", query.limit));
        }
    }
    Ok(Exit::Done)
}

fn row_json(columns: &[String], row: &[Option<String>]) -> Value {
    let cells = columns.iter().zip(row).map(|(name, cell)| (name.clone(), json!(cell)));
    Value::Object(cells.collect::<Map<_, _>>())
}

fn csv(result: &QueryResult) -> String {
    let field = |text: &str| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut out = result.columns.iter().map(|name| field(name)).collect::<Vec<_>>().join(",") + "\r\n";
    for row in &result.rows {
        let cells: Vec<String> =
            row.iter().map(|cell| cell.as_deref().map_or_else(String::new, field)).collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

/// An aligned table; numbers stand at the right.
pub(super) fn table(result: &QueryResult) -> String {
    let shown = |cell: &Option<String>| -> String {
        let text = cell.as_deref().unwrap_or("").replace(['\n', '\r', '\t'], " ");
        if text.chars().count() > WIDEST {
            text.chars().take(WIDEST - 1).chain(['…']).collect()
        } else {
            text
        }
    };
    let rows: Vec<Vec<String>> = result.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let numeric: Vec<bool> = (0..result.columns.len())
        .map(|at| {
            !rows.is_empty() && rows.iter().all(|row| row[at].is_empty() || row[at].parse::<f64>().is_ok())
        })
        .collect();
    let widths: Vec<usize> = (0..result.columns.len())
        .map(|at| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            cells.chain([result.columns[at].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&result.columns).chain(&rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths.iter().zip(&numeric))
            .map(
                |(cell, (&width, &right))| {
                    if right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
                },
            )
            .collect();
        out.push_str(cells.join("   ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{csv, table};
    use repot_core::QueryResult;

    #[test]
    fn tables_and_csv() {
        let result = QueryResult {
            columns: vec!["user".into(), "count(*)".into()],
            rows: vec![
                vec![Some("u1".into()), Some("22".into())],
                vec![None, Some("3".into())],
                vec![Some("a,\"b\"".into()), None],
            ],
            more: false,
        };
        assert_eq!(table(&result), "user    count(*)\nu1            22\n               3\na,\"b\"\n");
        assert_eq!(csv(&result), "user,count(*)\r\nu1,22\r\n,3\r\n\"a,\"\"b\"\"\",\r\n");
    }
}
