//! `ETags` and preconditions.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};

/// An opaque strong `ETag`, without quotes. Two states of one document with equal `ETag`s have equal bytes; nothing
/// more follows from it: a store may give an `ETag` again when old bytes come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

impl ETag {
    /// The `ETag` with this text, as a store gave it, without the quotes of HTTP.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there.
    #[default]
    Any,
    /// Nothing is there.
    Absent,
    /// This state is there.
    Matches(ETag),
}

impl Precondition {
    /// Checks it against the state that is there now.
    ///
    /// # Errors
    /// [`Kind::Conflict`] that names the state that is there.
    pub fn check(&self, what: &dyn fmt::Display, current: Option<&ETag>) -> Result<()> {
        let met = match self {
            Self::Any => true,
            Self::Absent => current.is_none(),
            Self::Matches(wanted) => current == Some(wanted),
        };
        if met { Ok(()) } else { Err(self.failed(what, current)) }
    }

    /// Checks that it can be one of a delete or of a change.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for [`Precondition::Absent`].
    pub fn check_present(&self) -> Result<()> {
        if *self == Self::Absent {
            return Err(Error::new(
                Kind::Invalid,
                "R0405",
                "nothing can be deleted or changed where nothing may be",
            )
            .hint("Say no precondition, or the ETag that was read."));
        }
        Ok(())
    }

    /// The error of a write whose precondition does not hold.
    #[must_use]
    pub fn failed(&self, what: &dyn fmt::Display, current: Option<&ETag>) -> Error {
        let message = match (self, current) {
            (Self::Absent, _) => format!("{what} is there already"),
            (_, None) => format!("{what} is not there"),
            (_, Some(_)) => format!("{what} has changed meanwhile"),
        };
        let error = Error::new(Kind::Conflict, "R0401", message);
        match current {
            Some(current) => error.detail(format!("current ETag: {current}")).current(current.as_str()),
            None => error,
        }
        .hint("Read it again, apply the change to what is there now, and write with its ETag.")
    }
}

/// Whether a write failed because another state is there than the one that it was to replace; other conflicts stay what they are,
/// however often they are tried.
#[must_use]
pub fn is_overtaken(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.code() == "R0401"
}

#[cfg(test)]
mod tests {
    use super::{ETag, Precondition};

    #[test]
    fn a_precondition_holds_or_names_what_is_there() {
        let (one, two) = (ETag::new("1"), ETag::new("2"));
        let check = |when: &Precondition, current: Option<&ETag>| when.check(&"dramas/a", current).is_ok();
        assert!(check(&Precondition::Any, None) && check(&Precondition::Any, Some(&one)));
        assert!(check(&Precondition::Absent, None) && !check(&Precondition::Absent, Some(&one)));
        let wanted = Precondition::Matches(one.clone());
        assert!(check(&wanted, Some(&one)) && !check(&wanted, Some(&two)) && !check(&wanted, None));
        let error = wanted.check(&"dramas/a", Some(&two)).unwrap_err();
        assert_eq!(error.to_string(), "R0401: dramas/a has changed meanwhile");
        assert_eq!(error.details(), ["current ETag: 2"]);
    }
}
