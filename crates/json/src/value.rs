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
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Some(Cow::Borrowed(inner));
    };
    let mut out = String::with_capacity(inner.len());
    let (plain, mut rest) = inner.split_at(first);
    out.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let mut chars = escape.chars();
        let mut after = chars.clone();
        let name = chars.next()?;
        after.next();
        match name {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let (unit, tail) = hex(after.as_str())?;
                let (character, tail) = surrogate(unit, tail)?;
                out.push(character);
                after = tail.chars();
            }
            same => out.push(same),
        }
        rest = after.as_str();
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.push_str(head);
        rest = tail;
    }
    Some(Cow::Owned(out))
}

fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, tail) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, tail))
}

fn surrogate(unit: u32, tail: &str) -> Option<(char, &str)> {
    if let 0xd800..=0xdbff = unit {
        let (low, rest) = hex(tail.strip_prefix("\\u")?)?;
        if let 0xdc00..=0xdfff = low {
            let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return Some((char::from_u32(code)?, rest));
        }
        return None;
    }
    Some((char::from_u32(unit)?, tail))
}
