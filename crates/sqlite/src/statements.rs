//! The SQL for a plan's tables, made once: nothing puts a statement together per row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use repot_model::plan::{ColumnKind, Plan, Table};
use repot_model::sql::{quote, text_literal};

type SomeColumns = HashMap<(usize, Vec<usize>), Arc<str>>;

/// SQL for every table of a plan.
#[derive(Debug)]
pub(crate) struct PlanSql {
    /// Hash of the plan it is for.
    pub hash: String,
    /// One for each table.
    pub tables: Vec<TableSql>,
    /// Those that overwrite some columns, by table and columns.
    some: Mutex<SomeColumns>,
}

/// Sets of columns of which the statements are kept; one writer changes few.
const SOME_MAX: usize = 256;

/// SQL for one table. `r` is the table; whole rows are all its columns in the plan's order.
#[derive(Debug)]
pub(crate) struct TableSql {
    /// Parameters: all columns.
    pub insert: String,
    /// Parameters: the identity's columns. Empty when rows cannot be told apart.
    pub delete: String,
    /// Parameters: all columns. `None` when there is nothing besides the identity.
    pub update: Option<String>,
    /// Whole rows, all of them.
    pub scan: String,
    /// Whole row by the identity's columns.
    pub by_identity: String,
    /// Whole row by the key's columns.
    pub by_key: String,
    /// Whole row by the columns of each unique constraint.
    pub by_unique: Vec<String>,
    /// How to find the rows held by a row of this table.
    pub children: Vec<ChildSql>,
    /// Rows can be sorted by this one integer key column before they go in.
    pub integer_key: Option<usize>,
}

/// Rows of a table that a row of another one holds.
#[derive(Debug)]
pub(crate) struct ChildSql {
    /// The table of the held rows.
    pub table: usize,
    /// Its column with the holder's key.
    pub column: usize,
    /// The key's column in the holder's table.
    pub parent_column: usize,
    /// Whole rows by the holder's key, in order of their position.
    pub select: String,
}

impl PlanSql {
    pub(crate) fn new(plan: &Plan) -> Self {
        let tables = (0..plan.tables.len()).map(|at| TableSql::new(plan, at)).collect();
        Self { hash: plan.hash.clone(), tables, some: Mutex::default() }
    }

    /// Overwrites these columns. Parameters: they, then the identity's columns.
    pub(crate) fn update_columns(&self, plan: &Plan, table: usize, columns: &[usize]) -> Arc<str> {
        let mut some = self.some.lock().unwrap_or_else(PoisonError::into_inner);
        let named = (table, columns.to_vec());
        if let Some(made) = some.get(&named) {
            return Arc::clone(made);
        }
        if some.len() >= SOME_MAX {
            some.clear();
        }
        let made: Arc<str> = update_columns(&plan.tables[table], columns).into();
        some.insert(named, Arc::clone(&made));
        made
    }
}

impl TableSql {
    fn new(plan: &Plan, at: usize) -> Self {
        let table = &plan.tables[at];
        let name = quote(&table.name);
        let all = 0..table.columns.len();
        let columns: Vec<String> = all.clone().map(|column| column_name(table, column)).collect();
        let marks: Vec<String> = all.clone().map(|column| format!("?{}", column + 1)).collect();
        let sets: Vec<String> = all
            .filter(|column| !table.identity.contains(column))
            .map(|column| format!("{} = ?{}", columns[column], column + 1))
            .collect();
        let own = table
            .identity
            .iter()
            .map(|&column| same(table, column, column + 1))
            .collect::<Vec<_>>()
            .join(" and ");
        let by = |by: &[usize]| {
            let same: Vec<String> =
                by.iter().enumerate().map(|(place, &column)| same(table, column, place + 1)).collect();
            same.join(" and ")
        };
        let scan = format!("select {} from {name} as r", selected(table));
        Self {
            insert: format!("insert into {name} ({}) values ({})", columns.join(", "), marks.join(", ")),
            delete: format!("delete from {name} where {}", by(&table.identity)),
            update: (!sets.is_empty() && !own.is_empty())
                .then(|| format!("update {name} set {} where {own}", sets.join(", "))),
            by_identity: format!("{scan} where {}", by(&table.identity)),
            by_key: format!("{scan} where {}", by(&table.key)),
            scan: scan.clone(),
            by_unique: table
                .unique
                .iter()
                .map(|unique| {
                    let equal = unique.columns.iter().enumerate().map(|(place, &(column, _))| {
                        // a null is equal to nothing here
                        format!("r.{} = ?{}", column_name(table, column), place + 1)
                    });
                    format!("{scan} where {}", equal.collect::<Vec<_>>().join(" and "))
                })
                .collect(),
            children: children(plan, at),
            integer_key: match table.key.as_slice() {
                [only] if table.columns[*only].kind == ColumnKind::Int => Some(*only),
                _ => None,
            },
        }
    }
}

fn update_columns(table: &Table, columns: &[usize]) -> String {
    let sets: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, &column)| format!("{} = ?{}", column_name(table, column), at + 1))
        .collect();
    let own = table.identity.iter().enumerate();
    let own: Vec<String> = own.map(|(at, &column)| same(table, column, columns.len() + at + 1)).collect();
    format!("update {} set {} where {}", quote(&table.name), sets.join(", "), own.join(" and "))
}

fn children(plan: &Plan, holder: usize) -> Vec<ChildSql> {
    let mut out = Vec::new();
    for (at, table) in plan.tables.iter().enumerate() {
        let mut seen = Vec::new();
        for parent in table.parents.iter().filter(|parent| parent.table == holder) {
            if seen.contains(&(parent.column, parent.type_column)) {
                continue;
            }
            seen.push((parent.column, parent.type_column));
            let mut select = format!(
                "select {} from {} as r where {}",
                selected(table),
                quote(&table.name),
                same(table, parent.column, 1)
            );
            if let Some(column) = parent.type_column {
                select.push_str(" and ");
                select.push_str(&column_name(table, column));
                select.push_str(" = ");
                select.push_str(&text_literal(&plan.tables[holder].name));
            }
            if let Some(position) = table.position {
                select.push_str(" order by ");
                select.push_str(&column_name(table, position));
            }
            out.push(ChildSql {
                table: at,
                column: parent.column,
                parent_column: parent.parent_column,
                select,
            });
        }
    }
    out
}

pub(crate) fn column_name(table: &Table, column: usize) -> String {
    quote(&table.columns[column].name)
}

/// The columns of `r`: qualified, because SQLite takes a quoted name that it does not know for a text.
pub(crate) fn selected(table: &Table) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("r.{}", quote(&column.name))).collect();
    columns.join(", ")
}

pub(crate) fn same(table: &Table, column: usize, parameter: usize) -> String {
    let operator = if table.columns[column].nullable { "is" } else { "=" };
    format!("{} {operator} ?{parameter}", column_name(table, column))
}
