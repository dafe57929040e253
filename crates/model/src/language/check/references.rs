//! References, parents, keys, and what `auto` can fill in.

use super::checker::{At, Checker};
use super::fields::entry_fields;
use super::places::{is_lines, templates};
use crate::language::suggest::did_you_mean;
use crate::language::{Collection, DefaultValue, Field, FieldKind, InPlace, OnDelete, Place, Scalar, Step};

impl<'m> Checker<'m> {
    pub(super) fn references(&mut self, index: usize, collection: &'m Collection) {
        for field in &collection.fields {
            if let FieldKind::Ref(targets) = &field.kind {
                for target in targets {
                    self.target(At::new(index, field.span).word(target), field, target);
                }
            }
        }
        if let Place::In(places) = &collection.place {
            self.parents(index, collection, places);
        }
        self.keys(index, collection);
        for field in collection.fields.iter().filter(|field| field.auto) {
            self.auto(index, collection, field);
        }
    }

    fn target(&mut self, at: At<'_>, field: &Field, target: &str) {
        let name = &field.name;
        let Some(other) = self.model.collection(target) else {
            let known = self.model.collections.iter().map(|collection| collection.name.as_str());
            let hint = did_you_mean(target, known, "Name a section of this file behind `->`.");
            return self.find(
                at,
                "R0131",
                format!("{name} refers to `{target}`, which is no collection"),
                hint,
            );
        };
        if self.broken.contains(target) {
            return;
        }
        if matches!(other.place, Place::View { .. }) || !other.moves {
            let message = format!("{name} refers to `{target}`, which is no table of Repot's");
            return self.find(
                at,
                "R0131",
                message,
                "Make the field a plain `text` or `int`, or let the other collection move.",
            );
        }
        let keys: Vec<&str> =
            other.fields.iter().filter(|field| field.key).map(|field| field.name.as_str()).collect();
        if keys.len() != 1 {
            let has = if keys.is_empty() {
                "no key".to_owned()
            } else {
                format!("the key {} together", keys.join(", "))
            };
            let hint = format!(
                "A reference needs one key field: give {target} a single one, such as `id = \"uuid key auto\"`, and make the others `unique`."
            );
            self.find(at, "R0131", format!("{name} refers to `{target}`, which has {has}"), hint);
        }
    }

    fn parents(&mut self, index: usize, collection: &'m Collection, places: &'m [InPlace]) {
        let at = At::new(index, collection.span).key("in");
        let mut known = true;
        for (count, place) in places.iter().enumerate() {
            let parent = &place.parent;
            let Some(other) = self.model.collection(parent) else {
                let names = self.model.collections.iter().map(|collection| collection.name.as_str());
                let hint = did_you_mean(
                    parent,
                    names,
                    "Name a section of this file first, as in `conversations.messages[]`.",
                );
                self.find(
                    at.word(parent),
                    "R0132",
                    format!("{} is in `{parent}`, which is no collection", collection.name),
                    hint,
                );
                known = false;
                continue;
            };
            if matches!(other.place, Place::View { .. } | Place::SqliteTable { .. }) || !other.moves {
                let message =
                    format!("{} is in `{parent}`, which has no documents that Repot reads", collection.name);
                self.find(
                    at.word(parent),
                    "R0132",
                    message,
                    "Rows can be in collections with `file` or `in` that move.",
                );
            }
            if places.iter().take(count).any(|earlier| earlier == place) {
                self.find(
                    at.word(parent),
                    "R0132",
                    format!("{}: one place twice", collection.name),
                    "Leave one of them out.",
                );
            }
        }
        if known {
            self.way_to_parent(index, collection, places);
        }
    }

    fn way_to_parent(&mut self, index: usize, collection: &'m Collection, places: &'m [InPlace]) {
        let at = At::new(index, collection.span).key("in");
        let mut names: Vec<&str> = places.iter().map(|place| place.parent.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let ways: Vec<&Field> =
            collection.fields.iter().filter(|field| is_parent_reference(field, &names)).collect();
        match ways.as_slice() {
            [way] => self.parent_reference(index, collection, way, &names),
            [] => {
                let hint = format!(
                    "Add a line such as `{} = \"-> {} cascade auto\"`.",
                    if names.len() == 1 { format!("{}_id", names.join("")) } else { "parent".to_owned() },
                    names.join(" | ")
                );
                let message = format!(
                    "{} has no `auto` reference to where its rows are ({})",
                    collection.name,
                    names.join(", ")
                );
                self.find(at, "R0132", message, hint);
            }
            [_, second, ..] => {
                let message = format!("{}: two `auto` references to the parent", collection.name);
                self.find(
                    At::new(index, second.span).word("auto"),
                    "R0132",
                    message,
                    "Keep one; the other is no `auto` unless it names other collections.",
                );
            }
        }
    }

    fn parent_reference(&mut self, index: usize, collection: &Collection, way: &Field, parents: &[&str]) {
        let at = At::new(index, way.span);
        if let FieldKind::Ref(targets) = &way.kind
            && let Some(extra) = targets.iter().find(|target| !parents.contains(&target.as_str()))
        {
            let message = format!("{}: `{}` names `{extra}`, but no row is in it", collection.name, way.name);
            self.find(
                at.word(extra),
                "R0132",
                message,
                format!("Leave `{extra}` out, or add its place to `in`."),
            );
        }
        if way.optional || way.on_delete == OnDelete::SetNull {
            let message = format!("{}: the reference to the parent cannot be missing", collection.name);
            self.find(
                at.word("?"),
                "R0132",
                message,
                "Leave out `?` and `set null`: a row inside a document always has its parent.",
            );
        }
    }

    fn keys(&mut self, index: usize, collection: &Collection) {
        let has_key = collection.fields.iter().any(|field| field.key);
        let at = At::new(index, collection.span);
        if has_key || !collection.moves {
            return;
        }
        let hint = "Add `key` to the field that tells rows apart, or a line `id = \"uuid key auto\"`.";
        match &collection.place {
            Place::View { .. } => {}
            Place::In(places) => {
                let listed = places.iter().any(|place| place.steps.last() == Some(&Step::Each));
                if listed && !collection.fields.iter().any(|field| field.kind == FieldKind::Position) {
                    let message = format!("{} has neither `key` nor `position`", collection.name);
                    self.find(
                        at,
                        "R0133",
                        message,
                        "Add a line `position = \"position\"`, or `key` to the field that tells rows apart.",
                    );
                }
            }
            Place::Files(_) | Place::InFiles { .. } | Place::SqliteTable { .. } => {
                self.find(at, "R0133", format!("{} has no key", collection.name), hint);
            }
        }
    }

    /// Whether anything fills an `auto` field.
    fn auto(&mut self, index: usize, collection: &Collection, field: &Field) {
        let at = At::new(index, field.span).word("auto");
        let name = &field.name;
        let own = templates(collection);
        let captured =
            own.iter().any(|template| template.captures().iter().any(|capture| capture.name == *name));
        let from_entry = entry_fields(collection).contains(&name.as_str());
        match &field.kind {
            FieldKind::Ref(targets) => {
                self.auto_reference(at, collection, field, targets, captured || from_entry);
            }
            _ if captured || from_entry => {}
            FieldKind::Scalar(Scalar::Uuid | Scalar::Int | Scalar::Text(None)) if field.key => {
                if collection.fields.iter().filter(|other| other.key).count() > 1 {
                    let hint = "Leave out the other `key`s: a made key is enough alone.";
                    self.find(
                        at,
                        "R0133",
                        format!("{}: `{name}` is a made key beside another key", collection.name),
                        hint,
                    );
                }
            }
            FieldKind::Scalar(Scalar::Text(Some(most))) if field.key && *most >= 36 => {}
            _ if field.key => {
                let hint = "A key that Repot makes is `uuid`, `int` or `text` of at least 36 characters.";
                self.find(
                    at,
                    "R0133",
                    format!("{}: `{name}` is no type of key that Repot can make", collection.name),
                    hint,
                );
            }
            _ if matches!(
                field.default,
                Some(
                    DefaultValue::Now
                        | DefaultValue::NowOnWrite
                        | DefaultValue::Today
                        | DefaultValue::Constant(_)
                )
            ) => {}
            _ => {
                let hint = format!(
                    "Put `{{{name}}}` into `file`, give it a default such as `= now`, or leave `auto` out."
                );
                self.find(at, "R0134", format!("{}: nothing fills in `{name}`", collection.name), hint);
            }
        }
    }

    fn auto_reference(
        &mut self,
        at: At<'_>,
        collection: &Collection,
        field: &Field,
        targets: &[String],
        captured: bool,
    ) {
        if let Place::In(places) = &collection.place
            && places.iter().all(|place| targets.contains(&place.parent))
        {
            return;
        }
        let ([target], false) = (targets, captured) else {
            if captured && targets.len() == 1 {
                return;
            }
            let message = format!(
                "{}: the path cannot tell which collection `{}` refers to",
                collection.name, field.name
            );
            return self.find(
                at,
                "R0134",
                message,
                "Name one collection, or leave `auto` out and let the document say it.",
            );
        };
        let Some(other) = self.model.collection(target).filter(|_| !self.broken.contains(target)) else {
            return;
        };
        let own: Vec<&str> = templates(collection)
            .iter()
            .flat_map(|template| template.captures())
            .map(|capture| capture.name.as_str())
            .collect();
        let key = other.fields.iter().find(|field| field.key);
        let found = templates(other).iter().any(|template| {
            let mut captures = template.captures().iter().map(|capture| capture.name.as_str());
            let all = captures.clone().all(|name| own.contains(&name));
            key.is_some_and(|key| {
                if key.auto {
                    all
                } else {
                    captures.any(|name| name == key.name) && own.contains(&key.name.as_str())
                }
            })
        });
        let single = !matches!(other.place, Place::InFiles { .. }) && !is_lines(other);
        if !found || !single && key.is_some_and(|key| key.auto) {
            let message = format!(
                "{}: the path does not tell which of {target} `{}` refers to",
                collection.name, field.name
            );
            let hint = format!(
                "Use the captures of {target}'s `file` in this one's, or leave `auto` out and let the document say it."
            );
            self.find(at, "R0134", message, hint);
        }
    }

    /// Collections that are in one another in a circle.
    pub(super) fn cycles(&mut self) {
        let mut reported: Vec<&str> = Vec::new();
        for (index, collection) in self.model.collections.iter().enumerate() {
            if reported.contains(&collection.name.as_str()) {
                continue;
            }
            let mut seen: Vec<&str> = Vec::new();
            let mut open = parents_of(collection);
            while let Some(parent) = open.pop() {
                if seen.contains(&parent) {
                    continue;
                }
                seen.push(parent);
                open.extend(self.model.collection(parent).into_iter().flat_map(parents_of));
            }
            if seen.contains(&collection.name.as_str()) {
                let at = At::new(index, collection.span).key("in");
                let message = format!("{} is, through its parents, in itself", collection.name);
                let hint = "Keep what nests in itself in a `json` field of the outermost collection.";
                self.find(at, "R0132", message, hint);
                reported.extend(seen);
            }
        }
    }
}

fn parents_of(collection: &Collection) -> Vec<&str> {
    match &collection.place {
        Place::In(places) => places.iter().map(|place| place.parent.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn is_parent_reference(field: &Field, parents: &[&str]) -> bool {
    matches!(&field.kind, FieldKind::Ref(targets)
        if field.auto && parents.iter().all(|parent| targets.iter().any(|target| target == parent)))
}
