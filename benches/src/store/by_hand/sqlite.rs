//! By hand on rusqlite: a connection for each client that reads, one that writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use repot_model::sql::quote;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::text::{Parsed, Text};
use crate::store::work::{Call, Client, LISTED, WORD, Way, Work};

const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')";

/// Without it SQLite, where it has statistics, prepares a statement again for each value that it is given.
const PREPARED_ONCE: DbConfig = DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG;

/// A SQLite file with the model's tables and nothing of Repot's.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Makes one at `path` from a database that Repot copied into: the same rows, tables and indexes.
    pub(crate) fn make(from: &Path, path: &Path) -> Result<Self> {
        fs::copy(from, path)?;
        let writer = Connection::open(path)?;
        let sql = "select type, name from sqlite_master where type = 'trigger' \
                   or type = 'table' and name like 'repot\\_%' escape '\\'";
        let ours: Vec<(String, String)> = writer
            .prepare(sql)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for kind in ["trigger", "table"] {
            for (_, name) in ours.iter().filter(|(found, _)| found == kind) {
                writer.execute_batch(&format!("drop {kind} if exists {}", quote(name)))?;
            }
        }
        writer.execute_batch("vacuum; analyze")?;
        drop(writer);
        Self::open(path)
    }

    /// Opens one that was made.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let writer = Connection::open(path)?;
        // as durable as a store of Repot's: what was acknowledged is on the disk
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "full")?;
        writer.pragma_update(None, "cache_size", -16 * 1024)?;
        writer.set_db_config(PREPARED_ONCE, true)?;
        writer.set_prepared_statement_cache_capacity(64);
        Ok(Self { path: path.to_owned(), writer: Arc::new(Mutex::new(writer)) })
    }
}

#[async_trait]
impl Way for Sqlite {
    fn name(&self) -> &'static str {
        "by hand"
    }

    fn blocks(&self) -> bool {
        true
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        reader.pragma_update(None, "cache_size", -4 * 1024)?;
        reader.set_db_config(PREPARED_ONCE, true)?;
        reader.set_prepared_statement_cache_capacity(64);
        Ok(Box::new(Caller { reader, writer: Arc::clone(&self.writer) }))
    }
}

struct Caller {
    reader: Connection,
    writer: Arc<Mutex<Connection>>,
}

#[async_trait]
impl Client for Caller {
    async fn call(&mut self, call: &Call) -> Result<Vec<Bytes>> {
        match call.work {
            Work::Get => return self.get(call),
            Work::Newest | Work::Filtered => return self.list(call),
            Work::Append | Work::Rename | Work::Put => {}
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match call.work {
            Work::Append => append(&mut writer, call)?,
            Work::Rename => rename(&writer, call)?,
            _ => put(&mut writer, call)?,
        }
        Ok(Vec::new())
    }
}

impl Caller {
    /// Both statements see one state, as a document must.
    fn get(&mut self, call: &Call) -> Result<Vec<Bytes>> {
        let transaction = self.reader.transaction()?;
        let mut conversation = transaction.prepare_cached(
            "select id, title, created_at, updated_at from conversations where id = ?1 and user_id = ?2",
        )?;
        let mut rows = conversation.query(params![call.id, call.user])?;
        let Some(row) = rows.next()? else { return Ok(Vec::new()) };
        let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
        let mut out = Text::row(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, text(2)?, text(3)?)?;
        out.begin_messages();
        let mut messages = transaction.prepare_cached(
            "select role, content, stage1_data, stage2_data, stage3_data, metadata from messages \
             where conversation_id = ?1 order by \"order\"",
        )?;
        let mut rows = messages.query(params![call.id])?;
        while let Some(row) = rows.next()? {
            let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
            out.message(row.get_ref(0)?.as_str()?, text(1)?, [text(2)?, text(3)?, text(4)?, text(5)?])?;
        }
        out.end_messages();
        Ok(vec![out.close()])
    }

    fn list(&self, call: &Call) -> Result<Vec<Bytes>> {
        // case matters, as in Repot's `Like`; `glob` is SQLite's own word for that
        let filter = if call.work == Work::Filtered { "and title glob ?2" } else { "and ?2 is not null" };
        let mut statement = self.reader.prepare_cached(&format!(
            "select id, title, created_at, updated_at from conversations where user_id = ?1 {filter} \
             order by created_at desc, id limit {LISTED}"
        ))?;
        let mut rows = statement.query(params![call.user, format!("*{WORD}*")])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
            let made = Text::row(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, text(2)?, text(3)?)?;
            found.push(made.close());
        }
        Ok(found)
    }
}

fn append(writer: &mut Connection, call: &Call) -> Result<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached(
            "insert into messages (conversation_id, \"order\", role, content) select ?1, \
             (select coalesce(max(\"order\"), -1) + 1 from messages where conversation_id = ?1), 'user', ?2",
        )?
        .execute(params![call.id, call.text])?;
    transaction
        .prepare_cached(&format!(
            "update conversations set updated_at = {NOW} where id = ?1 and user_id = ?2"
        ))?
        .execute(params![call.id, call.user])?;
    Ok(transaction.commit()?)
}

fn rename(writer: &Connection, call: &Call) -> Result<()> {
    let sql =
        format!("update conversations set title = ?3, updated_at = {NOW} where id = ?1 and user_id = ?2");
    writer.prepare_cached(&sql)?.execute(params![call.id, call.user, call.text])?;
    Ok(())
}

fn put(writer: &mut Connection, call: &Call) -> Result<()> {
    let parsed = Parsed::of(&call.text)?;
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached(&format!(
            "update conversations set title = ?3, created_at = ?4, updated_at = {NOW} where id = ?1 and user_id = ?2"
        ))?
        .execute(params![call.id, call.user, parsed.title, parsed.created_at])?;
    transaction
        .prepare_cached("delete from messages where conversation_id = ?1")?
        .execute(params![call.id])?;
    {
        let mut insert = transaction.prepare_cached(
            "insert into messages (conversation_id, \"order\", role, content, stage1_data, stage2_data, stage3_data, \
             metadata) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (order, one) in parsed.messages.iter().enumerate() {
            let [stage1, stage2, stage3, metadata] = &one.json;
            let order = i64::try_from(order)?;
            insert.execute(params![
                call.id,
                order,
                one.role,
                one.content,
                stage1,
                stage2,
                stage3,
                metadata
            ])?;
        }
    }
    Ok(transaction.commit()?)
}
