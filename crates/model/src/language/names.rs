//! Names from documents inside the model's strings: plain where they can be, else in single quotes with `'`
//! doubled.

/// May this character stand in a name without quotes?
const fn plain_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$' | '@' | '#' | '-' | ':' | '/' | '+')
}

/// Splits a plain name off the front; empty when there is none.
pub(super) fn take_plain(text: &str) -> (&str, &str) {
    let end = text.find(|character| !plain_char(character)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads a quoted name at the front: the name and what follows. `None` when the closing quote is missing.
pub(super) fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut left = text.strip_prefix('\'')?;
    let mut name = String::new();
    loop {
        let (before, after) = left.split_once('\'')?;
        name.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                name.push('\'');
                left = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Reads a name, plain or quoted, at the front.
pub(super) fn take_name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('\'') {
        return take_quoted(text);
    }
    let (name, rest) = take_plain(text);
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

/// Writes a name so that [`take_name`] reads it.
pub(super) fn name_text(name: &str) -> String {
    if !name.is_empty() && name.chars().all(plain_char) { name.to_owned() } else { quoted(name) }
}

/// In single quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// `[A-Za-z_][A-Za-z0-9_]*`: fit for a collection or a field.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::{name_text, take_name};

    #[test]
    fn every_name_is_read_back() {
        for name in ["id", "$ref", "", "a.b", "it's", "''", "odd name", "=", "naïve", "x|y", "\u{0}\n"] {
            assert_eq!(take_name(&name_text(name)), Some((name.to_owned(), "")), "{name:?}");
        }
        assert_eq!(take_name("'open"), None);
        assert_eq!(take_name(".a"), None);
    }
}
