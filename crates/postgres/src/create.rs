//! Our tables and the user's: what is there, and making them.

use crate::client::Client;
use repot_core::{Error, Kind, Loading, Result, State};
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, create_table, quote};
use tokio_postgres::types::Type;

use crate::epoch::Epoch;
use crate::error::failed;
use crate::transaction::Writer;
use crate::{epoch, kept, marks};

/// Format of our tables; raised when they change.
pub(crate) const FORMAT: i64 = 2;

/// Our tables, but for the lock's. Paths are in byte order whatever the database's collation; texts are
/// compressed already, so they are stored outside without another attempt.
pub(crate) const OURS: &str = "\
create table repot_meta (key text primary key, value text not null);
create table repot_objects (
  id bigint primary key, path text collate \"C\" not null unique, size bigint not null, modified_ns bigint not null,
  etag text, sha256 bytea not null, collection text, status smallint not null, code text, reason text, frame bytea);
create table repot_documents (
  object bigint not null, ordinal bigint not null, collection text not null, key text, etag text not null,
  version bigint not null, dictionary bigint not null, size bigint not null, text bytea not null, code text, reason text,
  primary key (object, ordinal));
alter table repot_documents alter column text set storage external;
create table repot_dictionaries (id bigint primary key, collection text not null, bytes bytea not null);
create table repot_pieces (path text collate \"C\" not null, number bigint not null, bytes bytea not null, primary key (path, number));
alter table repot_pieces alter column bytes set storage external;
alter table repot_objects alter column frame set storage external;
";

/// True when our tables are there.
pub(crate) async fn is_made(client: &Client) -> Result<bool> {
    let row = client
        .query_typed_one(
            "select to_regclass(quote_ident(current_schema()) || '.repot_meta') is not null",
            &[],
        )
        .await
        .map_err(|error| failed("look at the database", error))?;
    Ok(row.get::<_, Option<bool>>(0) == Some(true))
}

/// A value of ours.
pub(crate) async fn meta(client: &Client, key: &str) -> Result<Option<String>> {
    client
        .query_typed_opt("select value from repot_meta where key = $1", &[(&key, Type::TEXT)])
        .await
        .map(|row| row.map(|row| row.get(0)))
        .map_err(|error| failed("read repot_meta", error))
}

/// Where the target stands.
pub(crate) async fn state(client: &Client) -> Result<Option<State>> {
    if !is_made(client).await? {
        return Ok(None);
    }
    let format = need(client, "format").await?;
    if format.parse::<i64>().is_ok_and(|format| format > FORMAT) {
        return Err(Error::new(
            Kind::Unsupported,
            "R0108",
            "the database was written by a newer version of Repot",
        )
        .hint("Install the newer version."));
    }
    let loading = match need(client, "loading").await?.as_str() {
        "bulk" => Loading::Bulk,
        "steady" => Loading::Steady,
        _ => return Err(damaged("loading")),
    };
    let (model_text, plan_hash) = (need(client, "model_text").await?, need(client, "plan_hash").await?);
    Ok(Some(State { model_text, plan_hash, loading }))
}

async fn need(client: &Client, key: &str) -> Result<String> {
    meta(client, key).await?.ok_or_else(|| damaged(key))
}

pub(crate) fn damaged(key: &str) -> Error {
    Error::new(Kind::Corrupt, "R0803", format!("repot_meta has no proper `{key}`"))
        .hint("Somebody changed Repot's own tables; restore the database from a backup.")
}

/// Those of `names` that tables, views or other relations have already.
pub(crate) async fn existing(client: &Client, names: &[String]) -> Result<Vec<String>> {
    let rows = client
        .query_typed(
            "select relname::text from pg_class where relnamespace = quote_ident(current_schema())::regnamespace and relname = any($1::text[])",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(|error| failed("look for tables", error))?;
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(names.iter().filter(|name| found.contains(name)).cloned().collect())
}

impl Writer {
    /// Makes all tables and records the model.
    pub(crate) async fn create(&mut self, plan: &Plan, model_text: &str) -> Result<()> {
        let number = self.begin().await?;
        let made = self.make(plan, model_text).await;
        if made.is_err() {
            self.rollback().await;
            return made;
        }
        if self.commit(&number).await? {
            // it is there from here on
            self.epoch = Epoch::Unread;
            return Ok(());
        }
        Err(Error::new(
            Kind::TargetUnavailable,
            "R0106",
            "the connection was lost while the tables were made; none of them is there",
        )
        .hint("Run the same command again."))
    }

    async fn make(&mut self, plan: &Plan, model_text: &str) -> Result<()> {
        let client = self.client();
        for tables in [OURS, epoch::TABLE, marks::TABLES, kept::TABLE] {
            client.batch_execute(tables).await.map_err(|error| failed("make Repot's own tables", error))?;
        }
        for table in &plan.tables {
            let statement = create_table(table, &plan.tables, Dialect::Postgres);
            client
                .batch_execute(&statement)
                .await
                .map_err(|error| failed(&format!("make table {}", table.name), error))?;
        }
        for (name, sql) in &plan.views {
            let statement =
                format!("create view {} as {}", quote(name), sql.trim_end().trim_end_matches(';'));
            client
                .batch_execute(&statement)
                .await
                .map_err(|error| failed(&format!("make view {name}"), error))?;
        }
        let format = FORMAT.to_string();
        for (key, value) in [
            ("format", format.as_str()),
            ("model_text", model_text),
            ("plan_hash", &plan.hash),
            ("loading", "bulk"),
        ] {
            set_meta(client, key, Some(value)).await.map_err(|error| failed("write repot_meta", error))?;
        }
        Ok(())
    }

    /// Sets or removes a value of ours.
    pub(crate) async fn set_meta(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        loop {
            let number = self.begin().await?;
            if let Err(error) = set_meta(self.client(), key, value).await {
                self.rollback().await;
                return Err(failed("write repot_meta", error));
            }
            if self.commit(&number).await? {
                return Ok(());
            }
        }
    }
}

pub(crate) async fn set_meta(
    client: &Client,
    key: &str,
    value: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    let key = (&key as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT);
    match value {
        Some(value) => {
            client
                .execute_typed(
                    "insert into repot_meta (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value",
                    &[key, (&value, Type::TEXT)],
                )
                .await?
        }
        None => client.execute_typed("delete from repot_meta where key = $1", &[key]).await?,
    };
    Ok(())
}
