//! From a row to the root row of its document, as SQL joins: the same chains lead up (which document holds this
//! row?) and down (which rows hold this document?). And cells as parameters of statements.

use std::fmt::Write as _;

use bytes::BytesMut;
use repot_core::{Error, Kind};
use repot_model::plan::{Column, ColumnKind, Plan, Table};
use repot_model::row::{Cell, Cells};
use repot_model::sql::{quote, text_literal};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::encode::{self, type_of};

/// More ways from one table to a root than any model has.
const CHAINS_MOST: usize = 256;

/// One way from a table to a root table. Row `t0` is the table's, the last one the root's.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// Tables from the first to the root.
    pub tables: Vec<usize>,
    /// Join conditions, one fewer.
    on: Vec<String>,
}

impl Chain {
    /// Index of the root table.
    pub(crate) fn root(&self) -> usize {
        *self.tables.last().expect("a chain begins with its table")
    }

    /// The alias of the root row.
    pub(crate) fn root_alias(&self) -> String {
        format!("t{}", self.tables.len() - 1)
    }

    /// `"messages" t0 join "conversations" t1 on ...`.
    pub(crate) fn from(&self, plan: &Plan) -> String {
        let mut out = format!("{} t0", quote(&plan.tables[self.tables[0]].name));
        for (number, (table, on)) in self.tables.iter().skip(1).zip(&self.on).enumerate() {
            let name = quote(&plan.tables[*table].name);
            write!(out, " join {name} t{} on {on}", number + 1).expect("a String takes everything");
        }
        out
    }

    /// The same for `delete ... using`: the tables after the first, and the conditions.
    pub(crate) fn using(&self, plan: &Plan) -> (String, String) {
        let tables: Vec<String> = self
            .tables
            .iter()
            .enumerate()
            .skip(1)
            .map(|(number, table)| format!("{} t{number}", quote(&plan.tables[*table].name)))
            .collect();
        (tables.join(", "), self.on.join(" and "))
    }

    /// The root row's key columns.
    pub(crate) fn root_key(&self, plan: &Plan) -> String {
        let root = &plan.tables[self.root()];
        named(root, &root.key, &self.root_alias())
    }
}

/// Columns of an alias, quoted and in order.
pub(crate) fn named(table: &Table, columns: &[usize], alias: &str) -> String {
    let names: Vec<String> =
        columns.iter().map(|&column| format!("{alias}.{}", quote(&table.columns[column].name))).collect();
    names.join(", ")
}

/// All ways from `table` to roots; one of no step for a root.
pub(crate) fn chains(plan: &Plan, table: usize) -> Vec<Chain> {
    let mut done = Vec::new();
    let mut open = vec![Chain { tables: vec![table], on: Vec::new() }];
    while let Some(chain) = open.pop() {
        let here = &plan.tables[chain.root()];
        if here.parents.is_empty() {
            done.push(chain);
            if done.len() >= CHAINS_MOST {
                break;
            }
            continue;
        }
        let number = chain.tables.len();
        for parent in here.parents.iter().filter(|parent| !chain.tables.contains(&parent.table)) {
            let above = &plan.tables[parent.table];
            let own = &here.columns[parent.column];
            let key = &above.columns[parent.parent_column];
            let mut on = format!(
                "t{}.{} = {}",
                number - 1,
                quote(&own.name),
                as_held(own, key, &format!("t{number}"))
            );
            if let Some(column) = parent.type_column {
                let name = quote(&here.columns[column].name);
                write!(on, " and t{}.{name} = {}", number - 1, text_literal(&above.name))
                    .expect("a String takes everything");
            }
            let mut longer = chain.clone();
            longer.tables.push(parent.table);
            longer.on.push(on);
            open.push(longer);
        }
    }
    done
}

/// A parent's key as the child's column holds it: as it is, or as the text that `key_text` makes of it.
fn as_held(own: &Column, key: &Column, alias: &str) -> String {
    let name = format!("{alias}.{}", quote(&key.name));
    let is_text = |kind| matches!(kind, ColumnKind::Text(_));
    if !is_text(own.kind) || is_text(key.kind) {
        return name;
    }
    match key.kind {
        ColumnKind::Time => format!("(extract(epoch from {name}) * 1000000)::numeric(30)::text"),
        ColumnKind::Date => format!("({name} - date '1970-01-01')::text"),
        ColumnKind::Decimal => format!("trim_scale({name})::text"),
        _ => format!("{name}::text"),
    }
}

/// A value in PostgreSQL's binary form, whatever its type; `None` is null.
#[derive(Debug, Clone)]
pub(crate) struct Encoded(pub Option<Vec<u8>>);

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            None => IsNull::Yes,
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A cell as a parameter.
pub(crate) fn parameter(cell: &Cell<'_>, kind: ColumnKind) -> Result<(Encoded, Type), Error> {
    if *cell == Cell::Null {
        return Ok((Encoded(None), type_of(kind)));
    }
    let mut bytes = Vec::new();
    if encode::value(cell, kind, &mut bytes) {
        return Ok((Encoded(Some(bytes)), type_of(kind)));
    }
    Err(Error::new(Kind::Internal, "R0901", "a cell that is not of the column's kind"))
}

/// Of lists there are no arrays.
pub(crate) const fn is_list(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::TextList | ColumnKind::IntList | ColumnKind::FloatList | ColumnKind::BoolList)
}

/// Cells of one column, as an array.
pub(crate) fn array_parameter<'c>(
    table: &Table,
    column: usize,
    count: usize,
    cells: impl Iterator<Item = Cell<'c>>,
) -> Result<(Encoded, Type), Error> {
    let column = &table.columns[column];
    let mut bytes = Vec::new();
    if !encode::array(count, cells, column.kind, &mut bytes) {
        let message = format!("{}.{}: a cell that is not of the column's kind", table.name, column.name);
        return Err(Error::new(Kind::Internal, "R0901", message));
    }
    Ok((Encoded(Some(bytes)), encode::array_of(column.kind)))
}

/// `t0."id" = $1 and t0."position" is null` for encoded cells of these columns, with its parameters.
pub(crate) fn condition(
    table: &Table,
    columns: &[usize],
    cells: &[u8],
    alias: &str,
) -> Result<(String, Vec<(Encoded, Type)>), Error> {
    let mut parts = Vec::new();
    let mut parameters = Vec::new();
    let mut cells = Cells::new(cells);
    for &column in columns {
        let column = &table.columns[column];
        let cell = cells.next().unwrap_or(Cell::Null);
        let name = quote(&column.name);
        if cell == Cell::Null {
            parts.push(format!("{alias}.{name} is null"));
        } else {
            parameters.push(parameter(&cell, column.kind)?);
            parts.push(format!("{alias}.{name} = ${}", parameters.len()));
        }
    }
    if parts.is_empty() {
        return Err(Error::new(
            Kind::Internal,
            "R0901",
            format!("{} has no key to find a row by", table.name),
        ));
    }
    Ok((parts.join(" and "), parameters))
}

/// Parameters as the driver takes them.
pub(crate) fn borrowed(parameters: &[(Encoded, Type)]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    parameters.iter().map(|(value, kind)| (value as &(dyn ToSql + Sync), kind.clone())).collect()
}
