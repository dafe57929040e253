//! The listing beside what is stored, both in byte order of the path: what is new, changed, gone, or as it was.

use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use repot_core::{Error, Kind, Listed, Object, Reader, Result, Status, StoredObject};
use repot_model::plan::place_order;

use super::Copy;
use crate::budget::Budget;
use crate::route::{Route, Routes};

const PAGE: usize = 4_096;
const JOB_TASKS: usize = 64;
const JOB_BYTES: u64 = 1 << 20;
/// Memory of the tasks that are put in order of loading at once.
const WINDOW_BYTES: usize = 32 << 20;

/// One thing to do for one object.
#[derive(Debug)]
pub(crate) enum Task {
    /// Read it and load it; it was stored before as this.
    Read(Object, Option<StoredObject>),
    /// Record it without reading.
    Record(Object, Status, Option<(String, String)>, Option<StoredObject>),
    /// It is gone.
    Remove(StoredObject),
}

/// Tasks for one worker; jobs are numbered from 0 without gaps.
#[derive(Debug)]
pub(crate) struct Job {
    pub number: u64,
    pub tasks: Vec<Task>,
    /// What it takes of the budget.
    pub weight: u64,
}

/// What the listing counted.
#[derive(Debug, Default)]
pub(crate) struct ListReport {
    pub unchanged: u64,
}

pub(crate) struct Lister<'a> {
    pub copy: &'a Copy<'a>,
    pub routes: &'a Routes<'a>,
    pub budget: &'a Budget,
    pub stop: &'a AtomicBool,
    /// Put new objects in the order in which their rows are appended to the indexes of made keys: those of a
    /// bulk load, which has to write most of every index anyway.
    pub in_order: bool,
}

impl Lister<'_> {
    pub(crate) fn run(&self, reader: Box<dyn Reader>, jobs: &SyncSender<Result<Job>>) -> Result<ListReport> {
        let mut out = Jobs {
            jobs,
            budget: self.budget,
            window: self.in_order.then(Window::default),
            next: 0,
            tasks: Vec::new(),
            bytes: 0,
            open: true,
        };
        let listed = self.merge(reader, &mut out);
        match listed {
            Ok(report) => {
                out.end();
                Ok(report)
            }
            Err(error) => {
                // the writer gives it back as its own; when nobody receives, another error ended the copy
                let _ended = jobs.send(Err(error));
                Ok(ListReport::default())
            }
        }
    }

    fn merge(&self, reader: Box<dyn Reader>, out: &mut Jobs<'_>) -> Result<ListReport> {
        let mut report = ListReport::default();
        let mut stored =
            Stored { reader: Some(reader), page: Vec::new().into_iter(), after: None, head: None };
        let mut last: Option<String> = None;
        let mut hidden: Option<String> = None;
        for entry in self.copy.source.list()? {
            if self.stop.load(Ordering::Relaxed) || !out.open {
                break;
            }
            let entry = entry?;
            if last.as_deref().is_some_and(|last| last >= entry.path()) {
                let path = entry.path().to_owned();
                return Err(Error::new(
                    Kind::SourceUnavailable,
                    "R0204",
                    format!("the listing is out of order at {path}"),
                ));
            }
            last = Some(entry.path().to_owned());
            loop {
                match stored.peek()?.map(|head| head.record.path.as_str().cmp(entry.path())) {
                    Some(Order::Less) => gone(&mut stored, hidden.as_deref(), out, &mut report),
                    order => {
                        let before = order.filter(|order| order.is_eq()).and_then(|_| stored.take());
                        if let Listed::Skipped { path, hides: true, .. } = &entry {
                            hidden = Some(path.clone());
                        }
                        self.entry(entry, before, out, &mut report);
                        break;
                    }
                }
            }
        }
        if !self.stop.load(Ordering::Relaxed) && out.open {
            while stored.peek()?.is_some() {
                gone(&mut stored, hidden.as_deref(), out, &mut report);
            }
        }
        Ok(report)
    }

    fn entry(
        &self,
        entry: Listed,
        before: Option<StoredObject>,
        out: &mut Jobs<'_>,
        report: &mut ListReport,
    ) {
        let (object, skipped) = match entry {
            Listed::Object(object) => (object, None),
            Listed::Skipped { path, reason, .. } => {
                (Object { path, size: 0, modified_ns: 0, etag: None }, Some(("R0205".to_owned(), reason)))
            }
        };
        if let Some(before) = &before {
            let record = &before.record;
            let same = object.same_state(record.size, record.modified_ns, record.etag.as_deref());
            let as_before =
                skipped.is_some() == record.reason.as_ref().is_some_and(|reason| reason.0 == "R0205");
            let fits_now = record.reason.as_ref().is_some_and(|reason| reason.0 == "R0213")
                && record.size <= self.copy.options.document_bytes_max;
            if same && as_before && !fits_now {
                report.unchanged += 1;
                return;
            }
        }
        let size = object.size;
        let task = match (skipped, self.routes.find(&object.path)) {
            (Some(reason), _) => Task::Record(object, Status::Unmatched, Some(reason), before),
            (None, Route::Documents { .. }) => {
                out.push(Task::Read(object, before), size);
                return;
            }
            (None, Route::Stays(_)) => Task::Record(object, Status::Stays, None, before),
            (None, Route::Unmatched) => Task::Record(object, Status::Unmatched, None, before),
        };
        out.push(task, 0);
    }
}

/// The next stored object is not in the listing: it is gone, unless it is below a folder that could not be read.
fn gone(stored: &mut Stored, hidden: Option<&str>, out: &mut Jobs<'_>, report: &mut ListReport) {
    let Some(object) = stored.take() else { return };
    if hidden.is_some_and(|folder| object.record.path.starts_with(folder)) {
        report.unchanged += 1;
    } else {
        out.push(Task::Remove(object), 0);
    }
}

/// What is stored, one object at a time.
struct Stored {
    /// Let go at the end: what it sees would keep SQLite's log from being cut.
    reader: Option<Box<dyn Reader>>,
    page: std::vec::IntoIter<StoredObject>,
    after: Option<String>,
    head: Option<StoredObject>,
}

impl Stored {
    fn peek(&mut self) -> Result<Option<&StoredObject>> {
        if self.head.is_none() {
            self.head = self.page.next();
            if let (None, Some(reader)) = (&self.head, &mut self.reader) {
                let page = reader.objects(self.after.as_deref(), PAGE, false)?;
                if page.len() < PAGE {
                    self.reader = None;
                }
                self.after = page.last().map(|object| object.record.path.clone());
                self.page = page.into_iter();
                self.head = self.page.next();
            }
        }
        Ok(self.head.as_ref())
    }

    const fn take(&mut self) -> Option<StoredObject> {
        self.head.take()
    }
}

/// Gathers tasks into jobs.
struct Jobs<'a> {
    jobs: &'a SyncSender<Result<Job>>,
    budget: &'a Budget,
    window: Option<Window>,
    next: u64,
    tasks: Vec<Task>,
    bytes: u64,
    open: bool,
}

/// New objects that wait for others that come before them in the order of loading.
#[derive(Default)]
struct Window {
    objects: Vec<(u64, Object)>,
    bytes: usize,
}

impl Window {
    /// Takes an object in; gives all of them, in order, when they are many.
    fn take_in(&mut self, object: Object) -> Vec<(u64, Object)> {
        self.bytes += size_of::<(u64, Object)>()
            + object.path.capacity()
            + object.etag.as_ref().map_or(0, String::capacity);
        self.objects.push((place_order(&object.path, 0), object));
        if self.bytes < WINDOW_BYTES { Vec::new() } else { self.empty() }
    }

    fn empty(&mut self) -> Vec<(u64, Object)> {
        self.bytes = 0;
        let mut objects = std::mem::take(&mut self.objects);
        objects.sort_unstable_by_key(|(order, _)| *order);
        objects
    }
}

impl Jobs<'_> {
    fn push(&mut self, task: Task, bytes: u64) {
        match (task, &mut self.window) {
            (Task::Read(object, None), Some(window)) => {
                let ready = window.take_in(object);
                self.read_all(ready);
            }
            (task, _) => self.add(task, bytes),
        }
    }

    fn read_all(&mut self, objects: Vec<(u64, Object)>) {
        for (_, object) in objects {
            let bytes = object.size;
            self.add(Task::Read(object, None), bytes);
        }
    }

    fn add(&mut self, task: Task, bytes: u64) {
        if self.bytes > 0 && self.bytes + bytes > JOB_BYTES {
            self.flush();
        }
        self.tasks.push(task);
        self.bytes += bytes;
        if self.tasks.len() >= JOB_TASKS {
            self.flush();
        }
    }

    /// Sends off what is left.
    fn end(&mut self) {
        let rest = self.window.as_mut().map(Window::empty).unwrap_or_default();
        self.read_all(rest);
        self.flush();
    }

    fn flush(&mut self) {
        if self.tasks.is_empty() || !self.open {
            return;
        }
        let tasks = std::mem::take(&mut self.tasks);
        // text, rows and compressed text of an object live side by side
        let weight = self.bytes * 3 + 4_096 * tasks.len() as u64;
        self.bytes = 0;
        let job = Job { number: self.next, tasks, weight };
        self.next += 1;
        self.open = self.budget.take(weight) && self.jobs.send(Ok(job)).is_ok();
    }
}
