//! What is printed: data to stdout, talk to stderr, or JSON lines to stdout.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use repot_core::Error;
use serde_json::{Value, json};

use crate::args::Global;
use crate::errors::{Exit, Failure};

/// Where and how to print.
#[derive(Debug)]
pub(crate) struct Output {
    pub json: bool,
    pub quiet: bool,
    /// JSON lines are gathered instead of printed.
    gathered: Option<Mutex<Vec<Value>>>,
}

impl Output {
    pub(crate) const fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, gathered: None }
    }

    /// For a command that a server runs: nothing is printed.
    pub(crate) const fn gathering() -> Self {
        Self { json: true, quiet: true, gathered: Some(Mutex::new(Vec::new())) }
    }

    /// Whether JSON lines are gathered, so that there should not be many.
    pub(crate) const fn gathers(&self) -> bool {
        self.gathered.is_some()
    }

    /// The JSON lines that would have been printed; the last one is the result.
    pub(crate) fn gathered(self) -> Vec<Value> {
        let gathered = self.gathered.map(Mutex::into_inner);
        gathered.map(|lines| lines.unwrap_or_else(PoisonError::into_inner)).unwrap_or_default()
    }

    /// True when a progress bar can be drawn.
    pub(crate) fn draws(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Talk: to stderr, unless quiet or JSON.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet && !self.json {
            // nobody is left to tell when stderr is closed
            let _closed = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Data: to stdout.
    pub(crate) fn print(&self, text: &str) {
        // a closed pipe (`| head`) ends the output, not the work
        let _closed = writeln!(std::io::stdout(), "{text}");
    }

    /// Data as it is, without a newline of ours.
    pub(crate) fn print_raw(&self, bytes: &[u8]) {
        let _closed = std::io::stdout().write_all(bytes);
    }

    /// A JSON line.
    pub(crate) fn line(&self, value: &Value) {
        if let Some(gathered) = &self.gathered {
            gathered.lock().unwrap_or_else(PoisonError::into_inner).push(value.clone());
        } else if self.json {
            self.print(&value.to_string());
        }
    }

    /// The first line of long work.
    pub(crate) fn hello(&self) {
        self.line(&json!({"type": "hello", "format": 1}));
    }

    /// The end: a JSON line, or the next command.
    pub(crate) fn done(&self, mut result: Value, next: &[&str]) {
        if let Some(object) = result.as_object_mut() {
            object.insert("next".to_owned(), json!(next));
        }
        self.line(&result);
        if !next.is_empty() {
            self.say(&format!("Next: {}", next.join(", ")));
        }
    }

    /// Prints why a command failed; gives the exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        match failure {
            Failure::Error(error) if self.json => self.line(&json!({
                "type": "error",
                "code": error.code(),
                "message": error.message(),
                "details": error.details(),
                "hint": error.next_step(),
            })),
            Failure::Error(error) => self.complain(&error_text(error)),
            Failure::Model(problems) if self.json => {
                for problem in problems {
                    self.line(&json!({
                        "type": "error",
                        "code": problem.code,
                        "message": problem.message,
                        "file": problem.file,
                        "line": problem.span.line,
                        "column": problem.span.column,
                        "hint": problem.hint,
                    }));
                }
            }
            Failure::Model(problems) => {
                for problem in problems {
                    self.complain(&format!("{problem}\nmore: repot explain {}", problem.code));
                }
            }
        }
        failure.exit()
    }

    fn complain(&self, text: &str) {
        let _closed = writeln!(std::io::stderr(), "{text}");
    }
}

/// The one shape of an error in the terminal.
fn error_text(error: &Error) -> String {
    let mut text = format!("error[{}]: {}", error.code(), error.message());
    let mut add = |line: String| write!(text, "\n{line}").expect("a String takes everything");
    for detail in error.details() {
        add(format!("  {detail}"));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        add(format!("  = {inner}"));
        cause = inner.source();
    }
    if let Some(hint) = error.next_step() {
        add(format!("help: {hint}"));
    }
    add(format!("more: repot explain {}", error.code()));
    text
}

/// `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `312 KB`, `1.2 GB`: powers of ten, as file managers have it.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    for unit in ["bytes", "KB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "bytes" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1_000.0;
    }
    format!("{value:.1} TB")
}

/// `1 file`, `2 files`.
pub(crate) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// A statement that goes to the database, to stderr: the user asked for it.
pub(crate) fn echo(sql: &str) {
    let _closed = writeln!(std::io::stderr(), "sql: {sql}");
}

#[cfg(test)]
mod tests {
    use super::{count, number, size};

    #[test]
    fn figures() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(12), "12");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(size(312_000), "312 KB");
        assert_eq!(size(1_250_000_000), "1.2 GB");
        assert_eq!(size(12), "12 bytes");
        assert_eq!(size(999_999), "1.0 MB");
    }
}
