//! Verifies: drives the sweep, names what differs, hashes the roots.

use super::{Again, Changed, Finder, Sweep, Swept, actual_rows, expected_rows, rows, shown};
use std::collections::BTreeMap;

use repot_core::{Kind, Reader, ReaderPair, Result, Status, StoredObject, Target, hex};
use repot_model::language::Model;
use repot_model::plan::Plan;
use sha2::{Digest as _, Sha256};

use crate::options::{Options, Progress, Tally};
use crate::route::Routes;
use crate::stored::{Whole, assemble, each_whole};
use crate::text::Unpacker;

/// Differences named in a proof; more are only counted.
const NAMED: usize = 100;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object.
    pub path: Option<String>,
    /// The document's key.
    pub document: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// What differs, in words.
    pub what: String,
}

/// A collection in a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionProof {
    /// Objects moved.
    pub objects: u64,
    /// Rows in the collection's table.
    pub rows: u64,
    /// SHA-256 (hex) over one line `SHA256  PATH\n` for each moved object, in byte order of the path.
    pub root: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// What became of the objects.
    pub tally: Tally,
    /// Documents looked at that are rows.
    pub documents: u64,
    /// Documents set aside.
    pub aside: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Objects proved: text and rows.
    pub proved: u64,
    /// Rows that differ.
    pub rows_differing: u64,
    /// Differences, at most a hundred.
    pub differences: Vec<Difference>,
    /// By collection.
    pub collections: BTreeMap<String, CollectionProof>,
    /// SHA-256 over the same lines of all objects moved or set aside.
    pub root: String,
}

impl Proof {
    /// Nothing differs.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.differences.is_empty() && self.rows_differing == 0
    }
}

/// Which objects are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scope {
    /// All, and all rows of all tables.
    Everything,
    /// This many of a million, chosen by the hash of path and seed.
    Sample(u32),
    /// Those modified since, nanoseconds since 1970.
    Since(i64),
}

/// What verifying works with.
#[derive(Debug)]
pub struct Verify<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its plan.
    pub plan: &'a Plan,
    /// Bounds.
    pub options: &'a Options,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Makes this run's hashes unforeseeable.
    pub seed: u64,
}

/// Root hashes, built up in path order.
#[derive(Debug, Default)]
struct Roots {
    all: Sha256,
    collections: BTreeMap<String, (Sha256, u64)>,
}

impl Roots {
    fn add(&mut self, object: &StoredObject) {
        let record = &object.record;
        if !matches!(record.status, Status::Moved | Status::SetAside) {
            return;
        }
        let line = format!("{}  {}\n", hex(&record.sha256), record.path);
        self.all.update(&line);
        if let (Status::Moved, Some(collection)) = (record.status, &record.collection) {
            let entry = self.collections.entry(collection.clone()).or_default();
            entry.0.update(&line);
            entry.1 += 1;
        }
    }
}

impl Verify<'_> {
    /// Verifies. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read; differences are no error but in the proof.
    pub fn run(&self, target: &dyn Target, scope: Scope) -> Result<Proof> {
        self.run_with(target, scope, &mut |_| Ok(()))
    }

    /// Like [`Verify::run`], and shows `record` each object in path order.
    ///
    /// # Errors
    /// As [`Verify::run`], or when `record` fails.
    pub fn run_with(
        &self,
        target: &dyn Target,
        scope: Scope,
        record: &mut (dyn FnMut(&StoredObject) -> Result<()> + Send),
    ) -> Result<Proof> {
        let routes = Routes::new(self.model, self.plan)?;
        let mut readers = target.reader_pair()?;
        let readers = &mut readers;
        match scope {
            Scope::Everything => self.everything(readers, &routes, record),
            Scope::Sample(share) => self.some(readers, &routes, &|object| {
                let hash = xxhash_rust::xxh3::xxh3_64_with_seed(object.record.path.as_bytes(), self.seed);
                hash % 1_000_000 < u64::from(share)
            }),
            Scope::Since(since) => self.some(readers, &routes, &|object| object.record.modified_ns >= since),
        }
    }

    pub(super) fn everything(
        &self,
        readers: &mut ReaderPair,
        routes: &Routes<'_>,
        record: &mut (dyn FnMut(&StoredObject) -> Result<()> + Send),
    ) -> Result<Proof> {
        self.progress.step("proving");
        let mut roots = Roots::default();
        let sweep = Sweep {
            plan: self.plan,
            routes,
            options: self.options,
            progress: self.progress,
            seed: self.seed,
        };
        let swept = sweep.run(
            readers,
            &mut |object| {
                roots.add(object);
                record(object)
            },
            &|_, _| Ok(()),
        );
        let swept = match swept {
            // a table or column that is gone is a difference, not a failure
            Err(error) if error.kind() == Kind::Corrupt => return Ok(broken(error.message())),
            other => other?,
        };
        let mut proof = self.proof(&swept, roots);
        let [texts, _] = readers;
        self.pieces(texts.as_mut(), &swept, &mut proof)?;
        proof.differences.extend(swept.texts.iter().take(NAMED).cloned());
        if !swept.buckets.is_empty() {
            let finder = Finder { plan: self.plan, routes, options: self.options, seed: self.seed };
            let changed = finder.find(readers, &swept.buckets)?;
            self.name(readers, routes, &changed, &mut proof)?;
            proof.proved = proof.proved.saturating_sub(changed.objects.len() as u64);
        }
        Ok(proof)
    }

    fn proof(&self, swept: &Swept, roots: Roots) -> Proof {
        let mut collections: BTreeMap<String, CollectionProof> = roots
            .collections
            .into_iter()
            .map(|(name, (root, objects))| {
                (name, CollectionProof { objects, rows: 0, root: hex(&root.finalize()) })
            })
            .collect();
        for (table, rows) in self.plan.tables.iter().zip(&swept.rows) {
            collections.entry(table.name.clone()).or_default().rows = *rows;
        }
        Proof {
            tally: swept.tally,
            documents: swept.documents,
            aside: swept.aside,
            objects: swept.tally.moved + swept.tally.set_aside,
            proved: swept.same,
            rows_differing: 0,
            differences: Vec::new(),
            collections,
            root: hex(&roots.all.finalize()),
        }
    }

    /// Objects kept in pieces: their bytes must hash to what was read.
    fn pieces(&self, reader: &mut dyn Reader, swept: &Swept, proof: &mut Proof) -> Result<()> {
        let mut unpacker = Unpacker::new(&[])?;
        for object in &swept.pieces {
            let mut hasher = Sha256::new();
            let read = reader.pieces(&object.record.path, &mut |piece| {
                hasher.update(unpacker.unpack_piece(&piece.bytes)?);
                Ok(())
            });
            match read {
                Err(error) if error.kind() != Kind::Corrupt => return Err(error),
                Ok(()) if hasher.finalize().as_slice() == object.record.sha256 => proof.proved += 1,
                _ => proof.differences.push(Difference {
                    path: Some(object.record.path.clone()),
                    document: None,
                    table: None,
                    what: "the stored pieces are not the bytes that were read from the source".to_owned(),
                }),
            }
        }
        Ok(())
    }

    /// Says of the documents behind differing rows what differs.
    fn name(
        &self,
        readers: &mut ReaderPair,
        routes: &Routes<'_>,
        changed: &Changed,
        proof: &mut Proof,
    ) -> Result<()> {
        proof.rows_differing = changed.rows;
        let [reader, documents] = readers;
        let mut checker = Checker::new(self, routes, &reader.dictionaries()?)?;
        let mut after: Option<String> = None;
        'pages: loop {
            let page = reader.objects(after.as_deref(), 256, true)?;
            let Some(last) = page.last() else { break };
            after = Some(last.record.path.clone());
            for object in page {
                if let Some(ordinals) = changed.objects.get(&object.id) {
                    each_whole(reader.as_mut(), vec![object], &mut |whole| {
                        let found = checker
                            .check(&whole, documents.as_mut(), &|ordinal| ordinals.contains(&ordinal))?;
                        proof.differences.extend(found);
                        Ok(())
                    })?;
                    if proof.differences.len() >= NAMED {
                        break 'pages;
                    }
                }
            }
        }
        for (table, key) in &changed.extra {
            proof.differences.push(Difference {
                path: None,
                document: None,
                table: Some(self.plan.tables[*table].name.clone()),
                what: format!("row {} is of no document", shown(key)),
            });
        }
        proof.differences.truncate(NAMED);
        Ok(())
    }

    /// Documents one by one: their text, and their rows by key.
    fn some(
        &self,
        readers: &mut ReaderPair,
        routes: &Routes<'_>,
        chosen: &dyn Fn(&StoredObject) -> bool,
    ) -> Result<Proof> {
        self.progress.step("proving a part");
        let mut proof = Proof::default();
        let [reader, documents] = readers;
        let mut checker = Checker::new(self, routes, &reader.dictionaries()?)?;
        let mut after: Option<String> = None;
        loop {
            let page = reader.objects(after.as_deref(), 256, true)?;
            let Some(last) = page.last() else { return Ok(proof) };
            after = Some(last.record.path.clone());
            for object in page {
                proof.tally.count(object.record.status);
                let kept = matches!(object.record.status, Status::Moved | Status::SetAside);
                let pieces = object.record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213");
                if !kept || pieces || !chosen(&object) {
                    continue;
                }
                proof.objects += 1;
                each_whole(reader.as_mut(), vec![object], &mut |whole| {
                    let found = checker.check(&whole, documents.as_mut(), &|_| true)?;
                    proof.documents +=
                        whole.documents.iter().filter(|document| document.record.reason.is_none()).count()
                            as u64;
                    proof.aside +=
                        whole.documents.iter().filter(|document| document.record.reason.is_some()).count()
                            as u64;
                    proof.proved += u64::from(found.is_empty());
                    if proof.differences.len() < NAMED {
                        proof.differences.extend(found);
                    }
                    Ok(())
                })?;
            }
            self.progress.done(proof.objects, 0, 0);
        }
    }
}

fn broken(what: &str) -> Proof {
    let difference = Difference { path: None, document: None, table: None, what: what.to_owned() };
    Proof { differences: vec![difference], rows_differing: 1, ..Proof::default() }
}

/// Compares single documents.
struct Checker<'p> {
    plan: &'p Plan,
    again: Again<'p>,
    unpacker: Unpacker,
}

impl<'p> Checker<'p> {
    fn new(
        verify: &Verify<'p>,
        routes: &'p Routes<'p>,
        dictionaries: &[(i64, String, Vec<u8>)],
    ) -> Result<Self> {
        Ok(Self {
            plan: verify.plan,
            again: Again::new(verify.plan, routes, verify.options.json),
            unpacker: Unpacker::new(dictionaries)?,
        })
    }

    fn check(
        &mut self,
        whole: &Whole,
        reader: &mut dyn Reader,
        wanted: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<Difference>> {
        let record = &whole.object.record;
        let text =
            |what: String| Difference { path: Some(record.path.clone()), document: None, table: None, what };
        let assembled = match assemble(whole, &mut self.unpacker) {
            Ok(assembled) => assembled,
            Err(error) if error.kind() == Kind::Corrupt => return Ok(vec![text(error.message().to_owned())]),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        if !crate::stored::is_as_recorded(whole, &assembled) {
            found.push(text("the stored text is not the text that was read from the source".to_owned()));
        }
        let (split, rows) = self.again.split(&record.path, &assembled.bytes);
        for (document, stored) in split.iter().zip(&whole.documents) {
            if stored.record.reason.is_some() || !wanted(stored.record.ordinal) {
                continue;
            }
            let expected = expected_rows(rows, document.rows.clone());
            let actual = actual_rows(reader, self.plan, &expected)?;
            let key = stored.record.key.as_deref().unwrap_or_default();
            found.extend(rows::describe(self.plan, &whole.object, key, &expected, &actual));
        }
        Ok(found)
    }
}
