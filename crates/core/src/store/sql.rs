//! Questions in the user's own SQL: what is asked, how the answer comes, and when it ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::query::QueryValue;
use crate::error::{Error, Kind, Result};

/// One statement that reads, with its values and bounds.
#[derive(Debug, Clone)]
pub struct SqlQuestion {
    /// Its text; values stand in it as `$1`, `$2` (SQLite: also `?`, `?1`).
    pub sql: String,
    /// The values.
    pub parameters: Vec<QueryValue>,
    /// Rows at most.
    pub rows_max: usize,
    /// How long the database may be at work for it, and whoever takes the rows with it, milliseconds.
    pub time_ms: u64,
    /// Ends it early.
    pub stop: SqlStop,
}

/// Ends a question wherever it is: the statement is cancelled in the database. Clones are about the same question.
#[derive(Debug, Clone, Default)]
pub struct SqlStop(Arc<AtomicBool>);

impl SqlStop {
    /// From now on nobody wants the answer.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that was said.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A part of an answer: first the columns, then each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlPart {
    /// The names of the columns, in their order; all different.
    Columns(Vec<String>),
    /// A row as one JSON object.
    Row(String),
}

/// Takes the parts of an answer; `false`: it takes no more, and the question ends. It may wait, and the database with it.
pub type SqlSink = Box<dyn FnMut(SqlPart) -> bool + Send>;

/// The names of columns, ready to stand in an object.
#[derive(Debug)]
pub struct SqlNames(Vec<String>);

impl SqlNames {
    /// Of these columns.
    ///
    /// # Errors
    /// `R0111` when there are none, or two have one name, since an object has each name once.
    pub fn new(columns: &[String]) -> Result<Self> {
        let refused = |why: String, hint: &str| Err(Error::new(Kind::Invalid, "R0111", why).hint(hint));
        if columns.is_empty() {
            let hint = "Give one statement that reads, such as `select`.";
            return refused("the statement would write, or gives no columns".to_owned(), hint);
        }
        for (at, name) in columns.iter().enumerate() {
            if columns.iter().take(at).any(|other| other == name) {
                return refused(format!("two columns are called {name}"), "Name one of them with `as`.");
            }
        }
        let quoted = |(at, name): (usize, &String)| {
            format!("{}{}:", if at > 0 { "," } else { "" }, repot_json::edit::quote(name))
        };
        Ok(Self(columns.iter().enumerate().map(quoted).collect()))
    }

    /// How many there are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// A row of these cells, each a JSON text.
    pub fn row<C: fmt::Display>(&self, cells: impl Iterator<Item = C>) -> String {
        let mut out = "{".to_owned();
        for (name, cell) in self.0.iter().zip(cells) {
            out.push_str(name);
            out.push_str(&cell.to_string());
        }
        out.push('}');
        out
    }
}

/// A text as JSON.
#[must_use]
pub fn sql_text(text: &str) -> String {
    repot_json::edit::quote(text)
}

/// The time of a question is up.
#[must_use]
pub fn sql_time_is_up(time_ms: u64) -> Error {
    Error::new(
        Kind::Refused,
        "R0435",
        format!("the statement took longer than {time_ms} ms and was cancelled"),
    )
    .hint("Ask for less, or add a condition that an index covers.")
}
