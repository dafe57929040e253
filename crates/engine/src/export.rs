//! `export`: every object back in its place. Untouched ones are the bytes that came in; where rows were changed
//! with SQL, the change is laid over the text in the file's own formatting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use repot_core::{Error, Kind, Reader, ReaderPair, Result, Sink, Target};
use repot_json::Limits;
use repot_model::language::Model;
use repot_model::plan::{Place, Plan, Splitter};
use repot_model::row::RowBuffer;

use crate::options::{Options, Progress, Tally};
use crate::route::{Route, Routes};
use crate::stored::{Whole, assemble, each_whole};
use crate::text::Unpacker;
use crate::verify::{Again, Changed, Difference, Finder, Sweep, actual_rows, expected_rows, shown};

/// Notes kept; more are only counted.
const NOTES: usize = 100;

/// What an export did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the stored objects are.
    pub tally: Tally,
    /// Objects written.
    pub objects: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Of those, objects into which changes of rows were laid.
    pub changed: u64,
    /// Objects that could not be written, changes that could not be laid over, rows of no document.
    pub notes: Vec<String>,
    /// Stored texts that are damaged or differ from what was read: they are not written.
    pub damaged: Vec<Difference>,
}

/// What exporting works with.
#[derive(Debug)]
pub struct Export<'a> {
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

#[derive(Debug, Default)]
struct Written {
    objects: AtomicU64,
    bytes: AtomicU64,
    notes: Mutex<Vec<String>>,
}

impl Written {
    fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES {
            notes.push(note);
        }
    }

    /// Writes one object; a path that cannot be an object there is a note.
    fn put(&self, path: &str, size: u64, written: Result<()>) -> Result<()> {
        match written {
            Ok(()) => {
                self.objects.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(size, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.code() == "R0804" => {
                self.note(format!("{path}: {}", error.message()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Export<'_> {
    /// Exports everything that is moved or set aside.
    ///
    /// # Errors
    /// When the database cannot be read or the sink fails.
    pub fn run(&self, target: &dyn Target, sink: &dyn Sink) -> Result<Report> {
        let routes = Routes::new(self.model, self.plan)?;
        self.progress.step("exporting");
        let written = Written::default();
        let sweep = Sweep {
            plan: self.plan,
            routes: &routes,
            options: self.options,
            progress: self.progress,
            seed: self.seed,
        };
        let mut readers = target.reader_pair()?;
        let swept = sweep.run(&mut readers, &mut |_| Ok(()), &|whole, assembled| {
            let record = &whole.object.record;
            if !crate::stored::is_as_recorded(whole, assembled) {
                return Ok(());
            }
            written.put(
                &record.path,
                assembled.bytes.len() as u64,
                sink.write(&record.path, &assembled.bytes),
            )
        })?;
        let [reader, _] = &mut readers;
        let mut unpacker = Unpacker::new(&[])?;
        for object in &swept.pieces {
            let path = &object.record.path;
            let done = sink.write_pieces(path, &mut |each| {
                reader.pieces(path, &mut |piece| each(&unpacker.unpack_piece(&piece.bytes)?))
            });
            written.put(path, object.record.size, done)?;
        }
        let mut changed = 0;
        if !swept.buckets.is_empty() {
            self.progress.step("laying changes of rows over the files");
            let finder = Finder { plan: self.plan, routes: &routes, options: self.options, seed: self.seed };
            let found = finder.find(&mut readers, &swept.buckets)?;
            changed = self.changed(&mut readers, &routes, &found, sink, &written)?;
        }
        sink.finish()?;
        Ok(Report {
            tally: swept.tally,
            objects: written.objects.into_inner(),
            bytes: written.bytes.into_inner(),
            changed,
            notes: written.notes.into_inner().unwrap_or_else(PoisonError::into_inner),
            damaged: swept.texts,
        })
    }

    fn changed(
        &self,
        readers: &mut ReaderPair,
        routes: &Routes<'_>,
        found: &Changed,
        sink: &dyn Sink,
        written: &Written,
    ) -> Result<u64> {
        for (table, key) in &found.extra {
            let table = &self.plan.tables[*table].name;
            written.note(format!("{table}: row {} is of no document and has no file", shown(key)));
        }
        let [reader, rows] = readers;
        let mut layer = Layer {
            plan: self.plan,
            routes,
            limits: self.options.json,
            again: Again::new(self.plan, routes, self.options.json),
            unpacker: Unpacker::new(&reader.dictionaries()?)?,
            rows: rows.as_mut(),
        };
        let mut after: Option<String> = None;
        let mut changed = 0;
        loop {
            let page = reader.objects(after.as_deref(), 256, true)?;
            let Some(last) = page.last() else { return Ok(changed) };
            after = Some(last.record.path.clone());
            for object in page.into_iter().filter(|object| found.objects.contains_key(&object.id)) {
                each_whole(reader.as_mut(), vec![object], &mut |whole| {
                    changed += 1;
                    layer.lay(&whole, sink, written)
                })?;
            }
        }
    }
}

/// Lays rows over single objects.
struct Layer<'p, 'r> {
    plan: &'p Plan,
    routes: &'p Routes<'p>,
    limits: Limits,
    again: Again<'p>,
    unpacker: Unpacker,
    rows: &'r mut dyn Reader,
}

impl Layer<'_, '_> {
    fn lay(&mut self, whole: &Whole, sink: &dyn Sink, written: &Written) -> Result<()> {
        let path = &whole.object.record.path;
        let assembled = assemble(whole, &mut self.unpacker)?;
        let mut actual: Vec<Option<RowBuffer>> = Vec::new();
        let (found, rows) = self.again.split(path, &assembled.bytes);
        for (document, stored) in found.iter().zip(&whole.documents) {
            actual.push(match stored.record.reason {
                Some(_) => None,
                None => {
                    let expected = expected_rows(rows, document.rows.clone());
                    Some(actual_rows(self.rows, self.plan, &expected)?)
                }
            });
        }
        let Route::Documents { places, values } = self.routes.find(path) else { return Ok(()) };
        let places: Vec<Place<'_>> =
            places.iter().map(|&(root, template)| Place { root, template, values: &values }).collect();
        let laid = Splitter::new(self.plan, self.limits)
            .lay_over(&places, path, &assembled.bytes, &actual)
            .map_err(|misfit| {
            Error::new(Kind::Corrupt, misfit.code, format!("{path}: {}", misfit.reason))
        })?;
        for note in laid.notes {
            written.note(format!("{path}: {note}"));
        }
        if laid.deleted {
            written
                .note(format!("{path}: its row was deleted with SQL; the file as it was is in the export"));
            return Ok(());
        }
        sink.write(path, &laid.bytes)
    }
}
