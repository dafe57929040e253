//! The JSON text of a cell, spelled like the value it replaces.

use repot_json::edit::quote;
use repot_json::{Kind, Limits, Tree, Value};

use crate::plan::convert;
use crate::plan::program::ColumnProgram;
use crate::plan::time::{parse_time, time_text};
use crate::row::{Cell, Cells};

const MINUTE_US: i64 = 60_000_000;

/// Values of cells are held to no limit; the document as a whole is.
const NO_LIMITS: Limits = Limits { depth_max: usize::MAX, nodes_max: usize::MAX };

/// The text of a non-null cell, or `None` when this column's part of the document cannot say it: another type,
/// a word that is not allowed, a text too long, JSON that is none.
pub(super) fn fitting(cell: &Cell<'_>, old: Option<Value<'_>>, column: &ColumnProgram) -> Option<String> {
    let text = spell(cell, old);
    let tree = Tree::parse(text.as_bytes(), NO_LIMITS).ok()?;
    let value = tree.root(text.as_bytes())?;
    if value.kind() == Kind::Null {
        return None;
    }
    let read = convert::cell(value, column).ok()?;
    same(&read, cell).then_some(text)
}

/// Equal as values of a document: white space and escapes inside JSON do not count.
pub(super) fn same(one: &Cell<'_>, other: &Cell<'_>) -> bool {
    match (one, other) {
        (Cell::Json(one), Cell::Json(other)) => one == other || canonical(one) == canonical(other),
        _ => one == other,
    }
}

/// A JSON text without its white space and escapes; what is no JSON stays as it is.
pub(super) fn canonical(json: &str) -> String {
    let tree = Tree::parse(json.as_bytes(), NO_LIMITS).ok();
    let Some(root) = tree.as_ref().and_then(|tree| tree.root(json.as_bytes())) else {
        return json.to_owned();
    };
    let count = root.node().next;
    let mut out = String::new();
    for at in 0..count {
        let value = root.at(at);
        match value.kind() {
            // where a container ends tells it from others with the same values
            Kind::Array | Kind::Object => out.push_str(&format!("{:?}{}", value.kind(), value.node().next)),
            Kind::String | Kind::Key => {
                out.push_str(&value.as_str().map_or_else(|| value.raw().to_owned(), |text| quote(&text)));
            }
            Kind::Null | Kind::False | Kind::True | Kind::Number => out.push_str(value.raw()),
        }
        out.push(' ');
    }
    out
}

/// A map's key.
pub(super) fn key(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone().into_owned()),
        Cell::Int(value) => Some(value.to_string()),
        Cell::Uuid(_) | Cell::Date(_) | Cell::Time(_) => {
            let quoted = convert::json(cell);
            quoted.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
        }
        _ => None,
    }
}

fn spell(cell: &Cell<'_>, old: Option<Value<'_>>) -> String {
    let plain = convert::json(cell);
    let Some(old) = old else { return plain };
    match cell {
        Cell::Time(micros) => {
            old.as_str().and_then(|old| time_like(*micros, &old)).map_or(plain, |text| quote(&text))
        }
        Cell::Uuid(_) => {
            let has =
                |range: std::ops::RangeInclusive<char>| old.raw().contains(|letter| range.contains(&letter));
            if has('A'..='F') && !has('a'..='f') { plain.to_ascii_uppercase() } else { plain }
        }
        Cell::Float(value) if is_whole_number(old) => whole(*value).unwrap_or(plain),
        Cell::Decimal(text) => decimal_like(text, old.raw()),
        Cell::List(payload) if old.elements().next().is_some() && old.elements().all(is_whole_number) => {
            let elements: Vec<String> = Cells::list(payload)
                .map(|element| match element {
                    Cell::Float(value) => whole(value).unwrap_or_else(|| convert::json(&element)),
                    _ => convert::json(&element),
                })
                .collect();
            format!("[{}]", elements.join(","))
        }
        _ => plain,
    }
}

fn is_whole_number(value: Value<'_>) -> bool {
    value.kind() == Kind::Number && !value.raw().contains(['.', 'e', 'E'])
}

/// A whole double without its `.0`.
fn whole(value: f64) -> Option<String> {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map(str::to_owned)
}

/// With at least as many digits after the point as the old one had.
fn decimal_like(plain: &str, old: &str) -> String {
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let (now, then) = (digits(plain), digits(old));
    if old.contains(['e', 'E']) || now >= then {
        return plain.to_owned();
    }
    let point = if now == 0 { "." } else { "" };
    format!("{plain}{point}{}", "0".repeat(then - now))
}

/// The instant with the separator, zone and precision of `old`: what is finer is cut off, so that a program that reads
/// times of one form finds that form. `None` when `old` is no time.
#[must_use]
pub fn now_like(micros: i64, old: &str) -> Option<String> {
    let precision_us = precision_us(old)?;
    time_like(micros - micros.rem_euclid(precision_us), old)
}

/// What the last digit of this time stands for, microseconds; `None` when it is no time.
pub(in crate::plan) fn precision_us(time: &str) -> Option<i64> {
    parse_time(time)?;
    let rest = time.get(16..)?;
    let Some(rest) = rest.strip_prefix(':').and_then(|rest| rest.get(2..)) else { return Some(MINUTE_US) };
    let fraction = rest.strip_prefix(['.', ',']).unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    Some(10_i64.pow(u32::try_from(6_usize.saturating_sub(digits)).ok()?))
}

/// The instant with the separator, precision and zone of `old`.
fn time_like(micros: i64, old: &str) -> Option<String> {
    let separator = old.get(10..11)?.chars().next()?;
    let rest = old.get(16..)?;
    let after_seconds = rest.strip_prefix(':').and_then(|rest| rest.get(2..));
    let rest = after_seconds.unwrap_or(rest);
    let (comma, digits, zone) = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            (rest.starts_with(','), digits, fraction.get(digits..)?)
        }
        None => (false, 0, rest),
    };
    // midnight in that zone, as UTC, is the zone's offset with its sign turned
    let local = micros.checked_sub(parse_time(&format!("1970-01-01T00:00:00{zone}"))?)?;
    let cut = u32::try_from(6_usize.saturating_sub(digits)).ok()?;
    let digits = if local % 10_i64.pow(cut) == 0 { digits } else { 6 };
    let mut text = time_text(local, separator, digits.min(6));
    if comma {
        text = text.replace('.', ",");
    }
    text.extend(std::iter::repeat_n('0', digits.saturating_sub(6)));
    if after_seconds.is_none() && local % MINUTE_US == 0 {
        text.truncate(16);
    }
    text.push_str(zone);
    Some(text)
}
