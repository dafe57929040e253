//! [`Pointer`]: names one value of a document (RFC 6901).

use std::fmt;
use std::str::FromStr;

use crate::scan::Kind;
use crate::value::Value;

/// A JSON Pointer such as `/posts/0/title`; the empty one names the whole document.
///
/// Keys with lone surrogates cannot be named: a pointer is made of characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Pointer {
    parts: Vec<String>,
}

/// Why a text is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointerFault {
    /// It is not empty and does not begin with `/`.
    NoSlash,
    /// A `~` with neither `0` nor `1` behind it.
    Tilde,
}

/// A text that is no pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PointerError {
    /// The text.
    pub text: String,
    /// Why.
    pub fault: PointerFault,
}

impl Pointer {
    /// Reads a pointer: each part behind a `/`, with `~1` for `/` and `~0` for `~`.
    ///
    /// # Errors
    /// When the text does not begin with `/`, or has a `~` that stands for nothing.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let error = |fault| PointerError { text: text.to_owned(), fault };
        if text.is_empty() {
            return Ok(Self::default());
        }
        let rest = text.strip_prefix('/').ok_or_else(|| error(PointerFault::NoSlash))?;
        let parts: Option<Vec<String>> = rest.split('/').map(unescape).collect();
        Ok(Self { parts: parts.ok_or_else(|| error(PointerFault::Tilde))? })
    }

    /// A pointer of these parts, which are taken as they are: keys, numbers of elements, or `-`.
    pub fn from_parts(parts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { parts: parts.into_iter().map(Into::into).collect() }
    }

    /// Its parts, unescaped; none for the whole document.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            write!(f, "/{}", part.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no JSON Pointer: ", self.text)?;
        f.write_str(match self.fault {
            PointerFault::NoSlash => "it must be empty or begin with /",
            PointerFault::Tilde => "~ must be written ~0, and ~1 stands for /",
        })
    }
}

impl std::error::Error for PointerError {}

/// The value that `pointer` names under `root`; `None` when there is none.
///
/// Where a key stands twice the last entry counts, as in [`Value::get`]. Elements are numbered from 0, without
/// leading zeros; `-` names the place after the last one, where no value is.
#[must_use]
pub fn resolve<'t>(root: Value<'t>, pointer: &Pointer) -> Option<Value<'t>> {
    follow(root, &pointer.parts)
}

pub(super) fn follow<'t>(root: Value<'t>, parts: &[String]) -> Option<Value<'t>> {
    parts.iter().try_fold(root, |value, part| match value.kind() {
        Kind::Array => value.elements().nth(number(part)?),
        _ => value.get(part),
    })
}

/// The number of an element; one too large to count is larger than any list is long.
pub(super) fn number(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (part == "0" || !part.starts_with('0'));
    plain.then(|| part.parse().unwrap_or(usize::MAX))
}

fn unescape(part: &str) -> Option<String> {
    let mut pieces = part.split('~');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match piece.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', piece.strip_prefix('1')?),
        };
        out.push(character);
        out.push_str(rest);
    }
    Some(out)
}
