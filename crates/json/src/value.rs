//! [`Value`]: a node of a scanned text, with the text beside it.

use std::borrow::Cow;

use crate::scan::{Kind, Node, Tree};

/// A value of a scanned text. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    text: &'t str,
    nodes: &'t [Node],
    at: u32,
}

impl Tree {
    /// The whole document. `text` must be what was scanned; `None` when the last scan failed or the text is
    /// no UTF-8.
    #[must_use]
    pub fn root<'t>(&'t self, text: &'t [u8]) -> Option<Value<'t>> {
        let text = std::str::from_utf8(text).ok()?;
        (!self.nodes.is_empty()).then_some(Value { text, nodes: &self.nodes, at: 0 })
    }
}

impl<'t> Value<'t> {
    /// What it is; never [`Kind::Key`].
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Its node: the span in the text.
    #[inline]
    #[must_use]
    pub fn node(self) -> Node {
        self.nodes[self.at as usize]
    }

    /// Index of its node in [`Tree::nodes`]; identifies the value within its document.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.at
    }

    /// The value with node index `at` in the same document.
    #[must_use]
    pub const fn at(self, at: u32) -> Self {
        Self { at, ..self }
    }

    /// The whole text that was scanned.
    #[must_use]
    pub const fn document(self) -> &'t str {
        self.text
    }

    /// The nodes of the whole document.
    pub(crate) const fn nodes(self) -> &'t [Node] {
        self.nodes
    }

    /// Its own text, exactly as it stands.
    #[inline]
    #[must_use]
    #[expect(clippy::string_slice, reason = "spans of the scanner begin and end at ASCII bytes")]
    pub fn raw(self) -> &'t str {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }

    /// A string's characters. `None` when it is no string, or has a lone surrogate.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        matches!(self.kind(), Kind::String | Kind::Key).then(|| unescape(self.raw()))?
    }

    /// A string's content as bytes: UTF-8, where each lone surrogate takes the three bytes of its number (WTF-8).
    /// Two strings are equal when these bytes are, however they are escaped. `None` when it is no string.
    #[must_use]
    pub fn content(self) -> Option<Cow<'t, [u8]>> {
        if !matches!(self.kind(), Kind::String | Kind::Key) {
            return None;
        }
        let inner = inside(self.raw());
        Some(match memchr::memchr(b'\\', inner.as_bytes()) {
            None => Cow::Borrowed(inner.as_bytes()),
            Some(first) => Cow::Owned(decode(inner, first)),
        })
    }

    /// An object's entries in order, duplicates included; empty for other kinds.
    #[must_use]
    pub fn entries(self) -> Entries<'t> {
        let end = if self.kind() == Kind::Object { self.node().next } else { self.at + 1 };
        Entries { value: self, at: self.at + 1, end }
    }

    /// An array's elements in order; empty for other kinds.
    #[must_use]
    pub fn elements(self) -> Elements<'t> {
        let end = if self.kind() == Kind::Array { self.node().next } else { self.at + 1 };
        Elements { value: self, at: self.at + 1, end }
    }

    /// The value of the last entry with this key (what most JSON readers take when a key stands twice).
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.entries()
            .filter(|(name, _)| name.as_str().is_some_and(|name| name == key))
            .last()
            .map(|(_, v)| v)
    }
}

/// Iterator over an object's (key, value) pairs; the key is a [`Kind::Key`] value.
#[derive(Debug, Clone)]
pub struct Entries<'t> {
    value: Value<'t>,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Entries<'t> {
    type Item = (Value<'t>, Value<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = self.value.at(self.at);
        let value = self.value.at(self.at + 1);
        self.at = value.node().next;
        Some((key, value))
    }
}

/// Iterator over an array's elements.
#[derive(Debug, Clone)]
pub struct Elements<'t> {
    value: Value<'t>,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Elements<'t> {
    type Item = Value<'t>;

    #[inline]
    fn next(&mut self) -> Option<Value<'t>> {
        if self.at >= self.end {
            return None;
        }
        let value = self.value.at(self.at);
        self.at = value.node().next;
        Some(value)
    }
}

/// The characters of a quoted JSON string that the scanner accepted; `None` for a lone surrogate.
fn unescape(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = inside(quoted);
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Some(Cow::Borrowed(inner));
    };
    String::from_utf8(decode(inner, first)).ok().map(Cow::Owned)
}

fn inside(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
}

/// Decodes the inside of a string, whose first escape is at `first`, to WTF-8: a lone surrogate gets the three
/// bytes its number would have in UTF-8, which no character has. Equal strings give equal bytes.
fn decode(inner: &str, first: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let (plain, mut rest) = inner.as_bytes().split_at(first);
    out.extend_from_slice(plain);
    while let [b'\\', name, after @ ..] = rest {
        rest = after;
        match name {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => rest = unit(after, &mut out),
            same => out.push(*same),
        }
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        rest = tail;
    }
    out
}

/// Appends what the four digits at the head of `digits` stand for, together with the low surrogate behind them
/// where there is one; returns what follows.
fn unit<'t>(digits: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let Some((high, rest)) = hex(digits) else { return &[] };
    let low = rest.strip_prefix(b"\\u").and_then(hex);
    let (code, rest) = match (high, low) {
        (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, rest))) => {
            (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), rest)
        }
        _ => (high, rest),
    };
    match char::from_u32(code) {
        Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            out.extend([0xe0 | sextet(code >> 12), 0x80 | sextet(code >> 6), 0x80 | sextet(code)]);
        }
    }
    rest
}

const fn sextet(bits: u32) -> u8 {
    (bits & 0x3f) as u8
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, tail) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, tail))
}
