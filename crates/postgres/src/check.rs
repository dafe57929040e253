//! Can the server be used, and what would cost data on it?

use repot_core::{Error, Health, Kind, Result};
use tokio_postgres::Row;

use crate::error::failed;
use crate::lock::is_pooled;
use crate::transaction::Writer;

/// PostgreSQL 13.
const OLDEST: i32 = 130_000;
/// Fewer free connections than this are worth a word.
const FEW: i64 = 5;

impl Writer {
    /// Version, rights, room, and settings that lose data when the power fails.
    pub(crate) async fn check(&mut self) -> Result<Health> {
        self.ready().await?;
        let row = self
            .client()
            .query_typed_one(
                "select current_setting('server_version'), current_setting('server_version_num')::int, current_setting('server_encoding'), \
                 current_schema()::text, coalesce(has_schema_privilege(current_schema(), 'create'), false), \
                 current_setting('transaction_read_only') = 'on', \
                 current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
                   - (select count(*) from pg_stat_activity where backend_type = 'client backend'), \
                 current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')",
                &[],
            )
            .await
            .map_err(|error| failed("look at the server", error))?;
        let version: String = row.get(0);
        let version = version.split(' ').next().unwrap_or_default();
        usable(&row, version)?;
        let free: i64 = row.get(6);
        let pooled = is_pooled(&self.address, self.client()).await?;
        let mut warnings = Vec::new();
        if pooled {
            warnings.push("The URL leads to a pooler that shares sessions; give the direct URL of the server for `copy`, `verify` and `export`.".to_owned());
        }
        if free < FEW {
            warnings.push(format!("Only {free} connections are free; Repot uses up to four."));
        }
        for (at, name) in [(7, "fsync"), (8, "full_page_writes"), (9, "synchronous_commit")] {
            if row.get::<_, String>(at) == "off" {
                warnings.push(format!("The server runs with {name} = off: rows that were confirmed can be lost when its power fails."));
            }
        }
        let pooler = if pooled { "behind a pooler" } else { "no pooler" };
        Ok(Health {
            message: format!("PostgreSQL {version}, can create tables, {free} connections free, {pooler}"),
            warnings,
        })
    }
}

/// Refuses servers that would lose or refuse data.
fn usable(row: &Row, version: &str) -> Result<()> {
    if row.get::<_, i32>(1) < OLDEST {
        return Err(Error::new(Kind::Unsupported, "R0115", format!("PostgreSQL {version} is too old"))
            .hint("Use PostgreSQL 13 or later."));
    }
    let encoding: String = row.get(2);
    if encoding != "UTF8" {
        return Err(Error::new(
            Kind::Unsupported,
            "R0115",
            format!("the database's encoding is {encoding}, which cannot hold every text"),
        )
        .hint("Make one with `create database NAME encoding 'UTF8' template template0`."));
    }
    if row.get::<_, bool>(5) {
        return Err(Error::new(
            Kind::Denied,
            "R0113",
            "the server takes no writes (a standby, or read only by its settings)",
        )
        .hint("Give the URL of the primary server."));
    }
    if !row.get::<_, bool>(4) {
        let schema: Option<String> = row.get(3);
        let place = schema
            .map_or_else(|| "any schema of its search_path".to_owned(), |schema| format!("schema {schema}"));
        return Err(Error::new(Kind::Denied, "R0113", format!("the user may not create tables in {place}"))
            .hint("Grant it: `grant create on schema public to USER`."));
    }
    Ok(())
}
