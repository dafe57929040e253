//! Runs every check over a model and collects what it finds; names.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::names::is_identifier;
use crate::language::suggest::did_you_mean;
use crate::language::{Collection, Field, FieldKind, Model, Problem, Span};

/// Longest name, in bytes: what PostgreSQL keeps.
const NAME_MAX: usize = 63;
/// Columns that every PostgreSQL table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// Checks a model: the same checks that [`parse()`](crate::language::parse()) runs.
///
/// `file` is the name that problems carry. A model that was not read from a file has spans of zero.
#[must_use]
pub fn check(model: &Model, file: &str) -> Vec<Problem> {
    let found = findings(model, &BTreeSet::new()).into_iter();
    found
        .map(|Finding { code, span, message, hint, .. }| Problem {
            code,
            file: file.to_owned(),
            span,
            message,
            hint,
        })
        .collect()
}

/// One thing that does not fit.
pub(in crate::language) struct Finding {
    pub code: &'static str,
    /// Index of the collection; `None`: `[repot]`.
    pub collection: Option<usize>,
    pub span: Span,
    /// The key behind `span` whose value is meant.
    pub key: Option<String>,
    /// The word behind `span` or in the value of `key` that is meant.
    pub word: Option<String>,
    pub message: String,
    pub hint: String,
}

/// Everything that does not fit, except in collections named in `broken`.
pub(in crate::language) fn findings(model: &Model, broken: &BTreeSet<String>) -> Vec<Finding> {
    let mut checker = Checker { model, broken, found: Vec::new() };
    checker.repot();
    let mut names = BTreeMap::new();
    for (index, collection) in model.collections.iter().enumerate() {
        checker.collection_name(index, collection, &mut names);
        if broken.contains(&collection.name) {
            continue;
        }
        checker.field_names(index, collection);
        checker.fields(index, collection);
        checker.references(index, collection);
        checker.places(index, collection);
        checker.collection_settings(index, collection);
    }
    checker.cycles();
    checker.shared_places();
    checker.ties();
    checker.found
}

/// The model being checked.
pub(super) struct Checker<'m> {
    pub model: &'m Model,
    pub broken: &'m BTreeSet<String>,
    pub found: Vec<Finding>,
}

/// Where a finding points.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub collection: usize,
    pub span: Span,
    pub key: Option<&'a str>,
    pub word: Option<&'a str>,
}

impl<'a> At<'a> {
    pub(super) const fn new(collection: usize, span: Span) -> Self {
        Self { collection, span, key: None, word: None }
    }

    pub(super) const fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) const fn word(self, word: &'a str) -> Self {
        Self { word: Some(word), ..self }
    }
}

impl<'m> Checker<'m> {
    pub(super) fn find(&mut self, at: At<'_>, code: &'static str, message: String, hint: impl Into<String>) {
        self.found.push(Finding {
            code,
            collection: Some(at.collection),
            span: at.span,
            key: at.key.map(str::to_owned),
            word: at.word.map(str::to_owned),
            message,
            hint: hint.into(),
        });
    }

    /// The field a setting names; says so when there is none.
    pub(super) fn named(
        &mut self,
        at: At<'_>,
        collection: &'m Collection,
        name: &str,
        what: &str,
    ) -> Option<&'m Field> {
        let field = collection.field(name);
        if field.is_none() {
            let known = collection.fields.iter().map(|field| field.name.as_str());
            let listed = known.clone().collect::<Vec<_>>().join(", ");
            let otherwise = format!("Fields of {} are {listed}.", collection.name);
            let hint = did_you_mean(name, known, &otherwise);
            self.find(
                at.word(name),
                "R0137",
                format!("{what} names `{name}`, which is no field of {}", collection.name),
                hint,
            );
        }
        field
    }

    fn collection_name(
        &mut self,
        index: usize,
        collection: &Collection,
        names: &mut BTreeMap<String, String>,
    ) {
        let at = At::new(index, collection.span);
        self.name(at, &collection.name, "collection", NAME_MAX);
        if collection.name.to_ascii_lowercase().starts_with("sqlite_") {
            let message = format!("`{}` begins with `sqlite_`", collection.name);
            self.find(at, "R0130", message, "SQLite keeps such names for itself; choose another.");
        }
        if let Some(other) = names.insert(collection.name.to_ascii_lowercase(), collection.name.clone()) {
            let message = format!("`{}` and `{other}` differ only in upper and lower case", collection.name);
            self.find(at, "R0130", message, "SQLite takes them for one table; rename one.");
        }
    }

    fn name(&mut self, at: At<'_>, name: &str, what: &str, most: usize) {
        if !is_identifier(name) {
            let message = format!("`{name}` is no name for a {what}");
            let hint = "Names have letters, digits and `_` and do not begin with a digit; another name in the document goes behind `from`.";
            self.find(at, "R0130", message, hint);
        } else if name.len() > most {
            let message = format!("the name `{name}` is longer than {most} characters");
            self.find(
                at,
                "R0130",
                message,
                "PostgreSQL cuts names there; write a shorter one and `from` with the document's name.",
            );
        } else if name.to_ascii_lowercase().starts_with("repot_") {
            let message = format!("`{name}` begins with `repot_`");
            self.find(at, "R0130", message, "Such names are Repot's own; choose another.");
        }
    }

    fn field_names(&mut self, index: usize, collection: &Collection) {
        let mut columns: BTreeMap<String, &str> = BTreeMap::new();
        for field in &collection.fields {
            let at = At::new(index, field.span);
            let several = matches!(&field.kind, FieldKind::Ref(targets) if targets.len() > 1);
            self.name(at, &field.name, "field", if several { NAME_MAX - "_type".len() } else { NAME_MAX });
            let made = if several {
                vec![format!("{}_type", field.name), format!("{}_id", field.name)]
            } else {
                vec![field.name.clone()]
            };
            for column in made {
                if SYSTEM_COLUMNS.contains(&column.as_str()) {
                    let message = format!("`{column}` is a column that every PostgreSQL table has already");
                    self.find(
                        at,
                        "R0130",
                        message,
                        "Choose another name, and `from` with the document's name.",
                    );
                }
                if let Some(other) = columns.insert(column.to_ascii_lowercase(), &field.name) {
                    let message = format!(
                        "{}: `{}` and `{other}` make one column `{column}`",
                        collection.name, field.name
                    );
                    self.find(at, "R0130", message, "Databases fold upper and lower case; rename one and say `from` with the document's name.");
                }
            }
        }
    }
}
