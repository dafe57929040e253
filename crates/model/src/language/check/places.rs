//! Templates against fields: what captures fill, what nothing fills, and which places overlap.

use super::checker::{At, Checker};
use super::fields::{constant_fits, entry_fields};
use crate::language::suggest::did_you_mean;
use crate::language::{Collection, DefaultValue, Field, FieldKind, Format, Place, Scalar, Step};
use crate::place::{Capture, Router, Template};

/// Ends of names whose files are bodies, not JSON.
const BODY_ENDS: [&str; 17] = [
    ".md",
    ".mdx",
    ".markdown",
    ".txt",
    ".bin",
    ".html",
    ".htm",
    ".xml",
    ".csv",
    ".yaml",
    ".yml",
    ".toml",
    ".png",
    ".jpg",
    ".pdf",
    ".mp4",
    ".mp3",
];

impl<'m> Checker<'m> {
    pub(super) fn places(&mut self, index: usize, collection: &'m Collection) {
        let own = templates(collection);
        for template in own {
            for capture in template.captures() {
                self.capture(index, collection, capture);
            }
        }
        self.entries(index, collection);
        self.position(index, collection);
        self.endings(index, collection, own);
        if collection.moves && has_body(collection) {
            self.filled(index, collection, own);
        }
        for (count, template) in own.iter().enumerate() {
            if own.iter().take(count).any(|other| other.text() == template.text()) {
                let at = At::new(index, collection.span).key("file").word(template.text());
                self.find(
                    at,
                    "R0138",
                    format!("{}: `{}` twice", collection.name, template.text()),
                    "Leave one of them out.",
                );
            }
        }
    }

    fn capture(&mut self, index: usize, collection: &'m Collection, capture: &Capture) {
        let at = At::new(index, collection.span).key("file").word(&capture.name);
        let name = &capture.name;
        let Some(field) = collection.field(name) else {
            let known = known_captures(self.model, collection);
            if collection.moves && !known.contains(&name.as_str()) {
                let hint = did_you_mean(
                    name,
                    known,
                    &format!("Add a field, such as `{name} = \"text\"`, to [{}.fields].", collection.name),
                );
                let message =
                    format!("{{{name}}} is no field of {} nor of what it refers to", collection.name);
                self.find(at, "R0134", message, hint);
            }
            return;
        };
        let unfit = matches!(
            field.kind,
            FieldKind::List(_)
                | FieldKind::Body(_)
                | FieldKind::Position
                | FieldKind::Scalar(Scalar::Json | Scalar::Bytes)
        ) || matches!(&field.kind, FieldKind::Ref(targets) if targets.len() > 1);
        if unfit {
            let message =
                format!("{}: a path cannot fill `{name}`, which is no single value", collection.name);
            self.find(at, "R0134", message, "Make the field `text` or another scalar.");
        }
        for word in &capture.words {
            let fits = match &field.kind {
                FieldKind::Enum(words) => words.contains(word),
                kind @ FieldKind::Scalar(_) => constant_fits(word, kind),
                _ => true,
            };
            if !fits {
                let message = format!("{}: `{word}` in the path is no value of `{name}`", collection.name);
                self.find(
                    at.word(word),
                    "R0134",
                    message,
                    format!("Add it to the words of `{name}`, or take it out of the path."),
                );
            }
        }
    }

    fn entries(&mut self, index: usize, collection: &'m Collection) {
        let at = At::new(index, collection.span).key("in");
        for name in entry_fields(collection) {
            let Some(field) = self.named(at, collection, name, "the place") else { continue };
            let keyed = match &field.kind {
                FieldKind::Enum(_) => true,
                FieldKind::Ref(targets) => targets.len() == 1,
                FieldKind::Scalar(scalar) => !matches!(scalar, Scalar::Json | Scalar::Bytes),
                FieldKind::List(_) | FieldKind::Body(_) | FieldKind::Position => false,
            };
            if !keyed {
                let message = format!(
                    "{}: the key of a map cannot fill `{name}`, which is no single value",
                    collection.name
                );
                self.find(at.word(name), "R0134", message, "Make the field `text` or another scalar.");
            }
            if field.from.is_some() {
                let message =
                    format!("{}: `{name}` is filled by the key of a map and by `from`", collection.name);
                self.find(At::new(index, field.span).word("from"), "R0135", message, "Leave `from` out.");
            }
        }
        let many: Vec<&[Step]> = match &collection.place {
            Place::In(places) => places.iter().map(|place| place.steps.as_slice()).collect(),
            Place::InFiles { steps, .. } => vec![steps.as_slice()],
            Place::Files(_) | Place::SqliteTable { .. } | Place::View { .. } => Vec::new(),
        };
        for steps in many {
            let ends = matches!(steps.last(), Some(Step::Each | Step::Entry(_)));
            let early = steps.split_last().is_some_and(|(_, before)| before.contains(&Step::Each));
            if !ends || early {
                let message = format!(
                    "{}: a place must end with `[]` or `{{field}}`, and `[]` may stand only there",
                    collection.name
                );
                self.find(at, "R0128", message, "Write for example `conversations.messages[]`.");
            }
            for (count, step) in steps.iter().enumerate() {
                if let Step::Entry(name) = step
                    && steps.iter().take(count).any(|earlier| earlier == step)
                {
                    let message = format!("{}: two maps of one place fill `{name}`", collection.name);
                    self.find(at.word(name), "R0134", message, "Give each its own field.");
                }
            }
        }
    }

    fn position(&mut self, index: usize, collection: &Collection) {
        let Some(field) = collection.fields.iter().find(|field| field.kind == FieldKind::Position) else {
            return;
        };
        let listed = match &collection.place {
            Place::In(places) => places.iter().any(|place| place.steps.last() == Some(&Step::Each)),
            Place::InFiles { steps, .. } => steps.last() == Some(&Step::Each),
            Place::Files(_) => is_lines(collection),
            Place::SqliteTable { .. } | Place::View { .. } => false,
        };
        if !listed {
            let message = format!(
                "{}: `{}` is a position, but its documents are in no list",
                collection.name, field.name
            );
            self.find(
                At::new(index, field.span).word("position"),
                "R0135",
                message,
                "Only elements of a list (`[]`) and lines of JSON Lines have a position; leave it out.",
            );
        }
    }

    /// What the ends of the file names say.
    fn endings(&mut self, index: usize, collection: &Collection, own: &[Template]) {
        if !collection.moves || matches!(collection.place, Place::SqliteTable { .. }) {
            return;
        }
        let at = At::new(index, collection.span).key("file");
        if collection.format.is_none() && !has_body(collection) {
            let lines = own.iter().filter(|template| ends_as_lines(template)).count();
            if lines > 0 && lines < own.len() {
                let message = format!("{}: some files are JSON Lines, some are not", collection.name);
                self.find(
                    at,
                    "R0135",
                    message,
                    "Say `format = \"json\"` or `\"jsonl\"`, or make two collections.",
                );
            }
            let body = own.iter().find(|template| {
                BODY_ENDS.iter().any(|end| template.suffix().to_ascii_lowercase().ends_with(end))
            });
            if let Some(template) = body {
                let message = format!(
                    "{}: `{}` does not look like JSON, and no field holds the file's content",
                    collection.name,
                    template.text()
                );
                self.find(at.word(template.text()), "R0135", message, "Add a field such as `content = \"body\"` (`bytes body` for what is no text), or say `format = \"json\"`.");
            }
        }
        if lines_inside(collection) {
            let message = format!("{}: `in` beside files of JSON Lines", collection.name);
            self.find(
                at,
                "R0135",
                message,
                "JSON Lines is one document a line: leave `in` out, or say `format = \"json\"`.",
            );
        }
    }

    /// Fields of a collection of bodies: there is no document to read them from.
    fn filled(&mut self, index: usize, collection: &Collection, own: &[Template]) {
        for field in &collection.fields {
            let given =
                field.optional || field.auto || matches!(field.default, Some(DefaultValue::Constant(_)));
            if given || matches!(field.kind, FieldKind::Body(_) | FieldKind::Position) {
                continue;
            }
            let lacking = own
                .iter()
                .find(|template| !template.captures().iter().any(|capture| capture.name == field.name));
            if let Some(template) = lacking {
                let message = format!(
                    "{}: nothing in `{}` fills in `{}`",
                    collection.name,
                    template.text(),
                    field.name
                );
                let hint = format!(
                    "Put `{{{}}}` into the path, write `?` behind its type, or give it a default.",
                    field.name
                );
                self.find(At::new(index, field.span), "R0134", message, hint);
            }
        }
    }

    /// Collections that read the same values.
    pub(super) fn shared_places(&mut self) {
        for (index, one) in self.model.collections.iter().enumerate() {
            for other in self.model.collections.iter().take(index) {
                let common = templates(one)
                    .iter()
                    .find(|template| templates(other).iter().any(|beside| beside.text() == template.text()));
                let apart = match (&one.place, &other.place) {
                    (Place::InFiles { steps, .. }, Place::InFiles { steps: beside, .. }) => {
                        !overlap(steps, beside)
                    }
                    (Place::SqliteTable { table, .. }, Place::SqliteTable { table: beside, .. }) => {
                        table != beside
                    }
                    _ => false,
                };
                if let Some(template) = common
                    && !apart
                {
                    let at = At::new(index, one.span).key("file").word(template.text());
                    let message = format!("{} and {} both read `{}`", one.name, other.name, template.text());
                    self.find(at, "R0138", message, "Files can be shared only by lists or maps at different places in them; change one of the two.");
                }
            }
        }
    }

    /// Templates of which neither is more literal.
    pub(super) fn ties(&mut self) {
        let lists = self
            .model
            .collections
            .iter()
            .enumerate()
            .map(|(index, collection)| (index, templates(collection).iter().collect()));
        for overlap in Router::overlaps(lists.collect()) {
            let index = overlap.one.0.max(overlap.other.0);
            let (text, span) = match self.model.collections.get(index) {
                Some(collection) => {
                    (if index == overlap.one.0 { &overlap.one.1 } else { &overlap.other.1 }, collection.span)
                }
                None => continue,
            };
            let at = At::new(index, span).key("file").word(text);
            let hint = "Make one of them more literal, with a folder or with words as in `{kind=games|clips}`, or join the two sections.";
            self.find(at, "R0140", overlap.to_string(), hint);
        }
    }
}

/// Names a path may use: fields, and of what they refer to, fields and captures.
fn known_captures<'m>(model: &'m crate::language::Model, collection: &'m Collection) -> Vec<&'m str> {
    let mut known: Vec<&str> = collection.fields.iter().map(|field| field.name.as_str()).collect();
    let targets = collection.fields.iter().filter_map(|field: &Field| match &field.kind {
        FieldKind::Ref(targets) => Some(targets),
        _ => None,
    });
    for target in targets.flatten().filter_map(|target| model.collection(target)) {
        known.extend(target.fields.iter().map(|field| field.name.as_str()));
        let captures = templates(target).iter().flat_map(|template| template.captures());
        known.extend(captures.map(|capture| capture.name.as_str()));
    }
    known
}

fn overlap(one: &[Step], other: &[Step]) -> bool {
    let same = |pair: (&Step, &Step)| match pair {
        (Step::Name(one), Step::Name(other)) => one == other,
        (Step::Each, Step::Each)
        | (Step::Entry(_), Step::Entry(_) | Step::Name(_))
        | (Step::Name(_), Step::Entry(_)) => true,
        (Step::Each, _) | (_, Step::Each) => false,
    };
    one.iter().zip(other).all(same)
}

fn has_body(collection: &Collection) -> bool {
    collection.fields.iter().any(|field| matches!(field.kind, FieldKind::Body(_)))
}

fn ends_as_lines(template: &Template) -> bool {
    template.text().ends_with(".jsonl") || template.text().ends_with(".ndjson")
}

fn lines_inside(collection: &Collection) -> bool {
    matches!(collection.place, Place::InFiles { .. }) && is_lines(collection)
}

/// Is each file of the collection read as JSON Lines?
pub(super) fn is_lines(collection: &Collection) -> bool {
    match collection.format {
        Some(format) => format == Format::JsonLines,
        None => !has_body(collection) && templates(collection).iter().any(ends_as_lines),
    }
}

/// The templates of a collection whose documents are in files.
pub(super) fn templates(collection: &Collection) -> &[Template] {
    match &collection.place {
        Place::Files(templates) | Place::InFiles { templates, .. } | Place::SqliteTable { templates, .. } => {
            templates
        }
        Place::In(_) | Place::View { .. } => &[],
    }
}
