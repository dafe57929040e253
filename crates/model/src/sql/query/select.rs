//! A page of rows as one statement.

use super::condition::{Condition, Writer, is_null};
use super::{Parameter, Speech, Tenancy};
use crate::plan::{ColumnKind, Parent, Plan};
use crate::row::{Cell, Cells};
use crate::sql::marks::known_key_text;
use crate::sql::{Dialect, quote, text_literal};

/// One column of an order. Nulls come before all values, and after them when descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: usize,
    /// From the greatest.
    pub descending: bool,
}

/// A reference whose row comes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The column that refers.
    pub column: usize,
    /// Where to; several for one that may refer to rows of several tables.
    pub targets: Vec<ExpansionTarget>,
}

/// A table that is referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpansionTarget {
    /// The table.
    pub table: usize,
    /// Its column that is referred to.
    pub column: usize,
    /// The referring table's column that names the target, where there are several.
    pub type_column: Option<usize>,
}

/// Which rows, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The table.
    pub table: usize,
    /// What its rows must fulfil.
    pub filter: Condition,
    /// The order; the last columns tell all rows apart.
    pub sort: Vec<Sort>,
    /// Only what comes after the row with these cells, encoded, one for each column of the order.
    pub after: Option<Vec<u8>>,
    /// The columns of each row.
    pub columns: Vec<usize>,
    /// Rows that come along, all their columns; those of other tenants do not.
    pub expand: Vec<Expansion>,
    /// Rows at most.
    pub limit: u64,
    /// Rows left out at the beginning.
    pub offset: u64,
    /// On PostgreSQL: the keys of the documents that the rows are of are left in the setting [`KEYS`].
    pub keyed: bool,
}

/// The setting of a transaction that holds the keys of the rows that a statement gave, one behind the other with
/// [`BETWEEN_KEYS`] between them: what is sent behind the statement finds them there, also where it runs under another role.
pub const KEYS: &str = "repot.keys";

/// Stands in no key: behind `%` comes `25` or `2F` there.
pub const BETWEEN_KEYS: &str = "%,";

/// A statement that reads, with the values it is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// In the order of their numbers.
    pub parameters: Vec<Parameter>,
    /// The types of the columns of its answer: those asked for, those of rows that come along, those of the order that
    /// are not among them.
    pub columns: Vec<ColumnKind>,
    /// Where in its answer the values of the order are.
    pub order: Vec<usize>,
    /// The tenant that asks; where the database has a role for that, it is run under it.
    pub tenant: Option<String>,
    /// It leaves the keys of its rows in the setting [`KEYS`].
    pub keyed: bool,
}

/// The statement of a page of rows.
#[must_use]
pub fn statement(plan: &Plan, tenancy: &Tenancy, speech: Speech, select: &Select) -> Statement {
    let mut writer = Writer::new(plan, tenancy, speech);
    let table = select.table;
    let mut columns: Vec<ColumnKind> =
        select.columns.iter().map(|&column| writer.kind(table, column)).collect();
    let mut list: Vec<String> =
        select.columns.iter().map(|&column| writer.column(table, column, "r")).collect();
    let mut joins = String::new();
    let targets = select.expand.iter().flat_map(|one| one.targets.iter().map(|target| (one.column, target)));
    for (number, (column, target)) in targets.enumerate() {
        let alias = format!("x{}", number + 1);
        joins.push_str(&join(&mut writer, table, column, target, &alias));
        for at in 0..plan.tables[target.table].columns.len() {
            list.push(writer.column(target.table, at, &alias));
            columns.push(writer.kind(target.table, at));
        }
    }
    let mut order = Vec::with_capacity(select.sort.len());
    for sort in &select.sort {
        let kind = as_stored(&writer, table, sort.column);
        let known = select.columns.iter().position(|column| *column == sort.column);
        order.push(known.filter(|&at| columns[at] == kind).unwrap_or_else(|| {
            list.push(writer.column(table, sort.column, "r"));
            columns.push(kind);
            columns.len() - 1
        }));
    }
    let key = if select.keyed { key(&writer, (select, &order), &mut list) } else { None };
    let rows = rows(&mut writer, select, &joins);
    let mut sql = format!("select {}\nfrom {rows}", list.join(", "));
    if let Some(key) = &key {
        sql = keyed(&sql, key);
    }
    Statement { sql, parameters: writer.parameters, columns, order, tenant: None, keyed: key.is_some() }
}

/// The key of a row of `page`, `None` where SQL cannot write it. It is made of the page's rows alone, and not of all that
/// those are chosen from; where rows of other tables stand in them, too, it is a column of theirs.
fn key(writer: &Writer<'_>, (select, order): (&Select, &[usize]), list: &mut Vec<String>) -> Option<String> {
    let shape = &writer.plan.tables[select.table];
    // a column may stand in the page twice: as it is given, and as it is sorted by
    let is_once = |column: usize| {
        let given = select.columns.iter().filter(|given| **given == column).count();
        let sorted = select.sort.iter().zip(order);
        given == 1
            && !sorted.into_iter().any(|(sort, at)| sort.column == column && *at >= select.columns.len())
    };
    let of = |alias| known_key_text(shape, alias, Dialect::Postgres).filter(|_| writer.is(Dialect::Postgres));
    if select.expand.is_empty() && shape.key.iter().all(|column| is_once(*column)) {
        return of("page");
    }
    // no model can name a column so
    let name = quote("repot:key");
    list.push(format!("{} as {name}", of("r")?));
    Some(format!("page.{name}"))
}

/// The same rows in the same order, with their keys in the setting before the first of them is given. What is sent behind it finds
/// few rows by keys: from here on, plans read no whole table where there is an index.
fn keyed(page: &str, key: &str) -> String {
    format!(
        "with page as materialized (\n{page}\n)\nselect page.* from page\n\
         where (select set_config('{KEYS}', coalesce(string_agg({key}, '{BETWEEN_KEYS}'), ''), true) from page) is not null\n  \
         and (select set_config('enable_seqscan', 'off', true)) is not null and (select set_config('jit', 'off', true)) is not null"
    )
}

/// The statement of the number of rows that fulfil a condition.
#[must_use]
pub fn count_statement(
    plan: &Plan,
    tenancy: &Tenancy,
    speech: Speech,
    (table, filter): (usize, &Condition),
) -> Statement {
    let mut writer = Writer::new(plan, tenancy, speech);
    let places = places(&mut writer, table, filter);
    let name = quote(&plan.tables[table].name);
    let place =
        if places.is_empty() { String::new() } else { format!("\nwhere {}", places.join("\n  and ")) };
    Statement {
        sql: format!("select count(*)\nfrom {name} as r{place}"),
        parameters: writer.parameters,
        columns: vec![ColumnKind::Int],
        order: Vec::new(),
        tenant: None,
        keyed: false,
    }
}

/// Whose rows, and what they must fulfil: conditions that must all hold.
fn places(writer: &mut Writer<'_>, table: usize, filter: &Condition) -> Vec<String> {
    let mut places: Vec<String> = writer.tenant(table, "r").into_iter().collect();
    if *filter != Condition::All(Vec::new()) {
        places.push(writer.condition(filter, table, "r"));
    }
    places
}

/// All of the statement behind `from`.
fn rows(writer: &mut Writer<'_>, select: &Select, joins: &str) -> String {
    let table = select.table;
    let mut places = places(writer, table, &select.filter);
    if let Some(after) = &select.after {
        places.push(beyond(writer, select, after));
    }
    let ranges = ranges(writer, select);
    let order: Vec<String> = select.sort.iter().map(|sort| ordered(writer, table, *sort)).collect();
    let order = if order.is_empty() { String::new() } else { format!("\norder by {}", order.join(", ")) };
    let mut count = |number: u64| {
        writer.mark_cell(&Cell::Int(i64::try_from(number).unwrap_or(i64::MAX)), ColumnKind::Int)
    };
    let mut page = format!("\nlimit {}", count(select.limit));
    if select.offset > 0 {
        page.push_str(&format!(" offset {}", count(select.offset)));
    }
    let name = quote(&writer.plan.tables[table].name);
    let place = |more: Option<&String>| {
        let all: Vec<&str> = places.iter().chain(more).map(String::as_str).collect();
        if all.is_empty() { String::new() } else { format!("\nwhere {}", all.join("\n  and ")) }
    };
    match ranges {
        None => format!("{name} as r{joins}{}{order}{page}", place(None)),
        Some(ranges) => {
            let part = |range| format!("(select r.* from {name} as r{}{order}{page})", place(Some(range)));
            let parts = ranges.each_ref().map(part).join("\nunion all ");
            format!("({parts}) as r{joins}{order}{page}")
        }
    }
}

/// Behind a cursor in a descending column come the lesser values and then the nulls, which no one range of an index of
/// PostgreSQL holds: the conditions of the two, each of which begins where the cursor stands. `None`: one range will do.
fn ranges(writer: &mut Writer<'_>, select: &Select) -> Option<[String; 2]> {
    let (sort, cell) = select.sort.first().zip(Cells::new(select.after.as_deref()?).next_raw())?;
    let nullable = writer.plan.tables[select.table].columns[sort.column].nullable;
    if !(writer.is(Dialect::Postgres) && sort.descending && nullable) || is_null(cell) {
        return None;
    }
    let kind = writer.kind(select.table, sort.column);
    let name = writer.column(select.table, sort.column, "r");
    let mark = writer.mark(Parameter { cell: cell.to_vec(), kind });
    Some([format!("{} <= {mark}", writer.ordered(name.clone(), kind)), format!("{name} is null")])
}

/// How a value of the order is read for a cursor. SQLite orders the texts of its columns, whatever else they mean: plain
/// SQL may have spelled a time in another way, and the cursor must stand where the text does.
fn as_stored(writer: &Writer<'_>, table: usize, column: usize) -> ColumnKind {
    match (writer.kind(table, column), writer.speech.dialect) {
        (ColumnKind::Time | ColumnKind::Date | ColumnKind::Uuid | ColumnKind::Decimal, Dialect::Sqlite) => {
            ColumnKind::Text(None)
        }
        (kind, _) => kind,
    }
}

fn join(
    writer: &mut Writer<'_>,
    table: usize,
    column: usize,
    target: &ExpansionTarget,
    alias: &str,
) -> String {
    let plan = writer.plan;
    let own = &plan.tables[table].columns[column];
    let link =
        Parent { table: target.table, column, parent_column: target.column, type_column: target.type_column };
    let mut on = format!("{} = r.{}", writer.key_as_held(own, &link, alias), quote(&own.name));
    if let Some(kind) = target.type_column {
        let name = text_literal(&plan.tables[target.table].name);
        on.push_str(&format!(" and {} = {name}", writer.column(table, kind, "r")));
    }
    if let Some(tenant) = writer.tenant(target.table, alias) {
        on.push_str(&format!(" and {tenant}"));
    }
    format!("\nleft join {} as {alias} on {on}", quote(&plan.tables[target.table].name))
}

fn ordered(writer: &Writer<'_>, table: usize, sort: Sort) -> String {
    let mut text = writer.ordered(writer.column(table, sort.column, "r"), writer.kind(table, sort.column));
    if sort.descending {
        text.push_str(" desc");
    }
    // SQLite has nulls first by itself; where there are none, an index fits only without the words
    if writer.is(Dialect::Postgres) && writer.plan.tables[table].columns[sort.column].nullable {
        text.push_str(if sort.descending { " nulls last" } else { " nulls first" });
    }
    text
}

/// What comes after a row in the order: greater in the first column, or the same there and greater in the next ...
fn beyond(writer: &mut Writer<'_>, select: &Select, after: &[u8]) -> String {
    let mut cells = Vec::new();
    let mut reader = Cells::new(after);
    while let Some(cell) = reader.next_raw() {
        cells.push(cell);
    }
    let mut text = String::new();
    for (sort, cell) in select.sort.iter().zip(cells).rev() {
        text = step(writer, select.table, *sort, cell, &text);
    }
    text
}

fn step(writer: &mut Writer<'_>, table: usize, sort: Sort, cell: &[u8], rest: &str) -> String {
    let kind = writer.kind(table, sort.column);
    let nullable = writer.plan.tables[table].columns[sort.column].nullable;
    let name = writer.column(table, sort.column, "r");
    if is_null(cell) {
        let same = format!("{name} is null");
        let beyond = (!sort.descending).then(|| format!("{name} is not null"));
        return match (rest.is_empty(), beyond) {
            (true, Some(beyond)) => beyond,
            (true, None) => "false".to_owned(),
            (false, Some(beyond)) => format!("({beyond} or ({same} and {rest}))"),
            (false, None) => format!("({same} and {rest})"),
        };
    }
    let mark = writer.mark(Parameter { cell: cell.to_vec(), kind });
    let value = writer.ordered(name.clone(), kind);
    let sign = if sort.descending { '<' } else { '>' };
    let nulls_follow = sort.descending && nullable;
    let or_null = if nulls_follow { format!(" or {name} is null") } else { String::new() };
    if rest.is_empty() {
        let beyond = format!("{value} {sign} {mark}{or_null}");
        return if nulls_follow { format!("({beyond})") } else { beyond };
    }
    let same = writer.equated(name, kind);
    // the first bound says nothing new, but it is one that an index can begin at
    let bound = if nulls_follow { String::new() } else { format!("{value} {sign}= {mark} and ") };
    format!("({bound}({value} {sign} {mark}{or_null} or ({same} = {mark} and {rest})))")
}
