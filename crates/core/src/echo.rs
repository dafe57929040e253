//! The statements that go to a database, told to whoever wants to see them, without the values in them.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};

/// Is told each statement before it is sent. Cheap to clone.
///
/// Values are never told: those that are sent beside a statement are not looked at, and those that stand in its text are
/// shown as `?`.
#[derive(Clone)]
pub struct Echo(Arc<dyn Fn(&str) + Send + Sync>);

impl Echo {
    /// Tells `sink` each statement, on the thread that sends it. It must not block.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Tells a statement.
    pub fn say(&self, sql: &str) {
        (self.0)(&without_values(sql));
    }
}

impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Echo")
    }
}

/// Whether a setting such as `DATABASE_ECHO` asks for statements; [`truth`] says how it is written.
///
/// # Errors
/// [`Kind::Invalid`], code `R0100`, when it is another word.
pub fn is_echo_wanted(value: &str) -> Result<bool> {
    truth(value).ok_or_else(|| {
        Error::new(Kind::Invalid, "R0100", "DATABASE_ECHO is neither `true` nor `false`")
            .hint("With `true` statements are shown; values never are.")
    })
}

/// A setting that is on or off, as people write it: `true`, `1`, `yes`, `on`, or `false`, `0`, `no`, `off`.
#[must_use]
pub fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// SQL with `?` in place of each text, number and other literal, on one line, and without comments. What is in double
/// quotes is a name. What is not closed is taken for a literal to the end.
#[must_use]
pub fn without_values(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let before = out.chars().next_back();
        let behind = sql.get(..sql.len() - rest.len()).and_then(|done| done.chars().next_back());
        let in_word = before.is_some_and(is_word);
        let length = match first {
            '\'' => {
                // E'..' has escapes; X'..' and B'..' have not
                let prefix = if in_word { out.pop() } else { None };
                if let Some(letter) = prefix.filter(|letter| !"eEbBxXnN".contains(*letter)) {
                    out.push(letter);
                }
                out.push('?');
                quoted(rest, prefix.is_some_and(|letter| "eE".contains(letter)))
            }
            '"' => {
                let length = quoted(rest, false);
                out.push_str(rest.get(..length).unwrap_or_default());
                length
            }
            '$' if !in_word && dollar_tag(rest).is_some() => {
                out.push('?');
                let tag = dollar_tag(rest).unwrap_or_default();
                rest.get(tag.len()..)
                    .and_then(|inside| inside.find(tag))
                    .map_or(rest.len(), |end| end + 2 * tag.len())
            }
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            // `$1` and `?1` are parameters
            '0'..='9' if !in_word && !matches!(behind, Some('$' | '?')) => {
                out.push('?');
                number(rest)
            }
            space if space.is_whitespace() => {
                if before.is_some_and(|before| before != ' ') {
                    out.push(' ');
                }
                space.len_utf8()
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        // each length ends behind an ASCII letter or a whole one
        rest = rest.get(length..).unwrap_or_default();
    }
    out.truncate(out.trim_end().len());
    out
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Length of what stands in quotes at the beginning; a doubled quote does not end it.
fn quoted(text: &str, escapes: bool) -> usize {
    let quote = text.as_bytes()[0];
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `$tag$`, `$$`; `None` for a parameter such as `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let (tag, _) = text.strip_prefix('$')?.split_once('$')?;
    let first_is_digit = tag.starts_with(|first: char| first.is_ascii_digit());
    (!first_is_digit && tag.chars().all(is_word)).then(|| text.get(..tag.len() + 2)).flatten()
}

/// Length of a comment; in PostgreSQL comments stand in one another.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// Length of a number: digits, a fraction, an exponent with its sign, `0x1f`.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let sign = matches!(bytes[at], b'+' | b'-') && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
        if !(bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_') || sign) {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn values_are_hidden_and_the_rest_stays() {
        for (sql, shown) in [
            (
                "select a1, \"b 'c' 2\" from t2 where x = $1 and y = ?1",
                "select a1, \"b 'c' 2\" from t2 where x = $1 and y = ?1",
            ),
            (
                "insert into t values ('it''s a secret', 12, -1.5e-7, x'00ff')",
                "insert into t values (?, ?, -?, ?)",
            ),
            ("select E'a\\'secret' , 'a\\' , 0x1F", "select ? , ? , ?"),
            ("do $body$ 'secret' $$ $body$; select $$secret$$", "do ?; select ?"),
            ("select 1 -- secret\n, /* a /* secret */ b */ 2", "select ? , ?"),
            ("select 'not closed secret", "select ?"),
            ("  select\n\t1 ", "select ?"),
            ("select 'é', \"é\", é2 from ü where 3=4", "select ?, \"é\", é2 from ü where ?=?"),
        ] {
            assert_eq!(without_values(sql), shown, "{sql}");
        }
    }

    /// Whatever is cut off, no part of a literal comes through, and nothing panics.
    #[test]
    fn what_is_cut_off_hides_too() {
        let sql = "select 'sécret', E'se\\'cret', $x$secret$x$ /* secret */ -- secret\n, \"name\"";
        for part in (0..=sql.len()).filter_map(|end| sql.get(..end)) {
            let shown = without_values(part);
            assert!(!shown.contains("cret") && !shown.contains("sé"), "{shown}");
        }
    }
}
