//! Lines as `sha256sum` writes and reads them: a hash, two spaces, a name.

use repot_core::{Error, Kind, Result, hex, path_text};

/// Digits of a SHA-256.
const DIGITS: usize = 64;

/// An object that a receipt names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub sha256: [u8; 32],
    /// Its path, as text ([`path_text`]).
    pub path: String,
}

/// Adds a line. A name with a newline, a carriage return or a backslash is escaped, and the line begins with a backslash then.
pub(super) fn push(out: &mut Vec<u8>, first: &str, path: &str) {
    let name = path_text::decode(path);
    let is_escaped = name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
    if is_escaped {
        out.push(b'\\');
    }
    out.extend_from_slice(first.as_bytes());
    out.extend_from_slice(b"  ");
    for byte in name {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(byte),
        }
    }
    out.push(b'\n');
}

/// Adds the line of an object with this hash.
pub(super) fn push_hash(out: &mut Vec<u8>, sha256: &[u8], path: &str) {
    push(out, &hex(sha256), path);
}

/// Reads lines with hashes.
///
/// # Errors
/// `R0742` when it holds anything else.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Line>> {
    let Some(whole) = bytes.strip_suffix(b"\n") else {
        return if bytes.is_empty() { Ok(Vec::new()) } else { Err(damaged("its last line has no end")) };
    };
    whole.split(|byte| *byte == b'\n').map(line).collect()
}

fn line(line: &[u8]) -> Result<Line> {
    let (line, is_escaped) = line.strip_prefix(b"\\").map_or((line, false), |line| (line, true));
    let wrong = || damaged("a line is no line of sha256sum");
    let (digits, rest) = line.split_at_checked(DIGITS).ok_or_else(wrong)?;
    let name = rest.strip_prefix(b"  ").ok_or_else(wrong)?;
    let name = if is_escaped { unescaped(name).ok_or_else(wrong)? } else { name.to_vec() };
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(Line { sha256: hash(digits).ok_or_else(wrong)?, path: path_text::encode(&name) })
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, byte == &b'\\') {
            (_, true) => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            (byte, false) => *byte,
        });
    }
    Some(out)
}

fn hash(digits: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    (digits.len() == DIGITS).then_some(hash)
}

/// A receipt that is not what was written.
pub(super) fn damaged(what: &str) -> Error {
    Error::new(Kind::Refused, "R0742", format!("the receipt beside the source is not the one of this database: {what}"))
        .hint("Nothing was removed. Look whether the source is the right one, or remove what you do not need by hand.")
}

#[cfg(test)]
mod tests {
    use repot_core::path_text;

    use super::{Line, push_hash, read};

    #[test]
    fn every_name_comes_back() {
        let names: [&[u8]; 7] =
            [b"a/b.json", b"two  spaces", b"a\nb", b"a\\nb", b"a\rb", b"caf\xe9", "\u{f7e9}".as_bytes()];
        let mut text = Vec::new();
        let mut wanted = Vec::new();
        for (at, name) in (0_u8..).zip(names) {
            let (sha256, path) = ([at.wrapping_mul(37); 32], path_text::encode(name));
            push_hash(&mut text, &sha256, &path);
            wanted.push(Line { sha256, path });
        }
        assert_eq!(read(&text).unwrap(), wanted);
        assert_eq!(read(b"").unwrap(), []);
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), names.len());
        for wrong in [
            text[..text.len() - 1].to_vec(),
            text[1..].to_vec(),
            b"\n".to_vec(),
            format!("{}  \n", "0".repeat(64)).into_bytes(),
            format!("{} *a\n", "0".repeat(64)).into_bytes(),
            format!("{}  a\n", "0".repeat(63)).into_bytes(),
            format!("{}  a\n", "g".repeat(64)).into_bytes(),
            format!("\\{}  a\\x\n", "0".repeat(64)).into_bytes(),
        ] {
            assert_eq!(read(&wrong).unwrap_err().code(), "R0742", "{}", String::from_utf8_lossy(&wrong));
        }
    }
}
