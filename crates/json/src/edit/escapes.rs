//! How a document escapes its strings, and strings written that way; [`quote`].

use std::fmt::Write as _;

/// Characters that JSON allows raw but that some writers escape as `\u00XX` (HTML-safe output).
const SOMETIMES: &[u8] = b"<>&'+=`\x7f";

/// Quotes `text` as a JSON string, escaping only what JSON requires.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(text, &mut out);
    out
}

/// Appends `text` as [`quote`] gives it.
pub fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        escape(text, out);
    }
    out.push('"');
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => unit(u32::from(character), false, out),
            _ => out.push(character),
        }
    }
}

/// A document's habits: what it writes as an escape although JSON does not ask for one.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    non_ascii: bool,
    slash: bool,
    upper: bool,
    also: Vec<u8>,
}

impl Escapes {
    /// Reads the habits off a scanned text, where a backslash can only stand in a string.
    pub(super) fn detect(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut seen = Seen::default();
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
            at += found;
            at += seen.escape(bytes.get(at + 1..).unwrap_or_default());
        }
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        seen.also.sort_unstable();
        seen.also.dedup();
        seen.also.retain(|&byte| memchr::memchr(byte, bytes).is_none());
        Self {
            non_ascii: seen.non_ascii && body.is_ascii(),
            slash: seen.slashes > 0 && memchr::memchr_iter(b'/', bytes).count() == seen.slashes,
            upper: seen.upper > seen.lower,
            also: seen.also,
        }
    }

    /// Appends a quoted string, with the escapes this document would have used.
    pub(super) fn write(&self, quoted: &str, out: &mut String) {
        if !self.non_ascii && !self.slash && !self.upper && self.also.is_empty() {
            out.push_str(quoted);
            return;
        }
        let mut chars = quoted.chars();
        while let Some(character) = chars.next() {
            match character {
                '\\' => {
                    out.push('\\');
                    let name = chars.next();
                    out.extend(name);
                    if name == Some('u') && self.upper {
                        out.extend(chars.by_ref().take(4).map(|digit| digit.to_ascii_uppercase()));
                    }
                }
                '/' if self.slash => out.push_str("\\/"),
                _ if !character.is_ascii() && self.non_ascii => {
                    for &mut code in character.encode_utf16(&mut [0; 2]) {
                        unit(u32::from(code), self.upper, out);
                    }
                }
                _ if u8::try_from(character).is_ok_and(|byte| self.also.contains(&byte)) => {
                    unit(u32::from(character), self.upper, out);
                }
                _ => out.push(character),
            }
        }
    }
}

/// What a text's escape sequences were.
#[derive(Default)]
struct Seen {
    non_ascii: bool,
    slashes: usize,
    upper: usize,
    lower: usize,
    also: Vec<u8>,
}

impl Seen {
    /// Notes the escape sequence that goes on with `rest` after its backslash; returns its length.
    fn escape(&mut self, rest: &[u8]) -> usize {
        match rest.split_first() {
            Some((b'u', rest)) => {
                let digits = rest.get(..4).unwrap_or_default();
                self.upper += usize::from(digits.iter().any(|digit| (b'A'..=b'F').contains(digit)));
                self.lower += usize::from(digits.iter().any(|digit| (b'a'..=b'f').contains(digit)));
                let Some(point) = code(digits) else { return 6 };
                match point {
                    0xd800..=0xdbff => {
                        let low = rest.get(4..10).and_then(|tail| tail.strip_prefix(b"\\u")).and_then(code);
                        self.non_ascii |= low.is_some_and(|low| (0xdc00..=0xdfff).contains(&low));
                    }
                    // Writers that leave everything else raw escape these too, so they tell nothing.
                    0xdc00..=0xdfff | 0x80..=0x9f | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff => {}
                    0xa0.. => self.non_ascii = true,
                    _ => self.also.extend(SOMETIMES.iter().filter(|&&byte| u32::from(byte) == point)),
                }
                6
            }
            Some((b'/', _)) => {
                self.slashes += 1;
                2
            }
            _ => 2,
        }
    }
}

fn code(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn unit(code: u32, upper: bool, out: &mut String) {
    let written = if upper { write!(out, "\\u{code:04X}") } else { write!(out, "\\u{code:04x}") };
    written.expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::{Escapes, quote};

    fn adapted(document: &str, text: &str) -> String {
        let mut out = String::new();
        Escapes::detect(document).write(&quote(text), &mut out);
        out
    }

    #[test]
    fn quote_escapes_only_what_json_requires() {
        assert_eq!(
            quote("a\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é😀"),
            r#""a\"\\/\b\f\n\r\t\u0000\u001f"#.to_owned() + "\u{7f}é😀\""
        );
    }

    #[test]
    fn non_ascii_is_escaped_where_the_document_does() {
        assert_eq!(adapted(r#""\u00e9""#, "é😀\0"), r#""\u00e9\ud83d\ude00\u0000""#);
        assert_eq!(adapted(r#""\u00E9""#, "é😀\u{1f}"), r#""\u00E9\uD83D\uDE00\u001F""#);
        assert_eq!(adapted("\u{feff}\"\\ud83d\\ude00\"", "é"), r#""\u00e9""#);
        assert_eq!(adapted(r#"["\u00e9", "ü"]"#, "é"), r#""é""#);
        assert_eq!(adapted(r#""plain""#, "é"), r#""é""#);
    }

    #[test]
    fn escapes_that_every_writer_uses_prove_nothing() {
        assert_eq!(adapted(r#""\ud800 \u2028""#, "é"), r#""é""#);
    }

    #[test]
    fn slashes_and_html_are_escaped_where_the_document_does() {
        assert_eq!(adapted(r#""a\/b""#, r"x/y\"), r#""x\/y\\""#);
        assert_eq!(adapted(r#""a\/b/c""#, "x/y"), r#""x/y""#);
        assert_eq!(adapted(r#""\u003cb\u003e""#, "<i> & 1"), r#""\u003ci\u003e & 1""#);
        assert_eq!(adapted(r#""\u003cb>""#, "<i>"), r#""\u003ci>""#);
        assert_eq!(adapted(r#""\\u003c / \\/""#, "</"), r#""</""#);
    }
}
