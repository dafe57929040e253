//! Triggers that hold plain SQL to the state machines of the model.

use repot_core::Result;
use repot_model::plan::Plan;
use repot_model::sql::{
    AUDIT_PREFIX, Dialect, STATE_PREFIX, TRANSITION_PREFIX, audit_triggers, create_audit, settle_triggers,
    transition_triggers,
};
use tokio_postgres::types::Type;

use crate::error::failed;
use crate::transaction::Writer;

impl Writer {
    /// Makes the triggers of this plan, and removes those that it does not have, in one transaction.
    pub(crate) async fn enforce_rules(&mut self, plan: &Plan) -> Result<()> {
        self.ready().await?;
        let prefixes = [TRANSITION_PREFIX, AUDIT_PREFIX, STATE_PREFIX];
        let rows = self
            .client()
            .query_typed(
                "select t.tgname::text, c.relname::text, obj_description(t.oid, 'pg_trigger') from pg_trigger t \
                 join pg_class c on c.oid = t.tgrelid \
                 where not t.tgisinternal and exists (select from unnest($1) prefix where starts_with(t.tgname::text, prefix)) \
                 and c.relnamespace = quote_ident(current_schema())::regnamespace",
                &[(&prefixes.as_slice(), Type::TEXT_ARRAY)],
            )
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        let there: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let mut wanted = transition_triggers(plan, Dialect::Postgres);
        wanted.extend(audit_triggers(plan, Dialect::Postgres));
        let mut statements = settle_triggers(&wanted, &there, Dialect::Postgres);
        if statements.is_empty() {
            return Ok(());
        }
        if plan.has_history() {
            statements.insert(0, create_audit(Dialect::Postgres).to_owned());
        }
        self.committed(&statements.join(";\n"), "make the triggers of the model's transitions").await
    }
}
