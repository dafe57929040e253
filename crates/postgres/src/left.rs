//! Documents that a batch leaves behind: they refer to rows that the batch deletes. They are set aside before the
//! deletes run, so that no `on delete` rule of a reference takes rows of theirs while their records stay.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::{Batch, Refusal};
use repot_model::plan::{ForeignKey, Plan, key_text};
use repot_model::row::{Cell, Cells};
use repot_model::sql::quote;
use tokio_postgres::types::Type;

use crate::chain::{Chain, Encoded, chains};
use crate::copy::Failure;
use crate::encode::{array, array_of};
use crate::load::Unit;
use crate::stored::cells;
use crate::transaction::Writer;

/// Keys that go, by table.
type Gone = BTreeMap<usize, BTreeSet<Vec<u8>>>;

/// What refers to rows that go.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Documents outside of the batch: they are set aside now.
    pub aside: Vec<Refusal>,
    /// Documents of the batch that still refer to what goes, and why they cannot stay.
    pub units: BTreeMap<Unit, String>,
}

/// A referring row, by its document.
struct Referrer {
    root: usize,
    /// The encoded key of the document's root row.
    key: Vec<u8>,
    reason: String,
}

/// Is the table one that documents refer to by a value of theirs?
fn is_target(plan: &Plan, table: usize) -> bool {
    plan.tables.iter().flat_map(|own| &own.foreign_keys).any(|key| key.may_dangle && key.table == table)
}

/// Keys that the batch deletes and does not put back.
fn gone(plan: &Plan, batch: &Batch) -> Gone {
    let mut gone = Gone::new();
    for (table, identity) in batch.items.iter().flat_map(|item| item.changes.deletes.iter()) {
        if is_target(plan, table) && plan.tables[table].identity == plan.tables[table].key {
            gone.entry(table).or_default().insert(identity.to_vec());
        }
    }
    for item in &batch.items {
        for (table, row) in item.rows.iter().chain(item.changes.updates.iter()) {
            if let Some(keys) = gone.get_mut(&table) {
                keys.remove(&crate::changes::identity(&plan.tables[table], row));
            }
        }
    }
    gone.retain(|_, keys| !keys.is_empty());
    gone
}

impl Writer {
    /// Finds and sets aside what the batch's deletes leave behind, and what that leaves behind in turn.
    pub(crate) async fn leave_behind(&mut self, plan: &Plan, batch: &Batch) -> Result<Left, Failure> {
        let mut left = Left::default();
        let mut open = gone(plan, batch);
        if open.is_empty() {
            return Ok(left);
        }
        let enforced = self.enforced().await?;
        while let Some((target, keys)) = open.pop_first() {
            let mut found = Vec::new();
            for (number, table) in plan.tables.iter().enumerate() {
                let referring = table
                    .foreign_keys
                    .iter()
                    .filter(|key| key.may_dangle && key.table == target && enforced.contains(&key.name));
                for key in referring {
                    for chain in chains(plan, number) {
                        self.referrers(plan, key, &chain, &keys, &mut found).await?;
                    }
                }
            }
            for referrer in found {
                if self.leave(plan, batch, &referrer, &mut left).await? && is_target(plan, referrer.root) {
                    open.entry(referrer.root).or_default().insert(referrer.key);
                }
            }
        }
        Ok(left)
    }

    async fn referrers(
        &self,
        plan: &Plan,
        key: &ForeignKey,
        chain: &Chain,
        keys: &BTreeSet<Vec<u8>>,
        found: &mut Vec<Referrer>,
    ) -> Result<(), Failure> {
        let table = &plan.tables[chain.tables[0]];
        let column = &table.columns[key.column];
        let root = &plan.tables[chain.root()];
        if root.key.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let values = keys.iter().map(|key| Cells::new(key).next().unwrap_or(Cell::Null));
        if !array(keys.len(), values, column.kind, &mut bytes) {
            return Ok(());
        }
        let name = quote(&column.name);
        let sql = format!(
            "select distinct t0.{name}, {} from {} where t0.{name} = any($1)",
            chain.root_key(plan),
            chain.from(plan)
        );
        let rows = self
            .client()
            .query_typed(&sql, &[(&Encoded(Some(bytes)), array_of(column.kind))])
            .await
            .map_err(Failure::server(format!(
            "look for rows of {} that refer to what goes",
            table.name
        )))?;
        for row in rows {
            let (mut value, mut of_root) = (Vec::new(), Vec::new());
            cells(&row, 0, std::iter::once(column.kind), &mut value)?;
            cells(&row, 1, root.key.iter().map(|&column| root.columns[column].kind), &mut of_root)?;
            let target = &plan.tables[key.table].name;
            let reason = format!(
                "{}.{} refers to {target} {}, which is not there",
                table.name,
                column.name,
                key_text(&value)
            );
            found.push(Referrer { root: chain.root(), key: of_root, reason });
        }
        Ok(())
    }

    /// Sets one document aside, unless the batch holds it; `true` when its rows went.
    async fn leave(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        referrer: &Referrer,
        left: &mut Left,
    ) -> Result<bool, Failure> {
        let collection = &plan.tables[referrer.root].name;
        let key = key_text(&referrer.key);
        let sql = "select o.path, d.ordinal, d.object from repot_documents d join repot_objects o on o.id = d.object where d.collection = $1 and d.key = $2";
        let found = self
            .client()
            .query_typed(sql, &[(collection, Type::TEXT), (&key, Type::TEXT)])
            .await
            .map_err(Failure::server("find a document"))?;
        let Some(record) = found.first() else { return Ok(false) };
        let (path, ordinal, object): (String, i64, i64) = (record.get(0), record.get(1), record.get(2));
        if let Some(item) = batch.items.iter().position(|item| item.object.path == path) {
            let same = |document: &repot_core::DocumentRecord| {
                document.collection == *collection && document.key.as_ref() == Some(&key)
            };
            if let Some(document) = batch.items[item].documents.iter().position(same) {
                left.units.insert((item, document), referrer.reason.clone());
            }
            return Ok(false);
        }
        self.delete_document(plan, referrer.root, &key).await?;
        let reason = &referrer.reason;
        for sql in [
            "update repot_documents set key = null, code = 'R0305', reason = $3 where object = $1 and ordinal = $2",
            "update repot_objects set status = 1, code = 'R0305', reason = $3 where id = $1 and frame is null and $2 = 0 \
             and (select count(*) from repot_documents where object = $1) = 1",
        ] {
            self.client()
                .execute_typed(sql, &[(&object, Type::INT8), (&ordinal, Type::INT8), (reason, Type::TEXT)])
                .await
                .map_err(Failure::server("set a document aside"))?;
        }
        let ordinal = u32::try_from(ordinal).unwrap_or_default();
        left.aside.push(Refusal { path, ordinal, code: "R0305", reason: reason.clone() });
        Ok(true)
    }
}
