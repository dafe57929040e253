//! Documents that a batch leaves behind: they refer to rows that the batch deletes, roots or rows inside of a
//! document, or to rows of a document that is set aside with it. They are set aside before the deletes run, so that no `on delete` rule of a reference takes rows of theirs while their records stay.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::{Batch, Refusal};
use repot_model::plan::{ForeignKey, Plan, key_text};
use tokio_postgres::types::{ToSql, Type};

use crate::chain::{Chain, chains, named};
use crate::copy::Failure;
use crate::flight::Flight;
use crate::load::Unit;
use crate::referrers::referring;
use crate::refuse::key_condition;
use crate::stored::cells;
use crate::transaction::Writer;

/// Keys that go, by table.
pub(crate) type Gone = BTreeMap<usize, BTreeSet<Vec<u8>>>;

/// What refers to rows that go.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Documents outside of the batch: they are set aside now.
    pub aside: Vec<Refusal>,
    /// Documents of the batch that still refer to what goes, and why they cannot stay.
    pub units: BTreeMap<Unit, String>,
}

/// A document by its root table and the encoded key of its root row.
type Document = (usize, Vec<u8>);

/// A row by its table and encoded identity.
pub(crate) type RowId = (usize, Vec<u8>);

/// A referring row, by its document.
struct Referrer {
    document: Document,
    row: RowId,
    reason: String,
}

/// Where the record of a document is.
struct Recorded {
    path: String,
    ordinal: i64,
    object: i64,
}

/// Is the table one that documents refer to by a value of theirs?
fn is_target(plan: &Plan, table: usize) -> bool {
    plan.tables.iter().flat_map(|own| &own.foreign_keys).any(|key| key.may_dangle && key.table == table)
}

/// Keys that the batch deletes and does not put back.
pub(crate) fn gone(plan: &Plan, batch: &Batch) -> Gone {
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
    pub(crate) async fn leave_behind(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        flight: &mut Flight,
    ) -> Result<Left, Failure> {
        let mut left = Left::default();
        let open = gone(plan, batch);
        if !open.is_empty() {
            // what is looked for is not what was there before
            flight.send(self.client()).await?;
            self.leave(plan, batch, open, &mut left).await?;
        }
        Ok(left)
    }

    /// Deletes all rows of these documents of the batch and these rows (table and identity) that they took over from
    /// others, after setting aside what that leaves behind.
    pub(crate) async fn take_out(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        (documents, rows): (&[(usize, &str)], &[RowId]),
        left: &mut Left,
    ) -> Result<(), Failure> {
        // all keys before the first delete: it may take rows of the other documents along
        let mut open = Gone::new();
        for &(root, key) in documents {
            self.keys_of(plan, root, key, &mut open).await?;
        }
        for (table, identity) in rows {
            if is_target(plan, *table) && plan.tables[*table].identity == plan.tables[*table].key {
                open.entry(*table).or_default().insert(identity.clone());
            }
        }
        if !open.is_empty() {
            self.leave(plan, batch, open, left).await?;
        }
        for &(root, key) in documents {
            self.delete_document(plan, root, key).await?;
        }
        self.delete_by_identity(plan, rows.iter().map(|(table, identity)| (*table, identity.as_slice())))
            .await
    }

    /// Sets aside the documents that refer to keys that go. All of them are found before the first of their rows is
    /// deleted, since that may take rows along by which the next are found.
    async fn leave(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        mut open: Gone,
        left: &mut Left,
    ) -> Result<(), Failure> {
        let enforced = self.enforced().await?;
        // a row that goes as well does not hold its document back
        let deletes = batch.items.iter().flat_map(|item| item.changes.deletes.iter());
        let deleted: BTreeSet<RowId> = deletes.map(|(table, identity)| (table, identity.to_vec())).collect();
        let mut seen: BTreeSet<Document> = BTreeSet::new();
        let mut outside: Vec<(Referrer, Recorded)> = Vec::new();
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
                if deleted.contains(&referrer.row) || !seen.insert(referrer.document.clone()) {
                    continue;
                }
                let (root, key) = (referrer.document.0, key_text(&referrer.document.1));
                let Some(recorded) = self.recorded(&plan.tables[root].name, &key).await? else { continue };
                match batch.items.iter().position(|item| item.object.path == recorded.path) {
                    None => outside.push((referrer, recorded)),
                    Some(item) => {
                        let same = |document: &repot_core::DocumentRecord| {
                            document.collection == plan.tables[root].name
                                && document.key.as_ref() == Some(&key)
                        };
                        // one that the batch takes out is among its deletes
                        let Some(document) = batch.items[item].documents.iter().position(same) else {
                            continue;
                        };
                        left.units.entry((item, document)).or_insert(referrer.reason);
                    }
                }
                self.keys_of(plan, root, &key, &mut open).await?;
            }
        }
        for (referrer, recorded) in outside {
            self.set_aside(plan, referrer, recorded, left).await?;
        }
        Ok(())
    }

    /// Adds the keys of a document's rows that others may refer to.
    async fn keys_of(&self, plan: &Plan, root: usize, key: &str, out: &mut Gone) -> Result<(), Failure> {
        for (number, table) in plan.tables.iter().enumerate() {
            if !is_target(plan, number) || table.identity != table.key {
                continue;
            }
            for chain in chains(plan, number).iter().filter(|chain| chain.root() == root) {
                let Some((place, parts)) = key_condition(&plan.tables[root], key, &chain.root_alias()) else {
                    continue;
                };
                let sql = format!(
                    "select {} from {} where {place}",
                    named(table, &table.key, "t0"),
                    chain.from(plan)
                );
                let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
                    parts.iter().map(|part| (part as &(dyn ToSql + Sync), Type::TEXT)).collect();
                let rows = self
                    .client()
                    .query_typed(&sql, &parameters)
                    .await
                    .map_err(Failure::server(format!("read keys of {}", table.name)))?;
                for row in rows {
                    let mut found = Vec::new();
                    cells(&row, 0, table.key.iter().map(|&column| table.columns[column].kind), &mut found)?;
                    out.entry(number).or_default().insert(found);
                }
            }
        }
        Ok(())
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
        let values: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        for row in referring(self.client(), plan, (chain, key.column), (&values, i64::MAX)).await? {
            let reason = format!(
                "{}.{} refers to {} {}, which is not there",
                table.name,
                table.columns[key.column].name,
                plan.tables[key.table].name,
                key_text(&row.value)
            );
            found.push(Referrer {
                document: (chain.root(), row.root),
                row: (chain.tables[0], row.identity),
                reason,
            });
        }
        Ok(())
    }

    /// The record of the document with rows that has this key.
    async fn recorded(&self, collection: &str, key: &str) -> Result<Option<Recorded>, Failure> {
        let sql = "select o.path, d.ordinal, d.object from repot_documents d join repot_objects o on o.id = d.object where d.collection = $1 and d.key = $2";
        let found = self
            .client()
            .query_typed(sql, &[(&collection, Type::TEXT), (&key, Type::TEXT)])
            .await
            .map_err(Failure::server("find a document"))?;
        Ok(found.first().map(|row| Recorded { path: row.get(0), ordinal: row.get(1), object: row.get(2) }))
    }

    /// Deletes the rows of a document outside of the batch and records why.
    async fn set_aside(
        &mut self,
        plan: &Plan,
        referrer: Referrer,
        recorded: Recorded,
        left: &mut Left,
    ) -> Result<(), Failure> {
        let Referrer { document: (root, key), row: _, reason } = referrer;
        let Recorded { path, ordinal, object } = recorded;
        self.delete_document(plan, root, &key_text(&key)).await?;
        for sql in [
            "update repot_documents set key = null, code = 'R0305', reason = $3 where object = $1 and ordinal = $2",
            "update repot_objects set status = 1, code = 'R0305', reason = $3 where id = $1 and frame is null and $2 = 0 \
             and (select count(*) from repot_documents where object = $1) = 1",
        ] {
            self.client()
                .execute_typed(sql, &[(&object, Type::INT8), (&ordinal, Type::INT8), (&reason, Type::TEXT)])
                .await
                .map_err(Failure::server("set a document aside"))?;
        }
        let ordinal = u32::try_from(ordinal).unwrap_or_default();
        left.aside.push(Refusal { path, ordinal, code: "R0305", reason });
        Ok(())
    }
}
