//! Workers read, split and compress; the writer gets what they made by number of the job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};

use repot_core::{Item, Object, ReadError, Reader, Result, Status, StoredObject};

use super::Copy;
use super::lister::{Job, Task};
use crate::prepare::{Before, Preparer};
use crate::route::Routes;
use crate::stored::{Whole, assemble};
use crate::text::{Dictionaries, Unpacker};

/// What one task came to.
#[derive(Debug)]
pub(crate) enum Made {
    /// Load this.
    Item(Box<Item>),
    /// Too large to be split: the writer keeps it in pieces. Was there something of this path before, and its
    /// rows to delete.
    Large(Object, Box<Item>),
    /// Nothing is loaded; the object is as it was stored, or not stored at all.
    Busy(String),
}

/// What one job came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub number: u64,
    pub weight: u64,
    pub made: Result<Vec<Made>>,
}

pub(crate) struct Worker<'a> {
    pub copy: &'a Copy<'a>,
    pub routes: &'a Routes<'a>,
    pub dictionaries: &'a Dictionaries,
    pub stop: &'a AtomicBool,
}

impl Worker<'_> {
    pub(crate) fn run(
        &self,
        mut reader: Box<dyn Reader>,
        jobs: &Mutex<Receiver<Result<Job>>>,
        done: &SyncSender<Done>,
    ) {
        let prepared =
            Preparer::new(self.copy.plan, self.routes, self.copy.options.json, self.dictionaries.clone());
        let mut preparer = match prepared {
            Ok(preparer) => preparer,
            Err(error) => {
                // a closed channel means that the copy has ended already
                let _ended = done.send(Done { number: 0, weight: 0, made: Err(error) });
                return;
            }
        };
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let result = match job {
                Ok(Ok(job)) => {
                    let made = job
                        .tasks
                        .into_iter()
                        .map(|task| self.task(task, reader.as_mut(), &mut preparer))
                        .collect();
                    Done { number: job.number, weight: job.weight, made }
                }
                Ok(Err(error)) => Done { number: 0, weight: 0, made: Err(error) },
                Err(_) => return,
            };
            if done.send(result).is_err() || self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn task(&self, task: Task, reader: &mut dyn Reader, preparer: &mut Preparer<'_>) -> Result<Made> {
        match task {
            Task::Record(object, status, reason, before) => {
                let mut item = preparer.bare(&object, status, reason, before.is_some());
                self.drop_rows(before, reader, preparer, &mut item)?;
                Ok(Made::Item(Box::new(item)))
            }
            Task::Remove(stored) => self.remove(stored, reader, preparer),
            Task::Read(object, before) => self.read(object, before, reader, preparer),
        }
    }

    fn remove(
        &self,
        stored: StoredObject,
        reader: &mut dyn Reader,
        preparer: &mut Preparer<'_>,
    ) -> Result<Made> {
        let before = load_before(stored, reader)?;
        Ok(Made::Item(Box::new(preparer.removal(&before))))
    }

    fn read(
        &self,
        object: Object,
        before: Option<StoredObject>,
        reader: &mut dyn Reader,
        preparer: &mut Preparer<'_>,
    ) -> Result<Made> {
        match self.copy.source.read(&object.path, self.copy.options.document_bytes_max) {
            Ok(read) => {
                let before = before.map(|stored| load_before(stored, reader)).transpose()?;
                Ok(Made::Item(Box::new(preparer.item(&read.object, &read.bytes, before.as_ref())?)))
            }
            Err(ReadError::Gone) => match before {
                Some(stored) => self.remove(stored, reader, preparer),
                None => Ok(Made::Busy(object.path)),
            },
            Err(ReadError::TooLarge { size }) => {
                let most = self.copy.options.document_bytes_max;
                let reason =
                    ("R0213".to_owned(), format!("{size} bytes, {most} are the most of one document"));
                let mut item = preparer.bare(&object, Status::SetAside, Some(reason), before.is_some());
                item.keeps_pieces = true;
                self.drop_rows(before, reader, preparer, &mut item)?;
                Ok(Made::Large(object, Box::new(item)))
            }
            Err(ReadError::Changing) => match before {
                Some(_) => Ok(Made::Busy(object.path)),
                None => Ok(Made::Item(Box::new(unread(
                    &object,
                    preparer,
                    "R0202",
                    "kept changing while it was read",
                )))),
            },
            Err(ReadError::Unreadable(reason)) => match before {
                Some(_) => Ok(Made::Busy(object.path)),
                None => Ok(Made::Item(Box::new(unread(&object, preparer, "R0201", &reason)))),
            },
            Err(ReadError::Source(error)) => Err(error),
        }
    }

    /// An object that had rows has none any more.
    fn drop_rows(
        &self,
        before: Option<StoredObject>,
        reader: &mut dyn Reader,
        preparer: &mut Preparer<'_>,
        item: &mut Item,
    ) -> Result<()> {
        if let Some(stored) = before {
            let before = load_before(stored, reader)?;
            item.changes = preparer.removal(&before).changes;
        }
        Ok(())
    }
}

/// Recorded with a state that no listing gives, so that the next copy reads it again.
fn unread(object: &Object, preparer: &Preparer<'_>, code: &str, reason: &str) -> Item {
    let never = Object { path: object.path.clone(), size: 0, modified_ns: -1, etag: None };
    preparer.bare(&never, Status::Unmatched, Some((code.to_owned(), reason.to_owned())), false)
}

/// A stored object with its documents, frame and bytes.
pub(crate) fn load_before(stored: StoredObject, reader: &mut dyn Reader) -> Result<Before> {
    let object = reader.object(&stored.record.path)?.unwrap_or(stored);
    let mut documents = Vec::new();
    reader.documents(&[object.id], &mut |document| {
        documents.push(document);
        Ok(())
    })?;
    let whole = Whole { object, documents };
    let assembled = if whole.documents.is_empty() && whole.object.record.frame.is_none() {
        crate::stored::Assembled { bytes: Vec::new(), spans: Vec::new(), without_kept: None }
    } else {
        let mut unpacker = Unpacker::new(&reader.dictionaries()?)?;
        assemble(&whole, &mut unpacker)?
    };
    Ok(Before { whole, assembled, rows: None })
}
