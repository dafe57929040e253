//! What is measured: kinds of work, who does them, and how long each call takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;

use crate::corpus::chat_text;
use crate::random::Random;

/// Conversations of a list at most.
pub(crate) const LISTED: usize = 50;
/// A word of some titles, for the filtered list.
pub(crate) const WORD: &str = "council";
/// This part of a measurement comes before what counts.
const WARM_PART: f64 = 0.2;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A whole conversation by its id.
    Get,
    /// The newest conversations of a user, without their messages.
    Newest,
    /// Those with a word in the title.
    Filtered,
    /// One more message.
    Append,
    /// Another title.
    Rename,
    /// The whole conversation anew.
    Put,
}

impl Work {
    /// In the order of the report. Reading comes first, so that it meets what was loaded.
    pub(crate) const ALL: [Self; 6] =
        [Self::Get, Self::Newest, Self::Filtered, Self::Append, Self::Rename, Self::Put];

    /// As the report names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get by id",
            Self::Newest => "list 50 newest of a user",
            Self::Filtered => "filtered list",
            Self::Append => "append a message",
            Self::Rename => "change one field",
            Self::Put => "put a whole document",
        }
    }

    /// Nothing is written.
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Newest | Self::Filtered)
    }
}

/// One piece of work.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What.
    pub(crate) work: Work,
    /// Whose.
    pub(crate) user: String,
    /// Which; also of the user where a list is meant.
    pub(crate) id: String,
    /// The message's content, the title, or the conversation's text.
    pub(crate) text: String,
}

impl Call {
    /// A call about a conversation chosen by chance.
    pub(crate) fn random(work: Work, chats: &[(String, String)], random: &mut Random) -> Self {
        let at = usize::try_from(random.below(chats.len() as u64)).unwrap_or(0);
        let (user, id) = chats[at].clone();
        let text = match work {
            Work::Append | Work::Rename => random.prose(40),
            Work::Put => chat_text(&id, &user, random),
            Work::Get | Work::Newest | Work::Filtered => String::new(),
        };
        Self { work, user, id, text }
    }
}

/// Somebody who calls, one call after the other.
#[async_trait]
pub(crate) trait Client: Send {
    /// Does it; gives the document or the rows as JSON texts, nothing for a write.
    async fn call(&mut self, call: &Call) -> Result<Vec<Bytes>>;
}

/// A way to do the work.
#[async_trait]
pub(crate) trait Way: Send + Sync {
    /// As the report names it.
    fn name(&self) -> &'static str;

    /// Its calls block, so each client gets a thread.
    fn blocks(&self) -> bool {
        false
    }

    /// Another client.
    async fn client(&self) -> Result<Box<dyn Client>>;
}

/// What was measured: microseconds of each call, and calls and seconds that counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Of every call that counted, in any order.
    pub(crate) micros: Vec<f64>,
    /// Wall time in which they were made.
    pub(crate) seconds: f64,
}

impl Measured {
    /// Adds another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.seconds += other.seconds;
    }

    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        let calls = u32::try_from(self.micros.len()).unwrap_or(u32::MAX);
        if self.seconds > 0.0 { f64::from(calls) / self.seconds } else { 0.0 }
    }

    /// The time that `percent` of the calls did not pass.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or(0.0)
    }
}

/// Lets so many clients work for so long.
pub(crate) async fn measure(
    way: &dyn Way,
    work: Work,
    chats: &Arc<[(String, String)]>,
    (clients, seconds, seed): (usize, f64, u64),
) -> Result<Measured> {
    let mut made = Vec::new();
    for _ in 0..clients {
        made.push(way.client().await?);
    }
    let begin = Instant::now();
    let warm = begin + Duration::from_secs_f64(seconds * WARM_PART);
    let end = begin + Duration::from_secs_f64(seconds);
    let mut tasks = Vec::new();
    for (number, client) in made.into_iter().enumerate() {
        let random = Random::new(seed.wrapping_mul(1_000).wrapping_add(number as u64));
        let task = go_on(client, work, Arc::clone(chats), random, (warm, end));
        tasks.push(if way.blocks() {
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || handle.block_on(task))
        } else {
            tokio::spawn(task)
        });
    }
    let mut measured = Measured::default();
    let mut last = warm;
    for task in tasks {
        let (micros, ended) = task.await??;
        measured.micros.extend(micros);
        last = last.max(ended);
    }
    measured.seconds = last.duration_since(warm).as_secs_f64();
    ensure!(!measured.micros.is_empty(), "{}: no call of `{}` ended in time", way.name(), work.name());
    Ok(measured)
}

/// Calls until the time is up; those begun after `warm` count. At least one does.
async fn go_on(
    mut client: Box<dyn Client>,
    work: Work,
    chats: Arc<[(String, String)]>,
    mut random: Random,
    (warm, end): (Instant, Instant),
) -> Result<(Vec<f64>, Instant)> {
    let mut micros = Vec::new();
    loop {
        let call = Call::random(work, &chats, &mut random);
        let begin = Instant::now();
        let answer = client.call(&call).await?;
        let done = Instant::now();
        let expected = match work {
            Work::Get => answer.len() == 1,
            Work::Newest => !answer.is_empty() && answer.len() <= LISTED,
            Work::Filtered => answer.len() <= LISTED,
            Work::Append | Work::Rename | Work::Put => answer.is_empty(),
        };
        ensure!(expected, "{} of {} gave {} texts", work.name(), call.id, answer.len());
        if begin >= warm {
            micros.push(done.duration_since(begin).as_secs_f64() * 1e6);
        }
        if done >= end && !micros.is_empty() {
            return Ok((micros, done));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Measured;

    #[test]
    fn percentiles_and_rates() {
        let measured = Measured { micros: (1..=200).rev().map(f64::from).collect(), seconds: 4.0 };
        assert!((measured.percentile(50) - 100.0).abs() < 1e-9);
        assert!((measured.percentile(99) - 198.0).abs() < 1e-9);
        assert!((measured.rate() - 50.0).abs() < 1e-9);
        assert!(Measured::default().percentile(99).abs() < 1e-9);
    }
}
