//! What one model has more than another, where that is all: a change that nothing stored stands against.

use super::{Plan, Table};
use crate::language::{Collection, Field, Model, Place};

/// What was added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Collections, parents before children.
    pub collections: Vec<String>,
    /// Tables of these, as indexes into [`Plan::tables`] of the new plan, in its order.
    pub tables: Vec<usize>,
    /// Indexes on tables that were there: table and index, in the new plan.
    pub indexes: Vec<(usize, usize)>,
    /// Columns or children of collections that were there, such as `notes.size`: stores with tables cannot take them, because
    /// what the texts already say would be missing in the rows.
    pub inside: Vec<String>,
}

impl Additions {
    /// Compares two models with their plans.
    ///
    /// # Errors
    /// Everything that is no addition, a phrase each.
    pub fn between(old: (&Model, &Plan), new: (&Model, &Plan)) -> Result<Self, Vec<String>> {
        let mut found = Self::default();
        let mut wrong = Vec::new();
        for before in &old.0.collections {
            match new.0.collection(&before.name) {
                None => wrong.push(format!("the collection {} is gone", before.name)),
                Some(after) => found.collection(before, after, &mut wrong),
            }
        }
        for added in new.0.collections.iter().filter(|one| old.0.collection(&one.name).is_none()) {
            found.collections.push(added.name.clone());
            match &added.place {
                Place::In(places) => {
                    let grown = places.iter().find(|place| old.0.collection(&place.parent).is_some());
                    found.inside.extend(grown.map(|place| format!("{}.{}", place.parent, added.name)));
                }
                Place::View { .. } => found.inside.push(added.name.clone()),
                _ => {}
            }
        }
        for (at, table) in new.1.tables.iter().enumerate() {
            match old.1.tables.iter().find(|before| before.name == table.name) {
                None => found.tables.push(at),
                Some(before) => found.indexes(before, (at, table), &mut wrong),
            }
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    fn collection(&mut self, before: &Collection, after: &Collection, wrong: &mut Vec<String>) {
        let name = &before.name;
        for field in &after.fields {
            if before.field(&field.name).is_some() {
                continue;
            }
            if field.key || field.unique || field.auto || field.was.is_some() {
                wrong.push(format!("{name}.{} is new, and more than a plain field", field.name));
            } else if field.optional || field.default.is_some() {
                self.inside.push(format!("{name}.{}", field.name));
            } else {
                wrong.push(format!("{name}.{} is new, and documents must have it", field.name));
            }
        }
        for field in &before.fields {
            match after.field(&field.name) {
                None => wrong.push(format!("{name}.{} is gone", field.name)),
                Some(other) if plain(other) != plain(field) => {
                    wrong.push(format!("{name}.{} is another field than before", field.name));
                }
                Some(_) => {}
            }
        }
        // fields that were there keep their order, which is that of columns
        let order = |one: &Collection, other: &Collection| -> Vec<String> {
            let shared = one.fields.iter().filter(|field| other.field(&field.name).is_some());
            shared.map(|field| field.name.clone()).collect()
        };
        if order(before, after) != order(after, before) {
            wrong.push(format!("the fields of {name} are in another order"));
        }
        if fixed(before) != fixed(after) {
            wrong.push(format!(
                "{name} has another place, tenant, uniqueness, search, queue or format than before"
            ));
        }
    }

    fn indexes(&mut self, before: &Table, (at, after): (usize, &Table), wrong: &mut Vec<String>) {
        for index in &before.indexes {
            if !after.indexes.contains(index) && self.inside.is_empty() {
                wrong.push(format!("the index {} of {} is gone or another one", index.name, before.name));
            }
        }
        let added = after.indexes.iter().enumerate().filter(|(_, index)| !before.indexes.contains(index));
        self.indexes.extend(added.map(|(index, _)| (at, index)));
    }
}

/// A field without what says nothing of the data.
fn plain(field: &Field) -> Field {
    Field { span: crate::language::Span::default(), evidence: None, ..field.clone() }
}

/// A collection without its fields and without what may change at any time: rules for writes to come, times, indexes.
fn fixed(one: &Collection) -> Collection {
    let mut unique = one.unique.clone();
    for index in &mut unique {
        index.span = crate::language::Span::default();
    }
    Collection {
        place: one.place.clone(),
        unique,
        search: one.search.clone(),
        tenant: one.tenant.clone(),
        queue: one.queue.clone(),
        format: one.format,
        refuse_unknown: one.refuse_unknown,
        moves: one.moves,
        ..Collection::new(one.name.clone(), one.place.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Additions;
    use crate::language::{Model, parse};
    use crate::plan::Plan;

    const BASE: &str = "[notes]\nfile = \"notes/{id}.json\"\nindex = [\"title\"]\n[notes.fields]\nid = \"text key\"\ntitle = \"text\"\n";
    const MORE: &str =
        "\n[tags]\nfile = \"tags/{id}.json\"\n[tags.fields]\nid = \"text key\"\nnote_id = \"-> notes\"\n";

    fn read(text: &str) -> (Model, Plan) {
        let model = parse(text, "repot.toml", &|_: &str| None).unwrap();
        let plan = Plan::compile(&model).unwrap();
        (model, plan)
    }

    fn between(old: &str, new: &str) -> Result<Additions, Vec<String>> {
        let ((old, old_plan), (new, new_plan)) = (read(old), read(new));
        Additions::between((&old, &old_plan), (&new, &new_plan))
    }

    #[test]
    fn additions_are_told_by_kind() {
        assert_eq!(between(BASE, BASE).unwrap(), Additions::default());
        let settings =
            BASE.replace("index =", "etag = \"required\"\naudit = \"30d\"\ncache = \"5m\"\nindex =");
        assert_eq!(between(BASE, &settings).unwrap(), Additions::default());
        let limited = format!("[repot.limits]\na = \"5 per minute\"\n\n{BASE}");
        assert_eq!(between(BASE, &limited).unwrap(), Additions::default());
        let more = between(BASE, &format!("{BASE}{MORE}")).unwrap();
        assert_eq!((more.collections.as_slice(), more.tables.len()), (&["tags".to_owned()][..], 1));
        assert!(more.indexes.is_empty() && more.inside.is_empty(), "{more:?}");
        let first =
            between(BASE, &format!("{}{BASE}", MORE.trim_start().replace("-> notes", "text"))).unwrap();
        assert_eq!(first.collections, ["tags"]);
        let indexed = between(BASE, &BASE.replace("[\"title\"]", "[\"title\", \"title, id\"]")).unwrap();
        assert_eq!(indexed.indexes.len(), 1);
        let field =
            between(BASE, &BASE.replace("title = \"text\"", "title = \"text\"\nsize = \"int?\"")).unwrap();
        assert_eq!(field.inside, ["notes.size"]);
        let child = "\n[lines]\nin = \"notes.lines[]\"\n[lines.fields]\nid = \"text key\"\nnote_id = \"-> notes cascade auto\"\n";
        assert_eq!(between(BASE, &format!("{BASE}{child}")).unwrap().inside, ["notes.lines"]);
    }

    #[test]
    fn what_is_no_addition_is_named() {
        for (from, to, expected) in [
            ("notes/{id}.json", "texts/{id}.json", "notes has another place"),
            ("title = \"text\"", "title = \"text?\"", "notes.title is another field"),
            ("title = \"text\"", "title = \"text = a\"", "notes.title is another field"),
            (
                "title = \"text\"",
                "title = \"text\"\nn = \"int\"",
                "notes.n is new, and documents must have it",
            ),
            ("title = \"text\"", "title = \"text\"\nn = \"int? unique\"", "notes.n is new, and more than"),
            ("index = [\"title\"]\n", "", "the index idx_notes_title of notes is gone"),
            ("index =", "unique = [\"title\"]\nindex =", "notes has another place"),
            ("index =", "unknown = \"refuse\"\nindex =", "notes has another place"),
            ("title = \"text\"\n", "note = \"text?\"\n", "notes.title is gone"),
        ] {
            let changed = BASE.replace(from, to);
            let changed =
                if to.starts_with("note =") { changed.replace("[\"title\"]", "[\"note\"]") } else { changed };
            let wrong = between(BASE, &changed).unwrap_err();
            assert!(wrong.iter().any(|one| one.starts_with(expected)), "{to}: {wrong:?}");
        }
        assert_eq!(between(&format!("{BASE}{MORE}"), BASE).unwrap_err(), ["the collection tags is gone"]);
    }
}
