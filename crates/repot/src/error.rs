//! Errors as apps tell them apart.

use std::error::Error as StdError;
use std::fmt;

use repot_core::{Error as Cause, Kind, Retry};

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what an app does about it. Each has the [`Cause`] with code, details and hint in it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The document, or the collection, is not there.
    NotFound(Cause),
    /// A document with this key, or a value that must be unique, is there already.
    Duplicate(Cause),
    /// The document breaks the model, or the call names a key, tenant or place that cannot be.
    Validation(Cause),
    /// Somebody else changed the document meanwhile, or its state does not allow the change.
    Conflict(Cause),
    /// A newer writer has taken over.
    Fenced(Cause),
    /// The store is out of reach for now; [`Error::may_retry`] says whether the call may be made again.
    Unavailable(Cause),
    /// No right to do this.
    Denied(Cause),
    /// The store cannot do this at all.
    Unsupported(Cause),
    /// The settings or the model file are wrong.
    Setup(Cause),
    /// Anything else: damage, a full disk, our own fault.
    Other(Cause),
}

impl Error {
    /// The error beneath.
    #[must_use]
    pub const fn cause(&self) -> &Cause {
        match self {
            Self::NotFound(cause)
            | Self::Duplicate(cause)
            | Self::Validation(cause)
            | Self::Conflict(cause)
            | Self::Fenced(cause)
            | Self::Unavailable(cause)
            | Self::Denied(cause)
            | Self::Unsupported(cause)
            | Self::Setup(cause)
            | Self::Other(cause) => cause,
        }
    }

    /// Stable code; `repot explain CODE` says more.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.cause().code()
    }

    /// Whether the same call may be made again.
    #[must_use]
    pub const fn may_retry(&self) -> Retry {
        self.cause().may_retry()
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.cause().next_step()
    }

    /// Of a write that demanded that nothing is there.
    pub(crate) fn of_create(cause: Cause) -> Self {
        if cause.code() == "R0401" { Self::Duplicate(cause) } else { cause.into() }
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match (cause.kind(), cause.code()) {
            (Kind::NotFound, _) => Self::NotFound(cause),
            (Kind::Conflict, "R0203") => Self::Duplicate(cause),
            (Kind::Conflict, "R0305" | "R0306") => Self::Validation(cause),
            (Kind::Conflict, _) => Self::Conflict(cause),
            (Kind::Invalid, code) if code.starts_with("R01") => Self::Setup(cause),
            (Kind::Invalid, _) => Self::Validation(cause),
            (Kind::Fenced, _) => Self::Fenced(cause),
            (Kind::Unavailable | Kind::TargetUnavailable | Kind::SourceUnavailable | Kind::Locked, _) => {
                Self::Unavailable(cause)
            }
            (Kind::Denied, _) => Self::Denied(cause),
            (Kind::Unsupported, _) => Self::Unsupported(cause),
            _ => Self::Other(cause),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause().source()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Error, Kind};

    #[test]
    fn each_cause_has_its_place() {
        let name = |kind, code| match Error::from(Cause::new(kind, code, "x")) {
            Error::NotFound(_) => "not found",
            Error::Duplicate(_) => "duplicate",
            Error::Validation(_) => "validation",
            Error::Conflict(_) => "conflict",
            Error::Unavailable(_) => "unavailable",
            Error::Setup(_) => "setup",
            _ => "else",
        };
        assert_eq!(name(Kind::NotFound, "R0402"), "not found");
        assert_eq!(name(Kind::Conflict, "R0203"), "duplicate");
        assert_eq!(name(Kind::Conflict, "R0305"), "validation");
        assert_eq!(name(Kind::Conflict, "R0401"), "conflict");
        assert_eq!(name(Kind::Invalid, "R0404"), "validation");
        assert_eq!(name(Kind::Invalid, "R0105"), "setup");
        assert_eq!(name(Kind::Locked, "R0701"), "unavailable");
        assert_eq!(name(Kind::Internal, "R0901"), "else");
        assert!(matches!(Error::of_create(Cause::new(Kind::Conflict, "R0401", "x")), Error::Duplicate(_)));
    }
}
