//! What a database says of itself and of the documents in it.

use repot_core::{Reader, Result};
use repot_model::plan::Plan;
use repot_model::sql::Dialect;

use super::rules::{Figure, Leads, Measured, Reading, Readings};
use crate::store::{LEADS, figures};

/// How long rows are counted, milliseconds.
const BUDGET_MS: u32 = 2_000;

/// A database that documents were copied into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where the documents are written: here since the first write, else in the files still.
    pub leads: Leads,
    /// Bytes, where that is known.
    pub size_bytes: Option<u64>,
    /// Tables of the model, each with its rows, as far as they are known.
    pub rows: Vec<(String, u64)>,
    /// Of the documents here, where they are written here; `from` in them names the database.
    pub readings: Readings,
}

impl Database {
    /// Asks a database; `name`: for people.
    ///
    /// # Errors
    /// When it is out of reach.
    pub fn of(reader: &mut dyn Reader, plan: &Plan, name: &str) -> Result<Self> {
        let found = figures(reader, plan, BUDGET_MS)?;
        let leads = match (reader.meta(LEADS)?, reader.speech()?.dialect) {
            (None, _) => Leads::Files,
            (Some(_), Dialect::Sqlite) => Leads::Sqlite,
            (Some(_), Dialect::Postgres) => Leads::Postgres,
        };
        let mut readings = Readings::new();
        if leads != Leads::Files {
            let measured = |value: u64, of: &str| {
                Reading::Measured(Measured { value, of: of.to_owned(), from: name.to_owned() })
            };
            readings.insert(Figure::Documents, documents(reader, &measured)?);
            readings.insert(Figure::LargestObject, largest(reader, &measured)?);
        }
        Ok(Self { leads, size_bytes: found.size_bytes, rows: found.rows, readings })
    }
}

fn documents(reader: &mut dyn Reader, measured: &dyn Fn(u64, &str) -> Reading) -> Result<Reading> {
    let sql = "select collection, count(*) from repot_documents where code is null \
               group by collection order by 2 desc, 1 limit 1";
    read(reader, sql, measured)
}

fn largest(reader: &mut dyn Reader, measured: &dyn Fn(u64, &str) -> Reading) -> Result<Reading> {
    let sql = "select path, size from repot_objects where status in (0, 1) order by size desc, path limit 1";
    read(reader, sql, measured)
}

/// The name and the number that the first row has.
fn read(reader: &mut dyn Reader, sql: &str, measured: &dyn Fn(u64, &str) -> Reading) -> Result<Reading> {
    let row = reader.query(sql, 1)?.rows.into_iter().next().unwrap_or_default();
    let found = match row.as_slice() {
        [Some(name), Some(number)] => number.parse().ok().map(|number| measured(number, name)),
        _ => None,
    };
    Ok(found.unwrap_or_else(|| Reading::Unknown("there are no documents".to_owned())))
}
