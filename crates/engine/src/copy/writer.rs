//! The one writer: takes what the workers made by number of the job and applies it in batches.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::Receiver;

use repot_core::{Batch, Item, Object, Piece, ReadError, Result, Target};

use super::moves::join_moves;
use super::worker::{Done, Made};
use super::{Copy, FIRST_BY_PATH, PROOF, Report};
use crate::budget::Budget;
use crate::prepare::Preparer;
use crate::route::Routes;
use crate::text::{Dictionaries, PIECE_BYTES, Packer};

pub(crate) struct Writer<'a> {
    copy: &'a Copy<'a>,
    dictionaries: &'a Dictionaries,
    budget: &'a Budget,
    batch: Batch,
    batch_bytes: u64,
    batch_weight: u64,
    report: Report,
    /// Objects handled.
    done: u64,
    /// Objects come in order of loading, not of their paths.
    in_order: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        copy: &'a Copy<'a>,
        dictionaries: &'a Dictionaries,
        budget: &'a Budget,
        in_order: bool,
    ) -> Self {
        Self {
            copy,
            dictionaries,
            budget,
            batch: Batch::default(),
            batch_bytes: 0,
            batch_weight: 0,
            report: Report::default(),
            done: 0,
            in_order,
        }
    }

    pub(crate) fn run(mut self, target: &mut dyn Target, done: Receiver<Done>) -> Result<Report> {
        let mut next = 0;
        let mut early: BTreeMap<u64, Done> = BTreeMap::new();
        for arrived in done {
            if arrived.made.is_err() {
                arrived.made?;
                continue;
            }
            early.insert(arrived.number, arrived);
            while let Some(ready) = early.remove(&next) {
                next += 1;
                self.batch_weight += ready.weight;
                for made in ready.made? {
                    self.made(target, made)?;
                }
                if self.batch_bytes >= self.copy.options.batch_bytes
                    || self.batch.items.len() >= self.copy.options.batch_objects
                {
                    self.flush(target)?;
                }
            }
        }
        self.flush(target)?;
        Ok(self.report)
    }

    fn made(&mut self, target: &mut dyn Target, made: Made) -> Result<()> {
        match made {
            Made::Item(item) => self.add(*item),
            Made::Large(object, item) => self.large(target, &object, *item)?,
            Made::Busy(path) => self.report.busy.push(path),
        }
        Ok(())
    }

    fn add(&mut self, item: Item) {
        self.done += 1;
        let report = &mut self.report;
        if item.removes {
            report.removed += 1;
        } else {
            report.changed += u64::from(item.replaces);
            report.bytes += item.object.size;
            report.documents +=
                item.documents.iter().filter(|document| document.reason.is_none()).count() as u64;
            report.rows += (item.rows.len() + item.changes.updates.len()) as u64;
        }
        self.batch_bytes += item.object.size + 256;
        self.batch.items.push(item);
    }

    /// Keeps an object in pieces, streamed; its record follows in the next batch.
    fn large(&mut self, target: &mut dyn Target, object: &Object, mut item: Item) -> Result<()> {
        let mut packer = Packer::new(Dictionaries::default())?;
        let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
        let mut number = 0;
        let mut failure = None;
        let read = self.copy.source.read_pieces(&object.path, PIECE_BYTES, &mut |bytes| {
            sha2::Digest::update(&mut hasher, bytes);
            let put = packer
                .pack_plain(bytes)
                .and_then(|bytes| target.put_piece(&object.path, &Piece { number, bytes }));
            number += 1;
            put.map_err(|error| {
                failure = Some(error);
                std::io::Error::other("the target failed")
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        match read {
            Ok(state) => {
                item.object.size = state.size;
                item.object.modified_ns = state.modified_ns;
                item.object.etag = state.etag;
                item.object.sha256 = sha2::Digest::finalize(hasher).to_vec();
                self.add(item);
                Ok(())
            }
            Err(ReadError::Source(error)) => Err(error),
            Err(_) => {
                self.report.busy.push(object.path.clone());
                Ok(())
            }
        }
    }

    fn flush(&mut self, target: &mut dyn Target) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.items.is_empty() {
            join_moves(self.copy.plan, &mut batch.items);
            batch.dictionaries = self.dictionaries.take_made();
            batch.at_ms = Some(self.copy.clock.now_ms());
            if !self.report.wrote {
                target.set_meta(PROOF, None)?;
                if self.in_order {
                    target.set_meta(FIRST_BY_PATH, Some("1"))?;
                }
                self.report.wrote = true;
            }
            let refused = target.load(self.copy.plan, batch)?.refused;
            self.report.documents = self.report.documents.saturating_sub(refused.len() as u64);
        }
        self.budget.give_back(std::mem::take(&mut self.batch_weight));
        self.batch_bytes = 0;
        self.copy.progress.done(self.done, self.report.rows, self.report.bytes);
        Ok(())
    }
}

/// Applies items outside of the pipeline, in batches; gives the paths and documents refused.
pub(crate) fn apply(
    copy: &Copy<'_>,
    target: &mut dyn Target,
    dictionaries: &Dictionaries,
    items: Vec<Item>,
    first_by_path: bool,
) -> Result<HashSet<(String, u32)>> {
    if items.is_empty() {
        return Ok(HashSet::new());
    }
    target.set_meta(PROOF, None)?;
    let batch = Batch {
        items,
        dictionaries: dictionaries.take_made(),
        first_by_path,
        at_ms: Some(copy.clock.now_ms()),
        ..Batch::default()
    };
    let refused = target.load(copy.plan, batch)?.refused;
    Ok(refused.into_iter().map(|refusal| (refusal.path, refusal.ordinal)).collect())
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("batch", &self.batch.items.len()).finish_non_exhaustive()
    }
}

/// The preparer of the writing thread, for what comes after the pipeline.
pub(crate) fn preparer<'p>(
    copy: &'p Copy<'p>,
    routes: &'p Routes<'p>,
    dictionaries: &Dictionaries,
) -> Result<Preparer<'p>> {
    Preparer::new(copy.plan, routes, copy.options.json, dictionaries.clone())
}
