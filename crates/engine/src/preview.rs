//! `plan`: what a copy would do, found by reading and splitting the whole source and writing nothing.

use std::collections::{BTreeMap, HashSet};

use repot_core::{Listed, ReadError, Result, Source};
use repot_model::language::Model;
use repot_model::plan::{Place, Plan, SplitDocument, Splitter};
use repot_model::row::RowBuffer;

use crate::options::{Options, Progress, Tally};
use crate::route::{Route, Routes, check_source};

/// Examples kept of each kind of notice.
const EXAMPLES: usize = 3;
/// Unmatched paths named.
const UNMATCHED: usize = 20;
/// Keys of one table remembered to find keys used twice; beyond, `copy` finds them.
const KEYS: usize = 2_000_000;

/// Documents with the same problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Stable code.
    pub code: String,
    /// The reason of the first, by path.
    pub reason: String,
    /// How many documents.
    pub documents: u64,
    /// Paths of the first ones.
    pub examples: Vec<String>,
}

/// What a copy would do.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// What would become of the objects.
    pub tally: Tally,
    /// Rows by table.
    pub rows: Vec<u64>,
    /// Documents that would be rows.
    pub documents: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What would be set aside, by code and column.
    pub notices: Vec<Notice>,
    /// Paths that no place matches: the first ones.
    pub unmatched: Vec<String>,
}

/// Reads and splits everything.
///
/// # Errors
/// When the source fails.
pub fn preview(
    source: &dyn Source,
    model: &Model,
    plan: &Plan,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Preview> {
    check_source(model)?;
    let routes = Routes::new(model, plan)?;
    progress.step("reading");
    let mut looker = Looker {
        plan,
        routes: &routes,
        options,
        splitter: Splitter::new(plan, options.json),
        rows: RowBuffer::new(),
        found: Vec::new(),
        keys: HashSet::new(),
        notices: BTreeMap::new(),
        preview: Preview { rows: vec![0; plan.tables.len()], ..Preview::default() },
    };
    for entry in source.list()? {
        match entry? {
            Listed::Object(object) => looker.object(source, &object.path)?,
            Listed::Skipped { path, reason, .. } => {
                looker.preview.tally.count(repot_core::Status::Unmatched);
                looker.notice("R0205", &reason, &path);
            }
        }
        progress.done(looker.preview.tally.listed, looker.preview.rows.iter().sum(), looker.preview.bytes);
    }
    let mut preview = looker.preview;
    preview.notices = looker.notices.into_values().collect();
    Ok(preview)
}

struct Looker<'p> {
    plan: &'p Plan,
    routes: &'p Routes<'p>,
    options: &'p Options,
    splitter: Splitter<'p>,
    rows: RowBuffer,
    found: Vec<SplitDocument>,
    keys: HashSet<(usize, u64)>,
    notices: BTreeMap<(String, String), Notice>,
    preview: Preview,
}

impl Looker<'_> {
    fn object(&mut self, source: &dyn Source, path: &str) -> Result<()> {
        use repot_core::Status::{Moved, SetAside, Stays, Unmatched};
        let (places, values) = match self.routes.find(path) {
            Route::Documents { places, values } => (places, values),
            Route::Stays(_) => {
                self.preview.tally.count(Stays);
                return Ok(());
            }
            Route::Unmatched => {
                self.preview.tally.count(Unmatched);
                if self.preview.unmatched.len() < UNMATCHED {
                    self.preview.unmatched.push(path.to_owned());
                }
                return Ok(());
            }
        };
        let read = match source.read(path, self.options.document_bytes_max) {
            Ok(read) => read,
            Err(ReadError::Source(error)) => return Err(error),
            Err(ReadError::Gone) => return Ok(()),
            Err(ReadError::TooLarge { size }) => {
                self.preview.tally.count(SetAside);
                let most = self.options.document_bytes_max;
                self.notice("R0213", &format!("{size} bytes, {most} are the most of one document"), path);
                return Ok(());
            }
            Err(ReadError::Changing) => {
                self.preview.tally.count(Unmatched);
                self.notice("R0202", "kept changing while it was read", path);
                return Ok(());
            }
            Err(ReadError::Unreadable(reason)) => {
                self.preview.tally.count(Unmatched);
                self.notice("R0201", &reason, path);
                return Ok(());
            }
        };
        self.preview.bytes += read.bytes.len() as u64;
        self.rows.clear();
        self.found.clear();
        let places: Vec<Place<'_>> =
            places.iter().map(|&(root, template)| Place { root, template, values: &values }).collect();
        self.splitter.split(&places, path, &read.bytes, &mut self.rows, &mut self.found);
        let found = std::mem::take(&mut self.found);
        let mut aside = 0;
        for document in &found {
            aside += usize::from(!self.document(path, document));
        }
        let whole_aside = found.len() == 1 && aside == 1;
        self.preview.tally.count(if whole_aside { SetAside } else { Moved });
        self.found = found;
        Ok(())
    }

    /// Counts a document; `false` when it would be set aside.
    fn document(&mut self, path: &str, document: &SplitDocument) -> bool {
        if let Some(misfit) = &document.misfit {
            self.notice(misfit.code, &misfit.reason, path);
            return false;
        }
        let key = document.key.as_deref().unwrap_or_default();
        let hash = xxhash_rust::xxh3::xxh3_64(key.as_bytes());
        if self.keys.len() < KEYS && !self.keys.insert((document.root, hash)) {
            let name = &self.plan.roots[document.root].name;
            let reason = format!("{name}: the key {key} is taken by another document");
            self.notice("R0203", &reason, path);
            return false;
        }
        self.preview.documents += 1;
        for row in document.rows.clone() {
            self.preview.rows[self.rows.row(row).0] += 1;
        }
        true
    }

    fn notice(&mut self, code: &str, reason: &str, path: &str) {
        let subject = reason.split(':').next().unwrap_or_default().to_owned();
        let notice = self.notices.entry((code.to_owned(), subject)).or_insert_with(|| Notice {
            code: code.to_owned(),
            reason: reason.to_owned(),
            documents: 0,
            examples: Vec::new(),
        });
        notice.documents += 1;
        if notice.examples.len() < EXAMPLES {
            notice.examples.push(path.to_owned());
        }
    }
}
