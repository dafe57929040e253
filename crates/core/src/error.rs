//! The one error type. Rules: the message is lower case, without a full stop, and says what was tried on what;
//! the hint is a full sentence that says what to do next; the cause is kept; codes are in the catalogue.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub use repot_model::plan::Problem;

/// What a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// What the user gave (model, flag, URL) is wrong.
    Invalid,
    /// The model or the data holds something that is not supported.
    Unsupported,
    /// It would lose data or the way back.
    Refused,
    /// The source is out of reach.
    SourceUnavailable,
    /// The database is out of reach.
    TargetUnavailable,
    /// Another process holds the lock.
    Locked,
    /// No right to do this.
    Denied,
    /// A row or document the database refuses (unique, reference, check).
    Conflict,
    /// What is stored is damaged.
    Corrupt,
    /// Anything else that failed outside (disk full, ...).
    Failed,
    /// There is nothing of that name: a collection, a document that must be there.
    NotFound,
    /// The writer was outranked by a newer one: its fencing token is stale.
    Fenced,
    /// A store is out of reach for now.
    Unavailable,
    /// Our own fault.
    Internal,
}

/// Whether the same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Retry {
    /// It would fail again.
    #[default]
    Never,
    /// Nothing happened; it may work now.
    Safe,
    /// It may have happened: read again before deciding.
    Unknown,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with a stable code. Clones share their cause: writes that were made together can fail together.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    code: &'static str,
    message: String,
    details: Vec<String>,
    problems: Vec<Problem>,
    hint: Option<String>,
    retry: Retry,
    current: Option<String>,
    write: Option<usize>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `code` is in the catalogue, such as `R0203`.
    #[must_use]
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            details: Vec::new(),
            problems: Vec::new(),
            hint: None,
            retry: Retry::Never,
            current: None,
            write: None,
            source: None,
        }))
    }

    /// Adds a line of detail: a place, a value.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.0.details.push(line.into());
        self
    }

    /// Adds one thing that is wrong with the document.
    #[must_use]
    pub fn problem(mut self, problem: Problem) -> Self {
        self.0.problems.push(problem);
        self
    }

    /// Sets what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says whether the same call may be made again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the state that is there: the text of its `ETag`.
    #[must_use]
    pub fn current(mut self, etag: &str) -> Self {
        self.0.current = Some(etag.to_owned());
        self
    }

    /// Says which write of a unit of work it is about, counted from 0; the first that said so is right.
    #[must_use]
    pub fn in_write(mut self, number: usize) -> Self {
        self.0.write.get_or_insert(number);
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn cause(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What a caller can act on.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.0.code
    }

    /// Whether the same call may be made again.
    #[must_use]
    pub const fn may_retry(&self) -> Retry {
        self.0.retry
    }

    /// The `ETag` of the state that is there, without quotes, where a precondition failed and something is there.
    #[must_use]
    pub fn current_state(&self) -> Option<&str> {
        self.0.current.as_deref()
    }

    /// Which write of the unit of work it is about, counted from 0; `None` where it is about all of them, or the store
    /// cannot tell.
    #[must_use]
    pub const fn write(&self) -> Option<usize> {
        self.0.write
    }

    /// What was tried on what.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Places and values.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// All that is wrong with the document, in the order of its text; empty where the error is about something else.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
