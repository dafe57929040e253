//! Reading what is stored: fields as they come, our own records, a row's document.

use std::ops::Range;
use std::sync::LazyLock;

use crate::client::Client;
use repot_core::store::MADE_BYTES;
use repot_core::{
    DocumentRecord, Error, FoundObject, Kind, ObjectRecord, Result, Status, StoredDocument, StoredObject,
};
use repot_model::plan::{ColumnKind, Plan};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::chain::{borrowed, chains, condition};
use crate::decode;
use crate::error::failed;

/// A field as it comes; `None` is null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a>(pub Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Columns of an object, in the order of [`object`].
pub(crate) const OBJECT: &str = "id, path, size, modified_ns, etag, sha256, collection, status, code, reason";
/// Columns of a document, in the order of [`document`].
pub(crate) const DOCUMENT: &str =
    "object, ordinal, collection, key, etag, version, dictionary, size, text, code, reason";

fn damaged(table: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let message = format!("{table} holds a row that Repot did not write");
    move |error| {
        Error::new(Kind::Corrupt, "R0803", message)
            .hint("Somebody changed Repot's own tables; restore the database from a backup.")
            .cause(error)
    }
}

fn reason(row: &Row, at: usize) -> Result<Option<(String, String)>, tokio_postgres::Error> {
    let code: Option<String> = row.try_get(at)?;
    let text: Option<String> = row.try_get(at + 1)?;
    Ok(code.map(|code| (code, text.unwrap_or_default())))
}

/// A row of `repot_objects`; the frame, if any, comes last.
pub(crate) fn object(row: &Row) -> Result<StoredObject> {
    let read = || -> Result<StoredObject, tokio_postgres::Error> {
        let status = match row.try_get::<_, i16>(7)? {
            0 => Status::Moved,
            2 => Status::Unmatched,
            3 => Status::Stays,
            _ => Status::SetAside,
        };
        let record = ObjectRecord {
            path: row.try_get(1)?,
            size: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0),
            modified_ns: row.try_get(3)?,
            etag: row.try_get(4)?,
            sha256: row.try_get(5)?,
            collection: row.try_get(6)?,
            status,
            reason: reason(row, 8)?,
            frame: if row.len() > 10 { row.try_get(10)? } else { None },
        };
        Ok(StoredObject { id: row.try_get(0)?, record })
    };
    read().map_err(damaged("repot_objects"))
}

/// These columns of this table.
fn named(columns: &str, table: &str) -> String {
    columns.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

/// Where the document's columns begin, and where it is said that its text is known.
const DOCUMENT_AT: usize = 11;
const KNOWN_AT: usize = DOCUMENT_AT + 14;

/// An object by its path, its first document and the stamp of that document's mark.
pub(crate) static FOUND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select {}, o.frame, {}, {}, {} from repot_objects o left join repot_documents d on d.object = o.id and d.ordinal = 0 where o.path = $1",
        named(OBJECT, "o"),
        named(DOCUMENT, "d"),
        crate::marks::stamp_sql("d.collection", "d.key"),
        crate::kept::kept_sql("o.id"),
    )
});

/// The same for a reader who knows the text with the `ETag` `$2`; at the end, whether that is the one.
pub(crate) static FOUND_UNLESS: LazyLock<String> = LazyLock::new(|| {
    let same = "coalesce(l.etag, d.etag) = $2";
    let document =
        named(DOCUMENT, "d").replace("d.text", &format!("case when {same} then '' else d.text end"));
    format!(
        "select {}, o.frame, {document}, {}, \
         case when l.etag = $2 then array[substring(l.change from 1 for {MADE_BYTES})] \
         when l.etag is not null then array(select p.change from repot_pending p where p.object = o.id and p.seq > 0 order by p.seq) end, \
         l.etag, coalesce({same}, false) \
         from repot_objects o left join repot_documents d on d.object = o.id and d.ordinal = 0 \
         left join lateral (select p.etag, p.change from repot_pending p where p.object = o.id and p.seq > 0 order by p.seq desc limit 1) l on true \
         where o.path = $1",
        named(OBJECT, "o"),
        crate::marks::stamp_sql("d.collection", "d.key"),
    )
});

/// The object of a document by its key, that document and the stamp of its mark; no frame.
pub(crate) static FOUND_BY_KEY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select {}, null::bytea, {}, {}, null::bytea[], null::text from repot_documents d join repot_objects o on o.id = d.object \
         where d.collection = $1 and d.key = $2 order by d.code is not null, d.object limit 1",
        named(OBJECT, "o"),
        named(DOCUMENT, "d"),
        crate::marks::stamp_sql("d.collection", "d.key"),
    )
});

/// Reads what [`FOUND`] or [`FOUND_BY_KEY`] selects.
pub(crate) fn found(row: &Row) -> Result<FoundObject> {
    let there: Option<i64> = row.try_get(DOCUMENT_AT).map_err(damaged("repot_documents"))?;
    let stamp = row.try_get(DOCUMENT_AT + 11).map_err(damaged("repot_touched"))?;
    let document = there.map(|_| document_from(row, (DOCUMENT_AT, DOCUMENT_AT + 12))).transpose()?;
    Ok(FoundObject { object: object(row)?, document, stamp, is_known: false })
}

/// Reads what [`FOUND_UNLESS`] selects.
pub(crate) fn found_unless(row: &Row) -> Result<FoundObject> {
    let is_known = row.try_get(KNOWN_AT).map_err(damaged("repot_documents"))?;
    Ok(FoundObject { is_known, ..found(row)? })
}

/// A row of `repot_documents`, as `d`, with what is kept beside its text.
pub(crate) fn document_sql(keeps: bool) -> String {
    let own = named(DOCUMENT, "d");
    let kept = if keeps { crate::kept::kept_sql("d.object") } else { "null::bytea[], null::text".to_owned() };
    format!("select {own}, {kept} from repot_documents d")
}

/// Reads what [`document_sql`] selects.
pub(crate) fn document(row: &Row) -> Result<StoredDocument> {
    document_from(row, (0, 11))
}

fn document_from(row: &Row, (at, kept_at): (usize, usize)) -> Result<StoredDocument> {
    let read = || -> Result<StoredDocument, tokio_postgres::Error> {
        let record = DocumentRecord {
            ordinal: u32::try_from(row.try_get::<_, i64>(at + 1)?).unwrap_or(u32::MAX),
            collection: row.try_get(at + 2)?,
            key: row.try_get(at + 3)?,
            etag: row.try_get(at + 4)?,
            version: row.try_get(at + 5)?,
            dictionary: row.try_get(at + 6)?,
            size: u64::try_from(row.try_get::<_, i64>(at + 7)?).unwrap_or(0),
            text: row.try_get(at + 8)?,
            reason: reason(row, at + 9)?,
            rows: Range::default(),
            skips: false,
        };
        let mut document = StoredDocument { object: row.try_get(at)?, record, kept: Vec::new() };
        if let Some(etag) = row.try_get(kept_at + 1)? {
            document.record.etag = etag;
            document.kept = row.try_get::<_, Option<Vec<Vec<u8>>>>(kept_at)?.unwrap_or_default();
            document.record.version += i64::try_from(document.kept.len()).unwrap_or(0);
        }
        Ok(document)
    };
    read().map_err(damaged("repot_documents"))
}

/// Appends fields `from..` of a row as cells of these kinds.
pub(crate) fn cells(
    row: &Row,
    from: usize,
    kinds: impl Iterator<Item = ColumnKind>,
    out: &mut Vec<u8>,
) -> Result<()> {
    for (at, kind) in kinds.enumerate() {
        let raw: Raw<'_> = row.try_get(from + at).map_err(|error| failed("read a row", error))?;
        if !decode::cell(raw.0, kind, out) {
            let name = row.columns().get(from + at).map_or("?", |column| column.name());
            return Err(Error::new(
                Kind::Corrupt,
                "R0802",
                format!("column {name} has another type than the model says"),
            )
            .hint("Change the column back to the type that `repot plan --sql` prints."));
        }
    }
    Ok(())
}

/// From a row to its root row: the root's table and encoded key cells.
pub(crate) async fn root_of(
    client: &Client,
    plan: &Plan,
    table: usize,
    identity: &[u8],
) -> Result<Option<(usize, Vec<u8>)>> {
    let own = &plan.tables[table];
    for chain in chains(plan, table) {
        let root = &plan.tables[chain.root()];
        if root.key.is_empty() {
            continue;
        }
        let (place, parameters) = condition(own, &own.identity, identity, "t0")?;
        let sql = format!("select {} from {} where {place} limit 1", chain.root_key(plan), chain.from(plan));
        let row = client
            .query_typed_opt(&sql, &borrowed(&parameters))
            .await
            .map_err(|error| failed(&format!("find the document of a row of {}", own.name), error))?;
        if let Some(row) = row {
            let mut key = Vec::new();
            cells(&row, 0, root.key.iter().map(|&column| root.columns[column].kind), &mut key)?;
            return Ok(Some((chain.root(), key)));
        }
    }
    Ok(None)
}
