//! The record of changes: our own writes' entries, in their transaction, and what is on record.

use futures_util::future;
use repot_core::{AuditFilter, AuditKind, AuditRecord, Batch, Error, Kind, PackedText, Result};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::copy::Failure;
use crate::transaction::Writer;

/// Entries that are old enough which go with one write.
const PRUNED_AT_ONCE: i64 = 100;

const COLUMNS: &str = "at_ms, kind, actor, collection, tenant, key, version, etag_before, etag_after, dictionary, size_before, text_before, size_after, text_after, in_table, in_row, field, was, became, changes";

impl Writer {
    /// Puts the batch's entries on record, and removes some that are old enough; those that another writer removes at
    /// this moment are left to it.
    pub(crate) async fn put_audit(&self, batch: &Batch) -> Result<(), Failure> {
        let client = self.client();
        let marks: Vec<String> = (1..=20).map(|number| format!("${number}")).collect();
        let sql = format!("insert into repot_audit ({COLUMNS}) values ({})", marks.join(", "));
        let putting = batch.audit.records.iter().map(|record| put(client, &sql, record));
        for done in future::join_all(putting).await {
            done.map_err(Failure::server("put a change on record"))?;
        }
        for (collection, until_ms) in &batch.audit.until {
            let sql = "delete from repot_audit where id in (select id from repot_audit \
                       where collection = $1 and at_ms < $2 order by at_ms limit $3 for update skip locked)";
            client
                .execute_typed(
                    sql,
                    &[(collection, Type::TEXT), (until_ms, Type::INT8), (&PRUNED_AT_ONCE, Type::INT8)],
                )
                .await
                .map_err(Failure::server("remove old changes from the record"))?;
        }
        Ok(())
    }
}

async fn put(
    client: &crate::client::Client,
    sql: &str,
    record: &AuditRecord,
) -> Result<u64, tokio_postgres::Error> {
    let size = |text: Option<&PackedText>| text.map(|text| i64::try_from(text.size).unwrap_or(i64::MAX));
    let (before, after) = (record.before.as_ref(), record.after.as_ref());
    let bytes = |text: Option<&'_ PackedText>| text.map(|text| text.bytes.clone());
    let (size_before, size_after) = (size(before), size(after));
    let (text_before, text_after) = (bytes(before), bytes(after));
    let kind = record.kind as i16;
    client
        .execute_typed(
            sql,
            &[
                (&record.at_ms, Type::INT8),
                (&kind, Type::INT2),
                (&record.actor, Type::TEXT),
                (&record.collection, Type::TEXT),
                (&record.tenant, Type::TEXT),
                (&record.key, Type::TEXT),
                (&record.version, Type::INT8),
                (&record.etag_before, Type::TEXT),
                (&record.etag_after, Type::TEXT),
                (&record.dictionary, Type::INT8),
                (&size_before, Type::INT8),
                (&text_before, Type::BYTEA),
                (&size_after, Type::INT8),
                (&text_after, Type::BYTEA),
                (&record.table, Type::TEXT),
                (&record.row, Type::TEXT),
                (&record.field, Type::TEXT),
                (&record.was, Type::TEXT),
                (&record.became, Type::TEXT),
                (&record.changes, Type::TEXT),
            ],
        )
        .await
}

/// A parameter with its type.
pub(crate) type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

/// The statement for what the filter asks for, and its parameters.
pub(crate) fn select(filter: &AuditFilter, most: usize) -> (String, Vec<Parameter>) {
    let mut parameters: Vec<Parameter> = vec![(Box::new(filter.collection.clone()), Type::TEXT)];
    let mut sql = format!("select id, {COLUMNS} from repot_audit where collection = $1");
    let mut and = |condition: &str, value: Parameter| {
        parameters.push(value);
        sql.push_str(&format!(" and {condition} ${}", parameters.len()));
    };
    for (condition, value) in
        [("tenant =", &filter.tenant), ("key =", &filter.key), ("actor =", &filter.actor)]
    {
        if let Some(value) = value {
            and(condition, (Box::new(value.clone()), Type::TEXT));
        }
    }
    for (condition, value) in [
        ("at_ms >=", filter.from_ms),
        ("at_ms <", filter.until_ms),
        ("id <", filter.below),
        ("id >", filter.above),
    ] {
        if let Some(value) = value {
            and(condition, (Box::new(value), Type::INT8));
        }
    }
    let order = if filter.above.is_some() { "" } else { " desc" };
    parameters.push((Box::new(i64::try_from(most).unwrap_or(i64::MAX)), Type::INT8));
    sql.push_str(&format!(" order by id{order} limit ${}", parameters.len()));
    (sql, parameters)
}

/// An entry as [`select`] gives it.
pub(crate) fn record(row: &Row) -> Result<AuditRecord> {
    let damaged = || {
        Error::new(Kind::Corrupt, "R0803", "repot_audit holds an entry that Repot did not write")
            .hint("Somebody changed Repot's own tables; restore the database from a backup.")
    };
    let read = || -> Result<Option<AuditRecord>, tokio_postgres::Error> {
        let Some(kind) = AuditKind::from_number(i64::from(row.try_get::<_, i16>(2)?)) else {
            return Ok(None);
        };
        let text = |at: usize| -> Result<Option<PackedText>, tokio_postgres::Error> {
            let (size, bytes): (Option<i64>, Option<Vec<u8>>) = (row.try_get(at)?, row.try_get(at + 1)?);
            let size = size.and_then(|size| u64::try_from(size).ok());
            Ok(size.zip(bytes).map(|(size, bytes)| PackedText { size, bytes }))
        };
        Ok(Some(AuditRecord {
            id: row.try_get(0)?,
            at_ms: row.try_get(1)?,
            kind,
            actor: row.try_get(3)?,
            collection: row.try_get(4)?,
            tenant: row.try_get(5)?,
            key: row.try_get(6)?,
            version: row.try_get(7)?,
            etag_before: row.try_get(8)?,
            etag_after: row.try_get(9)?,
            dictionary: row.try_get::<_, Option<i64>>(10)?.unwrap_or(0),
            before: text(11)?,
            after: text(13)?,
            table: row.try_get(15)?,
            row: row.try_get(16)?,
            field: row.try_get(17)?,
            was: row.try_get(18)?,
            became: row.try_get(19)?,
            changes: row.try_get(20)?,
        }))
    };
    read().map_err(|error| damaged().cause(error))?.ok_or_else(damaged)
}
