//! Corpora in memory, and ways to look at a model.

use std::convert::Infallible;

use repot_infer::{Corpus, Inferred, Options, essence, infer};
use repot_model::language::{Collection, Field, FieldKind, Place, Scalar};

/// Files in memory, walked in the order given.
pub(crate) struct Files(pub(crate) Vec<(String, Vec<u8>)>);

impl Files {
    /// From paths and texts.
    pub(crate) fn new<P: Into<String>, T: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.into(), text.into())).collect())
    }
}

impl Corpus for Files {
    type Error = Infallible;

    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> Result<(), Infallible> {
        for (path, bytes) in &self.0 {
            each(path, bytes.len() as u64);
        }
        Ok(())
    }

    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<(), Infallible> {
        for (path, bytes) in &self.0 {
            each(path, Ok(bytes));
        }
        Ok(())
    }
}

/// What inference says of these files.
pub(crate) fn look(files: &Files) -> Inferred {
    let options = Options::new("./data");
    let inferred = infer(files, &options).expect("a corpus in memory cannot fail");
    let of_essences = infer(&Essences(files), &options).expect("a corpus in memory cannot fail");
    assert!(format!("{inferred:?}") == format!("{of_essences:?}"), "the essences give another model");
    inferred
}

/// The same files, of whose contents only what inference needs is given.
pub(crate) struct Essences<'f>(pub(crate) &'f Files);

impl Corpus for Essences<'_> {
    type Error = Infallible;

    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> Result<(), Infallible> {
        self.0.paths(each)
    }

    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> Result<(), Infallible> {
        self.0.contents(&mut |path, bytes| each(path, bytes.map(essence)))
    }
}

/// The collection with this name; the test fails with all names otherwise.
pub(crate) fn collection<'i>(inferred: &'i Inferred, name: &str) -> &'i Collection {
    let names: Vec<_> = inferred.model.collections.iter().map(|one| one.name.as_str()).collect();
    inferred.model.collection(name).unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

/// The field with this name; the test fails with all names otherwise.
pub(crate) fn field<'i>(inferred: &'i Inferred, of: &str, name: &str) -> &'i Field {
    let collection = collection(inferred, of);
    let names: Vec<_> = collection.fields.iter().map(|one| one.name.as_str()).collect();
    collection.field(name).unwrap_or_else(|| panic!("no {of}.{name} among {names:?}"))
}

/// `text`, `int?`, `text key`, ...: enough of a field to compare.
pub(crate) fn short(field: &Field) -> String {
    let mut out = match &field.kind {
        FieldKind::Scalar(scalar) => scalar_name(*scalar).to_owned(),
        FieldKind::List(scalar) => format!("[{}]", scalar_name(*scalar)),
        FieldKind::Enum(words) => words.join("|"),
        FieldKind::Ref(names) => format!("->{}", names.join("|")),
        FieldKind::Body(body) => format!("{body:?} body").to_lowercase(),
        FieldKind::Position => "position".to_owned(),
    };
    if field.optional {
        out.push('?');
    }
    for (word, said) in [(" key", field.key), (" auto", field.auto)] {
        if said {
            out.push_str(word);
        }
    }
    out
}

const fn scalar_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Text(_) => "text",
        Scalar::Int => "int",
        Scalar::Float => "float",
        Scalar::Decimal => "decimal",
        Scalar::Bool => "bool",
        Scalar::Time => "time",
        Scalar::Date => "date",
        Scalar::Uuid => "uuid",
        Scalar::Json => "json",
        Scalar::Bytes => "bytes",
    }
}

/// The field's short form.
pub(crate) fn kind(inferred: &Inferred, of: &str, name: &str) -> String {
    short(field(inferred, of, name))
}

/// The field's evidence.
pub(crate) fn evidence(inferred: &Inferred, of: &str, name: &str) -> String {
    field(inferred, of, name).evidence.clone().unwrap_or_default()
}

/// Template texts of a collection.
pub(crate) fn templates(collection: &Collection) -> Vec<&str> {
    match &collection.place {
        Place::Files(templates) | Place::InFiles { templates, .. } | Place::SqliteTable { templates, .. } => {
            templates.iter().map(repot_model::place::Template::text).collect()
        }
        Place::In(_) | Place::View { .. } => Vec::new(),
    }
}

/// `name place` of all collections.
pub(crate) fn found(inferred: &Inferred) -> Vec<String> {
    inferred.found.iter().map(|one| format!("{} {} {}", one.collection, one.count, one.place)).collect()
}

/// `n` texts made from their numbers.
pub(crate) fn many(n: usize, path: impl Fn(usize) -> String, text: impl Fn(usize) -> String) -> Files {
    Files::new((0..n).map(|at| (path(at), text(at))))
}
