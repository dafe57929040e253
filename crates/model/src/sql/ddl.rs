//! DDL: what a person would have written for these tables.

use std::fmt::Write as _;

use super::transitions::bounded;
use crate::language::OnDelete;
use crate::plan::{Column, ColumnKind, ForeignKey, IndexPlan, SqlDefault, Table};

/// A database's way of writing SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.37 and later (STRICT tables).
    Sqlite,
    /// PostgreSQL 13 and later.
    Postgres,
}

/// An identifier, always quoted: reserved words, upper case and odd characters need no list of exceptions.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant.
#[must_use]
pub fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `create table`, without secondary indexes. SQLite has references and keys in the table; on PostgreSQL
/// [`primary_key`] (when the key is auto) and [`foreign_key`] add them after the bulk load.
#[must_use]
pub fn create_table(table: &Table, tables: &[Table], dialect: Dialect) -> String {
    let mut lines: Vec<String> =
        table.columns.iter().map(|column| column_line(column, table, dialect)).collect();
    let single_integer = dialect == Dialect::Sqlite
        && matches!(table.key.as_slice(), [only] if table.columns[*only].kind == ColumnKind::Int);
    let comes_later = dialect == Dialect::Postgres && table.key_is_auto;
    if !(table.key.is_empty() || single_integer || comes_later) {
        lines.push(format!("primary key ({})", names(table, table.key.iter().copied())));
    }
    for unique in &table.unique {
        let columns = names(table, unique.columns.iter().map(|column| column.0));
        lines.push(format!("constraint {} unique ({columns})", quote(&unique.name)));
    }
    if dialect == Dialect::Sqlite {
        for key in &table.foreign_keys {
            let column = quote(&table.columns[key.column].name);
            lines.push(format!("foreign key ({column}) {}", references(key, tables)));
        }
    }
    let strict = if dialect == Dialect::Sqlite { " strict" } else { "" };
    format!("create table {} (\n  {}\n){strict}", quote(&table.name), lines.join(",\n  "))
}

/// `alter table ... add primary key`, for PostgreSQL tables whose key is auto.
#[must_use]
pub fn primary_key(table: &Table) -> String {
    let columns = names(table, table.key.iter().copied());
    format!("alter table {} add primary key ({columns})", quote(&table.name))
}

/// `alter table ... add constraint ... foreign key`, for PostgreSQL.
#[must_use]
pub fn foreign_key(table: &Table, key: &ForeignKey, tables: &[Table]) -> String {
    format!(
        "alter table {} add constraint {} foreign key ({}) {}",
        quote(&table.name),
        quote(&key.name),
        quote(&table.columns[key.column].name),
        references(key, tables)
    )
}

/// `create index if not exists`.
#[must_use]
pub fn create_index(table: &Table, index: &IndexPlan, dialect: Dialect) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|&(column, descending)| {
            let column = &table.columns[column];
            format!("{}{}", quote(&column.name), index_order(column, descending, dialect))
        })
        .collect();
    format!(
        "create index if not exists {} on {} ({})",
        quote(&index.name),
        quote(&table.name),
        columns.join(", ")
    )
}

/// The index that gives the rows of a table in the order of its key on PostgreSQL, where the database has an order of texts of its own, in
/// which the key's own index is. `None`: the key has no texts.
#[must_use]
pub fn create_order_index(table: &Table) -> Option<String> {
    let columns = table.key.iter().map(|&column| &table.columns[column]);
    let is_text = |column: &Column| matches!(column.kind, ColumnKind::Text(_));
    if !columns.clone().any(is_text) {
        return None;
    }
    let ordered = columns.map(|column| {
        let order = index_order(column, false, Dialect::Postgres);
        format!("{}{}{order}", quote(&column.name), if is_text(column) { " collate \"C\"" } else { "" })
    });
    let name = bounded(&format!("repot_order_{}", table.name));
    let columns: Vec<String> = ordered.collect();
    Some(format!(
        "create index if not exists {} on {} ({})",
        quote(&name),
        quote(&table.name),
        columns.join(", ")
    ))
}

/// How a column of an index is ordered. Questions have nulls before all values, as SQLite has; an index of PostgreSQL
/// gives that order only when it says so.
#[must_use]
pub const fn index_order(column: &Column, descending: bool, dialect: Dialect) -> &'static str {
    match (dialect, column.nullable, descending) {
        (Dialect::Postgres, true, true) => " desc nulls last",
        (Dialect::Postgres, true, false) => " nulls first",
        (_, _, true) => " desc",
        (_, _, false) => "",
    }
}

fn references(key: &ForeignKey, tables: &[Table]) -> String {
    let target = &tables[key.table];
    let action = match key.on_delete {
        OnDelete::Refuse => "",
        OnDelete::Cascade => " on delete cascade",
        OnDelete::SetNull => " on delete set null",
    };
    format!("references {} ({}){action}", quote(&target.name), quote(&target.columns[key.target_column].name))
}

fn names(table: &Table, columns: impl Iterator<Item = usize>) -> String {
    columns.map(|column| quote(&table.columns[column].name)).collect::<Vec<_>>().join(", ")
}

fn column_line(column: &Column, table: &Table, dialect: Dialect) -> String {
    let name = quote(&column.name);
    let mut line = format!("{name} {}", type_name(column.kind, dialect));
    if dialect == Dialect::Sqlite
        && matches!(table.key.as_slice(), [only] if std::ptr::eq(column, &table.columns[*only]))
        && column.kind == ColumnKind::Int
    {
        line.push_str(" primary key");
    }
    if !column.nullable {
        line.push_str(" not null");
    }
    if let Some(default) = &column.default {
        line.push_str(" default ");
        line.push_str(&default_sql(default, column.kind, dialect));
    }
    if !column.words.is_empty() {
        let words: Vec<String> = column.words.iter().map(|word| text_literal(word)).collect();
        write!(line, " check ({name} in ({}))", words.join(", ")).expect("writing to a String does not fail");
    }
    if let (ColumnKind::Text(Some(most)), Dialect::Sqlite) = (column.kind, dialect) {
        write!(line, " check (length({name}) <= {most})").expect("writing to a String does not fail");
    }
    line
}

pub(super) fn type_name(kind: ColumnKind, dialect: Dialect) -> String {
    let name = match (kind, dialect) {
        (ColumnKind::Text(Some(most)), Dialect::Postgres) => return format!("varchar({most})"),
        (ColumnKind::Text(_), _) => "text",
        (ColumnKind::Int | ColumnKind::Bool, Dialect::Sqlite) => "integer",
        (ColumnKind::Int, Dialect::Postgres) => "bigint",
        (ColumnKind::Bool, Dialect::Postgres) => "boolean",
        (ColumnKind::Float, Dialect::Sqlite) => "real",
        (ColumnKind::Float, Dialect::Postgres) => "double precision",
        (ColumnKind::Decimal, Dialect::Postgres) => "numeric",
        (ColumnKind::Time, Dialect::Postgres) => "timestamptz",
        (ColumnKind::Date, Dialect::Postgres) => "date",
        (ColumnKind::Uuid, Dialect::Postgres) => "uuid",
        (ColumnKind::Json, Dialect::Postgres) => "json",
        (ColumnKind::Bytes, Dialect::Sqlite) => "blob",
        (ColumnKind::Bytes, Dialect::Postgres) => "bytea",
        (ColumnKind::TextList, Dialect::Postgres) => "text[]",
        (ColumnKind::IntList, Dialect::Postgres) => "bigint[]",
        (ColumnKind::FloatList, Dialect::Postgres) => "double precision[]",
        (ColumnKind::BoolList, Dialect::Postgres) => "boolean[]",
        (_, Dialect::Sqlite) => "text",
    };
    name.to_owned()
}

fn default_sql(default: &SqlDefault, kind: ColumnKind, dialect: Dialect) -> String {
    match (default, dialect) {
        (SqlDefault::Now, Dialect::Sqlite) => "(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))".to_owned(),
        (SqlDefault::Now, Dialect::Postgres) => "now()".to_owned(),
        (SqlDefault::Today, Dialect::Sqlite) => "(date('now'))".to_owned(),
        (SqlDefault::Today, Dialect::Postgres) => "((now() at time zone 'UTC')::date)".to_owned(),
        (SqlDefault::Text(text), _) => text_literal(text),
        (SqlDefault::Plain(plain), Dialect::Sqlite) if kind == ColumnKind::Bool => {
            if plain == "true" { "1" } else { "0" }.to_owned()
        }
        (SqlDefault::Plain(plain), _) => plain.clone(),
    }
}
