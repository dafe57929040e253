//! Sends traces to a collector, beside the requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use repot_core::Result;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::options::{Sampler, TraceOptions};
use super::span::{Place, Traced, message};
use crate::outgoing;

/// Requests that wait to be told, at the most; those beyond are not told.
const WAITING_MAX: usize = 2_048;
/// Requests that are told at once, at the most.
const TOGETHER: usize = 256;
/// How long the first of several waits for the others.
const GATHERED: Duration = Duration::from_secs(1);

enum Said {
    Request(Box<Traced>),
    /// All before it is to be told now.
    End(oneshot::Sender<()>),
}

/// Tells a collector of requests. Cheap to clone.
#[derive(Clone)]
pub struct Traces(Arc<Inside>);

struct Inside {
    queue: mpsc::Sender<Said>,
    sampler: Sampler,
    lost: Counter,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl Traces {
    /// Starts to tell, on this runtime. A collector that is away is no error.
    ///
    /// # Errors
    /// `R0901` when the system's certificates cannot be used.
    pub fn start(options: TraceOptions) -> Result<Self> {
        let client = outgoing::client(&options.url, options.wait)?;
        let (queue, said) = mpsc::channel(WAITING_MAX);
        let (sampler, lost) = (options.sampler, Counter::default());
        let teller = Teller { client, options, lost: lost.clone() };
        tokio::spawn(teller.run(said));
        Ok(Self(Arc::new(Inside { queue, sampler, lost })))
    }

    /// How many requests were not told: too many at once, or the collector did not take them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.get()
    }

    /// The same as a figure, which goes on counting.
    pub(crate) fn lost_figure(&self) -> Counter {
        self.0.lost.clone()
    }

    pub(super) fn keeps(&self, place: Place) -> bool {
        self.0.sampler.keeps(place.sampled, place.trace)
    }

    pub(super) fn tell(&self, traced: Traced) {
        if self.0.queue.try_send(Said::Request(Box::new(traced))).is_err() {
            self.0.lost.inc();
        }
    }

    /// Tells what waits, and comes back when that is done, or after this time.
    pub async fn end(&self, most: Duration) {
        let told = async {
            let (done, all_told) = oneshot::channel();
            if self.0.queue.send(Said::End(done)).await.is_ok() {
                let _gone = all_told.await;
            }
        };
        let _late = timeout(most, told).await;
    }
}

struct Teller {
    client: Client,
    options: TraceOptions,
    lost: Counter,
}

impl Teller {
    async fn run(self, mut said: mpsc::Receiver<Said>) {
        let mut requests = Vec::new();
        while let Some(first) = said.recv().await {
            let until = Instant::now() + GATHERED;
            let (mut next, mut end) = (Some(first), None);
            while let Some(now) = next {
                match now {
                    Said::Request(request) => requests.push(*request),
                    Said::End(done) => {
                        end = Some(done);
                        break;
                    }
                }
                let more = requests.len() < TOGETHER;
                next = if more { timeout_at(until, said.recv()).await.ok().flatten() } else { None };
            }
            if !requests.is_empty() && !self.sent(&requests).await {
                self.lost.inc_by(requests.len() as u64);
            }
            requests.clear();
            if let Some(done) = end {
                let _nobody = done.send(());
            }
        }
    }

    /// Sends them, once: a collector that is away loses what happened meanwhile.
    async fn sent(&self, requests: &[Traced]) -> bool {
        let body = message(&self.options.resource, requests).to_string();
        let mut headers = self.options.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = self.client.post(self.options.url.clone()).headers(headers).body(body).send().await;
        sent.is_ok_and(|answer| answer.status().is_success())
    }
}
