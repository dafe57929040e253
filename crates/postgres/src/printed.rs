//! Everything that makes the tables of a fresh database, as text.

use std::collections::BTreeSet;

use repot_model::plan::Plan;
use repot_model::sql::query::{has_tenants, settle_policies};
use repot_model::sql::{
    Dialect, create_audit, create_messages, create_table, quote, settle_search, settle_triggers, triggers,
};

use crate::create::OURS;
use crate::{epoch, facts, indexes, kept, lock, marks, tenants, trash};

/// The schema and the role that the printed statements name: both are found out when a database is opened.
const SCHEMA: &str = "public";
const ROLE: &str = "repot_tenant";

/// The statements that a first copy makes tables, views, triggers, policies and indexes with, in the order in which it runs them;
/// what it writes into tables is not among them. They have no `;` at their ends. Where the schema stands in a
/// statement it is `public`; texts are compared by bytes; the role for tenants is called `repot_tenant`, and `postgres` takes it.
#[must_use]
pub fn schema_sql(plan: &Plan) -> Vec<String> {
    let dialect = Dialect::Postgres;
    let mut all: Vec<String> =
        [lock::TABLE, OURS, epoch::TABLE, marks::TABLES, kept::TABLE].map(ended).into();
    all.extend(plan.tables.iter().map(|table| create_table(table, &plan.tables, dialect)));
    all.extend(plan.views.iter().map(|(name, sql)| format!("create view {} as {}", quote(name), ended(sql))));
    all.extend(settle_search(plan, None, &[], dialect));
    all.push(trash::TABLE.to_owned());
    all.extend([facts::TABLE, create_messages(dialect)].map(ended));
    if plan.has_history() {
        all.push(ended(create_audit(dialect)));
    }
    all.extend(settle_triggers(&triggers(plan, dialect, SCHEMA), &[], dialect));
    if has_tenants(plan) {
        let role = tenants::make_role(ROLE, "postgres");
        all.push(format!(
            "-- the role's own name is made of database and schema, repot_tenant_ and 16 digits; it is granted to the user of the URL\n{role}"
        ));
        all.extend(settle_policies(plan, ROLE, SCHEMA, &[]));
    }
    let nothing = BTreeSet::new();
    all.extend(indexes::wanted(plan, (&nothing, &nothing), true).into_iter().map(|step| step.sql));
    all
}

fn ended(sql: &str) -> String {
    sql.trim_end().trim_end_matches(';').to_owned()
}
