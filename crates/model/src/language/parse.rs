//! From the text of model files to the model: sections and what they may hold. Every problem is found in one
//! pass, not only the first.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{Document, Item, TableLike};

use super::check::{self, Finding};
use super::locate::Lines;
use super::suggest::did_you_mean;
use super::value::{Variables, Wrong, expand};
use super::{Collection, Model, Place, Problem, Span, Written};

/// Reads one model file and checks it whole.
///
/// `file` is its name as the user gave it, `variables` answers `${NAME}`.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(
    text: &str,
    file: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Model, Vec<Problem>> {
    parse_files(&[(file, text)], variables)
}

/// Reads a model that is split into several files, given as (name, text), and checks it whole.
///
/// # Errors
/// Everything that is wrong with it, in the order of the files.
pub fn parse_files(
    files: &[(&str, &str)],
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Model, Vec<Problem>> {
    let mut reading = Reading::default();
    let mut problems = Vec::new();
    for (index, (file, text)) in files.iter().enumerate() {
        let mut reader =
            Reader { file, index, lines: Lines::new(text), text, variables, problems: Vec::new() };
        reader.file(&mut reading);
        problems.extend(reader.problems.into_iter().map(|problem| (index, problem)));
    }
    for finding in check::findings(&reading.model, &reading.broken) {
        let index = match finding.collection {
            Some(collection) => reading.origins.get(collection).copied().unwrap_or_default(),
            None => reading.settings.as_ref().map_or(0, |settings| settings.0),
        };
        if let Some((file, text)) = files.get(index) {
            problems.push((index, placed(finding, file, text)));
        }
    }
    if problems.is_empty() {
        return Ok(reading.model);
    }
    problems.sort_by_key(|(index, problem)| (*index, problem.span.line, problem.span.column));
    Err(problems.into_iter().map(|(_, problem)| problem).collect())
}

fn placed(finding: Finding, file: &str, text: &str) -> Problem {
    let span = Lines::new(text).refine(finding.span, finding.key.as_deref(), finding.word.as_deref());
    Problem { code: finding.code, file: file.to_owned(), span, message: finding.message, hint: finding.hint }
}

/// What was read so far, of all files.
#[derive(Default)]
pub(super) struct Reading {
    pub model: Model,
    /// Collections with problems: not checked further, so that one mistake is one message.
    pub broken: BTreeSet<String>,
    /// For each collection, the file it stands in.
    origins: Vec<usize>,
    /// File and place of each section.
    sections: BTreeMap<String, (String, Span)>,
    settings: Option<(usize, Span)>,
}

/// Reads one file.
pub(super) struct Reader<'a> {
    file: &'a str,
    index: usize,
    lines: Lines<'a>,
    text: &'a str,
    variables: &'a Variables<'a>,
    pub problems: Vec<Problem>,
}

/// A string of the file.
pub(super) struct Text<'i> {
    pub value: &'i str,
    /// Offset in the file of its first character.
    start: usize,
    /// Written without escapes, so that offsets in the value are offsets in the file.
    exact: bool,
}

impl Text<'_> {
    /// The offset in the file of an offset in the value.
    pub(super) const fn at(&self, inside: usize) -> usize {
        if self.exact { self.start + inside } else { self.start }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn problem(
        &mut self,
        at: usize,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let span = self.lines.span(at);
        self.problems.push(Problem {
            code,
            file: self.file.to_owned(),
            span,
            message: message.into(),
            hint: hint.into(),
        });
    }

    pub(super) fn span(&self, at: usize) -> Span {
        self.lines.span(at)
    }

    fn file(&mut self, reading: &mut Reading) {
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let message = error.message().trim().replace('\n', ", ");
                let hint = if message.contains("duplicate") {
                    "Every section and every key may stand once; join the two."
                } else {
                    "Mend the TOML here; strings stand in double quotes, sections in single brackets."
                };
                return self.problem(at, "R0120", format!("not valid TOML: {message}"), hint);
            }
        };
        let root = document.as_table();
        for (name, item) in root {
            let at = key_start(root, name);
            if let Some(table) = item.as_table_like().filter(|_| !item.is_value()) {
                self.section(name, at, table, reading);
            } else if item.is_array_of_tables() {
                self.problem(
                    at,
                    "R0121",
                    format!("`[[{name}]]` in double brackets"),
                    format!("Write `[{name}]`; the language has no arrays of tables."),
                );
                reading.broken.insert(name.to_owned());
            } else {
                self.problem(at, "R0121", format!("`{name}` outside of any section"), "Settings such as `source` belong under `[repot]`, everything else into the section of a collection.");
            }
        }
    }

    fn section(&mut self, name: &str, at: usize, table: &dyn TableLike, reading: &mut Reading) {
        let span = self.span(at);
        if let Some((file, first)) = reading.sections.get(name) {
            let message =
                format!("`[{name}]` a second time; the first is in {file}:{}:{}", first.line, first.column);
            return self.problem(at, "R0120", message, "Join the two sections, or rename one.");
        }
        reading.sections.insert(name.to_owned(), (self.file.to_owned(), span));
        if name == "repot" {
            reading.settings = Some((self.index, span));
            reading.model.settings = self.settings(table);
            return;
        }
        let before = self.problems.len();
        let mut collection = Collection::new(name, Place::Files(Vec::new()));
        collection.span = span;
        self.collection(table, at, &mut collection);
        if self.problems.len() > before {
            reading.broken.insert(name.to_owned());
        }
        reading.model.collections.push(collection);
        reading.origins.push(self.index);
    }

    /// Names every key that is none of `known`.
    pub(super) fn unknown_keys(&mut self, table: &dyn TableLike, known: &[&str], of: &str) {
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(key)) {
            let listed = format!("Known here are {}.", known.join(", "));
            let hint = did_you_mean(key, known.iter().copied(), &listed);
            self.problem(key_start(table, key), "R0121", format!("`{key}` is no setting of {of}"), hint);
        }
    }

    /// A string.
    pub(super) fn string<'i>(&mut self, item: &'i Item, at: usize, what: &str) -> Option<Text<'i>> {
        let Some(value) = item.as_str() else {
            self.problem(
                start(item, at),
                "R0122",
                format!("{what} is {}, not a string", kind(item)),
                "Put the value in double quotes.",
            );
            return None;
        };
        Some(self.located(value, item.span().unwrap_or(at..at)))
    }

    fn located<'i>(&self, value: &'i str, span: std::ops::Range<usize>) -> Text<'i> {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let inside = raw.strip_prefix(['"', '\'']).and_then(|raw| raw.strip_suffix(['"', '\'']));
        let exact = inside == Some(value);
        Text { value, start: if exact { span.start + 1 } else { span.start }, exact }
    }

    /// A string, or a list of strings.
    pub(super) fn strings<'i>(&mut self, item: &'i Item, at: usize, what: &str) -> Vec<Text<'i>> {
        let Some(array) = item.as_array() else {
            return self.string(item, at, what).into_iter().collect();
        };
        let mut texts = Vec::new();
        for value in array {
            let span = value.span().unwrap_or(at..at);
            match value.as_str() {
                Some(text) => texts.push(self.located(text, span)),
                None => self.problem(
                    span.start,
                    "R0122",
                    format!("{what} holds {}, not a string", value.type_name()),
                    "Put the value in double quotes.",
                ),
            }
        }
        texts
    }

    /// A string with variables, and its value.
    pub(super) fn written<T>(
        &mut self,
        item: &Item,
        at: usize,
        what: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Written<T>> {
        let text = self.string(item, at, what)?;
        let value = expand(text.value, self.variables).and_then(|expanded| read(&expanded));
        match value {
            Ok(value) => Some(Written { text: text.value.to_owned(), value }),
            Err(Wrong { message, hint }) => {
                self.problem(text.at(0), "R0126", format!("{what}: {message}"), hint);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, item: &Item, at: usize, what: &str) -> Option<bool> {
        let value = item.as_bool();
        if value.is_none() {
            self.problem(
                start(item, at),
                "R0122",
                format!("{what} is {}, not true or false", kind(item)),
                "Write `true` or `false` without quotes.",
            );
        }
        value
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, item: &Item, at: usize, what: &str) -> Option<u32> {
        let value = item.as_integer().and_then(|value| u32::try_from(value).ok()).filter(|&value| value > 0);
        if value.is_none() {
            self.problem(
                start(item, at),
                "R0122",
                format!("{what} is no whole number from 1"),
                "Write a number without quotes, such as `5`.",
            );
        }
        value
    }

    /// A table, in line or as a section.
    pub(super) fn table<'i>(&mut self, item: &'i Item, at: usize, what: &str) -> Option<&'i dyn TableLike> {
        let table = item.as_table_like();
        if table.is_none() {
            self.problem(
                start(item, at),
                "R0122",
                format!("{what} is {}, not a table", kind(item)),
                "Write it as a section of its own or as `{ name = value }`.",
            );
        }
        table
    }
}

fn start(item: &Item, otherwise: usize) -> usize {
    item.span().map_or(otherwise, |span| span.start)
}

fn kind(item: &Item) -> String {
    match item.type_name() {
        name @ ("integer" | "array" | "array of tables" | "inline table") => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// Where a key of a table stands.
pub(super) fn key_start(table: &dyn TableLike, key: &str) -> usize {
    table.get_key_value(key).and_then(|(key, _)| key.span()).map_or(0, |span| span.start)
}
