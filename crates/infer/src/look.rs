//! What a text looks like: an id, a date, a locale, a word. No statistics here, one text at a time.

/// The part before the extension and the extension, lower or upper case as written. A name that begins with
/// its only dot has no extension.
pub(crate) fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && (1..=10).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            (stem, Some(extension))
        }
        _ => (name, None),
    }
}

/// A lower-case UUID in its usual form.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0_u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
    })
}

/// `YYYY-MM-DD`, a day that exists.
pub(crate) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10 && date_prefix(bytes)
}

fn date_prefix(bytes: &[u8]) -> bool {
    let (Some(year), Some(month), Some(day)) = (
        bytes.get(..4).and_then(number),
        bytes.get(5..7).and_then(number),
        bytes.get(8..10).and_then(number),
    ) else {
        return false;
    };
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') || year == 0 {
        return false;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// What is known of an instant's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// `Z` or an offset stands there.
    Given,
    /// None: read as UTC.
    Missing,
}

/// An ISO 8601 instant: date, `T` or a blank, `hh:mm:ss`, perhaps a fraction, perhaps `Z` or `+hh:mm`.
pub(crate) fn instant(text: &str) -> Option<Zone> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !date_prefix(bytes) || !matches!(bytes.get(10), Some(b'T' | b' ')) {
        return None;
    }
    let (hour, minute, second) =
        (number(bytes.get(11..13)?)?, number(bytes.get(14..16)?)?, number(bytes.get(17..19)?)?);
    if bytes.get(13) != Some(&b':') || bytes.get(16) != Some(&b':') || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    let mut rest = bytes.get(19..)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        rest = fraction.get(digits..)?;
    }
    match rest {
        [] => Some(Zone::Missing),
        [b'Z'] => Some(Zone::Given),
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            (number(&[*h1, *h2])? <= 14 && number(&[*m1, *m2])? <= 59).then_some(Zone::Given)
        }
        _ => None,
    }
}

/// A four-digit year people keep files by.
pub(crate) fn is_year(text: &str) -> bool {
    text.len() == 4 && number(text.as_bytes()).is_some_and(|year| (1500..=2200).contains(&year))
}

/// `en`, `pt-BR`, `zh_Hans`, `kab-KAB`.
pub(crate) fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| {
            (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && text.len() <= 12
}

/// A name no person would give twice: digits, a UUID, a hash, a date.
pub(crate) fn is_certain_id(text: &str) -> bool {
    is_uuid(text)
        || is_date(text)
        || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        || hex_run(text) >= 12
}

/// A name that is data rather than a word somebody chose for a folder, a file or a key.
pub(crate) fn is_data(text: &str) -> bool {
    if text.is_empty() || is_certain_id(text) {
        return true;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits * 10 >= text.len() * 3 || digit_run(text) >= 3 || hex_run(text) >= 8
}

/// A key of an object that no programmer would write as a field's name.
pub(crate) fn is_data_key(text: &str) -> bool {
    is_data(text)
        || text.len() > 40
        || text.bytes().any(|byte| matches!(byte, b'/' | b'#' | b'@' | b' ' | b'.' | b':' | b'|'))
}

fn digit_run(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

fn hex_run(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .filter(|run| run.bytes().any(|byte| byte.is_ascii_digit()))
        .map(str::len)
        .max()
        .unwrap_or(0)
}

/// A word an enum could hold.
pub(crate) fn is_word(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_whole_and_real() {
        assert_eq!(instant("2024-02-29T23:59:59Z"), Some(Zone::Given));
        assert_eq!(instant("2024-02-29 23:59:59.123456"), Some(Zone::Missing));
        assert_eq!(instant("2024-02-29T23:59:59+05:30"), Some(Zone::Given));
        for wrong in [
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00.",
            "2024-01-01T00:00Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_that_are_data() {
        for data in [
            "u1",
            "ger000013",
            "2020-21",
            "0e3523e4",
            "noah_brown_6181",
            "17",
            "4b9e0c1f-4f3a-4a51-9f7e-0c9b8f1f2a11",
        ] {
            assert!(is_data(data), "{data}");
        }
        for word in ["uploads", "at.1", "queue-2", "drama", "stage1", "first_name"] {
            assert!(!is_data(word), "{word}");
        }
        assert!(is_locale("pt-BR") && is_locale("en") && is_locale("kab-KAB") && !is_locale("uploads"));
    }

    #[test]
    fn names_split_at_the_extension() {
        assert_eq!(split_name("at.1.json"), ("at.1", Some("json")));
        assert_eq!(split_name(".gitignore"), (".gitignore", None));
        assert_eq!(split_name("README"), ("README", None));
    }
}
