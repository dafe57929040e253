//! Progress: a bar on a terminal, otherwise a line every ten seconds, or JSON lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use repot_core::{Result, Source};
use repot_engine::Progress;
use serde_json::json;

use crate::output::{Output, number};

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far the engine is.
#[derive(Debug)]
pub(crate) struct Shown<'o> {
    output: &'o Output,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    step: String,
    total: Option<u64>,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl<'o> Shown<'o> {
    pub(crate) fn new(output: &'o Output) -> Self {
        let now = Instant::now();
        Self {
            output,
            state: Mutex::new(State { step: String::new(), total: None, began: now, told: now, bar: None }),
        }
    }

    /// Counts the objects first, so that a bar knows how many there will be.
    pub(crate) fn count(&self, source: &dyn Source) -> Result<()> {
        self.step("listing");
        let mut objects = 0;
        for entry in source.list()? {
            entry?;
            objects += 1;
        }
        self.total(objects);
        Ok(())
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown<'_> {
    fn step(&self, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone_into(&mut state.step);
        state.began = Instant::now();
        if self.output.draws() {
            let bar = state.bar.take().unwrap_or_else(ProgressBar::new_spinner);
            let template = match state.total {
                Some(total) if what == "copying" => {
                    bar.set_length(total);
                    "{msg} [{bar:30}] {percent} %  {elapsed}  {eta} left"
                }
                _ => "{spinner} {msg}",
            };
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            state.bar = Some(bar);
        }
    }

    fn total(&self, objects: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).total = Some(objects);
    }

    fn done(&self, objects: u64, rows: u64, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let of = state.total.map_or_else(String::new, |total| format!(" of {}", number(total)));
        let rows_text = if rows > 0 { format!(", {} rows", number(rows)) } else { String::new() };
        let text = format!("{}: {}{of} objects{rows_text}", state.step, number(objects));
        if let Some(bar) = &state.bar {
            bar.set_position(objects);
            bar.set_message(text);
        } else if state.told.elapsed() >= LINE_EVERY {
            state.told = Instant::now();
            if self.output.json {
                let seconds = state.began.elapsed().as_secs_f64();
                self.output.line(&json!({"type": "progress", "step": state.step, "done": objects, "total": state.total, "rows": rows, "bytes": bytes, "seconds": seconds}));
            } else {
                self.output.say(&text);
            }
        }
    }
}
