//! A batch with rows the database refuses: the documents that hold them are found by halving and recorded as set
//! aside, the others are loaded. Dangling references are asked for by value, so that documents that refer to each
//! other stay together.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::{Batch, Error, Kind, LoadReport, Refusal};
use repot_model::plan::{ColumnKind, Plan, Table, key_text};
use repot_model::row::{Cell, Cells};
use repot_model::sql::quote;
use tokio_postgres::types::{ToSql, Type};

use crate::chain::{Encoded, chains};
use crate::changes::{ChangedRow, identity};
use crate::copy::Failure;
use crate::decode;
use crate::encode::{array, array_of};
use crate::error::{is_refusal, refusal_code, refusal_reason};
use crate::flight::Flight;
use crate::left::{Left, RowId};
use crate::load::{Unit, updates};
use crate::records::Refused;
use crate::stored::Raw;
use crate::transaction::Writer;

/// Path, collection and key of documents.
type FormerKeys = BTreeSet<(String, String, String)>;

/// The reason if the database refused the rows; anything else goes on.
fn refusal(failure: Failure) -> Result<(&'static str, String), Failure> {
    match &failure {
        Failure::Server(_, error) => match error.as_db_error() {
            Some(server) if is_refusal(server) => Ok((refusal_code(server), refusal_reason(server))),
            _ => Err(failure),
        },
        Failure::Between(_) | Failure::Ours(_) => Err(failure),
    }
}

impl Writer {
    /// Like the plain way, but in a transaction with savepoints, and with a report.
    pub(crate) async fn apply_with_refusals(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        units: &[Unit],
    ) -> Result<LoadReport, Failure> {
        self.say("set constraints all deferred").await?;
        let former = self.former_keys(batch).await?;
        let left = self.leave_behind(plan, batch, &mut Flight::default()).await?;
        self.delete_rows(plan, batch).await?;
        let changed: Vec<ChangedRow> = updates(batch).collect();
        let mut dangling: Refused =
            left.units.into_iter().map(|(unit, reason)| (unit, ("R0305", reason))).collect();
        let (refused, round) = loop {
            self.say("savepoint round").await?;
            let mut refused = dangling.clone();
            let mut round = Left::default();
            self.update_with_refusals(plan, batch, &changed, &mut refused).await?;
            self.delete_refused(plan, batch, (&refused, &former), &mut round).await?;
            let wanted: Vec<Unit> =
                units.iter().copied().filter(|unit| !refused.contains_key(unit)).collect();
            let mut new = Refused::new();
            self.insert_with_refusals(plan, batch, &wanted, &mut new).await?;
            self.delete_refused(plan, batch, (&new, &former), &mut round).await?;
            refused.extend(new);
            let accepted: Vec<Unit> = wanted.into_iter().filter(|unit| !refused.contains_key(unit)).collect();
            let mut found = self.dangling(plan, batch, &accepted, &changed, &refused).await?;
            let units = round.units.iter().filter(|(unit, _)| !refused.contains_key(unit));
            found.extend(units.map(|(unit, reason)| (*unit, ("R0305", reason.clone()))));
            if found.is_empty() {
                break (refused, round);
            }
            // without these documents others may dangle too, or be free to come in: another round, which ends
            // because each takes at least one document out
            dangling.extend(found);
            self.say("rollback to savepoint round").await?;
        };
        // only now: by the old records the documents of referring rows were found
        let mut flight = Flight::default();
        self.prepare_records(batch, &mut flight).await?;
        let numbers = self.object_numbers(batch).await?;
        self.put_records(batch, &numbers, &refused, &mut flight).await?;
        flight.send(self.client()).await?;
        self.say("set constraints all immediate").await?;
        let report = |(&(item, document), (code, reason)): (&Unit, &(&'static str, String))| Refusal {
            path: batch.items[item].object.path.clone(),
            ordinal: batch.items[item].documents[document].ordinal,
            code,
            reason: reason.clone(),
        };
        let outside = left.aside.into_iter().chain(round.aside);
        Ok(LoadReport { refused: outside.chain(refused.iter().map(report)).collect() })
    }

    async fn say(&self, sql: &str) -> Result<(), Failure> {
        self.client().batch_execute(sql).await.map_err(Failure::server("load a batch"))
    }

    /// Inserts by COPY, halving what is refused until the documents are found.
    async fn insert_with_refusals(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        units: &[Unit],
        refused: &mut Refused,
    ) -> Result<(), Failure> {
        let mut open: Vec<&[Unit]> = if units.is_empty() { Vec::new() } else { vec![units] };
        while let Some(part) = open.pop() {
            self.say("savepoint part").await?;
            match self.insert_rows(plan, batch, part).await {
                Ok(()) => self.say("release savepoint part").await?,
                Err(failure) => {
                    let reason = refusal(failure)?;
                    self.say("rollback to savepoint part; release savepoint part").await?;
                    if let [only] = part {
                        refused.insert(*only, reason);
                    } else {
                        let (left, right) = part.split_at(part.len() / 2);
                        open.extend([right, left]);
                    }
                }
            }
        }
        Ok(())
    }

    /// Updates rows, halving what is refused.
    async fn update_with_refusals(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        rows: &[ChangedRow],
        refused: &mut Refused,
    ) -> Result<(), Failure> {
        let mut bad: Vec<(ChangedRow, (&'static str, String))> = Vec::new();
        let mut open: Vec<&[ChangedRow]> = if rows.is_empty() { Vec::new() } else { vec![rows] };
        while let Some(part) = open.pop() {
            self.say("savepoint part").await?;
            match self.update_rows(plan, batch, part).await {
                Ok(()) => self.say("release savepoint part").await?,
                Err(failure) => {
                    let reason = refusal(failure)?;
                    self.say("rollback to savepoint part; release savepoint part").await?;
                    if let [only] = part {
                        bad.push((*only, reason));
                    } else {
                        let (left, right) = part.split_at(part.len() / 2);
                        open.extend([right, left]);
                    }
                }
            }
        }
        for (row, reason) in bad {
            let unit = self.document_of(plan, batch, row).await?;
            refused.entry(unit).or_insert(reason);
        }
        Ok(())
    }

    /// Path, collection and key of each document that the replaced objects held with rows.
    async fn former_keys(&self, batch: &Batch) -> Result<FormerKeys, Failure> {
        let paths: Vec<&str> =
            batch.items.iter().filter(|item| item.replaces).map(|item| item.object.path.as_str()).collect();
        if paths.is_empty() {
            return Ok(FormerKeys::new());
        }
        let sql = "select o.path, d.collection, d.key from repot_documents d join repot_objects o on o.id = d.object where o.path = any($1) and d.key is not null";
        let rows = self
            .client()
            .query_typed(sql, &[(&paths, Type::TEXT_ARRAY)])
            .await
            .map_err(Failure::server("read the replaced documents"))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Documents that were there before and are refused now keep no rows. (A key that the object did not hold
    /// before is another document's, whose rows stay.)
    async fn delete_refused(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        (refused, former): (&Refused, &FormerKeys),
        round: &mut Left,
    ) -> Result<(), Failure> {
        let mut documents = Vec::new();
        for &(item, document) in refused.keys().filter(|unit| batch.items[unit.0].replaces) {
            let record = &batch.items[item].documents[document];
            if let (Some(key), Some(root)) = (&record.key, plan.table(&record.collection)) {
                let own = (batch.items[item].object.path.clone(), record.collection.clone(), key.clone());
                if former.contains(&own) {
                    documents.push((root, key.as_str()));
                }
            }
        }
        let rows = self.taken_over(plan, batch, refused).await?;
        self.take_out(plan, batch, (&documents, &rows), round).await
    }

    /// The rows that refused documents overwrite: with a rename they were another object's,
    /// which has them no longer.
    async fn taken_over(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        refused: &Refused,
    ) -> Result<Vec<RowId>, Failure> {
        let items: BTreeSet<usize> = refused.keys().map(|unit| unit.0).collect();
        let mut rows = Vec::new();
        for row in updates(batch).filter(|row| items.contains(&row.0)) {
            if self.owner(plan, batch, row).await?.is_some_and(|unit| refused.contains_key(&unit)) {
                let (table, cells) = batch.items[row.0].changes.updates.row(row.1);
                rows.push((table, identity(&plan.tables[table], cells)));
            }
        }
        Ok(rows)
    }

    /// The document of the batch whose row is updated.
    async fn document_of(&mut self, plan: &Plan, batch: &Batch, row: ChangedRow) -> Result<Unit, Failure> {
        self.owner(plan, batch, row).await?.ok_or_else(|| {
            let message = format!(
                "{}: the database refuses a change of a row whose document cannot be found",
                batch.items[row.0].object.path
            );
            Error::new(Kind::Conflict, "R0306", message).into()
        })
    }

    /// The same, if it is there: the only one of its object, or found by its root row.
    async fn owner(&mut self, plan: &Plan, batch: &Batch, row: ChangedRow) -> Result<Option<Unit>, Failure> {
        let item = &batch.items[row.0];
        if item.documents.len() == 1 {
            return Ok(Some((row.0, 0)));
        }
        let (table, cells) = item.changes.updates.row(row.1);
        let own = identity(&plan.tables[table], cells);
        let found = crate::stored::root_of(self.client(), plan, table, &own).await?;
        let at = found.and_then(|(root, key)| {
            let key = key_text(&key);
            let name = &plan.tables[root].name;
            item.documents
                .iter()
                .position(|document| document.collection == *name && document.key.as_ref() == Some(&key))
        });
        Ok(at.map(|at| (row.0, at)))
    }

    /// Deletes all rows of a document.
    pub(crate) async fn delete_document(
        &mut self,
        plan: &Plan,
        root: usize,
        key: &str,
    ) -> Result<(), Failure> {
        for table in (0..plan.tables.len()).rev() {
            for chain in chains(plan, table).iter().filter(|chain| chain.root() == root) {
                let Some((place, parts)) = key_condition(&plan.tables[root], key, &chain.root_alias()) else {
                    continue;
                };
                let name = quote(&plan.tables[table].name);
                let (others, joined) = chain.using(plan);
                let sql = if others.is_empty() {
                    format!("delete from {name} t0 where {place}")
                } else {
                    format!("delete from {name} t0 using {others} where {joined} and {place}")
                };
                let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
                    parts.iter().map(|part| (part as &(dyn ToSql + Sync), Type::TEXT)).collect();
                self.client()
                    .execute_typed(&sql, &parameters)
                    .await
                    .map_err(Failure::server(format!("delete rows of {}", plan.tables[table].name)))?;
            }
        }
        Ok(())
    }

    /// Documents whose rows refer to nothing, with all rows of the batch in place.
    async fn dangling(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        accepted: &[Unit],
        changed: &[ChangedRow],
        refused: &Refused,
    ) -> Result<Refused, Failure> {
        let mut found = Refused::new();
        let enforced = self.enforced().await?;
        for (number, table) in plan.tables.iter().enumerate() {
            for key in table.foreign_keys.iter().filter(|key| enforced.contains(&key.name)) {
                let mut users: BTreeMap<Vec<u8>, (Vec<Unit>, Vec<ChangedRow>)> = BTreeMap::new();
                for &unit in accepted {
                    let item = &batch.items[unit.0];
                    for row in item.documents[unit.1].rows.clone() {
                        let (of, cells) = item.rows.row(row);
                        if let Some(value) = (of == number).then(|| referring(cells, key.column)).flatten() {
                            users.entry(value).or_default().0.push(unit);
                        }
                    }
                }
                for &row in changed {
                    let (of, cells) = batch.items[row.0].changes.updates.row(row.1);
                    if let Some(value) = (of == number).then(|| referring(cells, key.column)).flatten() {
                        users.entry(value).or_default().1.push(row);
                    }
                }
                if users.is_empty() {
                    continue;
                }
                let target = &plan.tables[key.table];
                let missing =
                    self.missing(users.keys(), &target.name, &target.columns[key.target_column]).await?;
                for value in missing {
                    let Some((units, rows)) = users.get(&value) else { continue };
                    let reason = format!(
                        "{}.{} refers to {} {}, which is not there",
                        table.name,
                        table.columns[key.column].name,
                        target.name,
                        key_text(&value)
                    );
                    let mut all: BTreeSet<Unit> = units.iter().copied().collect();
                    for &row in rows {
                        all.insert(self.document_of(plan, batch, row).await?);
                    }
                    all.retain(|unit| !refused.contains_key(unit));
                    found.extend(all.into_iter().map(|unit| (unit, ("R0305", reason.clone()))));
                }
            }
        }
        Ok(found)
    }

    /// Those of the values that no row has in `column`.
    async fn missing<'v>(
        &self,
        values: impl ExactSizeIterator<Item = &'v Vec<u8>>,
        table: &str,
        column: &repot_model::plan::Column,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        let count = values.len();
        let cells = values.map(|value| Cells::new(value).next().unwrap_or(Cell::Null));
        if !array(count, cells, column.kind, &mut bytes) {
            let message = format!("a reference to {table} that is not of the key's kind");
            return Err(Error::new(Kind::Internal, "R0901", message).into());
        }
        let name = quote(&column.name);
        let sql = format!(
            "select u.v from unnest($1) u(v) where not exists (select from {} t where t.{name} = u.v)",
            quote(table)
        );
        let rows = self
            .client()
            .query_typed(&sql, &[(&Encoded(Some(bytes)), array_of(column.kind))])
            .await
            .map_err(Failure::server(format!("look for references to {table}")))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let mut value = Vec::new();
            let raw: Raw<'_> = row.get(0);
            if decode::cell(raw.0, column.kind, &mut value) {
                out.push(value);
            }
        }
        Ok(out)
    }

    /// Names of the references that the database enforces by now.
    pub(crate) async fn enforced(&self) -> Result<BTreeSet<String>, Failure> {
        let rows = self
            .client()
            .query_typed(
                "select conname::text from pg_constraint where contype = 'f' and connamespace = quote_ident(current_schema())::regnamespace",
                &[],
            )
            .await
            .map_err(Failure::server("read the catalogue"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// The encoded non-null cell of a column.
fn referring(cells: &[u8], column: usize) -> Option<Vec<u8>> {
    let mut all = Cells::new(cells);
    for _ in 0..column {
        all.next_raw()?;
    }
    let raw = all.next_raw()?;
    (Cells::new(raw).next()? != Cell::Null).then(|| raw.to_vec())
}

/// The condition that finds a root row by its key text, with the text's parts as parameters; the inverse of
/// [`key_text`].
pub(crate) fn key_condition(root: &Table, key: &str, alias: &str) -> Option<(String, Vec<String>)> {
    let parts: Vec<String> =
        key.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect();
    if parts.len() != root.key.len() {
        return None;
    }
    let conditions: Vec<String> = root
        .key
        .iter()
        .enumerate()
        .map(|(at, &column)| {
            let column = &root.columns[column];
            let value = match column.kind {
                ColumnKind::Int => format!("${}::bigint", at + 1),
                ColumnKind::Float => format!("${}::double precision", at + 1),
                ColumnKind::Decimal => format!("${}::numeric", at + 1),
                ColumnKind::Bool => format!("${}::boolean", at + 1),
                ColumnKind::Uuid => format!("${}::uuid", at + 1),
                ColumnKind::Time => format!(
                    "timestamptz '1970-01-01 00:00:00+00' + ${}::bigint * interval '1 microsecond'",
                    at + 1
                ),
                ColumnKind::Date => format!("date '1970-01-01' + ${}::integer", at + 1),
                _ => format!("${}", at + 1),
            };
            format!("{alias}.{} = {value}", quote(&column.name))
        })
        .collect();
    Some((conditions.join(" and "), parts))
}
