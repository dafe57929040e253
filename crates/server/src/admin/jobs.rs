//! Long work in the background, one of a lane at a time, and what became of the last of each kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use repot_core::{Clock, Error, Kind, Result};
use repot_engine::Progress;
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::operator::{Task, Work};

/// One piece of work.
#[derive(Debug)]
struct Job {
    work: Work,
    began_ms: i64,
    began: Instant,
    state: Mutex<State>,
}

/// How far it is.
#[derive(Debug, Default)]
struct State {
    step: String,
    total: Option<u64>,
    done: (u64, u64, u64),
    ended: Option<(i64, Result<Value>)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<BTreeMap<Work, Arc<Job>>>);

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        self.state().ended.is_none()
    }

    fn json(&self) -> Value {
        let state = self.state();
        let (objects, rows, bytes) = state.done;
        let mut told = json!({
            "work": self.work.word(),
            "state": match &state.ended {
                None => "running",
                Some((_, Ok(_))) => "done",
                Some((_, Err(_))) => "failed",
            },
            "began_at": utc_text(self.began_ms),
            "ended_at": state.ended.as_ref().map(|(at_ms, _)| utc_text(*at_ms)),
        });
        match &state.ended {
            None => {
                told["progress"] = json!({
                    "step": state.step, "done": objects, "total": state.total, "rows": rows, "bytes": bytes,
                    "seconds": self.began.elapsed().as_secs_f64(),
                });
            }
            Some((_, Ok(result))) => told["result"] = result.clone(),
            Some((_, Err(error))) => {
                told["error"] = json!({
                    "code": error.code(), "message": error.message(), "details": error.details(),
                    "hint": error.next_step(),
                });
            }
        }
        told
    }
}

impl Progress for Job {
    fn step(&self, what: &str) {
        let mut state = self.state();
        what.clone_into(&mut state.step);
        state.done = (0, 0, 0);
    }

    fn total(&self, objects: u64) {
        self.state().total = Some(objects);
    }

    fn done(&self, objects: u64, rows: u64, bytes: u64) {
        self.state().done = (objects, rows, bytes);
    }
}

/// Ends a job, also when its thread panics.
struct Ending {
    job: Arc<Job>,
    clock: Arc<dyn Clock>,
    result: Option<Result<Value>>,
}

impl Ending {
    /// (A method, so that the thread takes all of `self` with it.)
    fn with(&mut self, result: Result<Value>) {
        self.result = Some(result);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let failed = || Err(Error::new(Kind::Internal, "R0901", "a fault of ours ended the work"));
        let result = self.result.take().unwrap_or_else(failed);
        self.job.state().ended = Some((self.clock.now_ms(), result));
    }
}

impl Jobs {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Work, Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the work on a thread of its own, which goes with the process: none of it has to be cleaned up.
    ///
    /// # Errors
    /// `R0449` with the work that is being done.
    pub(crate) fn start(&self, work: Work, task: Task, clock: &Arc<dyn Clock>) -> Result<Value> {
        let mut all = self.all();
        if let Some(running) = all.values().find(|job| job.is_running() && work.excludes(job.work)) {
            let since = utc_text(running.began_ms);
            let message = format!("{} has been at work since {since}", running.work);
            return Err(Error::new(Kind::Conflict, "R0449", message)
                .detail(running.json().to_string())
                .hint(format!("Wait for it: GET /admin/{} tells how far it is.", running.work)));
        }
        let job =
            Arc::new(Job { work, began_ms: clock.now_ms(), began: Instant::now(), state: Mutex::default() });
        let mut ending = Ending { job: Arc::clone(&job), clock: Arc::clone(clock), result: None };
        let spawned = std::thread::Builder::new().name(work.to_string()).spawn(move || {
            let done = task(ending.job.as_ref());
            ending.with(done);
        });
        spawned.map_err(|error| {
            Error::new(Kind::Failed, "R0901", "a thread for the work cannot be started").cause(error)
        })?;
        let told = job.json();
        all.insert(work, job);
        Ok(told)
    }

    /// The last of this kind, if there was one since the server began.
    pub(crate) fn last(&self, work: Work) -> Option<Value> {
        let job = self.all().get(&work).cloned();
        job.map(|job| job.json())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    use repot_core::{Clock, Error, FixedClock, Kind, Result};
    use serde_json::{Value, json};

    use super::{Jobs, Task, Work};

    /// Work that ends when it is told how.
    fn told() -> (Sender<Option<Result<Value>>>, Task) {
        let (tell, told) = channel::<Option<Result<Value>>>();
        let task: Task = Box::new(move |progress| {
            progress.step("looking");
            progress.total(9);
            progress.done(3, 5, 7);
            told.recv().unwrap().expect("a fault")
        });
        (tell, task)
    }

    fn wait(jobs: &Jobs, work: Work, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let last = jobs.last(work).unwrap();
            if is(&last) {
                return last;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_is_done_at_a_time_and_what_became_of_it_is_known() {
        let clock: Arc<dyn Clock> = Arc::new(FixedClock(1_000));
        let jobs = Jobs::default();
        assert!(jobs.last(Work::Verify).is_none());
        let (tell, task) = told();
        assert_eq!(jobs.start(Work::Verify, task, &clock).unwrap()["state"], "running");
        let at_work = wait(&jobs, Work::Verify, |job| job["progress"]["done"] == 3);
        assert_eq!(
            (&at_work["progress"]["step"], &at_work["progress"]["total"]),
            (&json!("looking"), &json!(9))
        );
        for work in [Work::Plan, Work::Verify, Work::Copy] {
            let refused = jobs.start(work, told().1, &clock).unwrap_err();
            assert_eq!(refused.code(), "R0449");
            assert!(
                refused.message().starts_with("verify has been at work since 1970-01-01T00:00:01"),
                "{refused}"
            );
        }
        // a way back waits neither for a proof nor for a rollout
        let (tell_rollout, rollout) = told();
        jobs.start(Work::Rollout, rollout, &clock).unwrap();
        assert_eq!(jobs.start(Work::Finish, told().1, &clock).unwrap_err().code(), "R0449");
        let (tell_rollback, rollback) = told();
        jobs.start(Work::Rollback, rollback, &clock).unwrap();
        assert_eq!(jobs.start(Work::Rollback, told().1, &clock).unwrap_err().code(), "R0449");
        for (tell, work) in [(tell_rollback, Work::Rollback), (tell_rollout, Work::Rollout)] {
            tell.send(Some(Ok(json!({})))).unwrap();
            wait(&jobs, work, |job| job["state"] == "done");
        }
        tell.send(Some(Ok(json!({"proved": 1})))).unwrap();
        let done = wait(&jobs, Work::Verify, |job| job["state"] == "done");
        assert_eq!((&done["result"]["proved"], done.get("progress")), (&json!(1), None));
        let wrong = Error::new(Kind::Locked, "R0701", "no").hint("Wait.");
        for (what, code) in [(Some(Err(wrong)), "R0701"), (None, "R0901")] {
            let (tell, task) = told();
            jobs.start(Work::Copy, task, &clock).unwrap();
            tell.send(what).unwrap();
            let failed = wait(&jobs, Work::Copy, |job| job["state"] == "failed");
            assert_eq!(failed["error"]["code"], code);
        }
        assert_eq!(jobs.last(Work::Verify).unwrap()["state"], "done");
    }
}
