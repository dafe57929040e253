//! Lists as SQLite columns hold them: a JSON array without blanks.

use std::borrow::Cow;
use std::io::Write as _;

use repot_model::row::{Cell, Cells};

/// Appends the JSON text of a list given as the payload of [`Cell::List`].
pub(crate) fn push(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(b'[');
    for (at, cell) in Cells::list(payload).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let written = match cell {
            Cell::Int(value) => write!(out, "{value}"),
            Cell::Float(value) => write!(out, "{value:?}"),
            Cell::Bool(value) => write!(out, "{value}"),
            Cell::Text(text) => {
                string(out, &text);
                Ok(())
            }
            _ => out.write_all(b"null"),
        };
        written.expect("a Vec takes everything");
    }
    out.push(b']');
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => write!(out, "\\u{byte:04x}").expect("a Vec takes everything"),
            other => out.push(other),
        }
    }
    out.push(b'"');
}

/// The payload of the list that `text` is, or `None` when it is no array of scalars that a list can hold.
/// `floats`: every number is a double; otherwise whole numbers are integers.
pub(crate) fn parse(text: &str, floats: bool) -> Option<Vec<u8>> {
    let mut reader = Reader { rest: text.trim_ascii(), floats };
    let mut payload = Vec::new();
    reader.eat('[')?;
    if reader.eat(']').is_some() {
        return reader.rest.is_empty().then_some(payload);
    }
    loop {
        reader.element()?.encode(&mut payload);
        if reader.eat(',').is_none() {
            reader.eat(']')?;
            return reader.rest.is_empty().then_some(payload);
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    floats: bool,
}

impl<'t> Reader<'t> {
    fn eat(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.trim_ascii_start().strip_prefix(wanted)?.trim_ascii_start();
        Some(())
    }

    fn element(&mut self) -> Option<Cell<'t>> {
        if let Some(rest) = self.rest.strip_prefix('"') {
            return self.text(rest);
        }
        let end = self.rest.find([',', ']', ' ', '\n', '\r', '\t'])?;
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match word {
            "null" => Some(Cell::Null),
            "true" => Some(Cell::Bool(true)),
            "false" => Some(Cell::Bool(false)),
            number => self.number(number),
        }
    }

    fn number(&self, word: &str) -> Option<Cell<'t>> {
        let digits = word.strip_prefix('-').unwrap_or(word);
        let json = digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        if !json {
            return None;
        }
        if !self.floats
            && let Ok(value) = word.parse()
        {
            return Some(Cell::Int(value));
        }
        word.parse().ok().filter(|value: &f64| value.is_finite()).map(Cell::Float)
    }

    fn text(&mut self, from: &'t str) -> Option<Cell<'t>> {
        let end = from.find(['"', '\\'])?;
        let (plain, mut rest) = from.split_at_checked(end)?;
        if let Some(after) = rest.strip_prefix('"') {
            self.rest = after;
            return Some(Cell::Text(Cow::Borrowed(plain)));
        }
        let mut out = plain.to_owned();
        loop {
            let end = rest.find(['"', '\\'])?;
            let (plain, tail) = rest.split_at_checked(end)?;
            out.push_str(plain);
            if let Some(after) = tail.strip_prefix('"') {
                self.rest = after;
                return Some(Cell::Text(Cow::Owned(out)));
            }
            let mut characters = tail.strip_prefix('\\')?.chars();
            let escaped = characters.next()?;
            rest = characters.as_str();
            out.push(match escaped {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => unicode(&mut rest)?,
                same @ ('"' | '\\' | '/') => same,
                _ => return None,
            });
        }
    }
}

fn unicode(rest: &mut &str) -> Option<char> {
    let mut unit = || {
        let (digits, tail) = rest.split_at_checked(4)?;
        *rest = tail;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let high = unit()?;
    if (0xd800..0xdc00).contains(&high) {
        *rest = rest.strip_prefix("\\u")?;
        let (digits, tail) = rest.split_at_checked(4)?;
        let low = u32::from_str_radix(digits, 16).ok().filter(|low| (0xdc00..0xe000).contains(low))?;
        *rest = tail;
        return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    }
    char::from_u32(high).filter(|&character| character != '\0')
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{parse, push};
    use repot_model::row::Cell;

    #[test]
    fn lists_come_back() {
        let texts = ["", "a,b]", "\"", "\\", "\n\t\r\u{1}\u{1f}", "\u{1f600} \u{e9}", "[1]", " "];
        let mut payload = Vec::new();
        for text in texts {
            Cell::Text(Cow::Borrowed(text)).encode(&mut payload);
            Cell::Null.encode(&mut payload);
        }
        for cell in [Cell::Int(i64::MIN), Cell::Int(i64::MAX), Cell::Bool(true), Cell::Bool(false)] {
            cell.encode(&mut payload);
        }
        let mut out = Vec::new();
        push(&mut out, &payload);
        assert_eq!(parse(std::str::from_utf8(&out).unwrap(), false), Some(payload));

        let mut payload = Vec::new();
        for value in [0.0, 1.0, -1.5, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2, 1e21] {
            Cell::Float(value).encode(&mut payload);
        }
        let mut out = Vec::new();
        push(&mut out, &payload);
        assert_eq!(parse(std::str::from_utf8(&out).unwrap(), true), Some(payload));
        assert_eq!(parse("[]", false), Some(Vec::new()));
    }

    #[test]
    fn other_spellings_and_what_is_no_list() {
        assert_eq!(parse(r#" [ "a" , null ] "#, false), parse(r#"["a",null]"#, false));
        assert_eq!(parse(r#"["\ud83d\ude00\/"]"#, false), parse("[\"\u{1f600}/\"]", false));
        for bad in [
            "",
            "[",
            "]",
            "[1",
            "[1,]",
            "[,]",
            "[1]x",
            "{}",
            "[[1]]",
            "[nan]",
            "[inf]",
            "[1e999]",
            r#"["\ud800"]"#,
            r#"["\u0000"]"#,
            r#"["\x"]"#,
            "[+1]",
            r#"["\u+041"]"#,
        ] {
            assert_eq!(parse(bad, false), None, "{bad}");
        }
    }
}
