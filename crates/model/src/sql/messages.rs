//! Triggers that keep `repot_queue`, the messages of collections with `queue`: a message for each row of the collection's
//! table, whoever writes it. Where our own writes take a row away, its message stays until the end of their transaction: the
//! row may come back in it, or the document may be kept among the deleted ones.

use super::marks::{ANY_KEY, key_text, plain_text};
use super::settle::Trigger;
use super::transitions::{bounded, digest};
use super::{Dialect, quote, text_literal};
use crate::plan::{Plan, QueueRules, Table};

/// What the names of these triggers begin with.
pub const MESSAGES_PREFIX: &str = "repot_queue_";

/// Tables whose rows are messages.
fn queues(plan: &Plan) -> impl Iterator<Item = (&Table, QueueRules)> {
    plan.tables.iter().zip(&plan.rules).filter_map(|(table, rules)| Some((table, rules.queue?)))
}

/// The triggers of all queues. `schema`: where the tables are, on PostgreSQL.
pub(super) fn message_triggers(plan: &Plan, dialect: Dialect, schema: &str) -> Vec<Trigger> {
    let of = |(table, rules)| {
        let row = Row { table, rules, dialect };
        match dialect {
            Dialect::Sqlite => row.sqlite(),
            Dialect::Postgres => row.postgres(&quote(schema)),
        }
    };
    queues(plan).flat_map(of).collect()
}

/// Statements that bring the messages up to date where the triggers were not there (name, table, mark): messages for
/// rows that have none, in the order of the files, and none for rows that went.
#[must_use]
pub fn enter_messages(
    plan: &Plan,
    wanted: &[Trigger],
    there: &[(String, String, Option<String>)],
    dialect: Dialect,
) -> Vec<String> {
    let is_there = |one: &Trigger| {
        there.iter().any(|(name, table, mark)| {
            *name == one.name && *table == one.table && mark.as_ref() == Some(&one.mark)
        })
    };
    let lacks = |table: &Table| {
        let mut own =
            wanted.iter().filter(|one| one.table == table.name && one.name.starts_with(MESSAGES_PREFIX));
        own.any(|one| !is_there(one))
    };
    let fill = |(table, rules)| {
        let row = Row { table, rules, dialect };
        let (name, key) = (quote(&table.name), row.key("r"));
        let collection = text_literal(&table.name);
        let keep = match dialect {
            Dialect::Sqlite => ["or ignore ", ""],
            Dialect::Postgres => ["", " on conflict do nothing"],
        };
        [
            format!(
                "delete from repot_queue where collection = {collection} and trash = 0 and not exists \
                 (select 1 from {name} as r where {key} = repot_queue.key)"
            ),
            format!(
                "insert {}into repot_queue (collection, tenant, key, priority, since_ms) \
                 select {collection}, {}, {key}, {}, {} from {name} as r \
                 left join repot_documents as d on d.collection = {collection} and d.key = {key} \
                 where {key} <> {any} and not exists (select 1 from repot_queue as q \
                 where q.collection = {collection} and q.key = {key} and q.trash = 0) order by d.object, d.ordinal{}",
                keep[0],
                row.tenant("r"),
                row.priority("r"),
                now(dialect),
                keep[1],
                any = text_literal(ANY_KEY),
            ),
        ]
    };
    queues(plan).filter(|(table, _)| lacks(table)).flat_map(fill).collect()
}

const fn now(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "cast(round((julianday('now') - 2440587.5) * 86400000.0) as integer)",
        Dialect::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
    }
}

/// Rows of one table as messages.
struct Row<'p> {
    table: &'p Table,
    rules: QueueRules,
    dialect: Dialect,
}

impl Row<'_> {
    fn key(&self, row: &str) -> String {
        key_text(self.table, row, self.dialect)
    }

    /// Never null, so that an index finds it.
    fn tenant(&self, row: &str) -> String {
        self.table.tenant.map_or_else(
            || "''".to_owned(),
            |column| format!("coalesce({}, '')", plain_text(&self.table.columns[column], row, self.dialect)),
        )
    }

    fn priority(&self, row: &str) -> String {
        self.rules.priority.map_or_else(
            || "0".to_owned(),
            |column| format!("coalesce({row}.{}, 0)", quote(&self.table.columns[column].name)),
        )
    }

    /// Columns that say what a message is.
    fn columns(&self) -> Vec<String> {
        let all = self.table.key.iter().chain(&self.table.tenant).chain(&self.rules.priority);
        let mut columns: Vec<usize> = all.copied().collect();
        columns.sort_unstable();
        columns.dedup();
        columns.into_iter().map(|column| quote(&self.table.columns[column].name)).collect()
    }

    fn sqlite(&self) -> Vec<Trigger> {
        let (table, collection) = (quote(&self.table.name), text_literal(&self.table.name));
        let (old, new, any) = (self.key("old"), self.key("new"), text_literal(ANY_KEY));
        let (tenant, priority) = (self.tenant("new"), self.priority("new"));
        let of =
            |key: &str, trash: i8| format!("collection = {collection} and key = {key} and trash = {trash}");
        let insert = format!(
            "  update repot_queue set trash = 0, tenant = {tenant}, priority = {priority} where {};\n  \
             insert into repot_queue (collection, tenant, key, priority, since_ms) \
             select {collection}, {tenant}, {new}, {priority}, {} where {new} <> {any} \
             and not exists (select 1 from repot_queue where {});\n",
            of(&new, -2),
            now(self.dialect),
            of(&new, 0),
        );
        let delete = format!(
            "  delete from repot_queue where {here} and not exists (select 1 from repot_writer where busy <> 0);\n  \
             update repot_queue set trash = -2 where {here};\n",
            here = of(&old, 0),
        );
        let update = format!(
            "  delete from repot_queue where {} and {new} <> {old};\n  \
             update repot_queue set key = {new}, tenant = {tenant}, priority = {priority} where {};\n",
            of(&new, 0),
            of(&old, 0),
        );
        let columns = self.columns();
        let differs: Vec<String> =
            columns.iter().map(|column| format!("old.{column} is not new.{column}")).collect();
        let when = format!("when {}\n", differs.join(" or "));
        let events = [
            ("insert", format!("after insert on {table}"), String::new(), insert),
            ("delete", format!("after delete on {table}"), String::new(), delete),
            ("update", format!("after update of {} on {table}", columns.join(", ")), when, update),
        ];
        let made = events.into_iter().map(|(event, on, when, body)| {
            let name = bounded(&format!("{MESSAGES_PREFIX}{}_{event}", self.table.name));
            let create = format!("create trigger {} {on} for each row\n{when}begin\n{body}end", quote(&name));
            let table = self.table.name.clone();
            Trigger { name, table, mark: create.clone(), create, function: String::new() }
        });
        made.collect()
    }

    /// The function has the rights of the tables' owner: whoever may write the user's tables needs none on ours.
    fn postgres(&self, schema: &str) -> Vec<Trigger> {
        let (table, collection) = (quote(&self.table.name), text_literal(&self.table.name));
        let any = text_literal(ANY_KEY);
        let entry = |row: &str| {
            let (key, tenant, priority) = (self.key(row), self.tenant(row), self.priority(row));
            format!("{key} as key, {tenant} as tenant, {priority} as priority")
        };
        let name = bounded(&format!("{MESSAGES_PREFIX}{}", self.table.name));
        let function = format!(
            "create or replace function {schema}.{function}() returns trigger language plpgsql\n\
             security definer set search_path = pg_catalog, pg_temp as $repot$\nbegin\n\
             if tg_op = 'INSERT' then\n\
             update {schema}.repot_queue q set trash = 0, tenant = n.tenant, priority = n.priority \
             from (select {new} from repot_new as r) n \
             where q.collection = {collection} and q.key = n.key and q.trash = -2;\n\
             insert into {schema}.repot_queue (collection, tenant, key, priority, since_ms) \
             select {collection}, n.tenant, n.key, n.priority, {now} from (select {new} from repot_new as r) n \
             where n.key <> {any} on conflict (collection, key) where trash = 0 do nothing;\n\
             elsif tg_op = 'DELETE' then\n\
             if current_setting('repot.writer', true) = 'on' then\n\
             update {schema}.repot_queue q set trash = -2 from (select {old_key} as key from repot_old as r) o \
             where q.collection = {collection} and q.key = o.key and q.trash = 0;\n\
             else\n\
             delete from {schema}.repot_queue q using (select {old_key} as key from repot_old as r) o \
             where q.collection = {collection} and q.key = o.key and q.trash = 0;\n\
             end if;\n\
             else\n\
             delete from {schema}.repot_queue q where q.collection = {collection} and q.key = {to} and q.trash = 0 \
             and {to} <> {was};\n\
             update {schema}.repot_queue q set key = n.key, tenant = n.tenant, priority = n.priority \
             from (select {row}) n where q.collection = {collection} and q.key = {was} and q.trash = 0;\n\
             end if;\nreturn null;\nend\n$repot$",
            function = quote(&name),
            new = entry("r"),
            now = now(self.dialect),
            old_key = self.key("r"),
            to = self.key("new"),
            was = self.key("old"),
            row = entry("new"),
        );
        let columns = self.columns();
        let differs: Vec<String> =
            columns.iter().map(|column| format!("old.{column} is distinct from new.{column}")).collect();
        let events = [
            (
                "insert",
                format!("after insert on {table}\nreferencing new table as repot_new for each statement"),
            ),
            (
                "delete",
                format!("after delete on {table}\nreferencing old table as repot_old for each statement"),
            ),
            (
                "update",
                format!(
                    "after update of {} on {table}\nfor each row when ({})",
                    columns.join(", "),
                    differs.join(" or ")
                ),
            ),
        ];
        let made = events.into_iter().map(|(event, on)| {
            let trigger = bounded(&format!("{name}_{event}"));
            let create =
                format!("create trigger {} {on}\nexecute function {}()", quote(&trigger), quote(&name));
            let mark = format!("Made by Repot from the model: {}", digest(&format!("{create}{function}"), 8));
            let table = self.table.name.clone();
            Trigger { name: trigger, table, create, function: function.clone(), mark }
        });
        made.collect()
    }
}
