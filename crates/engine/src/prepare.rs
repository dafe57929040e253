//! From an object's bytes to what is loaded: documents split and compressed, and for an object that was there
//! before, only the rows that differ.

use std::collections::HashMap;

use repot_core::{DocumentRecord, Item, Object, ObjectRecord, Result, RowChanges, Status, hex};
use repot_json::Limits;
use repot_model::plan::{Place, Plan, SplitDocument, Splitter, Standing};
use repot_model::row::{Cells, RowBuffer};
use sha2::{Digest as _, Sha256};

use crate::frame;
use crate::route::{Route, Routes};
use crate::stored::{Assembled, Whole};
use crate::text::{Dictionaries, Packer};

/// Former rows by table and identity: their order and their cells.
type Former<'r> = HashMap<(usize, Vec<u8>), (usize, &'r [u8])>;

/// An object that was stored before: its documents and bytes.
#[derive(Debug)]
pub(crate) struct Before {
    pub whole: Whole,
    pub assembled: Assembled,
    /// The rows that are there, where plain SQL made them others than those of the text.
    pub rows: Option<RowBuffer>,
}

/// Splits and compresses; one for each worker.
#[derive(Debug)]
pub(crate) struct Preparer<'p> {
    plan: &'p Plan,
    routes: &'p Routes<'p>,
    splitter: Splitter<'p>,
    packer: Packer,
    found: Vec<SplitDocument>,
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// A strong ETag: equal only for equal texts.
pub(crate) fn etag(sha256: &[u8]) -> String {
    hex(sha256.get(..16).unwrap_or(sha256))
}

impl<'p> Preparer<'p> {
    pub(crate) fn new(
        plan: &'p Plan,
        routes: &'p Routes<'p>,
        limits: Limits,
        dictionaries: Dictionaries,
    ) -> Result<Self> {
        Ok(Self {
            plan,
            routes,
            splitter: Splitter::new(plan, limits),
            packer: Packer::new(dictionaries)?,
            found: Vec::new(),
        })
    }

    /// Splits an object's bytes: appends rows, leaves the documents in `self.found`.
    fn split(&mut self, path: &str, bytes: &[u8], rows: &mut RowBuffer) -> Option<Route<'static>> {
        self.found.clear();
        match self.routes.find(path) {
            Route::Documents { places, values } => {
                let places: Vec<Place<'_>> = places
                    .iter()
                    .map(|&(root, template)| Place { root, template, values: &values })
                    .collect();
                self.splitter.split(&places, path, bytes, rows, &mut self.found);
                None
            }
            Route::Stays(name) => Some(Route::Stays(name)),
            Route::Unmatched => Some(Route::Unmatched),
        }
    }

    /// What loads `bytes` as the object's new state.
    pub(crate) fn item(&mut self, object: &Object, bytes: &[u8], before: Option<&Before>) -> Result<Item> {
        let mut rows = RowBuffer::new();
        self.split(&object.path, bytes, &mut rows);
        let found = std::mem::take(&mut self.found);
        let whole_hash = sha256(bytes);
        let mut documents = Vec::with_capacity(found.len());
        for (ordinal, document) in found.iter().enumerate() {
            documents.push(self.document(ordinal, document, bytes, &whole_hash, before)?);
        }
        let single = matches!(found.as_slice(), [only] if only.span == (0..bytes.len()));
        let container = found.first().is_none_or(|document| self.plan.roots[document.root].is_container());
        let frame = (container && !single)
            .then(|| frame::encode(bytes, found.iter().map(|document| document.span.clone())));
        let collection = found.first().map(|document| self.plan.roots[document.root].name.clone());
        let (status, reason) = match documents.as_slice() {
            [only] if single && only.reason.is_some() => (Status::SetAside, only.reason.clone()),
            _ => (Status::Moved, None),
        };
        let mut item = Item {
            object: ObjectRecord {
                path: object.path.clone(),
                size: object.size,
                modified_ns: object.modified_ns,
                etag: object.etag.clone(),
                sha256: whole_hash,
                collection: collection.or_else(|| self.first_collection(&object.path)),
                status,
                reason,
                frame,
            },
            documents,
            rows,
            changes: RowChanges::default(),
            replaces: before.is_some(),
            removes: false,
            keeps_pieces: false,
            touched: None,
            kept: None,
        };
        self.found = found;
        if let Some(before) = before {
            self.difference(&mut item, before);
        }
        Ok(item)
    }

    /// A text packed without a dictionary.
    pub(crate) fn pack_plain(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        self.packer.pack_plain(text)
    }

    /// Takes an object out: all rows of its documents are deleted.
    pub(crate) fn removal(&mut self, before: &Before) -> Item {
        let mut item = Item {
            object: before.whole.object.record.clone(),
            documents: Vec::new(),
            rows: RowBuffer::new(),
            changes: RowChanges::default(),
            replaces: false,
            removes: true,
            keeps_pieces: false,
            touched: None,
            kept: None,
        };
        self.difference(&mut item, before);
        item
    }

    /// Brings one document of an object with others into its item: from the rows that are there to its new record and text;
    /// `None`: it goes.
    pub(crate) fn among(
        &mut self,
        item: &mut Item,
        old: &RowBuffer,
        new: Option<(DocumentRecord, &RowBuffer)>,
    ) {
        let mut former: Former<'_> = HashMap::new();
        for (order, (table, cells)) in old.iter().enumerate() {
            former.insert((table, identity(self.plan, table, cells)), (order, cells));
        }
        if let Some((mut record, rows)) = new {
            let start = item.rows.len();
            for (table, cells) in rows.iter() {
                let target = match former.remove(&(table, identity(self.plan, table, cells))) {
                    Some((_, same)) if same == cells => continue,
                    Some(_) => &mut item.changes.updates,
                    None => &mut item.rows,
                };
                target.raw(cells);
                target.end_row(table);
            }
            record.rows = start..item.rows.len();
            item.documents.push(record);
        }
        take_out(item, former);
    }

    /// The document that stands so in the file at `path`, and its rows.
    pub(crate) fn split_one(
        &mut self,
        path: &str,
        (root, standing): (usize, Standing),
        text: &[u8],
    ) -> (Option<SplitDocument>, RowBuffer) {
        let (mut rows, mut found) = (RowBuffer::new(), Vec::new());
        if let Route::Documents { places, values } = self.routes.find(path) {
            let own = places.iter().filter(|(own, _)| *own == root);
            let places: Vec<Place<'_>> =
                own.map(|&(root, template)| Place { root, template, values: &values }).collect();
            self.splitter.stand(Some(standing));
            self.splitter.split(&places, path, text, &mut rows, &mut found);
            self.splitter.stand(None);
        }
        (found.pop(), rows)
    }

    /// A text as it is stored: the dictionary it is compressed with, and the bytes.
    pub(crate) fn packed(&mut self, collection: &str, text: &[u8]) -> Result<(i64, Vec<u8>)> {
        self.packer.pack(collection, text)
    }

    /// An object that is recorded without documents.
    pub(crate) fn bare(
        &self,
        object: &Object,
        status: Status,
        reason: Option<(String, String)>,
        replaces: bool,
    ) -> Item {
        Item {
            object: ObjectRecord {
                path: object.path.clone(),
                size: object.size,
                modified_ns: object.modified_ns,
                etag: object.etag.clone(),
                sha256: Vec::new(),
                collection: self.first_collection(&object.path),
                status,
                reason,
                frame: None,
            },
            documents: Vec::new(),
            rows: RowBuffer::new(),
            changes: RowChanges::default(),
            replaces,
            removes: false,
            keeps_pieces: false,
            touched: None,
            kept: None,
        }
    }

    fn first_collection(&self, path: &str) -> Option<String> {
        match self.routes.find(path) {
            Route::Documents { places, .. } => {
                places.first().map(|place| self.plan.roots[place.0].name.clone())
            }
            Route::Stays(name) => Some(name),
            Route::Unmatched => None,
        }
    }

    fn document(
        &mut self,
        ordinal: usize,
        document: &SplitDocument,
        bytes: &[u8],
        whole_hash: &[u8],
        before: Option<&Before>,
    ) -> Result<DocumentRecord> {
        let collection = &self.plan.roots[document.root].name;
        let text = bytes.get(document.span.clone()).unwrap_or_default();
        let etag = if text.len() == bytes.len() { etag(whole_hash) } else { etag(&sha256(text)) };
        let (dictionary, packed) = self.packer.pack(collection, text)?;
        let old = before.and_then(|before| before.whole.documents.get(ordinal));
        let version = old.map_or(1, |old| old.record.version + i64::from(old.record.etag != etag));
        Ok(DocumentRecord {
            ordinal: u32::try_from(ordinal).expect("a file below 4 GiB has fewer documents"),
            collection: collection.clone(),
            key: document.key.clone(),
            etag,
            version,
            dictionary,
            size: text.len() as u64,
            text: packed,
            reason: document.misfit.as_ref().map(|misfit| (misfit.code.to_owned(), misfit.reason.clone())),
            rows: document.rows.clone(),
            skips: document.skips,
        })
    }

    /// Turns the item's rows into what differs from the rows that the object's former bytes gave.
    fn difference(&mut self, item: &mut Item, before: &Before) {
        let found = std::mem::take(&mut self.found);
        let mut old_rows = RowBuffer::new();
        let mut old: Former<'_> = HashMap::new();
        if let Some(rows) = &before.rows {
            for (order, (table, cells)) in rows.iter().enumerate() {
                old.insert((table, identity(self.plan, table, cells)), (order, cells));
            }
        } else {
            self.split(&before.whole.object.record.path, &before.assembled.bytes, &mut old_rows);
        }
        for (document, stored) in self.found.iter().zip(&before.whole.documents) {
            if stored.record.reason.is_none() {
                for row in document.rows.clone() {
                    let (table, cells) = old_rows.row(row);
                    let order = old.len();
                    old.insert((table, identity(self.plan, table, cells)), (order, cells));
                }
            }
        }
        let mut inserts = RowBuffer::new();
        for document in &mut item.documents {
            let start = inserts.len();
            for row in document.rows.clone() {
                let (table, cells) = item.rows.row(row);
                let key = identity(self.plan, table, cells);
                let target = match old.remove(&(table, key)) {
                    Some((_, same)) if same == cells => continue,
                    Some(_) => &mut item.changes.updates,
                    None => &mut inserts,
                };
                target.raw(cells);
                target.end_row(table);
            }
            document.rows = start..inserts.len();
        }
        take_out(item, old);
        item.rows = inserts;
        self.found = found;
    }
}

/// Has these rows deleted, the last first: what they hold goes before them.
fn take_out(item: &mut Item, former: Former<'_>) {
    let mut gone: Vec<_> = former.into_iter().map(|((table, key), (at, _))| (at, table, key)).collect();
    gone.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
    for (_, table, key) in gone {
        item.changes.deletes.raw(&key);
        item.changes.deletes.end_row(table);
    }
}

/// The encoded identity cells of a row.
pub(crate) fn identity(plan: &Plan, table: usize, cells: &[u8]) -> Vec<u8> {
    let columns = &plan.tables[table].identity;
    let mut all = Cells::new(cells);
    let mut raw = Vec::with_capacity(plan.tables[table].columns.len());
    while let Some(cell) = all.next_raw() {
        raw.push(cell);
    }
    columns.iter().flat_map(|&column| raw.get(column).copied().unwrap_or_default()).copied().collect()
}
