//! One pass over everything stored: each object is put together, hashed and split again; each table is scanned;
//! the two sets of rows are compared by sums. `verify` and `export` both stand on it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use repot_core::{Error, Kind, Reader, ReaderPair, Result, Status, StoredObject};
use repot_model::plan::{Place, Plan, SplitDocument, Splitter, Standing};
use repot_model::row::RowBuffer;

use super::Difference;
use super::sums::{Bucket, Sums};
use crate::options::{Options, Progress, Tally};
use crate::route::{Route, Routes};
use crate::stored::{Assembled, Whole, assemble, each_whole, is_as_recorded};
use crate::text::Unpacker;

const PAGE: usize = 1_024;
const CHUNK_BYTES: u64 = 4 << 20;
/// Objects kept in pieces are handled one by one afterwards; their records are few.
const DIFFERENCES_KEPT: usize = 1_000;

/// Sees every object that was put together, on a worker's thread.
pub(crate) type Visit<'a> = &'a (dyn Fn(&Whole, &Assembled) -> Result<()> + Sync);

/// Sees every object's record, in path order, on the listing thread.
pub(crate) type Record<'a> = &'a mut (dyn FnMut(&StoredObject) -> Result<()> + Send);

/// What a sweep works with.
pub(crate) struct Sweep<'a> {
    pub plan: &'a Plan,
    pub routes: &'a Routes<'a>,
    pub options: &'a Options,
    pub progress: &'a dyn Progress,
    pub seed: u64,
}

/// What a sweep found.
#[derive(Debug)]
pub(crate) struct Swept {
    pub tally: Tally,
    /// Documents that are rows, and those set aside.
    pub documents: u64,
    pub aside: u64,
    /// Objects whose stored text is what was read from the source.
    pub same: u64,
    /// Stored texts that differ from the source's, documents that split otherwise than recorded.
    pub texts: Vec<Difference>,
    /// Buckets in which rows differ.
    pub buckets: Vec<(Bucket, u64)>,
    /// Rows by table, as the texts say.
    pub rows: Vec<u64>,
    /// Objects kept in pieces.
    pub pieces: Vec<StoredObject>,
}

#[derive(Debug)]
struct Part {
    sums: Sums,
    documents: u64,
    aside: u64,
    same: u64,
    texts: Vec<Difference>,
}

impl Sweep<'_> {
    /// Runs it, over texts and tables of one state.
    pub(crate) fn run(
        &self,
        readers: &mut ReaderPair,
        record: Record<'_>,
        visit: Visit<'_>,
    ) -> Result<Swept> {
        let [pager, scanner] = readers;
        let dictionaries = pager.dictionaries()?;
        let (chunks_in, chunks_out) = sync_channel::<Vec<Whole>>(2);
        let chunks_out = Arc::new(Mutex::new(chunks_out));
        std::thread::scope(|scope| {
            let scanning = scope.spawn(move || self.scan(scanner.as_mut()));
            let workers: Vec<_> = (0..self.options.workers)
                .map(|_| {
                    let chunks = Arc::clone(&chunks_out);
                    let dictionaries = &dictionaries;
                    scope.spawn(move || self.work(&chunks, dictionaries, visit))
                })
                .collect();
            drop(chunks_out);
            let paged = self.page(pager.as_mut(), &chunks_in, record);
            drop(chunks_in);
            let mut sums = Sums::new(self.plan, self.seed);
            let mut swept = Swept {
                tally: Tally::default(),
                documents: 0,
                aside: 0,
                same: 0,
                texts: Vec::new(),
                buckets: Vec::new(),
                rows: Vec::new(),
                pieces: Vec::new(),
            };
            for worker in workers {
                let part = worker.join().unwrap_or_else(|_| Err(ended()))?;
                sums.merge(&part.sums);
                swept.documents += part.documents;
                swept.aside += part.aside;
                swept.same += part.same;
                swept.texts.extend(part.texts);
            }
            swept.texts.sort_by(|one, other| one.path.cmp(&other.path));
            (swept.tally, swept.pieces) = paged?;
            swept.buckets = sums.differing(&scanning.join().unwrap_or_else(|_| Err(ended()))?);
            swept.rows = (0..self.plan.tables.len()).map(|table| sums.rows(table)).collect();
            Ok(swept)
        })
    }

    fn scan(&self, reader: &mut dyn Reader) -> Result<Sums> {
        let mut sums = Sums::new(self.plan, self.seed);
        for table in 0..self.plan.tables.len() {
            reader.scan(self.plan, table, &mut |cells| {
                sums.add(self.plan, table, cells);
                Ok(())
            })?;
        }
        Ok(sums)
    }

    fn page(
        &self,
        reader: &mut dyn Reader,
        chunks: &SyncSender<Vec<Whole>>,
        record: Record<'_>,
    ) -> Result<(Tally, Vec<StoredObject>)> {
        let mut tally = Tally::default();
        let mut pieces = Vec::new();
        let mut after: Option<String> = None;
        let mut bytes = 0;
        loop {
            let page = reader.objects(after.as_deref(), PAGE, true)?;
            let Some(last) = page.last() else { return Ok((tally, pieces)) };
            after = Some(last.record.path.clone());
            let mut chunk: Vec<StoredObject> = Vec::new();
            let mut size = 0;
            for object in page {
                tally.count(object.record.status);
                record(&object)?;
                bytes += object.record.size;
                if !matches!(object.record.status, Status::Moved | Status::SetAside) {
                    continue;
                }
                if object.record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213") {
                    pieces.push(object);
                    continue;
                }
                if size > 0 && size + object.record.size > CHUNK_BYTES {
                    send(reader, chunks, std::mem::take(&mut chunk))?;
                    size = 0;
                }
                size += object.record.size;
                chunk.push(object);
            }
            send(reader, chunks, chunk)?;
            self.progress.done(tally.listed, 0, bytes);
        }
    }

    fn work(
        &self,
        chunks: &Mutex<Receiver<Vec<Whole>>>,
        dictionaries: &[(i64, String, Vec<u8>)],
        visit: Visit<'_>,
    ) -> Result<Part> {
        let mut unpacker = Unpacker::new(dictionaries)?;
        let mut again = Again::new(self.plan, self.routes, self.options.json);
        let mut part = Part {
            sums: Sums::new(self.plan, self.seed),
            documents: 0,
            aside: 0,
            same: 0,
            texts: Vec::new(),
        };
        let mut failed = None;
        loop {
            let chunk = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(chunk) = chunk else { break };
            for whole in chunk {
                // after a failure the rest is only drained, so that the paging thread does not wait for ever
                if failed.is_none() {
                    failed = self.object(&whole, &mut unpacker, &mut again, &mut part, visit).err();
                }
            }
        }
        failed.map_or(Ok(part), Err)
    }

    fn object(
        &self,
        whole: &Whole,
        unpacker: &mut Unpacker,
        again: &mut Again<'_>,
        part: &mut Part,
        visit: Visit<'_>,
    ) -> Result<()> {
        let record = &whole.object.record;
        let mut differs = |what: String| {
            if part.texts.len() < DIFFERENCES_KEPT {
                part.texts.push(Difference {
                    path: Some(record.path.clone()),
                    document: None,
                    table: None,
                    what,
                });
            }
        };
        let assembled = match assemble(whole, unpacker) {
            Ok(assembled) => assembled,
            Err(error) if error.kind() == Kind::Corrupt => {
                differs(error.message().to_owned());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if is_as_recorded(whole, &assembled) {
            part.same += 1;
        } else {
            differs("the stored text is not the text that was read from the source".to_owned());
        }
        let (found, rows) = again.split(&record.path, &assembled.bytes);
        if found.len() != whole.documents.len() {
            differs(format!(
                "{} documents are stored, the text holds {}",
                whole.documents.len(),
                found.len()
            ));
        }
        for (split, stored) in found.iter().zip(&whole.documents) {
            if stored.record.reason.is_some() {
                part.aside += 1;
                continue;
            }
            part.documents += 1;
            if split.key != stored.record.key {
                differs(format!("document {} is recorded with another key", stored.record.ordinal));
            }
            for row in split.rows.clone() {
                let (table, cells) = rows.row(row);
                part.sums.add(self.plan, table, cells);
            }
        }
        visit(whole, &assembled)
    }
}

fn send(reader: &mut dyn Reader, chunks: &SyncSender<Vec<Whole>>, objects: Vec<StoredObject>) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut wholes = Vec::with_capacity(objects.len());
    each_whole(reader, objects, &mut |whole| {
        wholes.push(whole);
        Ok(())
    })?;
    chunks.send(wholes).map_err(|_ended| ended())
}

fn ended() -> Error {
    Error::new(Kind::Internal, "R0901", "a verifying thread ended unexpectedly")
}

/// Splits stored objects again.
#[derive(Debug)]
pub(crate) struct Again<'p> {
    routes: &'p Routes<'p>,
    splitter: Splitter<'p>,
    rows: RowBuffer,
    found: Vec<SplitDocument>,
    only: Option<usize>,
}

impl<'p> Again<'p> {
    pub(crate) fn new(plan: &'p Plan, routes: &'p Routes<'p>, limits: repot_json::Limits) -> Self {
        let (splitter, rows) = (Splitter::new(plan, limits), RowBuffer::new());
        Self { routes, splitter, rows, found: Vec::new(), only: None }
    }

    /// From now on texts are single documents of this root, which stand so in their file; `None`: whole files.
    pub(crate) fn stand(&mut self, standing: Option<(usize, Standing)>) {
        self.only = standing.as_ref().map(|(root, _)| *root);
        self.splitter.stand(standing.map(|(_, standing)| standing));
    }

    /// The documents of an object and their rows.
    pub(crate) fn split(&mut self, path: &str, bytes: &[u8]) -> (&[SplitDocument], &RowBuffer) {
        self.rows.clear();
        self.found.clear();
        if let Route::Documents { places, values } = self.routes.find(path) {
            let places: Vec<Place<'_>> = places
                .iter()
                .filter(|(root, _)| self.only.is_none_or(|only| only == *root))
                .map(|&(root, template)| Place { root, template, values: &values })
                .collect();
            self.splitter.split(&places, path, bytes, &mut self.rows, &mut self.found);
        }
        (&self.found, &self.rows)
    }
}
