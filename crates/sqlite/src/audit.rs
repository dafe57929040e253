//! The record of changes: our own writes' entries, in their transaction, and what is on record.

use crate::connection::Connection;
use repot_core::{AuditFilter, AuditKind, AuditRecord, Batch, PackedText, Result};
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

use crate::error::{damaged, failed};
use crate::schema::taken;

/// Entries that are old enough which go with one write.
const PRUNED_AT_ONCE: i64 = 100;

const COLUMNS: &str = "at_ms, kind, actor, collection, tenant, key, version, etag_before, etag_after, dictionary, size_before, text_before, size_after, text_after, in_table, in_row, field, was, became, changes";

/// Puts the batch's entries on record, and removes some that are old enough.
pub(crate) fn put(connection: &Connection, batch: &Batch) -> Result<()> {
    let what = "put a change on record";
    let sql = format!(
        "insert into repot_audit ({COLUMNS}) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
    );
    for record in &batch.audit.records {
        let size = |text: Option<&PackedText>| text.map(|text| i64::try_from(text.size).unwrap_or(i64::MAX));
        let bytes = |text: Option<&PackedText>| text.map(|text| text.bytes.clone());
        let (before, after) = (record.before.as_ref(), record.after.as_ref());
        let run = || -> rusqlite::Result<usize> {
            connection.prepare_cached(&sql)?.execute(params![
                record.at_ms,
                record.kind as i16,
                record.actor,
                record.collection,
                record.tenant,
                record.key,
                record.version,
                record.etag_before,
                record.etag_after,
                record.dictionary,
                size(before),
                bytes(before),
                size(after),
                bytes(after),
                record.table,
                record.row,
                record.field,
                record.was,
                record.became,
                record.changes,
            ])
        };
        run().map_err(failed(what))?;
    }
    for (collection, until_ms) in &batch.audit.until {
        connection
            .prepare_cached(
                "delete from repot_audit where id in (select id from repot_audit where collection = ?1 and at_ms < ?2 order by at_ms limit ?3)",
            )
            .and_then(|mut statement| statement.execute((collection, until_ms, PRUNED_AT_ONCE)))
            .map_err(failed("remove old changes from the record"))?;
    }
    Ok(())
}

/// Entries that the filter asks for.
pub(crate) fn read(connection: &Connection, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>> {
    let what = "read the record of changes";
    if taken(connection, "repot_audit")?.is_none() {
        return Ok(Vec::new());
    }
    let mut parameters = vec![Value::Text(filter.collection.clone())];
    let mut sql = format!("select id, {COLUMNS} from repot_audit where collection = ?1");
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    for (condition, value) in [
        ("tenant =", text(&filter.tenant)),
        ("key =", text(&filter.key)),
        ("actor =", text(&filter.actor)),
        ("at_ms >=", filter.from_ms.map(Value::Integer)),
        ("at_ms <", filter.until_ms.map(Value::Integer)),
        ("id <", filter.below.map(Value::Integer)),
        ("id >", filter.above.map(Value::Integer)),
    ] {
        if let Some(value) = value {
            parameters.push(value);
            sql.push_str(&format!(" and {condition} ?{}", parameters.len()));
        }
    }
    let order = if filter.above.is_some() { "" } else { " desc" };
    parameters.push(Value::Integer(i64::try_from(most).unwrap_or(i64::MAX)));
    sql.push_str(&format!(" order by id{order} limit ?{}", parameters.len()));
    let mut statement = connection.prepare_cached(&sql).map_err(failed(what))?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(failed(what))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed(what))? {
        let record = record(row).map_err(failed(what))?;
        found.push(record.ok_or_else(|| damaged("repot_audit holds an entry that Repot did not write"))?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Option<AuditRecord>> {
    let Some(kind) = AuditKind::from_number(row.get(2)?) else { return Ok(None) };
    let text = |at: usize| -> rusqlite::Result<Option<PackedText>> {
        let (size, bytes): (Option<i64>, Option<Vec<u8>>) = (row.get(at)?, row.get(at + 1)?);
        Ok(size
            .and_then(|size| u64::try_from(size).ok())
            .zip(bytes)
            .map(|(size, bytes)| PackedText { size, bytes }))
    };
    Ok(Some(AuditRecord {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        kind,
        actor: row.get(3)?,
        collection: row.get(4)?,
        tenant: row.get(5)?,
        key: row.get(6)?,
        version: row.get(7)?,
        etag_before: row.get(8)?,
        etag_after: row.get(9)?,
        dictionary: row.get::<_, Option<i64>>(10)?.unwrap_or(0),
        before: text(11)?,
        after: text(13)?,
        table: row.get(15)?,
        row: row.get(16)?,
        field: row.get(17)?,
        was: row.get(18)?,
        became: row.get(19)?,
        changes: row.get(20)?,
    }))
}
