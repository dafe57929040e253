//! Our own rows of a batch: objects, documents, dictionaries, pieces.

use std::collections::BTreeMap;

use repot_core::change_log::FormerDocument;
use repot_core::{Batch, DocumentRecord, Item, ObjectRecord, Piece, Result, Status};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::copy::{CopyIn, Failure, bytes_field, int_field, small_field};
use crate::flight::Flight;
use crate::parameters::given;
use crate::transaction::Writer;

/// So many records are inserted one by one, with what is sent next: a COPY would wait for the server twice.
const SAID_MOST: usize = 40;

/// Documents refused: (item, document) to code and reason.
pub(crate) type Refused = BTreeMap<(usize, usize), (&'static str, String)>;

const OBJECTS: &str = "copy repot_objects (id, path, size, modified_ns, etag, sha256, collection, status, code, reason, frame) from stdin binary";
const DOCUMENTS: &str = "copy repot_documents (object, ordinal, collection, key, etag, version, dictionary, size, text, code, reason) from stdin binary";

/// Removes objects with all they hold; gives the documents among that.
const REMOVE: &str = "\
with gone as (delete from repot_objects where path = any($1) returning id, path), \
kept as (delete from repot_pending p using gone where p.object = gone.id) \
delete from repot_documents d using gone where d.object = gone.id \
returning gone.path, d.ordinal, d.collection, d.key, d.etag";

impl Writer {
    /// Dictionaries, and what goes of objects that are replaced or removed.
    pub(crate) async fn prepare_records(
        &mut self,
        batch: &Batch,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        for (id, collection, bytes) in &batch.dictionaries {
            self.client()
                .execute_typed(
                    "insert into repot_dictionaries (id, collection, bytes) values ($1, $2, $3) on conflict (id) do nothing",
                    &[(id, Type::INT8), (collection, Type::TEXT), (bytes, Type::BYTEA)],
                )
                .await
                .map_err(Failure::server("keep a dictionary"))?;
        }
        let paths = |wanted: &dyn Fn(&Item) -> bool| {
            batch
                .items
                .iter()
                .filter(|item| wanted(item))
                .map(|item| item.object.path.clone())
                .collect::<Vec<String>>()
        };
        let locked =
            |item: &Item| !item.removes && item.kept.is_none() && self.locked.contains_key(&item.object.path);
        // what they hold is known where it was read with the lock: nobody waits for an answer then
        let known = |item: &Item| item.touched.is_none() && self.known.contains_key(&item.object.path);
        let goes = |item: &Item| item.removes || (item.replaces && item.kept.is_none() && !locked(item));
        let mut former_known = Vec::new();
        let (mut emptied, mut removed) = (Vec::new(), Vec::new());
        for item in batch.items.iter().filter(|item| known(item)) {
            let path = &item.object.path;
            if locked(item) {
                emptied.extend(self.locked.get(path).copied());
            } else if goes(item) {
                removed.push(path.clone());
            } else {
                continue;
            }
            former_known.extend(self.known.get(path).cloned().flatten());
        }
        self.former =
            self.drop_documents(batch.items.iter().filter(|item| locked(item) && !known(item))).await?;
        self.former.extend(former_known);
        let gone = paths(&|item| goes(item) && !known(item));
        if !gone.is_empty() {
            let given: [(&(dyn ToSql + Sync), Type); 1] = [(&gone, Type::TEXT_ARRAY)];
            let rows = self.client().query_again(REMOVE, &given).await;
            let rows = rows.map_err(Failure::server("remove records of objects"))?;
            self.former.extend(rows.iter().map(|row| former(row.get(0), row, 0)));
        }
        if !removed.is_empty() {
            flight.say("remove records of objects", REMOVE, vec![given(removed, Type::TEXT_ARRAY)]);
        }
        if !emptied.is_empty() {
            for sql in [
                "delete from repot_pending where object = any($1)",
                "delete from repot_documents where object = any($1)",
            ] {
                flight.say(
                    "remove records of documents",
                    sql,
                    vec![given(emptied.clone(), Type::INT8_ARRAY)],
                );
            }
        }
        let pieces = paths(&|item| item.removes || (item.replaces && !item.keeps_pieces));
        if !pieces.is_empty() {
            let sql = "delete from repot_pieces where path = any($1)";
            flight.say("remove pieces of objects", sql, vec![given(pieces, Type::TEXT_ARRAY)]);
        }
        Ok(())
    }

    /// The records of all objects and documents of the batch, with the numbers of its objects.
    pub(crate) async fn put_records(
        &mut self,
        batch: &Batch,
        numbers: &[i64],
        refused: &Refused,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        let kept = || {
            let all = batch.items.iter().enumerate().zip(numbers.iter().copied());
            all.filter(|((_, item), _)| !item.removes && item.kept.is_none())
        };
        let count: usize = kept().map(|((_, item), _)| item.documents.len()).sum();
        if count <= SAID_MOST {
            for ((at, item), id) in kept() {
                for (number, document) in item.documents.iter().enumerate() {
                    say_document(flight, id, document, refused.get(&(at, number)));
                }
            }
        } else if count > 0 {
            flight.send(self.client()).await?;
            let what = "keep the documents' records".to_owned();
            let statement = self.prepared(DOCUMENTS, &[]).await.map_err(Failure::server(what.clone()))?;
            let mut copy = CopyIn::begin(self.client(), &statement, what).await?;
            for ((at, item), id) in kept() {
                for (number, document) in item.documents.iter().enumerate() {
                    document_row(&mut copy, id, document, refused.get(&(at, number)));
                    copy.flush().await?;
                }
            }
            copy.finish().await?;
        }
        let there: Vec<_> = kept()
            .filter(|((_, item), _)| self.locked.contains_key(&item.object.path))
            .map(|((at, _), id)| (at, id))
            .collect();
        self.overwrite_objects(batch, &there, refused, flight);
        let new = |item: &Item| self.number_of(item).is_none();
        let new: Vec<_> = kept().filter(|((_, item), _)| new(item)).map(|((at, _), id)| (at, id)).collect();
        self.put_objects(batch, &new, refused, flight).await?;
        Self::keep_changes(batch, numbers, flight);
        self.log_changes(batch, refused, flight).await
    }

    /// The records of new objects: item and number.
    pub(crate) async fn put_objects(
        &mut self,
        batch: &Batch,
        new: &[(usize, i64)],
        refused: &Refused,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        if new.len() <= SAID_MOST {
            for &(at, id) in new {
                let item = &batch.items[at];
                let only = if item.documents.len() == 1 { refused.get(&(at, 0)) } else { None };
                say_object(flight, id, &item.object, only);
            }
            return Ok(());
        }
        flight.send(self.client()).await?;
        let what = "keep the objects' records".to_owned();
        let statement = self.prepared(OBJECTS, &[]).await.map_err(Failure::server(what.clone()))?;
        let mut copy = CopyIn::begin(self.client(), &statement, what).await?;
        for &(at, id) in new {
            let item = &batch.items[at];
            let only = if item.documents.len() == 1 { refused.get(&(at, 0)) } else { None };
            object_row(&mut copy, id, &item.object, only);
            copy.flush().await?;
        }
        copy.finish().await
    }

    /// Keeps one piece of an object.
    pub(crate) async fn put_piece(&mut self, path: &str, piece: &Piece) -> Result<()> {
        loop {
            let number = self.begin().await?;
            if let Err(failure) = self.piece(path, piece).await {
                self.rollback().await;
                return Err(failure.into());
            }
            if self.commit(&number).await? {
                return Ok(());
            }
        }
    }

    async fn piece(&mut self, path: &str, piece: &Piece) -> Result<(), Failure> {
        let client = self.client();
        if piece.number == 0 {
            client
                .execute_typed("delete from repot_pieces where path = $1", &[(&path, Type::TEXT)])
                .await
                .map_err(Failure::server("drop old pieces"))?;
        }
        client
            .execute_typed(
                "insert into repot_pieces (path, number, bytes) values ($1, $2, $3) \
                 on conflict (path, number) do update set bytes = excluded.bytes",
                &[(&path, Type::TEXT), (&i64::from(piece.number), Type::INT8), (&piece.bytes, Type::BYTEA)],
            )
            .await
            .map_err(Failure::server("keep a piece"))?;
        Ok(())
    }
}

/// The record of a new object, with its own statement.
fn say_object(flight: &mut Flight, id: i64, object: &ObjectRecord, refused: Option<&(&'static str, String)>) {
    let ObjectRecord { path, size, modified_ns, etag, sha256, collection, status, reason, frame } = object;
    let (code, said) = said(reason.as_ref(), refused);
    let values = vec![
        given(id, Type::INT8),
        given(path.clone(), Type::TEXT),
        given(signed(*size), Type::INT8),
        given(*modified_ns, Type::INT8),
        given(etag.clone(), Type::TEXT),
        given(sha256.clone(), Type::BYTEA),
        given(collection.clone(), Type::TEXT),
        given(if refused.is_some() { Status::SetAside } else { *status } as i16, Type::INT2),
        given(code, Type::TEXT),
        given(said, Type::TEXT),
        given(frame.clone(), Type::BYTEA),
    ];
    let sql = "insert into repot_objects (id, path, size, modified_ns, etag, sha256, collection, status, code, reason, frame) \
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    flight.say("keep the objects' records", sql, values);
}

/// Code and text of a reason, the database's before our own.
fn said(
    own: Option<&(String, String)>,
    refused: Option<&(&'static str, String)>,
) -> (Option<String>, Option<String>) {
    let own = own.map(|(code, text)| (code.as_str(), text.as_str()));
    let reason = refused.map(|(code, text)| (*code, text.as_str())).or(own);
    // a reason may quote a value with a NUL, which no text of PostgreSQL can hold
    reason.map(|(code, text)| (code.to_owned(), text.replace('\0', "\u{fffd}"))).unzip()
}

/// The record of one document, with its own statement.
fn say_document(
    flight: &mut Flight,
    id: i64,
    document: &DocumentRecord,
    refused: Option<&(&'static str, String)>,
) {
    let DocumentRecord { ordinal, collection, key, etag, version, dictionary, size, text, reason, .. } =
        document;
    let (code, said) = said(reason.as_ref(), refused);
    let values = vec![
        given(id, Type::INT8),
        given(i64::from(*ordinal), Type::INT8),
        given(collection.clone(), Type::TEXT),
        given(key.clone().filter(|_| refused.is_none()), Type::TEXT),
        given(etag.clone(), Type::TEXT),
        given(*version, Type::INT8),
        given(*dictionary, Type::INT8),
        given(signed(*size), Type::INT8),
        given(text.to_vec(), Type::BYTEA),
        given(code, Type::TEXT),
        given(said, Type::TEXT),
    ];
    let sql = "insert into repot_documents (object, ordinal, collection, key, etag, version, dictionary, size, text, code, reason) \
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    flight.say("keep the documents' records", sql, values);
}

/// A document of the object at this path; behind the column at `at` come ordinal, collection, key and `ETag`.
pub(crate) fn former(path: String, row: &Row, at: usize) -> FormerDocument {
    let ordinal = u32::try_from(row.get::<_, i64>(at + 1)).unwrap_or(u32::MAX);
    FormerDocument { path, ordinal, collection: row.get(at + 2), key: row.get(at + 3), etag: row.get(at + 4) }
}

/// Sizes above 2^63 do not exist.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn reason_fields(out: &mut Vec<u8>, reason: Option<(&str, &str)>) {
    bytes_field(out, reason.map(|(code, _)| code.as_bytes()));
    // a reason may quote a value with a NUL, which no text of PostgreSQL can hold
    let text = reason.map(|(_, text)| text.replace('\0', "\u{fffd}"));
    bytes_field(out, text.as_deref().map(str::as_bytes));
}

fn document_row(
    copy: &mut CopyIn,
    id: i64,
    document: &DocumentRecord,
    refused: Option<&(&'static str, String)>,
) {
    let DocumentRecord { ordinal, collection, key, etag, version, dictionary, size, text, reason, .. } =
        document;
    let out = copy.row(11);
    int_field(out, id);
    int_field(out, i64::from(*ordinal));
    bytes_field(out, Some(collection.as_bytes()));
    bytes_field(out, key.as_deref().filter(|_| refused.is_none()).map(str::as_bytes));
    bytes_field(out, Some(etag.as_bytes()));
    int_field(out, *version);
    int_field(out, *dictionary);
    int_field(out, signed(*size));
    bytes_field(out, Some(text));
    let reason = reason.as_ref().map(|(code, text)| (code.as_str(), text.as_str()));
    reason_fields(out, refused.map(|(code, text)| (*code, text.as_str())).or(reason));
}

fn object_row(copy: &mut CopyIn, id: i64, object: &ObjectRecord, refused: Option<&(&'static str, String)>) {
    let ObjectRecord { path, size, modified_ns, etag, sha256, collection, status, reason, frame } = object;
    let out = copy.row(11);
    int_field(out, id);
    bytes_field(out, Some(path.as_bytes()));
    int_field(out, signed(*size));
    int_field(out, *modified_ns);
    bytes_field(out, etag.as_deref().map(str::as_bytes));
    bytes_field(out, Some(sha256));
    bytes_field(out, collection.as_deref().map(str::as_bytes));
    small_field(out, if refused.is_some() { Status::SetAside } else { *status } as i16);
    let reason = reason.as_ref().map(|(code, text)| (code.as_str(), text.as_str()));
    reason_fields(out, refused.map(|(code, text)| (*code, text.as_str())).or(reason));
    bytes_field(out, frame.as_deref());
}
