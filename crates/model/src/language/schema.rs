//! The JSON Schema (2020-12) of model files, for editors.

/// The schema as JSON text, indented.
///
/// It tells keys, kinds of values and the form of the small languages inside strings; what only the whole model can tell (that a
/// field exists, that a reference has a target) is [`check()`](crate::language::check())'s.
#[must_use]
pub fn json_schema() -> String {
    include_str!("schema.json").to_owned()
}
