//! What a stream tells, one message after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use repot_core::Result;

use super::entry::{Entry, is_passing, text_of};
use super::listener::Listener;
use crate::app::App;
use crate::problem::Problem;

/// Silence after which a stream says that it is there.
const HEARTBEAT_MS: u64 = 15_000;
/// Pause after the store could not be read.
const FAILED_MS: u64 = 1_000;

/// A listener, and what it has to tell.
pub(crate) struct Teller {
    app: App,
    listener: Listener,
    waiting: VecDeque<Arc<Entry>>,
}

/// A message.
pub(crate) enum Told {
    /// A change: its position and its text, one line.
    Change(u64, String),
    /// Nothing, up to this position.
    Nothing(u64),
    /// It cannot go on.
    Problem(Problem),
    /// The server ends.
    End,
}

impl Teller {
    /// Looks whether the log knows the listener's position, so that a stream begins only if it can.
    ///
    /// # Errors
    /// As [`Listener::next`].
    pub(crate) async fn open(app: App, mut listener: Listener) -> Result<Self> {
        listener.check().await?;
        Ok(Self { app, listener, waiting: VecDeque::new() })
    }

    /// The next message; waits for it. May be given up at any time: what was not given comes again.
    pub(crate) async fn next(&mut self) -> Told {
        if self.app.feed().is_ending() {
            return Told::End;
        }
        let told = tokio::select! {
            biased;
            () = self.app.feed().ending() => return Told::End,
            told = tell(&self.app, &mut self.listener, &mut self.waiting) => told,
            () = self.app.pacing().pause(HEARTBEAT_MS) => return Told::Nothing(self.position()),
        };
        match told {
            Ok((seq, text)) => Told::Change(seq, text),
            Err(error) if is_passing(&error) => {
                tokio::select! {
                    () = self.app.feed().ending() => Told::End,
                    () = self.app.pacing().pause(FAILED_MS) => Told::Nothing(self.position()),
                }
            }
            Err(error) => Told::Problem(error.into()),
        }
    }

    /// Up to where everything was told.
    pub(crate) fn position(&self) -> u64 {
        let before = |entry: &Arc<Entry>| entry.seq.saturating_sub(1);
        self.waiting.front().map_or_else(|| self.listener.position(), before)
    }
}

async fn tell(
    app: &App,
    listener: &mut Listener,
    waiting: &mut VecDeque<Arc<Entry>>,
) -> Result<(u64, String)> {
    loop {
        if let Some(entry) = waiting.front().cloned() {
            let text = text_of(app, listener.wanted(), &entry).await?;
            waiting.pop_front();
            return Ok((entry.seq, text));
        }
        waiting.extend(listener.next().await?);
    }
}
