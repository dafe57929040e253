//! What plain SQL does to tables on record: triggers that keep the old and the new row, and the words of states, in
//! `repot_audit`. Repot's own writes keep their own record (see `repot_core::AuditRecord`), so they pass.

use super::transitions::{bounded, made};
use super::{Dialect, Trigger, quote, text_literal};
use crate::plan::{Column, ColumnKind, Plan, Table};

/// What the names of triggers begin with that keep rows.
pub const AUDIT_PREFIX: &str = "repot_audit_";
/// What the names of triggers begin with that keep changes of states.
pub const STATE_PREFIX: &str = "repot_state_";

/// More ways from one table to a root than any model has.
const CHAINS_MOST: usize = 64;

const TABLE_SQLITE: &str = "\
create table if not exists repot_audit (
  id integer primary key autoincrement, at_ms integer not null, kind integer not null, actor text,
  collection text not null, tenant text, key text, version integer, etag_before text, etag_after text,
  dictionary integer, size_before integer, text_before blob, size_after integer, text_after blob,
  in_table text, in_row text, field text, was text, became text, changes text) strict;
create index if not exists repot_audit_key on repot_audit (collection, key, id);
create index if not exists repot_audit_time on repot_audit (collection, at_ms);
create index if not exists repot_audit_actor on repot_audit (actor, id)";

/// Texts are compressed already, so they are stored outside without another attempt.
const TABLE_POSTGRES: &str = "\
create table if not exists repot_audit (
  id bigint generated always as identity primary key, at_ms bigint not null, kind smallint not null, actor text,
  collection text not null, tenant text, key text, version bigint, etag_before text, etag_after text,
  dictionary bigint, size_before bigint, text_before bytea, size_after bigint, text_after bytea,
  in_table text, in_row text, field text, was text, became text, changes text);
alter table repot_audit alter column text_before set storage external;
alter table repot_audit alter column text_after set storage external;
create index if not exists repot_audit_key on repot_audit (collection, key, id);
create index if not exists repot_audit_time on repot_audit (collection, at_ms);
create index if not exists repot_audit_actor on repot_audit (actor, id)";

/// Who may write the user's tables may do so without a right on ours: the function runs as its owner. It looks for
/// nothing outside of the table's own schema.
const KEEP_ROW: &str = "\
create or replace function repot_keep_row() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $repot$
declare
  old_row text;
  new_row text;
  c1 text; t1 text; k1 text;
  c2 text; t2 text; k2 text;
  now_ms bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
  perform set_config('search_path', quote_ident(tg_table_schema) || ', pg_temp', true);
  if tg_op <> 'INSERT' then
    old_row := row_to_json(old)::text;
    execute tg_argv[0] into c1, t1, k1 using old;
  end if;
  if tg_op <> 'DELETE' then
    new_row := row_to_json(new)::text;
    execute tg_argv[0] into c2, t2, k2 using new;
  end if;
  if old_row = new_row then
    return null;
  end if;
  if tg_op = 'UPDATE' and (c1, t1, k1) is not distinct from (c2, t2, k2) then
    insert into repot_audit (at_ms, kind, actor, collection, tenant, key, in_table, was, became)
    values (now_ms, 2, session_user, coalesce(c2, tg_argv[1]), t2, k2, tg_table_name, old_row, new_row);
    return null;
  end if;
  if old_row is not null then
    insert into repot_audit (at_ms, kind, actor, collection, tenant, key, in_table, was)
    values (now_ms, 2, session_user, coalesce(c1, tg_argv[1]), t1, k1, tg_table_name, old_row);
  end if;
  if new_row is not null then
    insert into repot_audit (at_ms, kind, actor, collection, tenant, key, in_table, became)
    values (now_ms, 2, session_user, coalesce(c2, tg_argv[1]), t2, k2, tg_table_name, new_row);
  end if;
  return null;
end
$repot$";

const KEEP_STATE: &str = "\
create or replace function repot_keep_state() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $repot$
declare
  c text; t text; k text;
  row_key text;
  was text;
  became text;
begin
  perform set_config('search_path', quote_ident(tg_table_schema) || ', pg_temp', true);
  execute tg_argv[0] into c, t, k using new;
  execute tg_argv[2] into row_key using new;
  execute format('select ($1).%I::text', tg_argv[3]) into was using old;
  execute format('select ($1).%I::text', tg_argv[3]) into became using new;
  insert into repot_audit (at_ms, kind, actor, collection, tenant, key, in_table, in_row, field, was, became)
  values ((extract(epoch from clock_timestamp()) * 1000)::bigint, 4, session_user, coalesce(c, tg_argv[1]), t, k,
          tg_table_name, row_key, tg_argv[3], was, became);
  return null;
end
$repot$";

const NOW_SQLITE: &str = "cast(round((julianday('now') - 2440587.5) * 86400000) as integer)";
const OTHERS_SQLITE: &str = "not exists (select 1 from repot_writer where busy <> 0)";
const OTHERS_POSTGRES: &str = "current_setting('repot.writer', true) is distinct from 'on'";

/// Makes the table of the record where it is not there, with its indexes.
#[must_use]
pub const fn create_audit(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => TABLE_SQLITE,
        Dialect::Postgres => TABLE_POSTGRES,
    }
}

/// The triggers of tables on record, and one for each state machine.
#[must_use]
pub fn audit_triggers(plan: &Plan, dialect: Dialect) -> Vec<Trigger> {
    let mut on_record = vec![false; plan.tables.len()];
    for (at, root) in plan.roots.iter().enumerate() {
        if let (Some(table), true) = (root.table, plan.audit(at).is_some()) {
            plan.within(table).into_iter().zip(&mut on_record).for_each(|(within, of)| *of |= within);
        }
    }
    let mut triggers = Vec::new();
    for (table, on_record) in on_record.into_iter().enumerate() {
        let maker = Maker { plan, dialect, table, chains: chains(plan, table) };
        if on_record {
            maker.rows(&mut triggers);
        }
        for machine in plan.rules.get(table).into_iter().flat_map(|rules| &rules.machines) {
            triggers.push(maker.state(machine.column));
        }
    }
    triggers
}

/// One way from a row to the root row of its document: in each step the number of the parent.
type Chain = Vec<usize>;

fn chains(plan: &Plan, table: usize) -> Vec<Chain> {
    let mut done = Vec::new();
    let mut open: Vec<(Vec<usize>, Chain)> = vec![(vec![table], Vec::new())];
    while let Some((tables, chain)) = open.pop() {
        let here = &plan.tables[*tables.last().unwrap_or(&table)];
        if here.parents.is_empty() {
            done.push(chain);
            if done.len() >= CHAINS_MOST {
                break;
            }
            continue;
        }
        for (number, parent) in here.parents.iter().enumerate().rev() {
            if !tables.contains(&parent.table) {
                let longer = tables.iter().copied().chain([parent.table]).collect();
                open.push((longer, chain.iter().copied().chain([number]).collect()));
            }
        }
    }
    done
}

struct Maker<'p> {
    plan: &'p Plan,
    dialect: Dialect,
    table: usize,
    chains: Vec<Chain>,
}

impl Maker<'_> {
    fn shape(&self) -> &Table {
        &self.plan.tables[self.table]
    }

    /// Where a row is filed of which nobody knows the document any more.
    fn fallback(&self) -> String {
        let root = self.chains.first().map_or(self.table, |chain| {
            chain.iter().fold(self.table, |table, &number| self.plan.tables[table].parents[number].table)
        });
        text_literal(&self.plan.tables[root].name)
    }

    fn rows(&self, out: &mut Vec<Trigger>) {
        let table = &self.shape().name;
        let on = quote(table);
        let name = |what: &str| bounded(&format!("{AUDIT_PREFIX}{what}{table}"));
        match self.dialect {
            Dialect::Sqlite => {
                for (what, body) in
                    [("insert", self.arrival()), ("update", self.update()), ("delete", self.leaving())]
                {
                    let name = name(&format!("{what}_"));
                    let create = format!(
                        "create trigger {} after {what} on {on} for each row\nwhen {OTHERS_SQLITE}\nbegin\n{body}\nend",
                        quote(&name)
                    );
                    out.push(made((name, table), create, "", self.dialect));
                }
            }
            Dialect::Postgres => {
                // truncate, which tells no row, is refused on every table; see the triggers that mark
                let name = name("");
                let create = format!(
                    "create trigger {} after insert or update or delete on {on} for each row\nwhen ({OTHERS_POSTGRES})\n\
                     execute function repot_keep_row({}, {})",
                    quote(&name),
                    text_literal(&self.document("($1)")),
                    self.fallback(),
                );
                out.push(made((name, table), create, KEEP_ROW, self.dialect));
            }
        }
    }

    fn state(&self, column: usize) -> Trigger {
        let table = &self.shape().name;
        let field = &self.shape().columns[column].name;
        let (of, on) = (quote(field), quote(table));
        let name = bounded(&format!("{STATE_PREFIX}{table}_{field}"));
        let named = quote(&name);
        let create = match self.dialect {
            Dialect::Sqlite => format!(
                "create trigger {named} after update of {of} on {on} for each row\n\
                 when old.{of} is not new.{of} and {OTHERS_SQLITE}\nbegin\n  \
                 insert into repot_audit (at_ms, kind, collection, tenant, key, in_table, in_row, field, was, became)\n  \
                 select {NOW_SQLITE}, 4, coalesce(d.collection, {fallback}), d.tenant, d.key, {table}, {row}, {field}, old.{of}, new.{of}\n  \
                 from (select 1) left join ({document}) as d;\nend",
                fallback = self.fallback(),
                table = text_literal(table),
                row = self.row_key("new"),
                field = text_literal(field),
                document = self.document("new"),
            ),
            Dialect::Postgres => format!(
                "create trigger {named} after update on {on} for each row\n\
                 when (old.{of} is distinct from new.{of} and {OTHERS_POSTGRES})\n\
                 execute function repot_keep_state({}, {}, {}, {})",
                text_literal(&self.document("($1)")),
                self.fallback(),
                text_literal(&format!("select {}", self.row_key("($1)"))),
                text_literal(field),
            ),
        };
        made((name, table), create, KEEP_STATE, self.dialect)
    }

    fn arrival(&self) -> String {
        self.kept(&format!("null, {}", self.json("new")), &self.document("new"))
    }

    fn leaving(&self) -> String {
        self.kept(&format!("{}, null", self.json("old")), &self.document("old"))
    }

    fn update(&self) -> String {
        let (old, new) = (self.json("old"), self.json("new"));
        let both = format!("({}) as d left join ({}) as o", self.document("new"), self.document("old"));
        let differs = format!("({old}) is not ({new})");
        let same = "d.collection is o.collection and d.tenant is o.tenant and d.key is o.key";
        let insert = "insert into repot_audit (at_ms, kind, collection, tenant, key, in_table, was, became)";
        let (table, fallback) = (text_literal(&self.shape().name), self.fallback());
        let one = |alias: &str, was: &str, became: &str, also: &str| {
            format!(
                "  {insert}\n  select {NOW_SQLITE}, 2, coalesce({alias}.collection, {fallback}), {alias}.tenant, {alias}.key, {table}, {was}, {became}\n  \
                 from (select 1) left join {both} where {differs} and {also};"
            )
        };
        let apart = format!("not ({same})");
        [one("d", &old, &new, same), one("o", &old, "null", &apart), one("d", "null", &new, &apart)]
            .join("\n")
    }

    fn kept(&self, values: &str, document: &str) -> String {
        format!(
            "  insert into repot_audit (at_ms, kind, collection, tenant, key, in_table, was, became)\n  \
             select {NOW_SQLITE}, 2, coalesce(d.collection, {}), d.tenant, d.key, {}, {values}\n  \
             from (select 1) left join ({document}) as d;",
            self.fallback(),
            text_literal(&self.shape().name),
        )
    }

    /// Collection, tenant and key of the document that holds `row`; none when the rows between are gone.
    fn document(&self, row: &str) -> String {
        let ways: Vec<String> = self.chains.iter().map(|chain| self.way(chain, row)).collect();
        if ways.is_empty() {
            return "select null as collection, null as tenant, null as key".to_owned();
        }
        format!("select * from ({}) as w limit 1", ways.join(" union all "))
    }

    fn way(&self, chain: &Chain, row: &str) -> String {
        let mut table = self.table;
        let mut alias = row.to_owned();
        let (mut from, mut on) = (Vec::new(), Vec::new());
        let mut own_key = None;
        for (step, &number) in chain.iter().enumerate() {
            let shape = &self.plan.tables[table];
            let parent = &shape.parents[number];
            let above = &self.plan.tables[parent.table];
            let up = format!("p{step}");
            let column = &shape.columns[parent.column];
            let held = format!("{alias}.{}", quote(&column.name));
            let key = &above.columns[parent.parent_column];
            on.push(format!("{held} = {}", self.as_held(column, key, &up)));
            if let Some(column) = parent.type_column {
                let of_type = quote(&shape.columns[column].name);
                on.push(format!("{alias}.{of_type} = {}", text_literal(&above.name)));
            }
            if chain.len() == 1 && above.key == [parent.parent_column] {
                own_key = self.key_part(column, &held).map(|key| (key, held.clone()));
            }
            from.push(format!("{} as {up}", quote(&above.name)));
            (table, alias) = (parent.table, up);
        }
        let root = &self.plan.tables[table];
        let tenant = self.plan.tables[table].tenant.map_or_else(
            || "null".to_owned(),
            |column| format!("cast({alias}.{} as text)", quote(&root.columns[column].name)),
        );
        let key = self.key_of(root, &alias);
        let name = text_literal(&root.name);
        match (own_key, from.as_slice()) {
            // the row above may be gone already: a delete that cascades
            (Some((own, held)), [above]) => {
                let of_type: String = on.iter().skip(1).map(|one| format!(" and {one}")).collect();
                format!(
                    "select {name} as collection, {tenant} as tenant, {own} as key from (select 1) as x left join {above} on {} where {held} is not null{of_type}",
                    on[0]
                )
            }
            _ if from.is_empty() => {
                format!("select {name} as collection, {tenant} as tenant, {key} as key")
            }
            _ => format!(
                "select {name} as collection, {tenant} as tenant, {key} as key from {} where {}",
                from.join(", "),
                on.join(" and ")
            ),
        }
    }

    /// A parent's key as the child's column holds it.
    fn as_held(&self, own: &Column, key: &Column, alias: &str) -> String {
        let name = format!("{alias}.{}", quote(&key.name));
        let is_text = |kind| matches!(kind, ColumnKind::Text(_));
        if !is_text(own.kind) || is_text(key.kind) {
            return name;
        }
        self.part(key.kind, &name).unwrap_or(name)
    }

    fn key_of(&self, table: &Table, alias: &str) -> String {
        let part = |&column: &usize| {
            let column = &table.columns[column];
            self.key_part(column, &format!("{alias}.{}", quote(&column.name)))
        };
        let parts: Option<Vec<String>> = table.key.iter().map(part).collect();
        parts
            .filter(|parts| !parts.is_empty())
            .map_or_else(|| "null".to_owned(), |parts| parts.join(" || '/' || "))
    }

    /// The row among those of its table, for people.
    fn row_key(&self, row: &str) -> String {
        let table = self.shape();
        let by = if table.key.is_empty() { &table.identity } else { &table.key };
        let part = |&column: &usize| {
            let column = &table.columns[column];
            let name = format!("{row}.{}", quote(&column.name));
            let text = self.key_part(column, &name).unwrap_or_else(|| format!("cast({name} as text)"));
            format!("coalesce({text}, '')")
        };
        let parts: Vec<String> = by.iter().map(part).collect();
        if parts.is_empty() { "null".to_owned() } else { parts.join(" || '/' || ") }
    }

    /// One cell as `key_text` writes it; `None`: SQL cannot say it.
    fn key_part(&self, column: &Column, value: &str) -> Option<String> {
        match column.kind {
            ColumnKind::Text(_) => Some(format!("replace(replace({value}, '%', '%25'), '/', '%2F')")),
            kind => self.part(kind, value),
        }
    }

    fn part(&self, kind: ColumnKind, value: &str) -> Option<String> {
        Some(match (kind, self.dialect) {
            (ColumnKind::Int, _) | (ColumnKind::Uuid, _) => format!("cast({value} as text)"),
            (ColumnKind::Bool, Dialect::Sqlite) => format!("iif({value}, 'true', 'false')"),
            (ColumnKind::Bool, Dialect::Postgres) => format!("{value}::text"),
            (ColumnKind::Decimal, Dialect::Sqlite) => value.to_owned(),
            (ColumnKind::Decimal, Dialect::Postgres) => format!("trim_scale({value})::text"),
            (ColumnKind::Date, Dialect::Postgres) => format!("({value} - date '1970-01-01')::text"),
            (ColumnKind::Date, Dialect::Sqlite) => {
                format!("cast(cast(julianday({value}) - 2440587.5 as integer) as text)")
            }
            (ColumnKind::Time, Dialect::Postgres) => {
                format!("(extract(epoch from {value}) * 1000000)::numeric(30)::text")
            }
            _ => return None,
        })
    }

    /// The row as JSON, for SQLite: no function takes as many arguments as a table has columns.
    fn json(&self, row: &str) -> String {
        let entry = |column: &Column| {
            let value = format!("{row}.{}", quote(&column.name));
            let value = if column.kind == ColumnKind::Bytes {
                format!("case when {value} is not null then hex({value}) end")
            } else {
                value
            };
            let name = repot_json::edit::quote(&column.name);
            format!("{} || json_quote({value})", text_literal(&format!("{name}:")))
        };
        let entries: Vec<String> = self.shape().columns.iter().map(entry).collect();
        format!("'{{' || {} || '}}'", entries.join(" || ',' || "))
    }
}
