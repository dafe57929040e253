//! The grammar of `in`: `conversations.messages[]`, `products.variants{variant_id}`, `a.'odd name'[]`.

use super::names::{is_identifier, name_text, take_name, take_plain};
use super::{InPlace, Step};

/// What is wrong with a place.
pub(super) struct PlaceProblem {
    /// Byte offset in the text.
    pub at: usize,
    pub message: String,
    pub hint: String,
}

const HINT: &str =
    "Write for example `conversations.messages[]`, or `products.variants{variant_id}` for a map by key.";

/// Reads `parent.steps`.
pub(super) fn in_parent(text: &str) -> Result<InPlace, PlaceProblem> {
    let (parent, rest) = take_plain(text);
    if !is_identifier(parent) {
        return Err(PlaceProblem {
            at: 0,
            message: format!("`{text}` does not begin with a collection"),
            hint: HINT.to_owned(),
        });
    }
    Ok(InPlace { parent: parent.to_owned(), steps: steps(text, rest, false)? })
}

/// Reads the way from the root of a file.
pub(super) fn in_file(text: &str) -> Result<Vec<Step>, PlaceProblem> {
    steps(text, text, true)
}

fn steps(text: &str, mut left: &str, mut at_start: bool) -> Result<Vec<Step>, PlaceProblem> {
    let mut steps = Vec::new();
    let fail = |left: &str, message: String, hint: &str| {
        Err(PlaceProblem { at: text.len() - left.len(), message, hint: hint.to_owned() })
    };
    while !left.is_empty() {
        if let Some(after) = left.strip_prefix("[]") {
            if !after.is_empty() {
                let hint = "End the place at `[]`; what is inside the elements is a collection of its own, `in` this one.";
                return fail(after, "something behind `[]`".to_owned(), hint);
            }
            steps.push(Step::Each);
            left = after;
        } else if let Some(inside) = left.strip_prefix('{') {
            let Some((name, after)) = inside.split_once('}').filter(|(name, _)| is_identifier(name)) else {
                return fail(left, "a `{` without a field's name and `}`".to_owned(), HINT);
            };
            steps.push(Step::Entry(name.to_owned()));
            left = after;
        } else {
            let named = match left.strip_prefix('.') {
                Some(after) => after,
                None if at_start => left,
                None => return fail(left, format!("`{left}` cannot be read"), HINT),
            };
            let Some((name, after)) = take_name(named) else {
                return fail(
                    left,
                    format!("`{left}` cannot be read"),
                    "Put names with odd characters in single quotes, as in `a.'odd name'[]`.",
                );
            };
            steps.push(Step::Name(name));
            left = after;
        }
        at_start = false;
    }
    match steps.last() {
        Some(Step::Each | Step::Entry(_)) => Ok(steps),
        Some(Step::Name(_)) => fail(
            left,
            format!("`{text}` ends at a name"),
            "End it with `[]` for a list, or with `{field}` for a map whose keys fill that field.",
        ),
        None => fail(left, format!("`{text}` does not say where in the documents"), HINT),
    }
}

/// Writes steps; `at_start` when they begin the text.
pub(super) fn steps_text(steps: &[Step], mut at_start: bool) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Name(name) => {
                if !at_start {
                    out.push('.');
                }
                out.push_str(&name_text(name));
            }
            Step::Each => out.push_str("[]"),
            Step::Entry(field) => {
                out.push('{');
                out.push_str(field);
                out.push('}');
            }
        }
        at_start = false;
    }
    out
}
