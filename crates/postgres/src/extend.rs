//! What a model has more than the one that the database was made with.

use std::collections::BTreeSet;

use repot_core::{Error, Kind, Result};
use repot_model::plan::{Additions, Plan};
use repot_model::sql::{Dialect, create_table};

use crate::ask::speech;
use crate::copy::Failure;
use crate::create::{existing, meta, set_meta};
use crate::error::{failed, is_given_up};
use crate::indexes::wanted;
use crate::transaction::Writer;

/// Tries of the transaction; each failed one means that a unit of work got on that waited for it.
const TRIES_MAX: usize = 50;

impl Writer {
    /// Makes it, and records the model, in one transaction. Others that do the same wait for it, and find it done. A reference to
    /// a table that is written meanwhile may be what its writers and this wait for in turn; the server gives up one of them,
    /// and this begins again.
    pub(crate) async fn extend(
        &mut self,
        old_hash: &str,
        (plan, model_text): (&Plan, &str),
        additions: &Additions,
    ) -> Result<()> {
        let mut tried = 0;
        loop {
            let number = self.begin().await?;
            if let Err(failure) = self.add(old_hash, (plan, model_text), additions).await {
                self.rollback().await;
                tried += 1;
                match failure {
                    Failure::Server(_, error)
                        if tried < TRIES_MAX && error.as_db_error().is_some_and(is_given_up) => {}
                    failure => return Err(failure.into()),
                }
                continue;
            }
            if self.commit(&number).await? {
                return Ok(());
            }
        }
    }

    async fn add(
        &self,
        old_hash: &str,
        (plan, model_text): (&Plan, &str),
        additions: &Additions,
    ) -> Result<(), Failure> {
        let client = self.client();
        let run =
            async |sql: String, what: String| client.batch_execute(&sql).await.map_err(Failure::server(what));
        run(
            "select value from repot_meta where key = 'plan_hash' for update".to_owned(),
            "wait for others that change the model".to_owned(),
        )
        .await?;
        match meta(client, "plan_hash").await? {
            Some(hash) if hash == plan.hash => return Ok(()),
            Some(hash) if hash == old_hash => {}
            _ => return Err(of_another_model().into()),
        }
        let tables: Vec<_> = additions.tables.iter().map(|&at| &plan.tables[at]).collect();
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        if let Some(taken) = existing(client, &names).await?.first() {
            let message = format!("there is a table {taken} that Repot did not make");
            return Err(Error::new(Kind::Refused, "R0109", message)
                .hint("Copy into another database or schema, or rename the collection in the model.")
                .into());
        }
        for table in &tables {
            run(create_table(table, &plan.tables, Dialect::Postgres), format!("make table {}", table.name))
                .await?;
        }
        // keys, indexes and references that are not there: those of the new tables, and new indexes of others
        let mut keyed = self.keyed().await?;
        keyed.retain(|name| !names.contains(name));
        let constraints: BTreeSet<String> = self.constraints().await?;
        let by_bytes = speech(client).await?.texts_by_bytes;
        for step in wanted(plan, (&keyed, &constraints), by_bytes) {
            run(step.sql.clone(), format!("build the {}", step.says)).await?;
        }
        for (key, value) in [("model_text", model_text), ("plan_hash", &plan.hash)] {
            set_meta(client, key, Some(value)).await.map_err(|error| failed("write repot_meta", error))?;
        }
        Ok(())
    }
}

fn of_another_model() -> Error {
    Error::new(Kind::Unsupported, "R0151", "the database is of another model than the one to be extended")
        .hint("Open it with the model it was made from, or copy into a fresh database.")
}
