//! A JSON value (or a word of a path) to a cell of a column, and back to JSON text. The same on every database.

use std::borrow::Cow;

use repot_json::{Kind, Value};

use super::program::ColumnProgram;
use super::time::{parse_date, parse_time};
use super::{ColumnKind, uuid_text};
use crate::row::{Cell, Cells};

/// Longest text of a key column in bytes: PostgreSQL refuses index rows of about 2,700.
const KEY_BYTES_MAX: usize = 1_000;

/// Why a value gives no cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The right kind of value, but no database column can say it (`1e400`, NUL, a lone surrogate): null in the
    /// column, kept in the text.
    Unsayable,
    /// It does not fit the model: code and what is wrong.
    Wrong(&'static str, String),
}

/// The cell of a non-null JSON value.
pub(crate) fn cell<'t>(value: Value<'t>, column: &ColumnProgram) -> Result<Cell<'t>, Unfit> {
    let cell = match column.kind {
        ColumnKind::Text(most) => Cell::Text(text(value, most)?),
        ColumnKind::Int => Cell::Int(integer(value)?),
        ColumnKind::Float => Cell::Float(float(value)?),
        ColumnKind::Decimal => {
            number(value)?;
            Cell::Decimal(Cow::Owned(decimal(value.raw()).ok_or(Unfit::Unsayable)?))
        }
        ColumnKind::Bool => Cell::Bool(boolean(value)?),
        ColumnKind::Time => Cell::Time(parsed(value, "a date and time", parse_time)?),
        ColumnKind::Date => Cell::Date(parsed(value, "a date (YYYY-MM-DD)", parse_date)?),
        ColumnKind::Uuid => Cell::Uuid(parsed(value, "a UUID", uuid)?),
        ColumnKind::Json => Cell::Json(Cow::Borrowed(value.raw())),
        ColumnKind::Bytes => Cell::Bytes(Cow::Owned(parsed(value, "base64", base64)?)),
        ColumnKind::TextList | ColumnKind::IntList | ColumnKind::FloatList | ColumnKind::BoolList => {
            list(value, column.kind)?
        }
    };
    check(&cell, column)?;
    Ok(cell)
}

/// The cell of a word of a path or a key of a map.
pub(crate) fn word<'t>(word: Cow<'t, str>, column: &ColumnProgram) -> Result<Cell<'t>, Unfit> {
    let wrong = |expected: &str| wrong_kind(&format!("`{word}` in the path"), expected);
    let cell = match column.kind {
        ColumnKind::Text(most) => Cell::Text(bounded(word, most)?),
        ColumnKind::Int => match word.parse::<i64>() {
            Ok(value) if value.to_string() == *word => Cell::Int(value),
            _ => return Err(wrong("a whole number")),
        },
        ColumnKind::Uuid => Cell::Uuid(uuid(&word).ok_or_else(|| wrong("a UUID"))?),
        ColumnKind::Date => Cell::Date(parse_date(&word).ok_or_else(|| wrong("a date"))?),
        ColumnKind::Time => Cell::Time(parse_time(&word).ok_or_else(|| wrong("a date and time"))?),
        _ => return Err(wrong("a type that a path can hold (text, int, uuid, date, time)")),
    };
    check(&cell, column)?;
    Ok(cell)
}

fn check(cell: &Cell<'_>, column: &ColumnProgram) -> Result<(), Unfit> {
    if let Cell::Text(text) = cell {
        if !column.words.is_empty() && !column.words.iter().any(|word| word == text) {
            let shown: String = text.chars().take(40).collect();
            let words = column.words.join(" | ");
            return Err(Unfit::Wrong("R0313", format!("\"{shown}\" is none of {words}")));
        }
        if column.key && text.len() > KEY_BYTES_MAX {
            let bytes = text.len();
            return Err(Unfit::Wrong(
                "R0317",
                format!("the key has {bytes} bytes, {KEY_BYTES_MAX} are the most"),
            ));
        }
    }
    Ok(())
}

fn wrong_kind(found: &str, expected: &str) -> Unfit {
    Unfit::Wrong("R0310", format!("{found} where the model says {expected}"))
}

fn kind_name(value: Value<'_>) -> &'static str {
    match value.kind() {
        Kind::Null => "null",
        Kind::False | Kind::True => "a boolean",
        Kind::Number => "a number",
        Kind::String | Kind::Key => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}

fn text(value: Value<'_>, most: Option<u32>) -> Result<Cow<'_, str>, Unfit> {
    if value.kind() != Kind::String {
        return Err(wrong_kind(kind_name(value), "text"));
    }
    bounded(value.as_str().ok_or(Unfit::Unsayable)?, most)
}

fn bounded(text: Cow<'_, str>, most: Option<u32>) -> Result<Cow<'_, str>, Unfit> {
    if let Some(most) = most {
        let most = most as usize;
        if text.len() > most {
            let characters = text.chars().count();
            if characters > most {
                return Err(Unfit::Wrong("R0311", format!("{characters} characters, the model says {most}")));
            }
        }
    }
    if text.contains('\0') { Err(Unfit::Unsayable) } else { Ok(text) }
}

fn number(value: Value<'_>) -> Result<(), Unfit> {
    if value.kind() == Kind::Number { Ok(()) } else { Err(wrong_kind(kind_name(value), "a number")) }
}

fn integer(value: Value<'_>) -> Result<i64, Unfit> {
    /// Whole doubles up to here are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.kind() != Kind::Number {
        return Err(wrong_kind(kind_name(value), "a whole number"));
    }
    let lexeme = value.raw();
    if let Ok(number) = lexeme.parse() {
        return Ok(number);
    }
    if !lexeme.contains(['.', 'e', 'E']) {
        return Err(Unfit::Unsayable);
    }
    let number: f64 = lexeme.parse().unwrap_or(f64::INFINITY);
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53")]
        return Ok(number as i64);
    }
    Err(wrong_kind(&format!("{lexeme:.40}"), "a whole number"))
}

fn float(value: Value<'_>) -> Result<f64, Unfit> {
    number(value)?;
    match value.raw().parse::<f64>() {
        // SQLite keeps whole doubles as integers, which have no -0
        Ok(number) if number.is_finite() => Ok(number + 0.0),
        _ => Err(Unfit::Unsayable),
    }
}

fn boolean(value: Value<'_>) -> Result<bool, Unfit> {
    match value.kind() {
        Kind::True => Ok(true),
        Kind::False => Ok(false),
        _ => Err(wrong_kind(kind_name(value), "true or false")),
    }
}

fn parsed<T>(value: Value<'_>, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Unfit> {
    if value.kind() != Kind::String {
        return Err(wrong_kind(kind_name(value), expected));
    }
    let text = value.as_str().ok_or(Unfit::Unsayable)?;
    parse(&text).ok_or_else(|| wrong_kind(&format!("\"{text:.40}\""), expected))
}

fn list(value: Value<'_>, kind: ColumnKind) -> Result<Cell<'_>, Unfit> {
    if value.kind() != Kind::Array {
        return Err(wrong_kind(kind_name(value), "a list"));
    }
    let mut payload = Vec::new();
    for element in value.elements() {
        let cell = match (element.kind(), kind) {
            (Kind::Null, _) => Cell::Null,
            (_, ColumnKind::TextList) => Cell::Text(text(element, None)?),
            (_, ColumnKind::IntList) => Cell::Int(integer(element)?),
            (_, ColumnKind::FloatList) => Cell::Float(float(element)?),
            _ => Cell::Bool(boolean(element)?),
        };
        cell.encode(&mut payload);
    }
    Ok(Cell::List(Cow::Owned(payload)))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut out = [0_u8; 16];
    let mut digits = 0_usize;
    if text.len() != 36 {
        return None;
    }
    for (at, byte) in text.bytes().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
        out[digits / 2] = (out[digits / 2] << 4) | digit;
        digits += 1;
    }
    Some(out)
}

/// Plain notation of a JSON number: no exponent, no leading or trailing zeros, `0` for every zero. `None` when
/// it would have more than 1,000 digits.
pub(crate) fn decimal(lexeme: &str) -> Option<String> {
    const DIGITS_MAX: i64 = 1_000;
    let (negative, rest) = lexeme.strip_prefix('-').map_or((false, lexeme), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_empty() {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let exponent: i64 = exponent.parse().ok()?;
    let leading = i64::try_from(digits.len() - digits.trim_start_matches('0').len()).ok()?;
    // the decimal point stands `point` digits after the first significant one
    let point = i64::try_from(whole.len()).ok()?.checked_sub(leading)?.checked_add(exponent)?;
    let count = i64::try_from(significant.len()).ok()?;
    if point.abs() > DIGITS_MAX || count > DIGITS_MAX {
        return None;
    }
    let mut out = String::new();
    if negative {
        out.push('-');
    }
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-point).ok()?));
        out.push_str(significant);
    } else if point >= count {
        out.push_str(significant);
        out.extend(std::iter::repeat_n('0', usize::try_from(point - count).ok()?));
    } else {
        let (head, tail) = significant.split_at(usize::try_from(point).ok()?);
        out.push_str(head);
        out.push('.');
        out.push_str(tail);
    }
    Some(out)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding; only the one spelling an encoder makes.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    for (at, chunk) in bytes.chunks_exact(4).enumerate() {
        let last = (at + 1) * 4 == bytes.len();
        let padding = if last { chunk.iter().rev().take_while(|&&byte| byte == b'=').count() } else { 0 };
        let mut group = 0_u32;
        for (place, byte) in chunk.iter().enumerate() {
            let sextet =
                if place >= 4 - padding { 0 } else { BASE64.iter().position(|symbol| symbol == byte)? };
            group = (group << 6) | u32::try_from(sextet).ok()?;
        }
        out.extend(group.to_be_bytes().into_iter().skip(1).take(3_usize.checked_sub(padding)?));
    }
    (to_base64(&out) == text).then_some(out)
}

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3)
            .fold(0_usize, |group, place| (group << 8) | usize::from(chunk.get(place).copied().unwrap_or(0)));
        for place in 0..4 {
            let symbol = BASE64[(group >> (18 - 6 * place)) & 63];
            out.push(if place <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    out
}

/// The JSON text of a cell, for a value that is new in the document.
#[must_use]
pub fn json(cell: &Cell<'_>) -> String {
    let mut out = String::new();
    json_into(cell, &mut out);
    out
}

/// Appends the JSON text of a cell.
pub fn json_into(cell: &Cell<'_>, out: &mut String) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Int(value) => out.push_str(&value.to_string()),
        Cell::Float(value) => out.push_str(&format!("{value:?}")),
        Cell::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Cell::Text(text) => repot_json::edit::quote_into(text, out),
        Cell::Time(micros) => {
            let digits = if micros % 1_000_000 == 0 { 0 } else { 6 };
            out.push('"');
            out.push_str(&super::time::time_text(*micros, 'T', digits));
            out.push_str("Z\"");
        }
        Cell::Date(days) => repot_json::edit::quote_into(&super::time::date_text(*days), out),
        Cell::Uuid(bytes) => repot_json::edit::quote_into(&uuid_text(bytes), out),
        Cell::Json(text) | Cell::Decimal(text) => out.push_str(text),
        Cell::Bytes(bytes) => repot_json::edit::quote_into(&to_base64(bytes), out),
        Cell::List(payload) => {
            out.push('[');
            for (at, element) in Cells::list(payload).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                json_into(&element, out);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{base64, decimal, to_base64, uuid};

    #[test]
    fn decimals_in_plain_notation() {
        for (lexeme, plain) in [
            ("1.10", "1.1"),
            ("1E2", "100"),
            ("-0", "0"),
            ("0.000", "0"),
            ("-12.5e-3", "-0.0125"),
            ("100", "100"),
            ("0.1e1", "1"),
            ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
            ("0.05e2", "5"),
        ] {
            assert_eq!(decimal(lexeme).as_deref(), Some(plain), "{lexeme}");
        }
        assert_eq!(decimal("1e5000"), None);
    }

    #[test]
    fn base64_has_one_spelling() {
        for text in ["", "f", "fo", "foo", "foob", "\u{0}\u{ff}"] {
            assert_eq!(base64(&to_base64(text.as_bytes())).as_deref(), Some(text.as_bytes()));
        }
        for bad in ["Zg", "Zh==", "Z===", "Zm9v\n", "===="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn uuids() {
        assert!(uuid("0e3523e4-5435-a060-0000-00000000000F").is_some());
        assert!(uuid("0e3523e45435a0600000-00000000000f-----").is_none());
        assert!(uuid("{0e3523e4-5435-a060-0000-0000000000}").is_none());
    }
}
