//! The end of a bulk load. Each step can be done again, so that a process that ends anywhere in between leaves
//! nothing but work for the next.

use std::fs::File;
use std::path::Path;

use crate::connection::Connection;
use repot_core::{Error, Kind, Loading, Result, Violation};
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, create_index, quote};

use crate::connect::{SqliteOptions, settle};
use crate::decode;
use crate::error::failed;
use crate::references::reason;
use crate::rows::Access;
use crate::schema::{DOCUMENTS_BY_KEY, set_steady};
use crate::statements::selected;

/// Rows looked at for statistics, for each index.
const ANALYSIS_ROWS: u32 = 400;

/// Looks for rows that refer to nothing; when there are none, builds what is missing and turns to steady.
pub(crate) fn finish(
    access: Access<'_>,
    path: &Path,
    options: &SqliteOptions,
    most: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Violation>> {
    let connection = access.connection;
    progress("building the index of documents");
    // first, because whoever sets violating documents aside looks them up by key
    connection.execute(DOCUMENTS_BY_KEY, ()).map_err(failed("build the index of documents"))?;
    let violations = dangling(access, most, progress)?;
    if !violations.is_empty() {
        return Ok(violations);
    }
    let indexes: Vec<_> = access
        .plan
        .tables
        .iter()
        .flat_map(|table| table.indexes.iter().map(move |index| (table, index)))
        .collect();
    for (at, (table, index)) in indexes.iter().enumerate() {
        progress(&format!("building index {} of {}: {}", at + 1, indexes.len(), index.name));
        let what = format!("build the index {}", index.name);
        connection.execute(&create_index(table, index, Dialect::Sqlite), ()).map_err(failed(&what))?;
    }
    crate::rules::enforce(connection, access.plan)?;
    index_words(connection, access.plan, progress)?;
    progress("gathering statistics");
    let analyze = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "analysis_limit", ANALYSIS_ROWS)?;
        connection.execute_batch("analyze")
    };
    analyze().map_err(failed("gather statistics"))?;
    settle(connection, Loading::Steady, options)?;
    set_steady(connection)?;
    durable(connection, path, progress)?;
    Ok(violations)
}

/// Indexes the words of everything that was loaded.
fn index_words(connection: &Connection, plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let mut steps = 0_usize;
    while crate::search::step(connection, plan)? {
        if steps.is_multiple_of(100) {
            progress("indexing words");
        }
        steps += 1;
    }
    Ok(())
}

/// Brings the write-ahead log into the database and both to the disk.
pub(crate) fn durable(connection: &Connection, path: &Path, progress: &mut dyn FnMut(&str)) -> Result<()> {
    progress("writing everything to the disk");
    // a reader may keep the log from being emptied; with `synchronous = full` it is on the disk all the same
    connection
        .query_row("pragma wal_checkpoint(truncate)", (), |_| Ok(()))
        .map_err(failed("write everything to the disk"))?;
    let sync = || -> std::io::Result<()> {
        File::open(path)?.sync_all()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    sync().map_err(|error| {
        Error::new(Kind::Failed, "R0106", format!("cannot write {} to the disk", path.display()))
            .hint("Check the disk and run the same command again.")
            .cause(error)
    })
}

/// Rows that refer to nothing, at most `most`.
fn dangling(access: Access<'_>, most: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Violation>> {
    let mut out = Vec::new();
    let tables = &access.plan.tables;
    for (at, table) in tables.iter().enumerate() {
        for key in table.foreign_keys.iter().filter(|key| key.may_dangle) {
            progress(&format!("checking references {}.{}", table.name, table.columns[key.column].name));
            let target = &tables[key.table];
            let column = quote(&table.columns[key.column].name);
            let sql = format!(
                "select {} from {} as r where r.{column} is not null and not exists (select 1 from {} as t where t.{} = r.{column}) limit ?1",
                selected(table),
                quote(&table.name),
                quote(&target.name),
                quote(&target.columns[key.target_column].name),
            );
            let left = most.saturating_sub(out.len());
            if left == 0 {
                return Ok(out);
            }
            let what = format!("check the references of the table {}", table.name);
            let mut statement = access.connection.prepare(&sql).map_err(failed(&what))?;
            let limit = i64::try_from(left).unwrap_or(i64::MAX);
            let mut rows = statement.query([limit]).map_err(failed(&what))?;
            while let Some(row) = rows.next().map_err(failed(&what))? {
                let mut cells = Vec::new();
                decode::row(table, row, &mut cells).map_err(failed(&what))?;
                let reason = reason(access.plan, at, key, &cells);
                // without a document there is no key; the caller finds none by it and reports the reason
                let found = access.root_of(at, &cells)?;
                let (collection, key) = found.unwrap_or_else(|| (table.name.clone(), String::new()));
                out.push(Violation { collection, key, reason });
            }
        }
    }
    Ok(out)
}
