//! Values inside JSON columns, with one meaning on both databases: PostgreSQL reads them with its own operators, SQLite
//! with functions of ours that do the same.

use std::cmp::Ordering;

use repot_json::{Kind, Limits, Tree, Value};

use super::condition::{JsonType, Writer};
use crate::plan::ColumnKind;
use crate::row::Cell;
use crate::sql::Dialect;

/// Characters of a number that is compared.
const NUMBER_MAX: usize = 100;

/// No such escapes are in the text: PostgreSQL refuses to read any part of one with NUL or half a surrogate pair.
fn readable(column: &str) -> String {
    format!(
        "(strpos({column}::text, E'\\\\u') = 0 or regexp_replace({column}::text, \
         E'\\\\\\\\(\\\\\\\\|u[dD][89abAB][0-9a-fA-F]{{2}}\\\\\\\\u[dD][c-fC-F][0-9a-fA-F]{{2}})', ' ', 'g') \
         !~ E'\\\\\\\\u(0000|[dD][89a-fA-F])')"
    )
}

impl Writer<'_> {
    /// A value inside a JSON column, null when it is of another kind; `is`: `None` asks whether there is nothing.
    pub(super) fn json(&mut self, column: &str, path: &[String], is: Option<JsonType>) -> String {
        if self.is(Dialect::Sqlite) {
            let name = match is {
                None => "repot_json_null",
                Some(JsonType::Text) => "repot_json_text",
                Some(JsonType::Number) => "repot_json_number",
                Some(JsonType::Bool) => "repot_json_bool",
            };
            let marks: Vec<String> = path
                .iter()
                .map(|step| self.mark_cell(&Cell::Text(step.as_str().into()), ColumnKind::Text(None)))
                .collect();
            return format!("{name}({column}, {})", marks.join(", "));
        }
        let mut payload = Vec::new();
        for step in path {
            Cell::Text(step.as_str().into()).encode(&mut payload);
        }
        let mark = self.mark_cell(&Cell::List(payload.into()), ColumnKind::TextList);
        let guard = readable(column);
        let kind = format!("json_typeof({column} #> {mark})");
        let text = format!("({column} #>> {mark})");
        match is {
            None => format!("coalesce(case when {guard} then {kind} end, 'null') = 'null'"),
            Some(JsonType::Text) => {
                format!("(case when {guard} then case when {kind} = 'string' then {text} end end)")
            }
            Some(JsonType::Bool) => {
                format!("(case when {guard} then case when {kind} = 'boolean' then {text}::boolean end end)")
            }
            Some(JsonType::Number) => format!(
                "(case when {guard} then case when {kind} = 'number' and length({text}) <= {NUMBER_MAX} \
                 and {text} !~ '[eE][+-]?(9[0-9][0-9]|[0-9]{{4}})' then {text}::numeric end end)"
            ),
        }
    }
}

/// The value at a path of a JSON text, as PostgreSQL's `#>` finds it: of keys that stand twice the last, in a list the
/// element at a whole number, from the end where it is negative. `None` when there is nothing, or where the text says
/// NUL or half a surrogate pair anywhere, which PostgreSQL does not read.
pub fn json_at<T>(text: &str, path: &[&str], then: impl FnOnce(Value<'_>) -> Option<T>) -> Option<T> {
    let tree = Tree::parse(text.as_bytes(), Limits::default()).ok()?;
    let root = tree.root(text.as_bytes())?;
    if text.contains("\\u") && !all_readable(&tree, root) {
        return None;
    }
    let mut found = None;
    last_at(root, path, &mut found);
    found.and_then(then)
}

fn all_readable(tree: &Tree, root: Value<'_>) -> bool {
    (0_u32..).zip(tree.nodes()).all(|(at, node)| {
        !matches!(node.kind, Kind::String | Kind::Key)
            || root.at(at).as_str().is_some_and(|text| !text.contains('\0'))
    })
}

fn last_at<'t>(value: Value<'t>, path: &[&str], found: &mut Option<Value<'t>>) {
    let Some((step, rest)) = path.split_first() else {
        *found = Some(value);
        return;
    };
    match value.kind() {
        Kind::Object => {
            for (key, inner) in value.entries() {
                if key.as_str().is_some_and(|key| key == *step) {
                    last_at(inner, rest, found);
                }
            }
        }
        Kind::Array => {
            let Ok(place) = step.trim_start().parse::<i32>() else { return };
            let count = value.elements().count();
            let place = usize::try_from(place)
                .ok()
                .or_else(|| count.checked_sub(usize::try_from(place.unsigned_abs()).ok()?));
            if let Some(inner) = place.and_then(|place| value.elements().nth(place)) {
                last_at(inner, rest, found);
            }
        }
        _ => {}
    }
}

/// The plain notation of a JSON number for comparing: `None` for one of more than 100 characters or with an exponent
/// beyond 899, which no condition is about.
#[must_use]
pub fn json_number(lexeme: &str) -> Option<String> {
    let exponent = lexeme.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
    let digits = exponent.trim_start_matches(['+', '-']);
    if lexeme.len() > NUMBER_MAX || digits.len() > 3 || (digits.len() == 3 && digits.starts_with('9')) {
        return None;
    }
    crate::plan::decimal(lexeme)
}

/// Two decimals in plain notation by their value. What is none comes after all that are, by its bytes.
#[must_use]
pub fn compare_decimals(one: &str, other: &str) -> Ordering {
    match (crate::plan::decimal(one), crate::plan::decimal(other)) {
        (Some(one), Some(other)) => by_value(&one, &other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

fn by_value(one: &str, other: &str) -> Ordering {
    match (one.strip_prefix('-'), other.strip_prefix('-')) {
        (Some(one), Some(other)) => by_size(other, one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_size(one, other),
    }
}

fn by_size(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.len(), whole.to_owned(), fraction.to_owned())
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::{compare_decimals, json_at, json_number};

    #[test]
    fn a_path_leads_where_postgres_finds_it() {
        let at = |text: &str, path: &[&str]| json_at(text, path, |value| Some(value.raw().to_owned()));
        let text = r#"{"a":{"b":1},"l":[10,{"c":2}],"a":{"d":null},"a b":"\ud83d\ude00"}"#;
        assert_eq!(at(text, &["a", "b"]).as_deref(), Some("1"));
        assert_eq!(at(text, &["a"]).as_deref(), Some(r#"{"d":null}"#));
        assert_eq!(at(text, &["l", "1", "c"]).as_deref(), Some("2"));
        assert_eq!(at(text, &["l", "-2"]).as_deref(), Some("10"));
        assert_eq!(at(text, &["l", "-3"]), None);
        assert_eq!(at(text, &["l", "x"]), None);
        assert_eq!(at(r#"{"a":1,"b":"\u0000"}"#, &["a"]), None);
        assert_eq!(at(r#"{"a":1,"b":"\ud83d"}"#, &["a"]), None);
        assert_eq!(at(r#"{"a":1,"b":"\\u0000"}"#, &["a"]).as_deref(), Some("1"));
    }

    #[test]
    fn decimals_by_value() {
        let sorted = ["-100", "-99.5", "-0.25", "0", "0.05", "0.5", "1", "9.75", "10", "100", "?"];
        for (at, one) in sorted.iter().enumerate() {
            for (place, other) in sorted.iter().enumerate() {
                assert_eq!(compare_decimals(one, other), at.cmp(&place), "{one} {other}");
            }
        }
        assert_eq!(compare_decimals("1.50", "1.5"), Ordering::Equal);
        assert_eq!(json_number("1e899").map(|text| text.len()), Some(900));
        assert_eq!(json_number("1e900"), None);
        assert_eq!(json_number("1e0001"), None);
    }
}
