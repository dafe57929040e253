//! Objects, documents, pieces and dictionaries as recorded in our tables.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::connection::Connection;
use repot_core::change_log::FormerDocument;
use repot_core::{
    DocumentRecord, FoundObject, Item, ObjectRecord, Result, Status, StoredDocument, StoredObject,
};
use rusqlite::{CachedStatement, OptionalExtension as _, Row};

use crate::error::{damaged, failed};
use crate::marks;

/// Documents refused, by object path and ordinal: code and reason.
pub(crate) type Refused = HashMap<(String, u32), (&'static str, String)>;

const OBJECT: &str =
    "select o.id, o.path, o.size, o.modified_ns, o.etag, o.sha256, o.collection, o.status, o.code, o.reason";
const DOCUMENT_COLUMNS: &str = "d.object, d.ordinal, d.collection, d.key, d.etag, d.version, d.dictionary, d.size, d.code, d.reason, d.text";

/// `select` of an object, with its frame or null in its place.
pub(crate) fn object_sql(with_frame: bool, rest: &str) -> String {
    let frame = if with_frame { "o.frame" } else { "null" };
    format!("{OBJECT}, {frame} from repot_objects as o {rest}")
}

/// `select` of a document.
pub(crate) fn document_sql(rest: &str) -> String {
    format!("select {DOCUMENT_COLUMNS} from repot_documents as d {rest}")
}

/// Reads what [`object_sql`] selects.
pub(crate) fn object(row: &Row<'_>) -> rusqlite::Result<Result<StoredObject>> {
    let path: String = row.get(1)?;
    let status = match row.get::<_, i64>(7)? {
        0 => Status::Moved,
        1 => Status::SetAside,
        2 => Status::Unmatched,
        3 => Status::Stays,
        other => return Ok(Err(damaged(format!("{path} has the status {other}")))),
    };
    let size = match u64::try_from(row.get::<_, i64>(2)?) {
        Ok(size) => size,
        Err(error) => return Ok(Err(damaged(format!("{path} has a size below 0")).cause(error))),
    };
    let record = ObjectRecord {
        size,
        modified_ns: row.get(3)?,
        etag: row.get(4)?,
        sha256: row.get(5)?,
        collection: row.get(6)?,
        status,
        reason: reason(row, 8)?,
        frame: row.get(10)?,
        path,
    };
    Ok(Ok(StoredObject { id: row.get(0)?, record }))
}

/// An object by its path, its first document and the stamp of that document's mark.
pub(crate) static FOUND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{OBJECT}, o.frame, {} from repot_objects as o left join repot_documents as d on d.object = o.id and d.ordinal = 0 where o.path = ?1",
        DOCUMENT_COLUMNS.to_owned()
            + ", "
            + &marks::stamp_sql("d.collection", "d.key")
            + ", exists (select 1 from repot_pending as p where p.object = o.id and p.seq > 0)"
    )
});

/// The object of a document by its key, that document and the stamp of its mark; no frame.
pub(crate) static FOUND_BY_KEY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{OBJECT}, null, {DOCUMENT_COLUMNS}, {} from repot_documents as d join repot_objects as o on o.id = d.object where d.collection = ?1 and d.key = ?2 order by d.code is not null, d.object limit 1",
        marks::stamp_sql("d.collection", "d.key") + ", false"
    )
});

/// Reads what [`FOUND`] or [`FOUND_BY_KEY`] selects; `true`: changes are kept beside the document's text.
pub(crate) fn found(row: &Row<'_>) -> rusqlite::Result<Result<(FoundObject, bool)>> {
    const DOCUMENT_AT: usize = 11;
    let object = match object(row)? {
        Ok(object) => object,
        Err(error) => return Ok(Err(error)),
    };
    let document = match row.get::<_, Option<i64>>(DOCUMENT_AT)? {
        None => None,
        Some(_) => match document_from(row, DOCUMENT_AT)? {
            Ok(document) => Some(document),
            Err(error) => return Ok(Err(error)),
        },
    };
    let found = FoundObject { object, document, stamp: row.get(DOCUMENT_AT + 11)?, is_known: false };
    Ok(Ok((found, row.get(DOCUMENT_AT + 12)?)))
}

/// Reads what [`document_sql`] selects.
pub(crate) fn document(row: &Row<'_>) -> rusqlite::Result<Result<StoredDocument>> {
    document_from(row, 0)
}

fn document_from(row: &Row<'_>, at: usize) -> rusqlite::Result<Result<StoredDocument>> {
    let object: i64 = row.get(at)?;
    let (ordinal, size): (i64, i64) = (row.get(at + 1)?, row.get(at + 7)?);
    let (Ok(ordinal), Ok(size)) = (u32::try_from(ordinal), u64::try_from(size)) else {
        return Ok(Err(damaged(format!("document {ordinal} of object {object} has the size {size}"))));
    };
    let record = DocumentRecord {
        ordinal,
        collection: row.get(at + 2)?,
        key: row.get(at + 3)?,
        etag: row.get(at + 4)?,
        version: row.get(at + 5)?,
        dictionary: row.get(at + 6)?,
        size,
        text: row.get(at + 10)?,
        reason: reason(row, at + 8)?,
        rows: 0..0,
        skips: false,
    };
    Ok(Ok(StoredDocument { object, record, kept: Vec::new() }))
}

fn reason(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<(String, String)>> {
    let code: Option<String> = row.get(at)?;
    let reason: Option<String> = row.get(at + 1)?;
    Ok(code.map(|code| (code, reason.unwrap_or_default())))
}

fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|error| damaged("a size beyond 2^63").cause(error))
}

/// The writing of records: its statements, made once for a batch.
pub(crate) struct Records<'c> {
    insert_object: CachedStatement<'c>,
    update_object: CachedStatement<'c>,
    insert_document: CachedStatement<'c>,
    drop_documents: CachedStatement<'c>,
    drop_document: CachedStatement<'c>,
    drop_pieces: CachedStatement<'c>,
    find: CachedStatement<'c>,
    drop_object: CachedStatement<'c>,
    keep: CachedStatement<'c>,
    drop_kept: CachedStatement<'c>,
    next_id: i64,
    any_pieces: bool,
    /// The documents that the objects held before.
    pub former: Vec<FormerDocument>,
}

impl<'c> Records<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Result<Self> {
        let prepare = |sql: &str| connection.prepare_cached(sql).map_err(failed("read our tables"));
        let any_pieces = prepare("select exists (select 1 from repot_pieces)")?
            .query_row((), |row| row.get(0))
            .map_err(failed("read our tables"))?;
        let next_id = prepare("select coalesce(max(id), 0) + 1 from repot_objects")?
            .query_row((), |row| row.get(0))
            .map_err(failed("read our tables"))?;
        Ok(Self {
            insert_object: prepare(
                "insert into repot_objects (path, size, modified_ns, etag, sha256, collection, status, code, reason, frame, id) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            update_object: prepare(
                "update repot_objects set size = ?2, modified_ns = ?3, etag = ?4, sha256 = ?5, collection = ?6, status = ?7, code = ?8, reason = ?9, frame = case when ?12 then frame else ?10 end where path = ?1 and id = ?11",
            )?,
            insert_document: prepare(
                "insert into repot_documents (object, ordinal, collection, key, etag, version, dictionary, size, code, reason, text) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            drop_documents: prepare(
                "delete from repot_documents where object = ?1 returning ordinal, collection, key, etag",
            )?,
            drop_document: prepare(
                "delete from repot_documents where object = ?1 and ordinal = ?2 returning ordinal, collection, key, etag",
            )?,
            drop_pieces: prepare("delete from repot_pieces where path = ?1")?,
            find: prepare("select id from repot_objects where path = ?1")?,
            drop_object: prepare("delete from repot_objects where id = ?1")?,
            keep: prepare(
                "insert into repot_pending (object, seq, etag, change, standing) select id, ?2, ?3, ?4, ?5 from repot_objects where path = ?1",
            )?,
            drop_kept: prepare("delete from repot_pending where object = ?1")?,
            next_id,
            any_pieces,
            former: Vec::new(),
        })
    }

    /// Records an item as it shall be; documents in `refused` as set aside.
    pub(crate) fn put(&mut self, item: &Item, refused: &Refused) -> Result<()> {
        let record = &item.object;
        let what = "record an object";
        if let (Some(kept), Some(document)) = (&item.kept, item.documents.first()) {
            let values = (&record.path, kept.seq, &document.etag, &kept.change, &kept.standing);
            return self.keep.execute(values).map(drop).map_err(failed("keep a change"));
        }
        if self.any_pieces && !item.keeps_pieces {
            self.drop_pieces.execute([&record.path]).map_err(failed(what))?;
        }
        let old: Option<i64> = if item.replaces || item.removes {
            self.find.query_row([&record.path], |row| row.get(0)).optional().map_err(failed(what))?
        } else {
            None
        };
        if let Some(id) = old {
            self.drop_former(item, id)?;
        }
        if item.removes {
            if let Some(id) = old {
                self.drop_object.execute([id]).map_err(failed(what))?;
            }
            return Ok(());
        }
        let alone = match item.documents.as_slice() {
            [only] if !refused.is_empty() => refused.get(&(record.path.clone(), only.ordinal)),
            _ => None,
        };
        let status = if alone.is_some() { Status::SetAside } else { record.status };
        let reason = alone.map(|(code, reason)| (*code, reason.as_str()));
        let reason = reason.or(record.reason.as_ref().map(|(code, reason)| (code.as_str(), reason.as_str())));
        let id = old.unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id + 1);
        let values = rusqlite::params![
            record.path,
            signed(record.size)?,
            record.modified_ns,
            record.etag,
            record.sha256,
            record.collection,
            status as i16,
            reason.map(|reason| reason.0),
            reason.map(|reason| reason.1),
            record.frame,
            id,
        ];
        let keeps_frame = item.touched.is_some() && record.frame.is_none();
        if old.is_some() {
            let mut all = values.to_vec();
            all.push(&keeps_frame);
            self.update_object.execute(all.as_slice()).map_err(failed(what))?;
        } else {
            self.insert_object.execute(values).map_err(failed(what))?;
        }
        if let [only] = item.documents.as_slice()
            && only.skips
            && item.touched.is_none()
        {
            let nothing: &[u8] = &[];
            self.keep.execute((&record.path, 0, "", nothing, nothing)).map_err(failed(what))?;
        }
        for document in &item.documents {
            let aside =
                if refused.is_empty() { None } else { refused.get(&(record.path.clone(), document.ordinal)) };
            self.document(id, document, aside)?;
        }
        Ok(())
    }

    /// Removes the records of the documents that an item replaces, and keeps what they were.
    fn drop_former(&mut self, item: &Item, id: i64) -> Result<()> {
        self.drop_kept.execute([id]).map_err(failed("record an object"))?;
        let former = |row: &Row<'_>| {
            let path = item.object.path.clone();
            let (ordinal, collection) = (row.get(0)?, row.get(1)?);
            Ok(FormerDocument { path, ordinal, collection, key: row.get(2)?, etag: row.get(3)? })
        };
        let mut run = |former_documents: &mut Vec<FormerDocument>| -> rusqlite::Result<()> {
            match item.touched.as_ref().filter(|_| !item.removes) {
                None => {
                    let gone = self.drop_documents.query_map([id], former)?;
                    former_documents.extend(gone.collect::<rusqlite::Result<Vec<_>>>()?);
                }
                Some(touched) => {
                    for ordinal in touched {
                        let gone = self.drop_document.query_map((id, ordinal), former)?;
                        former_documents.extend(gone.collect::<rusqlite::Result<Vec<_>>>()?);
                    }
                }
            }
            Ok(())
        };
        let mut gone = Vec::new();
        run(&mut gone).map_err(failed("record an object"))?;
        self.former.append(&mut gone);
        Ok(())
    }

    fn document(
        &mut self,
        object: i64,
        record: &DocumentRecord,
        aside: Option<&(&'static str, String)>,
    ) -> Result<()> {
        let reason = aside.map(|(code, reason)| (*code, reason.as_str()));
        let reason = reason.or(record.reason.as_ref().map(|(code, reason)| (code.as_str(), reason.as_str())));
        let key = if aside.is_some() { None } else { record.key.as_deref() };
        let values = (
            object,
            record.ordinal,
            &record.collection,
            key,
            &record.etag,
            record.version,
            record.dictionary,
            signed(record.size)?,
            reason.map(|reason| reason.0),
            reason.map(|reason| reason.1),
            &record.text,
        );
        self.insert_document.execute(values).map(drop).map_err(failed("record a document"))
    }
}

/// The object and ordinal of the document with this key.
pub(crate) fn find(connection: &Connection, collection: &str, key: &str) -> Result<Option<(String, u32)>> {
    connection
        .prepare_cached(
            "select o.path, d.ordinal from repot_documents as d join repot_objects as o on o.id = d.object where d.collection = ?1 and d.key = ?2",
        )
        .and_then(|mut statement| {
            statement.query_row((collection, key), |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed("look for a document"))
}

/// Records a stored document as set aside; gives the object's path and the ordinal. `None`: no such document.
pub(crate) fn set_aside(
    connection: &Connection,
    collection: &str,
    key: &str,
    reason: (&str, &str),
) -> Result<Option<(String, u32)>> {
    let what = "set a document aside";
    let run = || -> rusqlite::Result<Option<(i64, u32, String)>> {
        let found: Option<(i64, u32, String)> = connection
            .prepare_cached(
                "select d.object, d.ordinal, o.path from repot_documents as d join repot_objects as o on o.id = d.object where d.collection = ?1 and d.key = ?2 limit 1",
            )?
            .query_row((collection, key), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((object, ordinal, _)) = &found {
            connection
                .prepare_cached("update repot_documents set key = null, code = ?3, reason = ?4 where object = ?1 and ordinal = ?2")?
                .execute((object, ordinal, reason.0, reason.1))?;
            connection
                .prepare_cached(
                    "update repot_objects set status = 1, code = ?2, reason = ?3 where id = ?1 and (select count(*) from repot_documents where object = ?1) = 1",
                )?
                .execute((object, reason.0, reason.1))?;
        }
        Ok(found)
    };
    Ok(run().map_err(failed(what))?.map(|(_, ordinal, path)| (path, ordinal)))
}
