//! An app that calls at a fixed rate, whether or not the last call was answered: what waits counts from when it was due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::random::Random;
use crate::serve::{Connection, Load, Way};
use crate::store::work::Measured;

/// Connections of each kind of call.
const CONNECTIONS: u32 = 16;
/// Calls of the first part of a second do not count.
pub(super) const WARM: Duration = Duration::from_millis(300);

/// Calls of an app.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    /// Conversations read.
    pub(crate) reads: Measured,
    /// Messages appended.
    pub(crate) appends: Measured,
    /// Calls that were refused or lost.
    pub(crate) failed: u64,
}

impl Paced {
    pub(crate) fn add(&mut self, other: Self) {
        self.reads.add(other.reads);
        self.appends.add(other.appends);
        self.failed += other.failed;
    }
}

/// Reads and appends, `rate` of each a second, until `stops`.
pub(crate) async fn call(
    address: SocketAddr,
    chats: &Arc<[(String, String)]>,
    rate: f64,
    seed: u64,
    stops: impl Future<Output = Result<()>>,
) -> Result<Paced> {
    let stop = Arc::new(AtomicBool::new(false));
    let begin = Instant::now();
    let mut running = Vec::new();
    for load in [Load::Get, Load::Append] {
        for number in 0..CONNECTIONS {
            let caller = Caller {
                address,
                load,
                chats: Arc::clone(chats),
                random: Random::new(seed.wrapping_mul(1_000).wrapping_add(u64::from(number))),
                stop: Arc::clone(&stop),
            };
            let first = begin + Duration::from_secs_f64(f64::from(number) / rate);
            let every = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
            running.push((load, tokio::spawn(caller.go_on(first, every, begin + WARM))));
        }
    }
    let stopped = stops.await;
    stop.store(true, Ordering::Relaxed);
    let seconds = begin.elapsed().saturating_sub(WARM).as_secs_f64();
    let mut paced = Paced::default();
    for (load, one) in running {
        let (micros, failed) = one.await??;
        paced.failed += failed;
        let into = if load == Load::Get { &mut paced.reads } else { &mut paced.appends };
        into.micros.extend(micros);
        into.seconds = seconds;
    }
    stopped?;
    ensure!(!paced.reads.micros.is_empty() && !paced.appends.micros.is_empty(), "no call counted");
    Ok(paced)
}

struct Caller {
    address: SocketAddr,
    load: Load,
    chats: Arc<[(String, String)]>,
    random: Random,
    stop: Arc<AtomicBool>,
}

impl Caller {
    /// Calls at `first` and `every` so often; gives microseconds of the calls that were due after `warm`, and how many failed.
    async fn go_on(mut self, first: Instant, every: Duration, warm: Instant) -> Result<(Vec<f64>, u64)> {
        let (mut micros, mut failed) = (Vec::new(), 0);
        let mut connection = Connection::open(self.address).await?;
        let mut due = first;
        loop {
            tokio::time::sleep_until(due.into()).await;
            if self.stop.load(Ordering::Relaxed) {
                return Ok((micros, failed));
            }
            let at = usize::try_from(self.random.below(self.chats.len() as u64)).unwrap_or(0);
            let text = if self.load == Load::Append { self.random.prose(40) } else { String::new() };
            let request = Way::Repot.request(self.load, &self.chats[at], &text);
            if connection.send(&request).await.is_ok() {
                if due >= warm {
                    micros.push(due.elapsed().as_secs_f64() * 1e6);
                }
            } else {
                failed += 1;
                connection = Connection::open(self.address).await?;
            }
            due += every;
        }
    }
}
