//! Which documents differ in their rows, and in what: only for the buckets whose sums differ.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use repot_core::{Reader, ReaderPair, Result, StoredObject};
use repot_model::plan::Plan;
use repot_model::row::{Cell, Cells, RowBuffer};

use super::Difference;
use super::sums::{Bucket, bucket, hash};
use super::sweep::Again;
use crate::options::Options;
use crate::prepare::identity;
use crate::route::Routes;
use crate::stored::{assemble, each_whole};
use crate::text::Unpacker;

/// Rows held at once while looking for differences.
const ROWS_AT_ONCE: u64 = 300_000;
/// Rows without document that are named.
const EXTRA_KEPT: usize = 1_000;

/// Documents whose rows differ.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Objects, with the documents in them.
    pub objects: BTreeMap<i64, BTreeSet<u32>>,
    /// Rows that belong to no document: table and identity.
    pub extra: Vec<(usize, Vec<u8>)>,
    /// Rows that differ, are missing or are too many.
    pub rows: u64,
}

pub(crate) struct Finder<'a> {
    pub plan: &'a Plan,
    pub routes: &'a Routes<'a>,
    pub options: &'a Options,
    pub seed: u64,
}

type Expected = HashMap<(usize, Vec<u8>), (u128, i64, u32)>;

impl Finder<'_> {
    /// Finds the documents behind differing buckets, in as many passes as memory asks for.
    pub(crate) fn find(&self, readers: &mut ReaderPair, buckets: &[(Bucket, u64)]) -> Result<Changed> {
        let [texts, tables] = readers;
        let mut changed = Changed::default();
        let mut rest = buckets;
        while !rest.is_empty() {
            let mut rows = 0;
            let take = rest.iter().take_while(|(_, count)| {
                rows += count;
                rows <= ROWS_AT_ONCE
            });
            let (now, later) = rest.split_at(take.count().max(1));
            rest = later;
            let wanted: HashSet<Bucket> = now.iter().map(|(bucket, _)| *bucket).collect();
            let expected = self.expected(texts.as_mut(), &wanted)?;
            self.compare(tables.as_mut(), &wanted, expected, &mut changed)?;
        }
        self.home(tables.as_mut(), &mut changed)?;
        Ok(changed)
    }

    fn expected(&self, reader: &mut dyn Reader, wanted: &HashSet<Bucket>) -> Result<Expected> {
        let mut unpacker = Unpacker::new(&reader.dictionaries()?)?;
        let mut again = Again::new(self.plan, self.routes, self.options.json);
        let mut expected = Expected::new();
        each_object(reader, &mut |whole| {
            let Ok(assembled) = assemble(&whole, &mut unpacker) else { return Ok(()) };
            let (found, rows) = again.split(&whole.object.record.path, &assembled.bytes);
            for (split, stored) in found.iter().zip(&whole.documents) {
                if stored.record.reason.is_some() {
                    continue;
                }
                for row in split.rows.clone() {
                    let (table, cells) = rows.row(row);
                    if wanted.contains(&(table, bucket(self.plan, table, cells, self.seed))) {
                        let key = (table, identity(self.plan, table, cells));
                        expected
                            .insert(key, (hash(cells, self.seed), whole.object.id, stored.record.ordinal));
                    }
                }
            }
            Ok(())
        })?;
        Ok(expected)
    }

    fn compare(
        &self,
        reader: &mut dyn Reader,
        wanted: &HashSet<Bucket>,
        mut expected: Expected,
        changed: &mut Changed,
    ) -> Result<()> {
        let tables: BTreeSet<usize> = wanted.iter().map(|bucket| bucket.0).collect();
        for table in tables {
            reader.scan(self.plan, table, &mut |cells| {
                if !wanted.contains(&(table, bucket(self.plan, table, cells, self.seed))) {
                    return Ok(());
                }
                let key = (table, identity(self.plan, table, cells));
                match expected.remove(&key) {
                    Some((same, _, _)) if same == hash(cells, self.seed) => {}
                    Some((_, object, ordinal)) => {
                        changed.rows += 1;
                        changed.objects.entry(object).or_default().insert(ordinal);
                    }
                    None => {
                        changed.rows += 1;
                        if changed.extra.len() < EXTRA_KEPT {
                            changed.extra.push(key);
                        }
                    }
                }
                Ok(())
            })?;
        }
        changed.rows += expected.len() as u64;
        for (_, object, ordinal) in expected.into_values() {
            changed.objects.entry(object).or_default().insert(ordinal);
        }
        Ok(())
    }

    /// Rows that no text has belong to the document their parents lead to.
    fn home(&self, reader: &mut dyn Reader, changed: &mut Changed) -> Result<()> {
        if changed.extra.is_empty() {
            return Ok(());
        }
        let mut homeless = Vec::new();
        for (table, key) in std::mem::take(&mut changed.extra) {
            let root = reader.root_of(self.plan, table, &key)?;
            let object = match &root {
                Some((collection, key)) => reader.find_document(collection, key)?,
                None => None,
            };
            let (Some((collection, key_text)), Some(object)) = (root, object) else {
                homeless.push((table, key));
                continue;
            };
            reader.documents(&[object.id], &mut |document| {
                if document.record.collection == collection
                    && document.record.key.as_deref() == Some(&key_text)
                {
                    changed.objects.entry(object.id).or_default().insert(document.record.ordinal);
                }
                Ok(())
            })?;
        }
        changed.extra = homeless;
        Ok(())
    }
}

/// Every object with documents, a few at a time.
fn each_object(
    reader: &mut dyn Reader,
    each: &mut dyn FnMut(crate::stored::Whole) -> Result<()>,
) -> Result<()> {
    const PAGE: usize = 64;
    let mut after: Option<String> = None;
    loop {
        let page = reader.objects(after.as_deref(), PAGE, true)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.record.path.clone());
        for object in page {
            each_whole(reader, vec![object], each)?;
        }
    }
}

/// The rows of a document as its text gives them, with its root's encoded key.
pub(crate) fn expected_rows(rows: &RowBuffer, range: std::ops::Range<usize>) -> RowBuffer {
    let mut own = RowBuffer::new();
    for row in range {
        let (table, cells) = rows.row(row);
        own.raw(cells);
        own.end_row(table);
    }
    own
}

/// The rows of a document in the database, found from the root row that its text gives.
pub(crate) fn actual_rows(reader: &mut dyn Reader, plan: &Plan, expected: &RowBuffer) -> Result<RowBuffer> {
    if expected.is_empty() {
        return Ok(RowBuffer::new());
    }
    let (table, cells) = expected.row(0);
    let columns = &plan.tables[table].key;
    let mut all = Cells::new(cells);
    let mut raw = Vec::new();
    while let Some(cell) = all.next_raw() {
        raw.push(cell);
    }
    let key: Vec<u8> =
        columns.iter().flat_map(|&at| raw.get(at).copied().unwrap_or_default()).copied().collect();
    reader.document_rows(plan, table, &key)
}

/// What differs between a document's rows and what its text says, in words.
pub(crate) fn describe(
    plan: &Plan,
    object: &StoredObject,
    document: &str,
    expected: &RowBuffer,
    actual: &RowBuffer,
) -> Vec<Difference> {
    let by_identity = |rows: &RowBuffer| -> BTreeMap<(usize, Vec<u8>), Vec<u8>> {
        rows.iter().map(|(table, cells)| ((table, identity(plan, table, cells)), cells.to_vec())).collect()
    };
    let (expected, mut actual) = (by_identity(expected), by_identity(actual));
    let mut found = Vec::new();
    let mut differs = |table: usize, what: String| {
        found.push(Difference {
            path: Some(object.record.path.clone()),
            document: Some(document.to_owned()),
            table: Some(plan.tables[table].name.clone()),
            what,
        });
    };
    for ((table, key), cells) in expected {
        let row = shown(&key);
        match actual.remove(&(table, key)) {
            None => differs(table, format!("row {row} is missing")),
            Some(other) if other == cells => {}
            Some(other) => {
                for (at, (mine, theirs)) in Cells::new(&cells).zip(Cells::new(&other)).enumerate() {
                    if mine != theirs {
                        let column = &plan.tables[table].columns[at].name;
                        let (mine, theirs) = (value(&mine), value(&theirs));
                        differs(table, format!("row {row}: {column} is {theirs}, the text says {mine}"));
                    }
                }
            }
        }
    }
    for (table, key) in actual.into_keys() {
        differs(table, format!("row {} is in the database and not in the text", shown(&key)));
    }
    found
}

/// Identity cells in words.
pub(crate) fn shown(identity: &[u8]) -> String {
    Cells::new(identity).map(|cell| value(&cell)).collect::<Vec<_>>().join(", ")
}

fn value(cell: &Cell<'_>) -> String {
    use repot_model::plan::{time, uuid_text};
    let quoted = |text: &str| {
        let short: String = text.chars().take(60).collect();
        if short.len() < text.len() { format!("{short:?}...") } else { format!("{short:?}") }
    };
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => format!("{number:?}"),
        Cell::Bool(flag) => flag.to_string(),
        Cell::Text(text) | Cell::Json(text) | Cell::Decimal(text) => quoted(text),
        Cell::Time(micros) => time::time_text(*micros, 'T', 6),
        Cell::Date(days) => time::date_text(*days),
        Cell::Uuid(bytes) => uuid_text(bytes),
        Cell::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Cell::List(list) => {
            format!("[{}]", Cells::list(list).map(|cell| value(&cell)).collect::<Vec<_>>().join(", "))
        }
    }
}
