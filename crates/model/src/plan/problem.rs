//! One thing wrong with a document, at its place.

use std::fmt;

use repot_json::Value;

use super::split::Misfit;
use super::walker::{exact_pointer, pointer_token};

/// Problems named at once; what else is wrong is found when these are mended.
pub const PROBLEMS_MAX: usize = 100;

/// One thing wrong with a document, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code of the catalogue.
    pub code: &'static str,
    /// JSON Pointer (RFC 6901) of the value, also of one that is missing; empty: the whole document.
    pub pointer: String,
    /// Where the value stands in the text, or what should hold it; 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// At `value`, or at what is missing below it by these names; `None`: at the whole document.
    pub(super) fn of(misfit: Misfit, value: Option<Value<'_>>, below: &[String]) -> Self {
        let Misfit { code, reason: message } = misfit;
        let Some(mut value) = value else {
            return Self { code, pointer: String::new(), line: 1, column: 1, message };
        };
        let mut below = below.iter();
        let mut rest = below.clone();
        while let Some(inner) = below.next().and_then(|name| value.get(name)) {
            value = inner;
            rest = below.clone();
        }
        let mut pointer = exact_pointer(value.at(0), value.index());
        for name in rest {
            pointer.push('/');
            pointer.push_str(&pointer_token(name));
        }
        let (line, column) = line_and_column(value.document().as_bytes(), value.node().start as usize);
        Self { code, pointer, line, column, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (line {}, column {})", self.code, self.message, self.line, self.column)
    }
}

/// Where the byte at `offset` stands: line and column, 1-based, the column in characters.
pub(super) fn line_and_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    // the bytes behind the first of a character are 10xxxxxx
    let first = |byte: &&u8| **byte & 0xc0 != 0x80;
    (line, before.iter().skip(start).filter(first).count() + 1)
}
