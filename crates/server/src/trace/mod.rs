//! Traces (`OpenTelemetry`): what of a request took how long, told to a collector.
//!
//! Nothing of them holds a request up: what ended is put into a queue with a bound, and what finds it full is dropped. They have
//! route templates, methods, codes and times, never paths, keys or values.
//!
//! OTLP is written here: its JSON is stable and small, while the crates for it would add eight packages, two of which take longer
//! to build than all of this one.

mod exporter;
mod options;
mod span;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use repot_core::{Error, Pacing};

pub use exporter::Traces;
pub use options::TraceOptions;
use span::{Call, Place, Traced};

use crate::operate::{RequestLine, outcome};

/// Calls of a request that are told at the most.
const CALLS_MAX: usize = 64;

tokio::task_local! {
    /// The request that this task serves, where it is traced.
    static CURRENT: Arc<Running>;
}

/// A request that is traced, on its way.
#[derive(Debug)]
pub(crate) struct Running {
    traces: Traces,
    pacing: Arc<dyn Pacing>,
    place: Place,
    id: u64,
    begin: Instant,
    calls: Mutex<Vec<Call>>,
}

impl Running {
    /// Begins, unless nobody wants to know of this request.
    pub(crate) fn begin(traces: &Traces, pacing: &Arc<dyn Pacing>, headers: &HeaderMap) -> Option<Arc<Self>> {
        let place = span::place(headers).unwrap_or_else(|| {
            let trace = u128::from(pacing.random()) << 64 | u128::from(pacing.random());
            Place { trace: trace.max(1), parent: None, sampled: None }
        });
        traces.keeps(place).then(|| {
            let (id, pacing) = (pacing.random().max(1), Arc::clone(pacing));
            let (begin, calls) = (Instant::now(), Mutex::default());
            Arc::new(Self { traces: traces.clone(), pacing, place, id, begin, calls })
        })
    }

    /// Serves it: what the store does meanwhile is its.
    pub(crate) async fn serving<T>(self: &Arc<Self>, request: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), request).await
    }

    /// The request that this task serves.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// A call of the store, which ended now.
    pub(crate) fn called(
        &self,
        operation: &'static str,
        begin: Instant,
        waited: Duration,
        error: Option<&Error>,
    ) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= CALLS_MAX {
            return;
        }
        let is_failure = error.is_some_and(|error| outcome(error) == "failed");
        calls.push(Call {
            id: self.pacing.random().max(1),
            wait_id: self.pacing.random().max(1),
            operation,
            begin: begin.saturating_duration_since(self.begin),
            took: begin.elapsed(),
            waited,
            code: error.map(Error::code),
            is_failure,
        });
    }

    /// It ended.
    pub(crate) fn ended(&self, line: &RequestLine) {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        let (place, id, took) = (self.place, self.id, self.begin.elapsed());
        self.traces.tell(Traced { place, id, took, line: line.clone(), calls });
    }
}
