//! Triggers that notice plain SQL: they mark the document whose rows changed, and log it. Repot's own writes pass them
//! by. A nested row leads to its document through its parents; where a parent went before it (a cascade), the parent's
//! own trigger has marked the document.

use std::fmt::Write as _;

use super::settle::Trigger;
use super::transitions::{bounded, digest};
use super::{Dialect, quote, text_literal};
use crate::plan::{Column, ColumnKind, Parent, Plan, Table};

/// The key of a mark that stands for every document of its collection: for keys that SQL cannot write as Repot does.
pub const ANY_KEY: &str = "*";

/// More ways from one table to a root than any model has.
const CHAINS_MOST: usize = 256;

/// On SQLite, what the triggers insert into: the one place that marks and logs.
pub const MARKING_VIEW: &str = "create view if not exists repot_marking (collection, tenant, key, kind) as \
select null, null, null, null where false";

const MARKING: &str = "create trigger repot_marking instead of insert on repot_marking\n\
begin\n  \
insert into repot_touched (collection, key, stamp) values (new.collection, new.key, 1)\n    \
on conflict (collection, key) do update set stamp = stamp + 1;\n  \
insert into repot_changes (collection, tenant, key, kind, at_ms) values (new.collection, new.tenant, new.key, new.kind,\n    \
cast(round((julianday('now') - 2440587.5) * 86400000.0) as integer));\n\
end";

/// The triggers that mark, for every table. `schema`: where the tables are, on PostgreSQL.
pub(super) fn mark_triggers(plan: &Plan, dialect: Dialect, schema: &str) -> Vec<Trigger> {
    let tables = 0..plan.tables.len();
    match dialect {
        Dialect::Sqlite => {
            let marking = Trigger {
                name: "repot_marking".to_owned(),
                table: "repot_marking".to_owned(),
                create: MARKING.to_owned(),
                function: String::new(),
                mark: MARKING.to_owned(),
            };
            std::iter::once(marking).chain(tables.flat_map(|table| sqlite(plan, table))).collect()
        }
        Dialect::Postgres => tables.flat_map(|table| postgres(plan, table, schema)).collect(),
    }
}

/// Statements that mark every document: for a database in which plain SQL went unnoticed until now.
#[must_use]
pub fn mark_everything(plan: &Plan, dialect: Dialect) -> Vec<String> {
    let into = "insert into repot_touched (collection, key, stamp)";
    let mut out = vec![format!(
        "{into} select distinct collection, key, 1 from repot_documents where key is not null on conflict (collection, key) do nothing"
    )];
    for table in plan.tables.iter().filter(|table| table.parents.is_empty()) {
        out.push(format!(
            "{into} select distinct {}, {}, 1 from {} as r where true on conflict (collection, key) do nothing",
            text_literal(&table.name),
            key_text(table, "r", dialect),
            quote(&table.name)
        ));
    }
    out
}

/// All ways from a table to roots, as steps from a row to the row that holds it; one of no step for a root.
fn chains(plan: &Plan, table: usize) -> Vec<Vec<&Parent>> {
    let mut done = Vec::new();
    let mut open: Vec<(usize, Vec<&Parent>)> = vec![(table, Vec::new())];
    while let Some((here, chain)) = open.pop() {
        if plan.tables[here].parents.is_empty() {
            done.push(chain);
            if done.len() >= CHAINS_MOST {
                break;
            }
            continue;
        }
        for parent in plan.tables[here].parents.iter().rev() {
            if parent.table != table && chain.iter().all(|step| step.table != parent.table) {
                let mut longer = chain.clone();
                longer.push(parent);
                open.push((parent.table, longer));
            }
        }
    }
    done
}

/// From rows of a table to the documents that they are in.
struct Roots<'a> {
    plan: &'a Plan,
    table: usize,
    dialect: Dialect,
    schema: &'a str,
}

impl Roots<'_> {
    /// Collection, tenant and key text of the documents, by all ways. `from`: the table of `row`, `only`: what must hold of
    /// it; neither inside of a trigger for each row.
    fn selects(&self, row: &str, from: Option<&str>, only: Option<&str>) -> Vec<String> {
        chains(self.plan, self.table)
            .into_iter()
            .map(|chain| self.select(&chain, (row, from, only)))
            .collect()
    }

    fn select(&self, chain: &[&Parent], (row, from, only): (&str, Option<&str>, Option<&str>)) -> String {
        let mut tables: Vec<String> = from.map(|from| format!("{from} as {row}")).into_iter().collect();
        let mut conditions: Vec<String> = only.map(|only| format!("({only})")).into_iter().collect();
        let (mut below, mut alias) = (self.table, row.to_owned());
        for (number, step) in chain.iter().enumerate() {
            let above = &self.plan.tables[step.table];
            let next = format!("p{number}");
            let own = &self.plan.tables[below].columns[step.column];
            let key = &above.columns[step.parent_column];
            conditions.push(format!(
                "{} = {alias}.{}",
                as_held(own, key, &next, self.dialect),
                quote(&own.name)
            ));
            if let Some(column) = step.type_column {
                let column = &self.plan.tables[below].columns[column].name;
                conditions.push(format!("{alias}.{} = {}", quote(column), text_literal(&above.name)));
            }
            tables.push(format!("{} as {next}", self.named(&above.name)));
            (below, alias) = (step.table, next);
        }
        let root = &self.plan.tables[below];
        let mut out = format!(
            "select {}, {}, {}",
            self.text(&root.name),
            root.tenant.map_or_else(
                || self.null(),
                |column| plain_text(&root.columns[column], &alias, self.dialect)
            ),
            key_text(root, &alias, self.dialect)
        );
        if !tables.is_empty() {
            write!(out, " from {}", tables.join(", ")).expect("a String takes everything");
        }
        if !conditions.is_empty() {
            write!(out, " where {}", conditions.join(" and ")).expect("a String takes everything");
        }
        out
    }

    fn named(&self, table: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => quote(table),
            Dialect::Postgres => format!("{}.{}", quote(self.schema), quote(table)),
        }
    }

    fn text(&self, text: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => text_literal(text),
            Dialect::Postgres => format!("{}::text", text_literal(text)),
        }
    }

    fn null(&self) -> String {
        match self.dialect {
            Dialect::Sqlite => "null",
            Dialect::Postgres => "null::text",
        }
        .to_owned()
    }
}

/// Triggers of one table on SQLite, for each row. A row that `insert or replace` takes away fires no trigger of its own,
/// so it is looked for before.
fn sqlite(plan: &Plan, table: usize) -> Vec<Trigger> {
    let shape = &plan.tables[table];
    let roots = Roots { plan, table, dialect: Dialect::Sqlite, schema: "" };
    let name = quote(&shape.name);
    let kind_gone = if shape.parents.is_empty() { 1 } else { 2 };
    let body = |selects: Vec<String>, kind: u8| -> String {
        selects.iter().fold(String::new(), |mut out, select| {
            let into = "insert into repot_marking (collection, tenant, key, kind)";
            writeln!(out, "  {into} select found.*, {kind} from ({select}) as found;")
                .expect("a String takes everything");
            out
        })
    };
    let row = |row: &str| roots.selects(row, None, None);
    let mut out = vec![
        ("insert", format!("after insert on {name}"), body(row("new"), 2)),
        ("update", format!("after update on {name}"), body(row("old"), 2) + &body(row("new"), 2)),
        ("delete", format!("after delete on {name}"), body(row("old"), kind_gone)),
    ];
    let keys: Vec<Vec<usize>> = std::iter::once(shape.key.clone())
        .chain(shape.unique.iter().map(|unique| unique.columns.iter().map(|column| column.0).collect()))
        .filter(|columns: &Vec<usize>| !columns.is_empty())
        .collect();
    if !keys.is_empty() {
        let equal = |columns: &Vec<usize>| {
            let equal = columns.iter().map(|&column| {
                let column = quote(&shape.columns[column].name);
                format!("r.{column} = new.{column}")
            });
            format!("({})", equal.collect::<Vec<_>>().join(" and "))
        };
        let same = keys.iter().map(equal).collect::<Vec<_>>().join(" or ");
        let body = body(roots.selects("r", Some(&name), Some(&same)), 2);
        let mut columns: Vec<usize> = keys.concat();
        columns.sort_unstable();
        columns.dedup();
        let columns: Vec<String> = columns.iter().map(|&column| quote(&shape.columns[column].name)).collect();
        out.push(("replace", format!("before insert on {name}"), body.clone()));
        out.push(("overwrite", format!("before update of {} on {name}", columns.join(", ")), body));
    }
    out.into_iter()
        .map(|(event, when, body)| {
            let trigger = bounded(&format!("repot_mark_{}_{event}", shape.name));
            let create = format!(
                "create trigger {} {when} for each row\nwhen not exists (select 1 from repot_writer where busy <> 0)\nbegin\n{body}end",
                quote(&trigger)
            );
            Trigger { name: trigger, table: shape.name.clone(), mark: create.clone(), create, function: String::new() }
        })
        .collect()
}

/// Triggers of one table on PostgreSQL, for each statement, over its transition tables. The function has the rights of
/// the tables' owner: whoever may write the user's tables needs none on ours.
fn postgres(plan: &Plan, table: usize, schema: &str) -> Vec<Trigger> {
    let shape = &plan.tables[table];
    let roots = Roots { plan, table, dialect: Dialect::Postgres, schema };
    let row = |from: &str| roots.selects("r", Some(from), None);
    let name = bounded(&format!("repot_mark_{}", shape.name));
    let kind_gone = if shape.parents.is_empty() { 1 } else { 2 };
    let both: Vec<String> = row("repot_old").into_iter().chain(row("repot_new")).collect();
    let function = format!(
        "create or replace function {schema}.{function}() returns trigger language plpgsql\n\
         security definer set search_path = pg_catalog, pg_temp as $repot$\nbegin\n\
         if tg_op = 'INSERT' then\n{insert}elsif tg_op = 'UPDATE' then\n{update}else\n{delete}end if;\n\
         return null;\nend\n$repot$",
        schema = quote(schema),
        function = quote(&name),
        insert = marking(&row("repot_new"), 2, schema),
        update = marking(&both, 2, schema),
        delete = marking(&row("repot_old"), kind_gone, schema),
    );
    let events = [
        ("insert", "referencing new table as repot_new "),
        ("update", "referencing old table as repot_old new table as repot_new "),
        ("delete", "referencing old table as repot_old "),
    ];
    let ours = "when (current_setting('repot.writer', true) is distinct from 'on')";
    let target = quote(&shape.name);
    let make = |event: &str, create: String, function: String| {
        let mark = format!("Made by Repot from the model: {}", digest(&format!("{create}{function}"), 8));
        Trigger {
            name: bounded(&format!("repot_mark_{}_{event}", shape.name)),
            table: shape.name.clone(),
            create,
            function,
            mark,
        }
    };
    let mut out: Vec<Trigger> = events
        .iter()
        .map(|(event, tables)| {
            let trigger = quote(&bounded(&format!("repot_mark_{}_{event}", shape.name)));
            let create = format!(
                "create trigger {trigger} after {event} on {target}\n{tables}for each statement {ours}\nexecute function {}()",
                quote(&name)
            );
            make(event, create, function.clone())
        })
        .collect();
    let trigger = quote(&bounded(&format!("repot_mark_{}_truncate", shape.name)));
    let create = format!(
        "create trigger {trigger} before truncate on {target}\nfor each statement {ours}\nexecute function repot_refuse_truncate()"
    );
    out.push(make("truncate", create, REFUSE_TRUNCATE.to_owned()));
    out
}

/// `truncate` gives no rows to look at.
const REFUSE_TRUNCATE: &str = "\
create or replace function repot_refuse_truncate() returns trigger language plpgsql as $repot$
begin
  raise exception 'truncate of % would leave its documents behind unnoticed', tg_table_name
    using errcode = 'feature_not_supported', hint = 'Use: delete from ' || quote_ident(tg_table_name);
end
$repot$";

/// Marks and logs what the selects find: first the marks, in one order, so that a document is locked when its change
/// gets its number; one change for each document and transaction.
fn marking(selects: &[String], kind: u8, schema: &str) -> String {
    let schema = quote(schema);
    format!(
        "with roots (collection, tenant, key) as ({}),\n\
         marked as (insert into {schema}.repot_touched as t (collection, key, stamp)\n  \
         select distinct collection, key, 1 from roots order by 1, 2\n  \
         on conflict (collection, key) do update set stamp = t.stamp + 1 returning t.collection, t.key)\n\
         insert into {schema}.repot_changes (collection, tenant, key, kind, at_ms)\n\
         select r.collection, r.tenant, r.key, {kind}, (extract(epoch from clock_timestamp()) * 1000)::bigint\n\
         from marked m join roots r on r.collection = m.collection and r.key = m.key\n\
         on conflict do nothing;\n",
        selects.join("\n  union ")
    )
}

/// A holder's key as the held row's column holds it: as it is, or as its key text where holders of several key types meet.
fn as_held(own: &Column, key: &Column, alias: &str, dialect: Dialect) -> String {
    let is_text = |kind| matches!(kind, ColumnKind::Text(_));
    if !is_text(own.kind) || is_text(key.kind) {
        return format!("{alias}.{}", quote(&key.name));
    }
    part(key, alias, dialect).unwrap_or_else(|| plain_text(key, alias, dialect))
}

/// The key text of a root row; `None` where SQL cannot write it.
pub(super) fn known_key_text(root: &Table, alias: &str, dialect: Dialect) -> Option<String> {
    let parts: Option<Vec<String>> =
        root.key.iter().map(|&column| part(&root.columns[column], alias, dialect)).collect();
    let parts = parts.filter(|parts| !parts.is_empty())?;
    Some(format!("coalesce({}, {})", parts.join(" || '/' || "), text_literal(ANY_KEY)))
}

/// The key text of a root row, or [`ANY_KEY`].
pub(super) fn key_text(root: &Table, alias: &str, dialect: Dialect) -> String {
    match known_key_text(root, alias, dialect) {
        Some(text) => text,
        None => match dialect {
            Dialect::Sqlite => text_literal(ANY_KEY),
            Dialect::Postgres => format!("{}::text", text_literal(ANY_KEY)),
        },
    }
}

pub(super) fn plain_text(column: &Column, alias: &str, dialect: Dialect) -> String {
    let name = format!("{alias}.{}", quote(&column.name));
    match dialect {
        Dialect::Sqlite => format!("cast({name} as text)"),
        Dialect::Postgres => format!("{name}::text"),
    }
}

/// A key cell as [`crate::plan::key_text`] writes it; null when SQL holds it in another way. `None`: SQL cannot.
fn part(column: &Column, alias: &str, dialect: Dialect) -> Option<String> {
    let name = format!("{alias}.{}", quote(&column.name));
    Some(match (column.kind, dialect) {
        (ColumnKind::Text(_), _) => format!("replace(replace({name}, '%', '%25'), '/', '%2F')"),
        (ColumnKind::Int, _) | (ColumnKind::Bool | ColumnKind::Uuid, Dialect::Postgres) => {
            plain_text(column, alias, dialect)
        }
        (ColumnKind::Bool, Dialect::Sqlite) => {
            format!("case {name} when 0 then 'false' when 1 then 'true' end")
        }
        (ColumnKind::Uuid, Dialect::Sqlite) => {
            format!("case when length({name}) = 36 then lower({name}) end")
        }
        (ColumnKind::Date, Dialect::Sqlite) => format!(
            "case when {name} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' \
             then cast(cast(julianday({name}) - 2440587.5 as integer) as text) end"
        ),
        (ColumnKind::Time, Dialect::Sqlite) => format!(
            "case when {name} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z' \
             then cast(strftime('%s', substr({name}, 1, 19)) * 1000000 + cast(substr({name}, 21, 6) as integer) as text) end"
        ),
        (ColumnKind::Date, Dialect::Postgres) => format!("({name} - date '1970-01-01')::text"),
        (ColumnKind::Time, Dialect::Postgres) => {
            format!("(extract(epoch from {name}) * 1000000)::numeric(30)::text")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, triggers};
    use crate::language::parse;
    use crate::plan::Plan;

    const MODEL: &str = "[repot]\nsource = \"./d\"\n[chats]\nfile = \"{user}/{id}.json\"\ntenant = \"user\"\n[chats.fields]\nid = \"text key\"\nuser = \"text\"\n\
                         [words]\nin = \"chats.words[]\"\n[words.fields]\nchat_id = \"-> chats cascade auto\"\norder = \"position\"\nword = \"text\"\n";

    fn made(dialect: Dialect, name: &str) -> String {
        let model = parse(MODEL, "repot.toml", &|_| None).expect("the model is right");
        let plan = Plan::compile(&model).expect("the model compiles");
        let found = triggers(&plan, dialect, "public").into_iter().find(|trigger| trigger.name == name);
        found.map(|trigger| format!("{}\n{}", trigger.function, trigger.create)).unwrap_or_default()
    }

    #[test]
    fn a_nested_row_marks_its_document_on_sqlite() {
        assert_eq!(
            made(Dialect::Sqlite, "repot_mark_words_delete"),
            "\ncreate trigger \"repot_mark_words_delete\" after delete on \"words\" for each row\n\
             when not exists (select 1 from repot_writer where busy <> 0)\nbegin\n  \
             insert into repot_marking (collection, tenant, key, kind) select found.*, 2 from (select 'chats', cast(p0.\"user\" as text), \
             coalesce(replace(replace(p0.\"id\", '%', '%25'), '/', '%2F'), '*') from \"chats\" as p0 \
             where p0.\"id\" = old.\"chat_id\") as found;\nend"
        );
    }

    #[test]
    fn a_statement_marks_its_documents_on_postgres() {
        let made = made(Dialect::Postgres, "repot_mark_words_insert");
        let wanted = "if tg_op = 'INSERT' then\nwith roots (collection, tenant, key) as (select 'chats'::text, p0.\"user\"::text, \
                      coalesce(replace(replace(p0.\"id\", '%', '%25'), '/', '%2F'), '*') from repot_new as r, \"public\".\"chats\" as p0 \
                      where p0.\"id\" = r.\"chat_id\"),\n";
        assert!(made.contains(wanted), "{made}");
        assert!(made.ends_with(
            "create trigger \"repot_mark_words_insert\" after insert on \"words\"\nreferencing new table as repot_new \
             for each statement when (current_setting('repot.writer', true) is distinct from 'on')\n\
             execute function \"repot_mark_words\"()"
        ), "{made}");
    }
}
