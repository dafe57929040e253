//! What a listing of the source says of its documents, without reading them.

use std::collections::{BTreeMap, HashMap};

use repot_core::store::{Layout, Whose};
use repot_core::{Listed, Object, Result, Source};

use super::rules::{Figure, Measured, Reading, Readings};

/// Tenants that are told apart.
const TENANTS_MAX: usize = 100_000;
/// Ends of the names of SQLite files.
const SQLITE_ENDS: [&str; 4] = [".sqlite", ".sqlite3", ".db", ".db3"];

/// Objects of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crowd {
    /// How many.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Crowd {
    const fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// How the objects are spread over tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenants {
    /// How many there are.
    pub count: u64,
    /// There are more, which were not counted.
    pub more: bool,
    /// The one with the most bytes.
    pub largest: (String, Crowd),
}

/// What a listing says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Everything listed.
    pub all: Crowd,
    /// Documents in files of their own, by collection.
    pub documents: BTreeMap<String, Crowd>,
    /// Files that hold several documents, which only reading them counts, by the collections in them.
    pub shared: BTreeMap<String, Crowd>,
    /// The largest object that holds documents: path and bytes.
    pub largest: Option<(String, u64)>,
    /// The largest SQLite file: path and bytes.
    pub largest_sqlite: Option<(String, u64)>,
    /// Of collections with tenants.
    pub tenants: Option<Tenants>,
}

impl Survey {
    /// Lists the source.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn of(source: &dyn Source, layout: &Layout) -> Result<Self> {
        let mut survey = Self::default();
        let mut tenants = HashMap::new();
        let mut more = false;
        for entry in source.list()? {
            let Listed::Object(object) = entry? else { continue };
            survey.all.add(object.size);
            if SQLITE_ENDS.iter().any(|end| object.path.ends_with(end)) {
                larger(&mut survey.largest_sqlite, &object);
            }
            let Some(name) = survey.take(layout, &object) else { continue };
            if let Some(tenant) = layout.tenant_of(&name, &object.path) {
                let is_known = tenants.contains_key(&tenant);
                more |= !is_known && tenants.len() >= TENANTS_MAX;
                if is_known || tenants.len() < TENANTS_MAX {
                    tenants.entry(tenant).or_insert_with(Crowd::default).add(object.size);
                }
            }
        }
        let count = tenants.len() as u64;
        // of equals the first by name, so that every run says the same
        let largest = tenants
            .into_iter()
            .max_by(|(one, most), (other, least)| most.bytes.cmp(&least.bytes).then_with(|| other.cmp(one)));
        survey.tenants = largest.map(|largest| Tenants { count, more, largest });
        Ok(survey)
    }

    /// Counts an object; gives a collection that it is of.
    fn take(&mut self, layout: &Layout, object: &Object) -> Option<String> {
        let names = layout.collections_at(&object.path);
        let first = names.first()?.clone();
        let counts = match layout.whose(&object.path) {
            Whose::One(_) => &mut self.documents,
            _ => &mut self.shared,
        };
        for name in names {
            counts.entry(name).or_default().add(object.size);
        }
        larger(&mut self.largest, object);
        Some(first)
    }

    /// The figures that follow from it; `from`: the source.
    #[must_use]
    pub fn readings(&self, from: &str) -> Readings {
        let from = format!("the listing of {from}");
        let measured = |value: u64, of: &str| {
            Reading::Measured(Measured { value, of: of.to_owned(), from: from.clone() })
        };
        let most = self.documents.iter().max_by_key(|(_, crowd)| crowd.count);
        let documents = match (most, self.shared.is_empty()) {
            (Some((name, crowd)), _) => measured(crowd.count, name),
            (None, true) => measured(0, "nothing that the model names"),
            (None, false) => {
                let names: Vec<&str> = self.shared.keys().map(String::as_str).collect();
                Reading::Unknown(format!(
                    "{} stand several in a file, and a listing does not count them; `repot plan` does",
                    names.join(", ")
                ))
            }
        };
        let bytes = |found: &Option<(String, u64)>, missing: &str| {
            found
                .as_ref()
                .map_or_else(|| Reading::Unknown(missing.to_owned()), |(path, bytes)| measured(*bytes, path))
        };
        Readings::from([
            (Figure::Documents, documents),
            (Figure::LargestObject, bytes(&self.largest, "the source has no documents")),
            (Figure::SqliteFile, bytes(&self.largest_sqlite, "the source has no SQLite files")),
        ])
    }
}

fn larger(largest: &mut Option<(String, u64)>, object: &Object) {
    if largest.as_ref().is_none_or(|(_, bytes)| object.size > *bytes) {
        *largest = Some((object.path.clone(), object.size));
    }
}
