//! Reading ahead: what a decision is likely to ask for is read with the messages that lock its documents, behind the locks. Each
//! answer is given once; who asks again gets a newer one from the server.

use std::collections::HashMap;
use std::sync::LazyLock;

use futures_util::future;
use repot_core::change_log::FormerDocument;
use repot_core::store::Fact;
use repot_core::{Ahead, FoundObject, Outline};
use repot_model::plan::{Plan, RowsWanted};
use repot_model::row::RowBuffer;
use repot_model::sql::SEARCH_META;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::client::Client;
use crate::copy::Failure;
use crate::reader::PostgresReader;
use crate::records::former;
use crate::{facts, kept, marks, stored};

/// Larger texts are read when they are asked for, one by one.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// Where the text stands in a row of [`STORED`], and the document's object, which is there with a text only.
const TEXT_AT: usize = 19;
const DOCUMENT_AT: usize = 11;
/// Where it says that the object holds no further document.
const ALONE_AT: usize = 25;

static STORED: LazyLock<String> = LazyLock::new(|| {
    let text = format!("case when d.size <= {TEXT_BYTES_MAX} then d.text end");
    let alone = "not exists (select from repot_documents e where e.object = o.id and e.ordinal > 0)";
    stored::FOUND
        .replace("d.text", &text)
        .replace("o.path = $1", "o.path = any($1)")
        .replace(" from repot_objects o", &format!(", {alone} from repot_objects o"))
});

static OUTLINES: LazyLock<String> = LazyLock::new(|| {
    let all = kept::OUTLINE.replace("o.path = $1", "o.path = any($1)");
    all.replacen("select ", "select o.path, ", 1)
});

static STAMPS: LazyLock<String> = LazyLock::new(|| {
    let stamp = marks::stamp_sql("m.collection", "m.key");
    format!("select m.collection, m.key, {stamp} from unnest($1, $2) as m (collection, key)")
});

/// Values of ours. With the one that says how the full text indexes were made, the triggers are told that this transaction keeps them
/// itself, if that is how.
const META: &str = "\
select key, value, case when key = $2 and value = $3 then set_config('repot.search', value, true) end is not null \
from repot_meta where key = any($1)";

impl PostgresReader {
    /// An answer that was read ahead.
    pub(crate) fn seen<T>(&mut self, find: impl FnOnce(&mut Seen) -> Option<T>) -> Option<T> {
        match &self.within {
            Some(within) => within.seen(find),
            None if self.begun => find(&mut self.expected),
            None => None,
        }
    }
}

/// What is asked ahead.
#[derive(Debug)]
pub(crate) struct Questions<'q> {
    pub plan: &'q Plan,
    pub ahead: &'q Ahead,
    /// The transaction keeps the full text indexes itself where they were made in this way.
    pub search: Option<String>,
}

/// Answers that were read ahead, by question.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    outlines: HashMap<String, Option<Outline>>,
    stored: HashMap<String, Option<FoundObject>>,
    stamps: HashMap<(String, String), i64>,
    rows: Vec<(RowsWanted, RowBuffer)>,
    meta: HashMap<String, Option<String>>,
    facts: HashMap<(String, String), Option<Fact>>,
    former: HashMap<String, Option<FormerDocument>>,
    search_kept: Option<bool>,
}

impl Seen {
    pub(crate) fn outline(&mut self, path: &str) -> Option<Option<Outline>> {
        self.outlines.remove(path)
    }

    pub(crate) fn stored(&mut self, path: &str) -> Option<Option<FoundObject>> {
        self.stored.remove(path)
    }

    pub(crate) fn stamp(&mut self, collection: &str, key: &str) -> Option<i64> {
        self.stamps.remove(&(collection.to_owned(), key.to_owned()))
    }

    pub(crate) fn rows(&mut self, wanted: &RowsWanted) -> Option<RowBuffer> {
        let at = self.rows.iter().position(|(known, _)| known == wanted)?;
        Some(self.rows.swap_remove(at).1)
    }

    /// What objects hold, of which at most one document is there, by path.
    pub(crate) fn take_former(&mut self) -> HashMap<String, Option<FormerDocument>> {
        std::mem::take(&mut self.former)
    }

    /// What was found at these paths; what is not among it is not there.
    fn note_stored(&mut self, paths: &[String], found: &[Row]) -> Result<(), Failure> {
        self.stored.extend(paths.iter().map(|path| (path.clone(), None)));
        for row in found {
            let path: String = row.get(1);
            let is_there = row.get::<_, Option<i64>>(DOCUMENT_AT).is_some();
            if row.get::<_, bool>(ALONE_AT) {
                let former = is_there.then(|| former(path.clone(), row, DOCUMENT_AT));
                self.former.insert(path.clone(), former);
            }
            if is_there && row.get::<_, Option<&[u8]>>(TEXT_AT).is_none() {
                self.stored.remove(&path);
            } else {
                self.stored.insert(path, Some(stored::found(row)?));
            }
        }
        Ok(())
    }

    /// Whether the transaction keeps the full text indexes itself; `None`: that was not asked.
    pub(crate) const fn search_kept(&self) -> Option<bool> {
        self.search_kept
    }

    pub(crate) fn meta(&mut self, key: &str) -> Option<Option<String>> {
        self.meta.remove(key)
    }

    pub(crate) fn fact(&mut self, kind: &str, name: &str) -> Option<Option<Fact>> {
        self.facts.remove(&(kind.to_owned(), name.to_owned()))
    }
}

/// Reads all of it at once.
///
/// # Errors
/// What the server says.
pub(crate) async fn read(client: &Client, questions: &Questions<'_>) -> Result<Seen, Failure> {
    let Questions { plan, ahead, search } = questions;
    let what = "read ahead";
    let texts = async |sql: &str, of: &Vec<String>| -> Result<Vec<Row>, Failure> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        client.query_again(sql, &[(of, Type::TEXT_ARRAY)]).await.map_err(Failure::server(what))
    };
    let pairs = async |sql: &str, of: &Vec<(String, String)>| -> Result<Vec<Row>, Failure> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let (ones, others): (Vec<&str>, Vec<&str>) =
            of.iter().map(|(one, other)| (one.as_str(), other.as_str())).unzip();
        let given: [(&(dyn ToSql + Sync), Type); 2] =
            [(&ones, Type::TEXT_ARRAY), (&others, Type::TEXT_ARRAY)];
        client.query_again(sql, &given).await.map_err(Failure::server(what))
    };
    let documents = future::join4(
        texts(&OUTLINES, &ahead.outlines),
        texts(&STORED, &ahead.stored),
        pairs(&STAMPS, &ahead.stamps),
        kept::rows_of_all(client, plan, &ahead.rows),
    );
    let beside =
        future::join(values(client, &ahead.meta, search.as_deref()), pairs(&facts::NAMED, &ahead.facts));
    let ((outlines, found, stamps, rows), (meta, noted)) = future::join(documents, beside).await;
    let mut seen = Seen::default();
    // what is not among the answers is not there
    seen.outlines.extend(ahead.outlines.iter().map(|path| (path.clone(), None)));
    for row in outlines? {
        seen.outlines.insert(row.get(0), Some(kept::outline(&row, 1)?));
    }
    seen.note_stored(&ahead.stored, &found?)?;
    seen.stamps.extend(stamps?.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))));
    seen.meta.extend(ahead.meta.iter().map(|key| (key.clone(), None)));
    let meta = meta?;
    seen.meta.extend(meta.iter().map(|row| (row.get(0), row.get(1))));
    seen.search_kept = search.is_some().then(|| meta.iter().any(|row| row.get(2)));
    seen.facts.extend(ahead.facts.iter().map(|named| (named.clone(), None)));
    seen.facts.extend(
        noted?.iter().map(facts::read).map(|fact| ((fact.kind.clone(), fact.name.clone()), Some(fact))),
    );
    seen.rows = rows?;
    Ok(seen)
}

/// What is stored at these paths.
///
/// # Errors
/// What the server says.
pub(crate) async fn stored(client: &Client, paths: &[String]) -> Result<Seen, Failure> {
    let found = client.query_again(&STORED, &[(&paths, Type::TEXT_ARRAY)]).await;
    let mut seen = Seen::default();
    seen.note_stored(paths, &found.map_err(Failure::server("read documents"))?)?;
    Ok(seen)
}

/// Values of ours, and whether the transaction keeps the full text indexes itself.
async fn values(client: &Client, keys: &[String], search: Option<&str>) -> Result<Vec<Row>, Failure> {
    let keys: Vec<&str> = keys.iter().map(String::as_str).chain(search.map(|_| SEARCH_META)).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let given: [(&(dyn ToSql + Sync), Type); 3] =
        [(&keys, Type::TEXT_ARRAY), (&SEARCH_META, Type::TEXT), (&search, Type::TEXT)];
    client.query_again(META, &given).await.map_err(Failure::server("read ahead"))
}
