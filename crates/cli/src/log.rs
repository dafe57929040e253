//! The log of a server: a line for each request, to stderr, written by a thread of its own.

use std::io::{self, IsTerminal as _, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use repot_core::{Clock as _, Error, Kind, Result, SystemClock};
use repot_model::plan::time::time_text;
use repot_server::{Log, RequestLine};
use serde_json::{Map, Value, json};

/// Lines that wait to be written, at the most. A reader of the log that stands still must not hold up requests.
const WAITING_MAX: usize = 8_192;
/// Bytes that are written at once, about.
const WRITTEN_BYTES: usize = 64 << 10;
/// How long the first of several lines waits for the others. Waking the thread for each line would cost a busy server more than
/// the lines themselves.
const GATHERED: Duration = Duration::from_millis(20);

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogStyle {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
    /// No lines.
    Off,
}

impl LogStyle {
    /// What is used when nobody says.
    pub(crate) fn of_output(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Off,
            (false, true) => Self::Text,
            (false, false) => Self::Json,
        }
    }
}

impl FromStr for LogStyle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ValueEnum::from_str(text, true).map_err(|_unknown| {
            Error::new(Kind::Invalid, "R0100", format!("REPOT_LOG is `{text}`, which is no way to log"))
                .hint("Say text, json or off.")
        })
    }
}

enum Said {
    Request(Box<RequestLine>),
    End,
}

/// Writes lines until it is ended.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: SyncSender<Said>,
    lost: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts its thread; nothing where nothing is to be written.
    pub(crate) fn start(style: LogStyle) -> Option<Self> {
        let show = match style {
            LogStyle::Off => return None,
            LogStyle::Json => RequestLine::json,
            LogStyle::Text => RequestLine::to_string,
        };
        let (lines, waiting) = sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let missed = Arc::clone(&lost);
        let thread = std::thread::spawn(move || write(&waiting, &missed, (style, show), &mut io::stderr()));
        Some(Self { lines, lost, thread })
    }

    /// What a server tells its requests to.
    pub(crate) fn log(&self) -> Log {
        let (lines, lost) = (self.lines.clone(), Arc::clone(&self.lost));
        Log::new(move |line| {
            if lines.try_send(Said::Request(Box::new(line.clone()))).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Writes what waits, and ends.
    pub(crate) fn end(self) {
        let _gone = self.lines.send(Said::End);
        let _panicked = self.thread.join();
    }
}

/// What happened to the server itself, in the style of the log.
pub(crate) fn event(style: LogStyle, name: &str, fields: &[(&str, Value)]) -> Option<String> {
    if style != LogStyle::Json {
        return None;
    }
    let mut line = Map::new();
    let now_us = SystemClock.now_ms().saturating_mul(1_000);
    line.insert("time".into(), json!(format!("{}Z", time_text(now_us, 'T', 3))));
    line.insert("level".into(), json!(if name == "lost" { "warn" } else { "info" }));
    line.insert("event".into(), json!(name));
    line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Some(Value::Object(line).to_string())
}

type Show = fn(&RequestLine) -> String;

fn write(lines: &Receiver<Said>, lost: &AtomicU64, (style, show): (LogStyle, Show), out: &mut impl Write) {
    let mut text = String::new();
    let mut ended = false;
    while !ended {
        let Ok(first) = lines.recv() else { return };
        if !matches!(first, Said::End) {
            std::thread::sleep(GATHERED);
        }
        text.clear();
        let mut next = Some(first);
        while let Some(said) = next {
            match said {
                Said::Request(line) => {
                    text.push_str(&show(&line));
                    text.push('\n');
                }
                Said::End => {
                    ended = true;
                    break;
                }
            }
            next = if text.len() < WRITTEN_BYTES { lines.try_recv().ok() } else { None };
        }
        let missed = lost.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let said = event(style, "lost", &[("lines", json!(missed))]);
            text.push_str(&said.unwrap_or_else(|| format!("{missed} lines of the log were lost")));
            text.push('\n');
        }
        // nobody is left to tell when stderr is closed
        let _closed = out.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::sync_channel;

    use repot_server::RequestLine;
    use serde_json::Value;

    use super::{LogStyle, Said, write};

    fn line(id: &str) -> RequestLine {
        RequestLine {
            at_ms: 0,
            id: id.to_owned(),
            method: "GET",
            route: "/healthz".into(),
            status: 200,
            ms: 1_200.0,
            bytes: 1,
            is_slow: true,
            code: None,
            failure: None,
        }
    }

    #[test]
    fn lines_are_written_to_the_end_and_lost_ones_are_told() {
        let (sender, receiver) = sync_channel(8);
        for id in ["one", "two"] {
            sender.send(Said::Request(Box::new(line(id)))).unwrap();
        }
        sender.send(Said::End).unwrap();
        let mut out = Vec::new();
        write(&receiver, &AtomicU64::new(3), (LogStyle::Json, RequestLine::json), &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!((&lines[0]["request_id"], &lines[1]["request_id"]), (&"one".into(), &"two".into()));
        assert_eq!((&lines[0]["slow"], &lines[0]["level"]), (&true.into(), &"warn".into()));
        assert_eq!((&lines[2]["event"], &lines[2]["lines"]), (&"lost".into(), &3.into()));
    }

    #[test]
    fn styles() {
        assert_eq!("JSON".parse::<LogStyle>().unwrap(), LogStyle::Json);
        assert_eq!("xml".parse::<LogStyle>().unwrap_err().code(), "R0100");
    }
}
