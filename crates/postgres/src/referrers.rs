//! Who refers to rows that are about to go.

use crate::client::Client;
use repot_core::{Referrer, Result};
use repot_model::plan::{Plan, key_text};
use repot_model::row::{Cell, Cells};
use repot_model::sql::quote;
use tokio_postgres::types::Type;

use crate::chain::{Chain, Encoded, chains, named};
use crate::copy::Failure;
use crate::encode::{array, array_of};
use crate::stored::cells;

/// A row that refers to another.
pub(crate) struct Referring {
    /// The cell by which it refers.
    pub value: Vec<u8>,
    /// Its identity cells.
    pub identity: Vec<u8>,
    /// The key cells of its root row.
    pub root: Vec<u8>,
}

/// Rows at the beginning of `chain` whose `column` holds one of these keys, at most `most`.
pub(crate) async fn referring(
    client: &Client,
    plan: &Plan,
    (chain, column): (&Chain, usize),
    (keys, most): (&[&[u8]], i64),
) -> Result<Vec<Referring>, Failure> {
    let table = &plan.tables[chain.tables[0]];
    let root = &plan.tables[chain.root()];
    let kind = table.columns[column].kind;
    let mut bytes = Vec::new();
    let values = keys.iter().map(|key| Cells::new(key).next().unwrap_or(Cell::Null));
    if root.key.is_empty() || !array(keys.len(), values, kind, &mut bytes) {
        return Ok(Vec::new());
    }
    let own = [&[column], table.identity.as_slice()].concat();
    let sql = format!(
        "select {}, {} from {} where t0.{} = any($1) limit $2",
        named(table, &own, "t0"),
        chain.root_key(plan),
        chain.from(plan),
        quote(&table.columns[column].name)
    );
    let rows = client
        .query_typed(&sql, &[(&Encoded(Some(bytes)), array_of(kind)), (&most, Type::INT8)])
        .await
        .map_err(Failure::server(format!("look for rows of {} that refer to what goes", table.name)))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let (mut value, mut identity, mut of_root) = (Vec::new(), Vec::new(), Vec::new());
        cells(&row, 0, std::iter::once(kind), &mut value)?;
        cells(&row, 1, table.identity.iter().map(|&column| table.columns[column].kind), &mut identity)?;
        cells(&row, own.len(), root.key.iter().map(|&column| root.columns[column].kind), &mut of_root)?;
        found.push(Referring { value, identity, root: of_root });
    }
    Ok(found)
}

/// Rows that refer to one of these values, each with its document.
pub(crate) async fn referrers(
    client: &Client,
    plan: &Plan,
    (table, column): (usize, usize),
    (values, most): (&[Vec<u8>], usize),
) -> Result<Vec<Referrer>> {
    let keys: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let mut found = Vec::new();
    for chain in chains(plan, table) {
        let most = i64::try_from(most.saturating_sub(found.len())).unwrap_or(i64::MAX);
        for row in referring(client, plan, (&chain, column), (&keys, most)).await? {
            found.push(Referrer {
                document: Some((plan.tables[chain.root()].name.clone(), key_text(&row.root))),
                row: row.identity,
                value: row.value,
            });
        }
    }
    Ok(found)
}
