//! Words of the language whose effect comes in a later version: read and checked now, named by the plan.

use super::{Collection, DefaultValue, Field, Model, Place, Span};

/// A word that this version reads but does not act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// The collection; `None`: `[repot]`.
    pub collection: Option<String>,
    /// The word as written.
    pub word: &'static str,
    /// Where its collection, or the field, stands.
    pub span: Span,
    /// What it will do, and what happens until then: a full sentence.
    pub what: &'static str,
}

impl Model {
    /// Every setting that this version does not act on yet, in the order of the model.
    #[must_use]
    pub fn not_yet(&self) -> Vec<NotYet> {
        let settings = &self.settings;
        let per_tenant = settings.target.as_ref().is_some_and(|target| target.value.contains('{'));
        let mut found = Vec::new();
        let whole = [
            ("target", per_tenant, "One database for each tenant comes later; name one database until then."),
            (
                "blobs",
                settings.blobs.is_some(),
                "Large bodies stay in the database until they can go to a bucket.",
            ),
            (
                "backup",
                settings.backup.is_some(),
                "Backups are not made by Repot yet; make them with the database's own tools.",
            ),
        ];
        for (word, _, what) in whole.into_iter().filter(|(_, set, _)| *set) {
            found.push(NotYet { collection: None, word, span: Span::default(), what });
        }
        for collection in &self.collections {
            of_collection(collection, &mut found);
        }
        found
    }
}

fn of_collection(collection: &Collection, found: &mut Vec<NotYet>) {
    let set = [
        (
            "table",
            matches!(collection.place, Place::SqliteTable { .. }) && collection.moves,
            "Tables of SQLite files are not read yet; the model can serve a fresh database.",
        ),
        (
            "refresh",
            matches!(collection.place, Place::View { refresh: Some(_), .. }),
            "The view is computed when it is read, not kept and refreshed.",
        ),
        ("expire", collection.expire.is_some(), "Nothing is deleted by its age yet."),
        ("archive", collection.archive.is_some(), "Nothing is moved to a cold table yet."),
        ("cache", collection.cache.is_some(), "There is no cache yet."),
        (
            "mirror",
            collection.mirror.is_some(),
            "Files are not rewritten after changes yet; `repot export` writes them.",
        ),
    ];
    for (word, _, what) in set.into_iter().filter(|(_, set, _)| *set) {
        found.push(NotYet { collection: Some(collection.name.clone()), word, span: collection.span, what });
    }
    for field in collection.fields.iter().filter(|field| field.was.is_some()) {
        found.push(NotYet {
            collection: Some(collection.name.clone()),
            word: "was",
            span: field.span,
            what: "A renamed field does not bring its column along yet; copy into a fresh database.",
        });
    }
    let made = |field: &&Field| field.auto && field.default == Some(DefaultValue::NowOnWrite);
    for field in collection.fields.iter().filter(made) {
        found.push(NotYet {
            collection: Some(collection.name.clone()),
            word: "now on write",
            span: field.span,
            what: "The time of an `auto` field is set when a row is made with SQL, not yet when it changes.",
        });
    }
}
