//! What of a file inference needs to see again.

use repot_json::{Kind, Limits, Tree};

use crate::roots::lines;

/// What a corpus that keeps contents for the next walk has to keep of these: all of them, or a byte that stands for
/// a file in which neither the whole nor any line is JSON, such as a picture. Inference gives the same model for both.
#[must_use]
pub fn essence(bytes: &[u8]) -> &[u8] {
    if bytes.len() <= 1 || holds_json(bytes) {
        bytes
    } else if std::str::from_utf8(bytes).is_err() || bytes.contains(&0) {
        b"\0"
    } else {
        b"?"
    }
}

/// Whether the whole may be JSON, or a line is an object or a list. Documents are told by their first byte: to
/// scan them here would cost one walk more.
fn holds_json(bytes: &[u8]) -> bool {
    let mut json = Tree::default();
    let whole = match first(bytes) {
        Some(b'{' | b'[') => true,
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => json.scan(bytes, Limits::default()).is_ok(),
        _ => false,
    };
    whole
        || lines(bytes).filter(|line| matches!(first(line), Some(b'{' | b'['))).any(|line| {
            json.scan(line, Limits::default()).is_ok()
                && json.root(line).is_some_and(|root| matches!(root.kind(), Kind::Object | Kind::Array))
        })
}

/// The first byte that a scanner looks at: it passes over a mark of the byte order, in a line too.
fn first(bytes: &[u8]) -> Option<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.trim_ascii_start().first().copied()
}

#[cfg(test)]
mod tests {
    use super::essence;

    #[test]
    fn what_may_be_json_is_kept_and_the_rest_is_a_byte() {
        let kept: [&[u8]; 15] = [
            b"",
            b"x",
            b"{}",
            b" \r\n [torn",
            b"\xef\xbb\xbf{}",
            b"\xef\xbb\xbf{}\n{}",
            b"null",
            b"-1.5e3 ",
            b"\"text\"",
            b"time,line\n{\"a\": 1}\nend",
            b"\xff\n [1]\n\0",
            b"words\n\xef\xbb\xbf{}",
            b"true",
            b"false\n",
            b"17\n",
        ];
        for bytes in kept {
            assert_eq!(essence(bytes), bytes, "{}", bytes.escape_ascii());
        }
        let text: [&[u8]; 6] = [
            b"# Title\n[link](to)\n",
            b"name,age\n1,2\n",
            b"1\n2\n",
            b" \n",
            b"tr\n{torn\n",
            b"\xef\xbb\xbf1\n2",
        ];
        for bytes in text {
            assert_eq!(essence(bytes), b"?", "{}", bytes.escape_ascii());
        }
        for bytes in [&b"\x89PNG\r\n\x1a\n{\0[\n{\"a\"\xff: 1}\n"[..], b"text\0", b"\xff\xfe{\0}\0", b"1\n\0"]
        {
            assert_eq!(essence(bytes), b"\0", "{}", bytes.escape_ascii());
        }
    }
}
