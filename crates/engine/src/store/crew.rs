//! The threads of a store: one for each connection, and one that starts them and minds the time.

use std::sync::Arc;
use std::thread;

use repot_core::store::Layout;
use repot_core::{Connections, Error, Kind, Reader, Result, Target};
use repot_model::language::Model;
use repot_model::place::Router;
use repot_model::plan::Plan;
use tokio::runtime::Handle;

use super::desk::{Desk, Texts, Tools};
use super::pool::{Bell, Bounds, Lane, Waits};
use super::prompt::Home;
use super::queue::{Queue, TOGETHER, TOGETHER_BESIDE, Writing, write};
use super::recent::Recent;
use super::row_store::RowStoreOptions;
use super::writing::same;
use crate::route::Routes;
use crate::text::Dictionaries;

type Read = dyn for<'p, 'r> FnOnce(Result<&mut Desk<'p, 'r>>) + Send;

/// Something that a reading thread is asked for.
pub(super) struct Reading(pub Box<Read>);

/// A connection that reads, with what goes with it from one thread to another.
pub(super) struct Kit {
    pub reader: Box<dyn Reader>,
    pub texts: Texts,
}

impl Waits for Reading {
    type Tool = Kit;

    fn fail(self, error: Error) {
        (self.0)(Err(error));
    }
}

/// What waits for connections, and who uses them.
pub(super) struct Lanes {
    pub reading: Lane<Reading>,
    pub writing: Lane<Writing>,
}

impl Lanes {
    pub(super) fn end(&self) {
        self.reading.end();
        self.writing.end();
    }
}

/// What the threads of a store work with.
pub(super) struct Crew {
    pub connections: Arc<dyn Connections>,
    pub model: Arc<Model>,
    pub plan: Arc<Plan>,
    pub router: Arc<Router>,
    pub layout: Arc<Layout>,
    pub options: RowStoreOptions,
    pub dictionaries: Dictionaries,
    /// Texts that were read of late.
    pub recent: Option<Arc<Recent>>,
    pub lanes: Arc<Lanes>,
    pub bell: Arc<Bell>,
    pub home: Home,
}

/// The lanes that `options` ask for; one of the writing connections is there.
pub(super) fn lanes(options: &RowStoreOptions, writers_max: usize, bell: &Arc<Bell>) -> Lanes {
    let pool = options.pool;
    let bounds = |name, most, kept, least| Bounds {
        name,
        most,
        kept,
        least,
        wait_ms: pool.wait_ms.into(),
        idle_ms: pool.idle_ms.into(),
    };
    let reading = bounds("reading", options.readers, pool.kept_readers, 0);
    // one stays, since its session holds the lock
    let writing = bounds("writing", options.writers.min(writers_max), pool.kept_writers, 1);
    let lanes = Lanes {
        reading: Lane::new(reading, Arc::clone(&options.clock), Arc::clone(bell)),
        writing: Lane::new(writing, Arc::clone(&options.clock), Arc::clone(bell)),
    };
    lanes.writing.expect_one();
    lanes
}

impl Crew {
    /// Starts threads and minds the time until the lanes have ended, and all threads with them: but not those whose connections
    /// live in a runtime that may wait for this. `first` writes.
    pub(super) fn keep(self, first: Box<dyn Target>) {
        let crew = Arc::new(self);
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        let start = |threads: &mut Vec<thread::JoinHandle<()>>, work: fn(&Self)| {
            threads.retain(|thread| !thread.is_finished());
            let crew = Arc::clone(&crew);
            threads.push(thread::spawn(move || work(&crew)));
        };
        let writing = Arc::clone(&crew);
        let first = thread::spawn(move || writing.write(first));
        loop {
            let (reading, writing) = (crew.lanes.reading.tend(), crew.lanes.writing.tend());
            (0..reading.start).for_each(|_| start(&mut readers, Self::open_reader));
            (0..writing.start).for_each(|_| start(&mut writers, Self::open_writer));
            if reading.done && writing.done {
                break;
            }
            let alarm_ms = reading.alarm_ms.min(writing.alarm_ms);
            crew.bell.sleep(alarm_ms.saturating_sub(crew.options.clock.now_ms()));
        }
        let readers = readers.into_iter().filter(|_| crew.home.get().is_none());
        for thread in readers.chain(writers).chain([first]) {
            let _panicked = thread.join();
        }
    }

    fn open_reader(&self) {
        let opened = {
            let _in_it = self.home.get().map(Handle::enter);
            self.connections.reader()
        };
        match opened {
            Ok(reader) => {
                if let Err(error) = self.read(reader) {
                    self.lanes.reading.unopened(&error, same);
                }
            }
            Err(error) => self.lanes.reading.unopened(&error, same),
        }
    }

    fn open_writer(&self) {
        match self.connections.writer() {
            Ok(target) => self.write(target),
            Err(error) if self.connections.writers_max() == 1 => {
                let message = "the thread that writes ended unexpectedly";
                let error = Error::new(Kind::Internal, "R0901", message).cause(error);
                self.lanes.writing.unopened(&error, same);
            }
            Err(error) => self.lanes.writing.unopened(&error, same),
        }
    }

    /// Reads until the connection is to be closed. An error: it never began.
    fn read(&self, reader: Box<dyn Reader>) -> Result<()> {
        let (routes, limits) = (Routes::with(&self.plan, Arc::clone(&self.router)), self.options.json);
        let mut kit = Kit { reader, texts: Texts::new(self.recent.clone())? };
        let mut seat = self.lanes.reading.seat();
        while let Some((Reading(job), own)) = seat.rest(kit) {
            let Kit { mut reader, texts } = own;
            if seat.idled_ms() >= self.options.pool.check_ms.into() {
                // where it cannot be reached, the job says so
                let _unreachable = reader.wake();
            }
            // here it may wait, whatever it was asked for elsewhere
            reader.at_once(false);
            let tools = Tools::with(&self.plan, &routes, limits, texts);
            let mut desk = Desk::new(&self.plan, &routes, limits, tools, reader.as_mut());
            job(Ok(&mut desk));
            // what is no longer needed must not keep the database's log from being cut; the next job says what fails
            let _ended = desk.refresh();
            let texts = desk.leave().texts();
            kit = Kit { reader, texts };
        }
        Ok(())
    }

    fn write(&self, target: Box<dyn Target>) {
        // what waits for a connection that writes goes into one transaction
        let together = if self.connections.writers_max() == 1 { TOGETHER } else { TOGETHER_BESIDE };
        let mut seat = self.lanes.writing.seat();
        write(
            target,
            (&self.model, &self.plan),
            &self.layout,
            (&self.options, self.dictionaries.clone()),
            (Queue::new(together), &mut seat),
        );
    }
}
