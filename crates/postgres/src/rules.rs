//! Triggers of ours on the user's tables: they notice plain SQL and hold it to the state machines of the model.

use repot_core::Result;
use repot_model::plan::Plan;
use repot_model::sql::{
    Dialect, SEARCH_PREFIX, TRIGGER_PREFIX, create_audit, enter_messages, mark_everything, settle_triggers,
    triggers,
};
use tokio_postgres::types::Type;

use crate::create::{FORMAT, meta};
use crate::error::failed;
use crate::kept::TABLE;
use crate::marks::TABLES;
use crate::transaction::Writer;

/// `repm`, the first half of the number of the lock under which triggers are made; the second is the schema's.
pub(crate) const MAKING: i32 = 0x7265_706d;

impl Writer {
    /// Makes the triggers of this plan, and removes those that it does not have, in one transaction.
    pub(crate) async fn enforce_rules(&mut self, plan: &Plan) -> Result<()> {
        self.settle_search(plan).await?;
        self.ready().await?;
        self.make_trash().await?;
        self.make_epoch().await?;
        self.make_facts().await?;
        self.make_messages().await?;
        let rows = self
            .client()
            .query_typed(
                "select t.tgname::text, c.relname::text, obj_description(t.oid, 'pg_trigger') from pg_trigger t \
                 join pg_class c on c.oid = t.tgrelid \
                 where not t.tgisinternal and starts_with(t.tgname::text, $1) \
                 and c.relnamespace = quote_ident(current_schema())::regnamespace",
                &[(&TRIGGER_PREFIX, Type::TEXT)],
            )
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        let mut there: Vec<(String, String, Option<String>)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        // those of the full text indexes come and go with them
        there.retain(|(name, ..)| !name.starts_with(SEARCH_PREFIX));
        let schema = self
            .client()
            .query_typed_one("select current_schema()::text", &[])
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        let wanted = triggers(plan, Dialect::Postgres, schema.get(0));
        let mut statements = settle_triggers(&wanted, &there, Dialect::Postgres);
        let entries = enter_messages(plan, &wanted, &there, Dialect::Postgres);
        let format = meta(self.client(), "format").await?;
        let old = format.is_some_and(|format| format.parse().unwrap_or(FORMAT) < FORMAT);
        if statements.is_empty() && !old {
            return Ok(());
        }
        // of two that open the database at once the second finds everything done
        statements.insert(0, format!("select pg_advisory_xact_lock({MAKING}, hashtext(current_schema()))"));
        statements.insert(1, format!("{TABLES}{TABLE}").trim_end().trim_end_matches(';').to_owned());
        if plan.has_history() {
            statements.insert(2, create_audit(Dialect::Postgres).to_owned());
        }
        statements.extend(entries);
        if old {
            if meta(self.client(), "loading").await?.as_deref() == Some("steady") {
                // until now nobody noticed what plain SQL did
                statements.extend(mark_everything(plan, Dialect::Postgres));
            }
            statements.push(format!("update repot_meta set value = '{FORMAT}' where key = 'format'"));
        }
        self.committed(&statements.join(";\n"), "make our triggers").await
    }
}
