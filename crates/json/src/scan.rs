//! The scanner: JSON text to a flat list of nodes with spans. Iterative, so depth costs heap, never stack.

use std::fmt;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number; the span is its lexeme.
    Number,
    /// A string; the span includes the quotes.
    String,
    /// An array; its elements follow.
    Array,
    /// An object; `Key` node, value node, `Key` node ... follow.
    Object,
    /// An object's key; the span includes the quotes, its value is the next node.
    Key,
}

/// One node: a span of the text, and where its subtree ends in the node list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Index of the first node after this node's subtree.
    pub next: u32,
    /// What it is.
    pub kind: Kind,
}

/// Bounds that keep a hostile text from costing more than its size allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Deepest nesting of arrays and objects accepted.
    pub depth_max: usize,
    /// Most nodes accepted (16 bytes of memory each).
    pub nodes_max: usize,
}

impl Default for Limits {
    /// 5,000 levels (PostgreSQL's `json` refuses somewhere above 10,000), 4 million nodes (64 MiB).
    fn default() -> Self {
        Self { depth_max: 5_000, nodes_max: 4 << 20 }
    }
}

/// Why a text is no JSON (or is beyond the limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// The text ends inside a value, or is empty.
    Ends,
    /// A byte that cannot stand here.
    Unexpected,
    /// A raw control character inside a string.
    Control,
    /// A `\` sequence JSON does not know.
    Escape,
    /// A number JSON does not allow, such as `01` or `1.`.
    Number,
    /// Something stands after the value.
    Trailing,
    /// Nested deeper than [`Limits::depth_max`].
    TooDeep,
    /// More nodes than [`Limits::nodes_max`], or a text of 4 GiB or more.
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "not UTF-8",
            Self::Ends => "the text ends too early",
            Self::Unexpected => "a character that cannot stand here",
            Self::Control => "a raw control character in a string",
            Self::Escape => "an escape sequence JSON does not know",
            Self::Number => "a number JSON does not allow",
            Self::Trailing => "something stands after the end of the value",
            Self::TooDeep => "nested too deeply",
            Self::TooLarge => "too many values",
        })
    }
}

/// Where and why a text is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset into the text.
    pub offset: usize,
    /// Why.
    pub fault: Fault,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.fault, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

/// A scanned text: nodes in document order. Reusable, so that a worker scans millions of documents with one
/// allocation.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    open: Vec<u32>,
}

impl Tree {
    /// Scans `text` (a UTF-8 byte order mark is skipped).
    ///
    /// # Errors
    /// Where and why it is no JSON by RFC 8259. Lone surrogates (`"\ud800"`), duplicate keys and numbers of any
    /// size are JSON and are kept.
    pub fn parse(text: &[u8], limits: Limits) -> Result<Self, SyntaxError> {
        let mut tree = Self::default();
        tree.scan(text, limits)?;
        Ok(tree)
    }

    /// Like [`Tree::parse`], into this tree's memory. After an error the tree is empty.
    ///
    /// # Errors
    /// As [`Tree::parse`].
    pub fn scan(&mut self, text: &[u8], limits: Limits) -> Result<(), SyntaxError> {
        self.nodes.clear();
        self.open.clear();
        let done = self.run(text, limits);
        if done.is_err() {
            self.nodes.clear();
        }
        done
    }

    /// The nodes, in document order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn run(&mut self, bytes: &[u8], limits: Limits) -> Result<(), SyntaxError> {
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(SyntaxError { offset: error.valid_up_to(), fault: Fault::NotUtf8 });
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(SyntaxError { offset: 0, fault: Fault::TooLarge });
        }
        let mut scanner = Scanner { bytes, at: 0 };
        if bytes.starts_with(b"\xef\xbb\xbf") {
            scanner.at = 3;
        }
        scanner.blank();
        let mut expect = Expect::Value;
        loop {
            match expect {
                Expect::Value => {
                    if self.nodes.len() >= limits.nodes_max {
                        return Err(scanner.fault(Fault::TooLarge));
                    }
                    expect = self.value(&mut scanner, limits)?;
                }
                Expect::Key => {
                    let start = scanner.at;
                    if scanner.peek() != Some(b'"') {
                        return Err(scanner.wrong());
                    }
                    scanner.string()?;
                    self.push(start, scanner.at, Kind::Key);
                    scanner.blank();
                    scanner.eat(b':')?;
                    scanner.blank();
                    expect = Expect::Value;
                }
                Expect::After => {
                    let Some(&container) = self.open.last() else {
                        scanner.blank();
                        if scanner.at < bytes.len() {
                            return Err(scanner.fault(Fault::Trailing));
                        }
                        return Ok(());
                    };
                    expect = self.after(&mut scanner, container)?;
                }
            }
        }
    }

    fn value(&mut self, scanner: &mut Scanner<'_>, limits: Limits) -> Result<Expect, SyntaxError> {
        let start = scanner.at;
        let kind = match scanner.peek() {
            Some(b'"') => {
                scanner.string()?;
                Kind::String
            }
            Some(b'{') => return self.open(scanner, Kind::Object, b'}', limits),
            Some(b'[') => return self.open(scanner, Kind::Array, b']', limits),
            Some(b't') => scanner.word(b"true", Kind::True)?,
            Some(b'f') => scanner.word(b"false", Kind::False)?,
            Some(b'n') => scanner.word(b"null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => {
                scanner.number()?;
                Kind::Number
            }
            _ => return Err(scanner.wrong()),
        };
        self.push(start, scanner.at, kind);
        Ok(Expect::After)
    }

    fn open(
        &mut self,
        scanner: &mut Scanner<'_>,
        kind: Kind,
        close: u8,
        limits: Limits,
    ) -> Result<Expect, SyntaxError> {
        if self.open.len() >= limits.depth_max {
            return Err(scanner.fault(Fault::TooDeep));
        }
        let index = self.push(scanner.at, 0, kind);
        scanner.at += 1;
        scanner.blank();
        if scanner.peek() == Some(close) {
            scanner.at += 1;
            self.nodes[index as usize].end = offset(scanner.at);
            return Ok(Expect::After);
        }
        self.open.push(index);
        Ok(if kind == Kind::Object { Expect::Key } else { Expect::Value })
    }

    fn after(&mut self, scanner: &mut Scanner<'_>, container: u32) -> Result<Expect, SyntaxError> {
        let object = self.nodes[container as usize].kind == Kind::Object;
        scanner.blank();
        match scanner.peek() {
            Some(b',') => {
                scanner.at += 1;
                scanner.blank();
                Ok(if object { Expect::Key } else { Expect::Value })
            }
            Some(byte) if byte == if object { b'}' } else { b']' } => {
                scanner.at += 1;
                let next = offset(self.nodes.len());
                let node = &mut self.nodes[container as usize];
                node.end = offset(scanner.at);
                node.next = next;
                self.open.pop();
                Ok(Expect::After)
            }
            _ => Err(scanner.wrong()),
        }
    }

    fn push(&mut self, start: usize, end: usize, kind: Kind) -> u32 {
        let index = offset(self.nodes.len());
        self.nodes.push(Node { start: offset(start), end: offset(end), next: index + 1, kind });
        index
    }
}

enum Expect {
    Value,
    Key,
    After,
}

/// Texts of 4 GiB and more are refused before the first node is made.
#[expect(clippy::cast_possible_truncation, reason = "run() refuses texts whose offsets do not fit")]
const fn offset(at: usize) -> u32 {
    at as u32
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    const fn fault(&self, fault: Fault) -> SyntaxError {
        SyntaxError { offset: self.at, fault }
    }

    const fn wrong(&self) -> SyntaxError {
        self.fault(if self.at >= self.bytes.len() { Fault::Ends } else { Fault::Unexpected })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, SyntaxError> {
        for &byte in word {
            self.eat(byte)?;
        }
        Ok(kind)
    }

    /// Scans a string, the opening quote included.
    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault(Fault::Control)),
                None => return Err(self.fault(Fault::Ends)),
            }
        }
    }

    /// Skips bytes that need no look: eight at a time (the "has a byte less than / equal to" trick of
    /// Bit Twiddling Hacks), then one by one.
    #[inline]
    fn plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes.get(self.at..self.at + 8) {
            let Ok(eight) = chunk.try_into() else { break };
            let word = u64::from_le_bytes(eight);
            let quote = word ^ (ONES * 0x22);
            let slash = word ^ (ONES * 0x5c);
            let stop = (quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            let stop = stop & HIGH;
            if stop != 0 {
                self.at += (stop.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek() {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6);
                if digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    self.at += 6;
                    Ok(())
                } else {
                    Err(self.fault(Fault::Escape))
                }
            }
            Some(_) => Err(self.fault(Fault::Escape)),
            None => Err(self.fault(Fault::Ends)),
        }
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if let Some(b'0'..=b'9') = self.peek() { Err(self.fault(Fault::Number)) } else { Ok(()) }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(Fault::Number)) } else { Ok(()) }
    }
}
