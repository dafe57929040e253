//! Small durable facts beside the documents: `repot_facts`.

use bytes::Bytes;
use repot_core::store::{Fact, FactChange, FactWhen};
use repot_core::{FactBatch, FactReader, Result};
use rusqlite::{OptionalExtension as _, Row};

use crate::connection::Connection;
use crate::error::failed;
use crate::reader::SqliteReader;

/// The version of a state is its row's number, which is never given out twice: a new state is a new row.
pub(crate) const TABLE: &str = "create table if not exists repot_facts (
  version integer primary key autoincrement,
  kind text not null,
  name text not null,
  value blob not null,
  expires_ms integer,
  unique (kind, name)
) strict;
create index if not exists repot_facts_expires on repot_facts (expires_ms) where expires_ms is not null";

/// Columns in the order of [`read`].
const COLUMNS: &str = "kind, name, version, value, expires_ms";

/// Makes the table where it is not there.
pub(crate) fn make(connection: &Connection) -> Result<()> {
    if crate::schema::taken(connection, "repot_facts")?.is_some() {
        return Ok(());
    }
    let what = "make repot_facts";
    let transaction = crate::schema::begin(connection, what)?;
    transaction.execute_batch(TABLE).map_err(failed(what))?;
    transaction.commit().map_err(failed(what))
}

/// Notes and removes what a batch says, in its transaction.
pub(crate) fn apply(connection: &Connection, facts: &FactBatch) -> Result<()> {
    // nobody else writes while this transaction does
    for demand in facts.demands_in_order() {
        demand.check(one(connection, &demand.kind, &demand.name)?.as_ref(), facts.now_ms)?;
    }
    for change in facts.in_order() {
        let applies = change.when == FactWhen::Any || {
            let there = one(connection, &change.kind, &change.name)?;
            change.applies(there.as_ref(), facts.now_ms)?
        };
        if applies {
            note(connection, change).map_err(failed("note a fact"))?;
        }
    }
    let sql = "delete from repot_facts where kind = ?1 and name = ?2 and version = ?3";
    for gone in &facts.gone {
        let run = || connection.prepare_cached(sql)?.execute((&gone.0, &gone.1, gone.2));
        run().map_err(failed("remove facts"))?;
    }
    Ok(())
}

fn note(connection: &Connection, change: &FactChange) -> rusqlite::Result<usize> {
    let name = (&change.kind, &change.name);
    match &change.to {
        Some(to) => connection
            .prepare_cached(
                "insert or replace into repot_facts (kind, name, value, expires_ms) values (?1, ?2, ?3, ?4)",
            )?
            .execute((name.0, name.1, to.value.as_ref(), to.expires_ms)),
        None => {
            connection.prepare_cached("delete from repot_facts where kind = ?1 and name = ?2")?.execute(name)
        }
    }
}

fn one(connection: &Connection, kind: &str, name: &str) -> Result<Option<Fact>> {
    connection
        .prepare_cached(&format!("select {COLUMNS} from repot_facts where kind = ?1 and name = ?2"))
        .and_then(|mut statement| statement.query_row((kind, name), read).optional())
        .map_err(failed("read a fact"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Fact> {
    Ok(Fact {
        kind: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        expires_ms: row.get(4)?,
    })
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

impl FactReader for SqliteReader {
    fn fact(&mut self, kind: &str, name: &str) -> Result<Option<Fact>> {
        one(self.begin()?, kind, name)
    }

    fn named(&mut self, names: &[(String, String)]) -> Result<Vec<Fact>> {
        let mut found = Vec::new();
        for (kind, name) in names {
            found.extend(self.fact(kind, name)?);
        }
        Ok(found)
    }

    fn hold_fact(&mut self, kind: &str, name: &str) -> Result<Option<Fact>> {
        // the transaction has kept every other writer out from its beginning
        one(self.begin()?, kind, name)
    }

    fn facts(&mut self, kind: &str, after: &str, most: usize, now_ms: i64) -> Result<Vec<Fact>> {
        let sql = format!(
            "select {COLUMNS} from repot_facts where kind = ?1 and name > ?2 \
             and (expires_ms is null or expires_ms > ?3) order by name limit ?4"
        );
        let connection = self.begin()?;
        let run = || -> rusqlite::Result<Vec<Fact>> {
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map((kind, after, now_ms, limit(most)), read)?.collect()
        };
        run().map_err(failed("read facts"))
    }

    fn count_facts(&mut self, kind: &str, now_ms: i64) -> Result<u64> {
        let sql =
            "select count(*) from repot_facts where kind = ?1 and (expires_ms is null or expires_ms > ?2)";
        let connection = self.begin()?;
        let run = || connection.prepare_cached(sql)?.query_row((kind, now_ms), |row| row.get::<_, i64>(0));
        Ok(run().map_err(failed("count facts"))?.unsigned_abs())
    }

    fn expired_facts(&mut self, now_ms: i64, most: usize) -> Result<Vec<(String, String, i64)>> {
        let sql = "select kind, name, version from repot_facts \
                   where expires_ms is not null and expires_ms <= ?1 order by expires_ms limit ?2";
        let connection = self.begin()?;
        let run = || -> rusqlite::Result<Vec<(String, String, i64)>> {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement
                .query_map((now_ms, limit(most)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        };
        run().map_err(failed("read facts"))
    }
}
