//! What a stream tells, one message after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use repot_core::Result;

use super::entry::{Entry, text_of};
use super::listener::Listener;
use crate::app::App;
use crate::caller::Standing;
use crate::problem::{Answered, Problem};

/// Silence after which a stream says that it is there.
const HEARTBEAT_MS: u64 = 15_000;
/// Pause after the store could not be read.
const FAILED_MS: u64 = 1_000;

/// A listener, and what it has to tell.
pub(crate) struct Teller {
    app: App,
    standing: Standing,
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
    pub(crate) async fn open(app: App, standing: Standing, mut listener: Listener) -> Result<Self> {
        listener.check().await?;
        Ok(Self { app, standing, listener, waiting: VecDeque::new() })
    }

    /// The next message; waits for it. May be given up at any time: what was not given comes again. Nothing is told under
    /// a key that would not be let in any more.
    pub(crate) async fn next(&mut self) -> Told {
        if self.app.feed().is_ending() {
            return Told::End;
        }
        // who sends something all the time must not get around the looks
        if let Err(problem) = self.standing.check(&self.app).await {
            return self.failed(problem).await;
        }
        let told = tokio::select! {
            biased;
            () = self.app.feed().ending() => return Told::End,
            problem = self.standing.ended(&self.app) => return Told::Problem(problem),
            told = tell((&self.app, &self.standing), &mut self.listener, &mut self.waiting) => told,
            () = self.app.pacing().pause(HEARTBEAT_MS) => return Told::Nothing(self.position()),
        };
        match told {
            Ok((seq, text)) => Told::Change(seq, text),
            Err(problem) => self.failed(problem).await,
        }
    }

    /// What is out of reach is waited for.
    async fn failed(&self, problem: Problem) -> Told {
        if !problem.is_passing() {
            return Told::Problem(problem);
        }
        tokio::select! {
            () = self.app.feed().ending() => Told::End,
            () = self.app.pacing().pause(FAILED_MS) => Told::Nothing(self.position()),
        }
    }

    /// Up to where everything was told.
    pub(crate) fn position(&self) -> u64 {
        let before = |entry: &Arc<Entry>| entry.seq.saturating_sub(1);
        self.waiting.front().map_or_else(|| self.listener.position(), before)
    }
}

async fn tell(
    (app, standing): (&App, &Standing),
    listener: &mut Listener,
    waiting: &mut VecDeque<Arc<Entry>>,
) -> Answered<(u64, String)> {
    loop {
        if let Some(entry) = waiting.front().cloned() {
            let text = text_of(app, listener.wanted(), &entry).await?;
            standing.check(app).await?;
            waiting.pop_front();
            return Ok((entry.seq, text));
        }
        waiting.extend(listener.next().await?);
    }
}
