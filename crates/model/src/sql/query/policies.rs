//! Row level security on PostgreSQL: a role under which statements see and change one tenant's rows only, whatever else
//! they say. The tenant stands in a setting of the transaction.

use std::fmt::Write as _;

use super::condition::Writer;
use super::{Speech, Tenancy};
use crate::plan::{ColumnKind, Plan};
use crate::sql::transitions::{bounded, digest};
use crate::sql::{Dialect, quote, search_indexes, text_literal};

/// The setting that holds the tenant of a transaction.
pub const SETTING: &str = "repot.tenant";

/// A table, or a view of ours, as the catalogue has it: what the role may do there, and what binds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policed {
    /// Its name.
    pub name: String,
    /// Row level security is on.
    pub secured: bool,
    /// The role may select.
    pub may_read: bool,
    /// The role may insert, update and delete.
    pub may_write: bool,
    /// Policies: name and comment.
    pub policies: Vec<(String, Option<String>)>,
    /// The comment of a view.
    pub mark: Option<String>,
}

/// Whether some table of the plan has tenants.
#[must_use]
pub fn has_tenants(plan: &Plan) -> bool {
    let tenancy = tenancy(plan);
    (0..plan.tables.len()).any(|table| tenancy.applies(plan, table))
}

/// The names to look up in the catalogue: tables of the plan, and the views through which the role searches.
#[must_use]
pub fn policed(plan: &Plan) -> Vec<String> {
    let tables = plan.tables.iter().map(|table| table.name.clone());
    tables.chain(search_indexes(plan).iter().map(|index| seen_name(&index.rows))).collect()
}

/// The view that shows a tenant its part of an index of words.
pub(super) fn seen_name(rows: &str) -> String {
    bounded(&format!("{rows}_of_tenant"))
}

fn tenancy(plan: &Plan) -> Tenancy {
    Tenancy { columns: plan.tables.iter().map(|table| table.tenant).collect(), tenant: None }
}

/// The statements that make of what is there what should be; none when it is.
///
/// A table on which row level security was off stays open to everybody who could use it before (a policy that lets all
/// rows pass); the role alone is bound. Tables without tenants the role may read. Nothing is dropped but policies and
/// views of ours that are no longer right.
#[must_use]
pub fn settle_policies(plan: &Plan, role: &str, schema: &str, there: &[Policed]) -> Vec<String> {
    let tenancy = tenancy(plan);
    let nothing = Policed::default();
    let found = |name: &str| there.iter().find(|one| one.name == name).unwrap_or(&nothing);
    let mut statements = Vec::new();
    for (table, shape) in plan.tables.iter().enumerate() {
        let (is, name) = (found(&shape.name), quote(&shape.name));
        if !tenancy.applies(plan, table) {
            if !is.may_read {
                statements.push(format!("grant select on {name} to {}", quote(role)));
            }
            continue;
        }
        if !is.secured {
            statements.push(format!("drop policy if exists repot_everyone on {name}"));
            statements.push(format!("create policy repot_everyone on {name} using (true) with check (true)"));
        }
        let condition = condition(plan, &tenancy, table, &name);
        statements.extend(bind(&name, role, &condition, is));
        if !is.secured {
            statements.push(format!("alter table {name} enable row level security"));
        }
        // last, when it is bound
        if !(is.may_read && is.may_write) {
            statements.push(format!("grant select, insert, update, delete on {name} to {}", quote(role)));
        }
    }
    for index in search_indexes(plan) {
        if tenancy.applies(plan, index.table) {
            let name = seen_name(&index.rows);
            statements.extend(view(plan, &tenancy, index, role, found(&name)));
        }
    }
    if !statements.is_empty() {
        statements.insert(0, format!("grant usage on schema {} to {}", quote(schema), quote(role)));
    }
    statements
}

/// Two policies: one that lets the role reach the table, whatever other policies are there, and one that binds it.
fn bind(name: &str, role: &str, condition: &str, is: &Policed) -> Vec<String> {
    // who is a member of the role without having taken it is not bound; asked once for all rows, as is the tenant
    let bound = format!("(select current_user) <> {} or {condition}", text_literal(role));
    let wanted = [
        (format!("{role}_may"), "as permissive", "true"),
        (role.to_owned(), "as restrictive", bound.as_str()),
    ];
    let mut statements = Vec::new();
    for (policy, kind, rows) in wanted {
        let create = format!(
            "create policy {policy} on {name} {kind} for all to {role} using ({rows}) with check ({rows})",
            policy = quote(&policy),
            role = quote(role),
        );
        let mark = mark(&create);
        if is.policies.iter().any(|(known, comment)| *known == policy && comment.as_ref() == Some(&mark)) {
            continue;
        }
        statements.push(format!("drop policy if exists {} on {name}", quote(&policy)));
        statements.push(create);
        statements.push(format!("comment on policy {} on {name} is {}", quote(&policy), text_literal(&mark)));
    }
    statements
}

/// An index of words holds texts of everybody. A view, which reads as its owner, shows the tenant's part, and leaves the
/// planner the index: a policy there would not, since no matching of words may look at a row before its policy did.
fn view(
    plan: &Plan,
    tenancy: &Tenancy,
    index: &crate::sql::SearchIndex,
    role: &str,
    is: &Policed,
) -> Vec<String> {
    let shape = &plan.tables[index.table];
    let name = quote(&seen_name(&index.rows));
    let create = format!(
        "create view {name} as select {keys}, s.words from {rows} as s \
         where exists (select from {table} as r where {same} and {own})",
        keys = (0..shape.identity.len()).map(|at| format!("s.k{at}")).collect::<Vec<_>>().join(", "),
        rows = quote(&index.rows),
        table = quote(&shape.name),
        same = index.same_row(shape, ("s", "r"), Dialect::Postgres),
        own = condition(plan, tenancy, index.table, "r"),
    );
    let mark = mark(&create);
    let mut statements = Vec::new();
    if is.mark.as_ref() != Some(&mark) {
        statements.push(format!("drop view if exists {name}"));
        statements.push(create);
        statements.push(format!("comment on view {name} is {}", text_literal(&mark)));
    }
    if !is.may_read || !statements.is_empty() {
        statements.push(format!("grant select on {name} to {}", quote(role)));
    }
    statements
}

fn mark(create: &str) -> String {
    format!("Made by Repot from the model: {}", digest(create, 8))
}

/// That a row is of the tenant in the setting: by its own column, or by that of a row that holds it. One by one and not
/// as a set, so that a few rows do not cost all of their parents.
fn condition(plan: &Plan, tenancy: &Tenancy, table: usize, alias: &str) -> String {
    let speech = Speech { dialect: Dialect::Postgres, texts_by_bytes: false, policed: true };
    let mut writer = Writer::new(plan, tenancy, speech);
    within(&mut writer, table, alias, &mut vec![table])
}

fn within(writer: &mut Writer<'_>, table: usize, alias: &str, above: &mut Vec<usize>) -> String {
    let plan = writer.plan;
    let shape = &plan.tables[table];
    if let Some(column) = shape.tenant {
        let text = if matches!(shape.columns[column].kind, ColumnKind::Text(_)) { "" } else { "::text" };
        // a setting that was set and is over is '' and not null
        return format!(
            "{}{text} = (select nullif(current_setting('{SETTING}', true), ''))",
            writer.column(table, column, alias)
        );
    }
    let mut ways = String::new();
    for parent in &shape.parents {
        if above.contains(&parent.table) || !writer.tenancy.applies(plan, parent.table) {
            continue;
        }
        above.push(parent.table);
        let holder = writer.alias();
        let inner = within(writer, parent.table, &holder, above);
        above.pop();
        let own = &shape.columns[parent.column];
        let held = format!(
            "exists (select from {} as {holder} where {} = {alias}.{} and {inner})",
            quote(&plan.tables[parent.table].name),
            writer.key_as_held(own, parent, &holder),
            quote(&own.name),
        );
        let way = writer.with_type(table, parent, alias, held);
        let or = if ways.is_empty() { "" } else { " or " };
        write!(ways, "{or}({way})").expect("a String takes everything");
    }
    if ways.is_empty() { "false".to_owned() } else { format!("({ways})") }
}
