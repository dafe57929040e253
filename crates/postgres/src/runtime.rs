//! The runtimes of this crate, in which connections live. Those that read whole tables have one with a worker thread, which
//! reads on while the caller is at something else. A thread that writes, or reads for a store, has one of its own that it
//! drives itself while it waits: no other thread is to be woken for a statement and for its answer.

use std::sync::Arc;

use repot_core::{Error, Kind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinError;

/// A handle to the runtime; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Runtime(Arc<tokio::runtime::Runtime>);

impl Runtime {
    /// With a worker thread.
    pub(crate) fn new() -> Result<Self> {
        Self::built(Builder::new_multi_thread().worker_threads(1).thread_name("repot-postgres"))
    }

    /// Driven by the thread that waits. Nothing in it goes on meanwhile: that a session has ended is noticed by the next
    /// statement.
    pub(crate) fn own() -> Result<Self> {
        Self::built(&mut Builder::new_current_thread())
    }

    fn built(builder: &mut Builder) -> Result<Self> {
        let runtime = builder.enable_all().build().map_err(|error| {
            Error::new(Kind::Failed, "R0901", "the runtime for database work could not be started")
                .cause(error)
        })?;
        Ok(Self(Arc::new(runtime)))
    }

    /// Runs `work` in a task and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // begun from inside, so that nothing has to be woken for it
        let run = async { tokio::spawn(work).await };
        self.0.block_on(run).unwrap_or_else(|error| Err(panicked(error)))
    }

    /// Runs `work` in a task of another runtime and waits for it; `None`: that one has ended, or lacks what it takes.
    pub(crate) fn run_in<T: Send + 'static>(
        &self,
        other: &Handle,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Option<Result<T>> {
        self.0.block_on(other.spawn(work)).ok()
    }

    /// Runs `produce` in a task and hands what it sends to `each` here, a few at a time. When `each` fails the
    /// channel closes, and `produce` ends at its next send.
    pub(crate) fn stream<T: Send + 'static, F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        produce: impl FnOnce(mpsc::Sender<T>) -> F,
        mut each: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let (sender, mut receiver) = mpsc::channel(4);
        let task = self.0.spawn(produce(sender));
        let mut done = Ok(());
        while done.is_ok()
            && let Some(item) = self.0.block_on(receiver.recv())
        {
            done = each(item);
        }
        drop(receiver);
        let produced = self.0.block_on(task).unwrap_or_else(|error| Err(panicked(error)));
        done.and(produced)
    }
}

fn panicked(error: JoinError) -> Error {
    Error::new(Kind::Internal, "R0901", "a database task ended by itself").cause(error)
}
