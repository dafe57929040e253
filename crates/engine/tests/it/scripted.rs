//! A source in memory that can refuse, hide and change what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Mutex;

use repot_core::{FixedClock, Listed, LockHolder, Object, Read, ReadError, Result, Source, SourceHealth};
use repot_engine::copy::{Copy, Report};
use repot_engine::{NoProgress, Options};
use repot_model::language;
use repot_model::plan::Plan;
use repot_sqlite::{SqliteOptions, SqliteTarget};

/// Files by path: their bytes and a time that grows with each change.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    files: Mutex<BTreeMap<String, (Vec<u8>, i64)>>,
    /// Folders (with `/`) that cannot be read.
    pub hidden: Mutex<BTreeSet<String>>,
    /// Files that change each time they are read.
    pub changing: Mutex<BTreeSet<String>>,
    /// Files that are gone when they are read.
    pub vanishing: Mutex<BTreeSet<String>>,
}

impl Scripted {
    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let mut files = self.files.lock().unwrap();
        let time = files.get(path).map_or(1, |file| file.1 + 1);
        files.insert(path.to_owned(), (text.as_ref().to_vec(), time));
    }

    pub(crate) fn remove(&self, path: &str) {
        self.files.lock().unwrap().remove(path);
    }

    fn object(path: &str, file: &(Vec<u8>, i64)) -> Object {
        Object { path: path.to_owned(), size: file.0.len() as u64, modified_ns: file.1, etag: None }
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scripted source")
    }
}

impl Source for Scripted {
    fn check(&self) -> Result<SourceHealth> {
        Ok(SourceHealth { message: "ready".to_owned(), warnings: Vec::new() })
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>> {
        let hidden = self.hidden.lock().unwrap().clone();
        let files = self.files.lock().unwrap();
        let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
        for (path, file) in files.iter() {
            if !hidden.iter().any(|folder| path.starts_with(folder)) {
                listed.insert(path.clone(), Listed::Object(Self::object(path, file)));
            }
        }
        for folder in hidden {
            let reason = "the folder cannot be read".to_owned();
            listed.insert(folder.clone(), Listed::Skipped { path: folder, reason, hides: true });
        }
        Ok(Box::new(listed.into_values().map(Ok)))
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError> {
        if self.changing.lock().unwrap().contains(path) {
            return Err(ReadError::Changing);
        }
        if self.vanishing.lock().unwrap().contains(path) {
            return Err(ReadError::Gone);
        }
        let files = self.files.lock().unwrap();
        let file = files.get(path).ok_or(ReadError::Gone)?;
        let object = Self::object(path, file);
        if object.size > bytes_max {
            return Err(ReadError::TooLarge { size: object.size });
        }
        Ok(Read { bytes: file.0.clone(), object })
    }

    fn read_pieces(
        &self,
        path: &str,
        _: usize,
        _: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError> {
        Err(ReadError::Unreadable(format!("{path} is not large")))
    }
}

const MODEL: &str =
    "[notes]\nfile = \"{folder}/{id}.json\"\n[notes.fields]\nid = \"text key\"\nfolder = \"text\"\n";

/// Copies from the source into the database file.
pub(crate) fn copy(source: &Scripted, database: &std::path::Path) -> Report {
    let model = language::parse(MODEL, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&model).unwrap();
    let mut target = SqliteTarget::open(database, SqliteOptions::default()).unwrap();
    let me = LockHolder { host: "here".to_owned(), pid: 1, since_ms: 0 };
    Copy {
        source,
        model: &model,
        model_text: MODEL,
        plan: &plan,
        options: &Options::default(),
        progress: &NoProgress,
        clock: &FixedClock(0),
        me,
    }
    .run(&mut target, false)
    .unwrap()
}
