//! Figures of the database for whoever watches over it, asked for by plain reading SQL.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use repot_core::store::{Figures, LONG_TRANSACTION_S, PoolUsage, Recorded, Vitals};
use repot_core::{Reader, Result};
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, quote};

use super::row_store::RowStore;

/// Rows of a table that are counted at the most, where the database keeps no estimate.
const COUNTED_MOST: u64 = 20_000;

#[async_trait]
impl Vitals for RowStore {
    fn pools(&self) -> Vec<(&'static str, PoolUsage)> {
        let (reading, writing) = Self::pools(self);
        vec![("reading", reading), ("writing", writing)]
    }

    async fn figures(&self, budget_ms: u32) -> Result<Figures> {
        self.read(move |desk, _| {
            let plan = desk.plan;
            figures(desk.reader(), plan, budget_ms)
        })
        .await
    }

    async fn recorded(&self, values: &[&'static str]) -> Result<Recorded> {
        let names = values.to_vec();
        self.read(move |desk, _| {
            let reader = desk.reader();
            let values = names.iter().map(|name| reader.meta(name)).collect::<Result<_>>()?;
            Ok(Recorded { objects: reader.count_objects()?, values })
        })
        .await
    }
}

/// Figures of a database, which is at work for this for about `budget_ms` milliseconds at the most.
///
/// # Errors
/// When it is out of reach.
pub fn figures(reader: &mut dyn Reader, plan: &Plan, budget_ms: u32) -> Result<Figures> {
    let (begin, budget) = (Instant::now(), Duration::from_millis(budget_ms.into()));
    let is_of_this_model = reader.meta("plan_hash")?.is_some_and(|hash| hash == plan.hash);
    let dialect = reader.speech()?.dialect;
    let mut figures = Figures { is_of_this_model, ..Figures::default() };
    match dialect {
        Dialect::Sqlite => {
            let size = "select page_count * page_size from pragma_page_count, pragma_page_size";
            figures.size_bytes = number(reader, size)?;
            figures.rows = counted(reader, plan, || begin.elapsed() < budget)?;
        }
        Dialect::Postgres => {
            figures.size_bytes = number(reader, "select pg_database_size(current_database())")?;
            figures.rows = estimated(reader, plan)?;
            figures.long_transactions = Some(long_transactions(reader)?);
        }
    }
    Ok(figures)
}

fn first(reader: &mut dyn Reader, sql: &str) -> Result<Vec<Option<u64>>> {
    let answer = reader.query(sql, 1)?;
    let row = answer.rows.into_iter().next().unwrap_or_default();
    Ok(row.into_iter().map(|cell| cell.and_then(|text| text.parse().ok())).collect())
}

fn number(reader: &mut dyn Reader, sql: &str) -> Result<Option<u64>> {
    Ok(first(reader, sql)?.into_iter().next().flatten())
}

/// Counts the rows of small tables while there is time. For larger ones takes the estimate of `analyze`, where one was made.
fn counted(reader: &mut dyn Reader, plan: &Plan, has_time: impl Fn() -> bool) -> Result<Vec<(String, u64)>> {
    let analyzed = number(reader, "select count(*) from sqlite_schema where name = 'sqlite_stat1'")?;
    let mut rows = Vec::new();
    for table in plan.tables.iter().take_while(|_| has_time()) {
        let name = quote(&table.name);
        let sql = format!("select count(*) from (select 1 from {name} limit {})", COUNTED_MOST + 1);
        let mut found = number(reader, &sql)?;
        if found.is_some_and(|count| count > COUNTED_MOST) {
            // its first word is how many rows there were
            let name = table.name.replace('\'', "''");
            let sql = format!(
                "select max(cast(stat as integer)) from sqlite_stat1 where tbl = '{name}' collate nocase"
            );
            found = if analyzed == Some(1) { number(reader, &sql)? } else { None };
        }
        rows.extend(found.map(|count| (table.name.clone(), count)));
    }
    Ok(rows)
}

/// The server's own running counts, which cost nothing.
fn estimated(reader: &mut dyn Reader, plan: &Plan) -> Result<Vec<(String, u64)>> {
    let sql = "select c.relname, coalesce(pg_stat_get_live_tuples(c.oid), 0) from pg_class c \
               where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')";
    let answer = reader.query(sql, 100_000)?;
    let is_ours = |name: &str| plan.tables.iter().any(|table| table.name == name);
    let row = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().flatten();
        let name = cells.next().filter(|name| is_ours(name))?;
        Some((name, cells.next()?.parse().ok()?))
    };
    Ok(answer.rows.into_iter().filter_map(row).collect())
}

/// How many there are, and the age of the oldest in seconds. Of other users' transactions the server may tell nothing.
fn long_transactions(reader: &mut dyn Reader) -> Result<(u64, u64)> {
    let sql = format!(
        "select count(*), coalesce(floor(extract(epoch from max(clock_timestamp() - xact_start))), 0)::bigint \
         from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and xact_start < clock_timestamp() - interval '{LONG_TRANSACTION_S} seconds'"
    );
    let found = first(reader, &sql)?;
    let at = |at: usize| found.get(at).copied().flatten().unwrap_or(0);
    Ok((at(0), at(1)))
}
