//! What a copy did, and the way through it.

use super::{lister, retry, worker, writer};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use repot_core::{Clock, Error, Kind, Loading, LockHolder, Result, Source, Target};
use repot_model::language::Model;
use repot_model::plan::Plan;

use crate::budget::Budget;
use crate::options::{Options, Progress, Tally};
use crate::route::{Routes, check_source};
use crate::store::LEADS;
use crate::text::Dictionaries;

/// What a copy did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What became of the objects.
    pub tally: Tally,
    /// Documents that are rows now (of all objects read in this run).
    pub documents: u64,
    /// Rows inserted or updated.
    pub rows: u64,
    /// Bytes of objects read.
    pub bytes: u64,
    /// Objects that were as they were: not read.
    pub unchanged: u64,
    /// Objects that had changed.
    pub changed: u64,
    /// Objects that are gone from the source.
    pub removed: u64,
    /// Objects that were gone, or kept changing, when they were read; the next copy takes them up.
    pub busy: Vec<String>,
    /// Documents set aside now: path, document, code, reason (at most [`ASIDE_SHOWN`]).
    pub aside: Vec<(String, u32, String, String)>,
    /// Seconds are the caller's to measure; this says whether anything was written.
    pub wrote: bool,
}

/// Name of the value of ours that holds the root hash of the last proof; it goes before anything is written, so
/// while it is there nothing was copied since.
pub const PROOF: &str = "proof";

/// Name of the value of ours that says when the last copy that wrote ended, milliseconds since 1970.
pub const COPIED: &str = "copied_ms";

/// Name of the value of ours that is there after a load that was not in order of the path, until of equal keys the
/// first by path has won.
pub(super) const FIRST_BY_PATH: &str = "first_by_path";

/// How many set-aside documents and unmatched objects a report names.
pub const ASIDE_SHOWN: usize = 100;

/// What a copy works with.
#[derive(Debug)]
pub struct Copy<'a> {
    /// Where documents come from.
    pub source: &'a dyn Source,
    /// The model.
    pub model: &'a Model,
    /// Its text, kept in the target.
    pub model_text: &'a str,
    /// Its plan.
    pub plan: &'a Plan,
    /// Bounds.
    pub options: &'a Options,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Time of day.
    pub clock: &'a dyn Clock,
    /// Who we are, for the lock.
    pub me: LockHolder,
}

impl Copy<'_> {
    /// Copies everything that is new or changed, removes what is gone, and tries again what was refused for
    /// reasons that may have passed. `only_aside`: nothing but that last part.
    ///
    /// # Errors
    /// When the source or the target fails; everything up to there is kept, and the next run goes on.
    pub fn run(&self, target: &mut dyn Target, only_aside: bool) -> Result<Report> {
        check_source(self.model)?;
        let routes = Routes::new(self.model, self.plan)?;
        target.lock(&self.me)?;
        let loading = self.open(target)?;
        let dictionaries = Dictionaries::new(target.reader()?.dictionaries()?);
        let mut report = if only_aside {
            Report::default()
        } else {
            self.progress.step("copying");
            self.pipeline(target, loading, &routes, &dictionaries)?
        };
        retry::finish(self, target, &routes, &dictionaries, &mut report)?;
        retry::refused(self, target, &routes, &dictionaries, &mut report, only_aside)?;
        if report.wrote {
            target.set_meta(COPIED, Some(&self.clock.now_ms().to_string()))?;
        }
        let mut reader = target.reader()?;
        report.aside = reader.set_aside(None, ASIDE_SHOWN)?;
        report.tally = Tally::of(&reader.count_objects()?);
        Ok(report)
    }

    /// Makes the tables, or checks that they are of this model; how rows are to be loaded.
    fn open(&self, target: &mut dyn Target) -> Result<Loading> {
        let Some(state) = target.state()? else {
            let names: Vec<&str> = self.plan.tables.iter().map(|table| table.name.as_str()).collect();
            let taken = target.existing_tables(&names)?;
            if let Some(first) = taken.first() {
                return Err(Error::new(
                    Kind::Refused,
                    "R0109",
                    format!("there is a table {first} in {target} that Repot did not make"),
                )
                .hint("Copy into another database or schema, or rename the collection in the model."));
            }
            target.create(self.plan, self.model_text)?;
            return Ok(Loading::Bulk);
        };
        if target.reader()?.meta(LEADS)?.is_some() {
            return Err(Error::new(
                Kind::Refused,
                "R0702",
                format!("documents were written in {target} itself; a copy would take those writes back"),
            )
            .hint("Export the documents (repot export DIR), or copy the files into a fresh database."));
        }
        if state.plan_hash == self.plan.hash {
            if state.loading == Loading::Steady {
                target.enforce_rules(self.plan)?;
            }
            return Ok(state.loading);
        }
        Err(Error::new(
            Kind::Unsupported,
            "R0151",
            format!("the model changed since {target} was made from it"),
        )
        .detail("changing the tables of a copied model is not done yet")
        .hint(
            "Copy into a fresh database (the files still lead, so nothing is lost), or take back the change.",
        ))
    }

    fn pipeline(
        &self,
        target: &mut dyn Target,
        loading: Loading,
        routes: &Routes<'_>,
        dictionaries: &Dictionaries,
    ) -> Result<Report> {
        let budget = Budget::new(self.options.in_flight_bytes);
        let stop = AtomicBool::new(false);
        let (jobs_in, jobs_out) = sync_channel(64);
        let (done_in, done_out) = sync_channel(64);
        let jobs_out = Arc::new(Mutex::new(jobs_out));
        let mut readers = Vec::new();
        for _ in 0..=self.options.workers {
            readers.push(target.reader()?);
        }
        let in_order = loading == Loading::Bulk && target.clusters_by_key() && self.plan.makes_keys();
        let lister = lister::Lister { copy: self, routes, budget: &budget, stop: &stop, in_order };
        let list_reader = readers.pop().expect("one more reader than workers");
        std::thread::scope(|scope| {
            let listing = scope.spawn(move || lister.run(list_reader, &jobs_in));
            for reader in readers {
                let jobs = Arc::clone(&jobs_out);
                let done = done_in.clone();
                let worker = worker::Worker { copy: self, routes, dictionaries, stop: &stop };
                scope.spawn(move || worker.run(reader, &jobs, &done));
            }
            drop(done_in);
            drop(jobs_out);
            let writer = writer::Writer::new(self, dictionaries, &budget, in_order);
            let written = writer.run(target, done_out);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            budget.close();
            let listed = listing.join().unwrap_or_else(|_| {
                Err(Error::new(Kind::Internal, "R0901", "the listing thread ended unexpectedly"))
            });
            let mut report = written?;
            let listed = listed?;
            report.unchanged = listed.unchanged;
            Ok(report)
        })
    }
}
