//! [`PatchError`]: why a text was not changed, and where.

use std::fmt;

use crate::patch::pointer::{Pointer, PointerError};
use crate::scan::SyntaxError;

/// Which text was no JSON or beyond the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Text {
    /// The document to be changed.
    Document,
    /// The patch.
    Patch,
    /// The value to be set or appended.
    Value,
    /// What the change would have made of the document.
    Outcome,
}

/// Where a change failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Number of the operation in a JSON Patch, from 0; `None` outside of one.
    pub operation: Option<usize>,
    /// What was to be read or changed.
    pub pointer: Pointer,
}

/// Why a JSON Patch document is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PatchFault {
    /// The patch is no list of operations.
    NotAList,
    /// An operation is no object.
    NotAnObject,
    /// A member is missing.
    Missing(&'static str),
    /// A member stands twice, so that readers may differ on what is meant.
    Twice(&'static str),
    /// A member is no string.
    NotAString(&'static str),
    /// A member has a lone surrogate, which no pointer can hold.
    LoneSurrogate(&'static str),
    /// An operation that RFC 6902 does not know.
    UnknownOperation(String),
}

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatchError {
    /// A text is no JSON, or beyond the limits.
    NotJson {
        /// Which text.
        text: Text,
        /// Number of the operation whose outcome it is.
        operation: Option<usize>,
        /// Where and why.
        error: SyntaxError,
    },
    /// The outcome would be far longer than document and patch together.
    TooLong {
        /// Number of the operation.
        operation: Option<usize>,
    },
    /// No value is there; or the list ends before the number.
    NoSuchPlace(Place),
    /// What should hold the value is neither an object nor a list.
    NotAContainer(Place),
    /// The value is no list.
    NotAList(Place),
    /// The holder is a list, and the last part neither the number of an element nor `-`.
    NotANumber(Place),
    /// The whole document cannot be removed.
    WholeDocument(Place),
    /// A value cannot be moved into itself.
    IntoItself(Place),
    /// The value is not what the `test` operation expects.
    TestFailed(Place),
    /// A pointer in a patch is none.
    InvalidPointer {
        /// Number of the operation.
        operation: Option<usize>,
        /// Its text, and why.
        error: PointerError,
    },
    /// The patch is no JSON Patch.
    InvalidPatch {
        /// Number of the operation.
        operation: Option<usize>,
        /// Why.
        fault: PatchFault,
    },
}

impl PatchError {
    /// The same, in operation number `number`.
    pub(super) fn in_operation(mut self, number: usize) -> Self {
        match &mut self {
            Self::NotJson { operation, .. }
            | Self::TooLong { operation }
            | Self::InvalidPointer { operation, .. }
            | Self::InvalidPatch { operation, .. } => *operation = Some(number),
            Self::NoSuchPlace(place)
            | Self::NotAContainer(place)
            | Self::NotAList(place)
            | Self::NotANumber(place)
            | Self::WholeDocument(place)
            | Self::IntoItself(place)
            | Self::TestFailed(place) => place.operation = Some(number),
        }
        self
    }

    /// Number of the operation in a JSON Patch, from 0.
    #[must_use]
    pub const fn operation(&self) -> Option<usize> {
        match self {
            Self::NotJson { operation, .. }
            | Self::TooLong { operation }
            | Self::InvalidPointer { operation, .. }
            | Self::InvalidPatch { operation, .. } => *operation,
            Self::NoSuchPlace(place)
            | Self::NotAContainer(place)
            | Self::NotAList(place)
            | Self::NotANumber(place)
            | Self::WholeDocument(place)
            | Self::IntoItself(place)
            | Self::TestFailed(place) => place.operation,
        }
    }
}

impl From<Pointer> for Place {
    fn from(pointer: Pointer) -> Self {
        Self { operation: None, pointer }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Document => "the document",
            Self::Patch => "the patch",
            Self::Value => "the value",
            Self::Outcome => "the outcome",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation: _, pointer } = self;
        if pointer.parts().is_empty() { f.write_str("\"\" (the whole document)") } else { pointer.fmt(f) }
    }
}

impl fmt::Display for PatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAList => f.write_str("a JSON Patch is a list of operations"),
            Self::NotAnObject => f.write_str("an operation is an object"),
            Self::Missing(member) => write!(f, "member {member:?} is missing"),
            Self::Twice(member) => write!(f, "member {member:?} stands twice"),
            Self::NotAString(member) => write!(f, "member {member:?} is no string"),
            Self::LoneSurrogate(member) => write!(f, "member {member:?} has a lone surrogate"),
            Self::UnknownOperation(name) => {
                write!(f, "{name:?} is none of add, remove, replace, move, copy and test")
            }
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.operation() {
            write!(f, "operation {number}: ")?;
        }
        match self {
            Self::NotJson { text, error, .. } => write!(f, "{text} is no JSON within the limits: {error}"),
            Self::TooLong { .. } => f.write_str("the outcome is too long for this document and patch"),
            Self::NoSuchPlace(place) => write!(f, "there is nothing at {place}"),
            Self::NotAContainer(place) => write!(f, "what should hold {place} is neither object nor list"),
            Self::NotAList(place) => write!(f, "what is at {place} is no list"),
            Self::NotANumber(place) => {
                write!(f, "{place} is in a list and does not end with the number of an element or -")
            }
            Self::WholeDocument(_) => f.write_str("the whole document cannot be removed"),
            Self::IntoItself(place) => write!(f, "what holds {place} cannot be moved there"),
            Self::TestFailed(place) => write!(f, "what is at {place} is not what the test expects"),
            Self::InvalidPointer { error, .. } => error.fmt(f),
            Self::InvalidPatch { fault, .. } => fault.fmt(f),
        }
    }
}

impl std::error::Error for PatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotJson { error, .. } => Some(error),
            Self::InvalidPointer { error, .. } => Some(error),
            _ => None,
        }
    }
}
