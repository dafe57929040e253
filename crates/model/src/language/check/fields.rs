//! Whether the words of each field fit its type and its collection.

use super::checker::{At, Checker};
use crate::language::suggest::did_you_mean;
use crate::language::{
    Body, Collection, DefaultValue, Field, FieldKind, Format, OnDelete, Place, Scalar, Step,
};

impl Checker<'_> {
    pub(super) fn fields(&mut self, index: usize, collection: &Collection) {
        let mut special: [Option<&str>; 2] = [None, None];
        for field in &collection.fields {
            let at = At::new(index, field.span);
            self.words(at, collection, field);
            self.default(at, field);
            let (slot, what) = match field.kind {
                FieldKind::Body(_) => (0, "body"),
                FieldKind::Position => (1, "position"),
                _ => continue,
            };
            if let Some(first) = special[slot].replace(&field.name) {
                let message =
                    format!("{}: `{first}` and `{}` are both the {what}", collection.name, field.name);
                self.find(at.word(what), "R0135", message, "Keep one of them.");
            }
        }
        if let Some(body) = special[0] {
            self.body(index, collection, body);
        }
        self.format(index, collection);
    }

    fn words(&mut self, at: At<'_>, collection: &Collection, field: &Field) {
        for (word, message, hint) in
            key_rules(collection, field).into_iter().chain(word_rules(collection, field))
        {
            self.find(at.word(word), "R0135", format!("{}: {message}", field.name), hint);
        }
    }

    fn default(&mut self, at: At<'_>, field: &Field) {
        let Some(default) = &field.default else { return };
        let at = at.word(match default {
            DefaultValue::Now | DefaultValue::NowOnWrite => "now",
            DefaultValue::Today => "today",
            DefaultValue::Constant(text) => text,
        });
        let name = &field.name;
        let time = field.kind == FieldKind::Scalar(Scalar::Time);
        let date = field.kind == FieldKind::Scalar(Scalar::Date);
        let (fits, message) = match default {
            DefaultValue::Now | DefaultValue::NowOnWrite => {
                (time, format!("{name}: `now` is a default of `time` only"))
            }
            DefaultValue::Today => (date, format!("{name}: `today` is a default of `date` only")),
            DefaultValue::Constant(text) => {
                (constant_fits(text, &field.kind), format!("{name}: `{text}` is no value of this type"))
            }
        };
        if fits {
            return;
        }
        let hint = match (&field.kind, default) {
            (FieldKind::Enum(words), DefaultValue::Constant(text)) => {
                let listed = format!("Write one of {}.", words.join(", "));
                did_you_mean(text, words.iter().map(String::as_str), &listed)
            }
            (FieldKind::List(_) | FieldKind::Ref(_) | FieldKind::Body(_) | FieldKind::Position, _) => {
                "Lists, references, `body` and `position` have no default; leave it out.".to_owned()
            }
            (FieldKind::Scalar(Scalar::Bytes), _) => "Bytes have no default; leave it out.".to_owned(),
            (FieldKind::Scalar(Scalar::Text(_)), DefaultValue::Constant(_)) => {
                "Shorten it, or allow more characters.".to_owned()
            }
            (FieldKind::Scalar(Scalar::Text(_)), _) => {
                "Put a text that reads like this in quotes: `= 'now'`.".to_owned()
            }
            _ => "Write a value of the type, or leave the default out.".to_owned(),
        };
        self.find(at, "R0136", message, hint);
    }

    fn body(&mut self, index: usize, collection: &Collection, name: &str) {
        let Some(field) = collection.field(name) else { return };
        let at = At::new(index, field.span).word("body");
        if !matches!(collection.place, Place::Files(_)) {
            let message = format!(
                "{}: `body` in a collection whose documents are not files of their own",
                collection.name
            );
            self.find(at, "R0135", message, "Only `file` without `in` and `table` has a body; leave it out.");
        }
        for other in &collection.fields {
            if other.from.is_some() {
                let message =
                    format!("{}: `{}` reads a document, but the file is a body", collection.name, other.name);
                self.find(
                    At::new(index, other.span).word("from"),
                    "R0135",
                    message,
                    "Leave `from` out, or the body.",
                );
            }
        }
    }

    fn format(&mut self, index: usize, collection: &Collection) {
        let at = At::new(index, collection.span).key("format");
        let body = collection.fields.iter().find_map(|field| match field.kind {
            FieldKind::Body(body) => Some(body),
            _ => None,
        });
        let name = &collection.name;
        if collection.format.is_some() && !matches!(collection.place, Place::Files(_) | Place::InFiles { .. })
        {
            self.find(at, "R0135", format!("{name}: `format` without files"), "Leave `format` out.");
            return;
        }
        let inside = matches!(collection.place, Place::InFiles { .. });
        let wanted = match (collection.format, body) {
            (Some(Format::Text | Format::Bytes), _) if inside => {
                Some("Only JSON files hold several documents; leave `format` out.")
            }
            (Some(Format::JsonLines), _) if inside => {
                Some("JSON Lines is one document a line; leave out `in` or `format`.")
            }
            (Some(Format::Text), None) if collection.moves => {
                Some("Add a field for the text: `content = \"body\"`.")
            }
            (Some(Format::Bytes), None) if collection.moves => {
                Some("Add a field for the bytes: `content = \"bytes body\"`.")
            }
            (Some(Format::JsonLines), Some(_)) => {
                Some("JSON Lines is one document a line, a body is the whole file; leave one of them out.")
            }
            (Some(Format::Json | Format::Bytes), Some(Body::Text)) => {
                Some("A text body is `format = \"text\"`, or none.")
            }
            (Some(Format::Json | Format::Text), Some(Body::Bytes)) => {
                Some("A bytes body is `format = \"bytes\"`, or none.")
            }
            (Some(Format::Text | Format::Bytes), Some(Body::Json)) => {
                Some("A json body is `format = \"json\"`, or none.")
            }
            _ => None,
        };
        if let Some(hint) = wanted {
            self.find(at, "R0135", format!("{name}: `format` and fields do not fit together"), hint);
        }
    }
}

/// The word, what is wrong with it, what to do.
type Broken<'f> = (&'f str, &'static str, &'static str);

fn broken<'f, const N: usize>(rules: [(bool, &'f str, &'static str, &'static str); N]) -> Vec<Broken<'f>> {
    rules.into_iter().filter(|rule| rule.0).map(|(_, word, message, hint)| (word, message, hint)).collect()
}

fn several_targets(field: &Field) -> bool {
    matches!(&field.kind, FieldKind::Ref(targets) if targets.len() > 1)
}

fn key_rules<'f>(collection: &Collection, field: &'f Field) -> Vec<Broken<'f>> {
    let list =
        matches!(field.kind, FieldKind::List(_) | FieldKind::Scalar(Scalar::Json) | FieldKind::Body(_));
    broken([
        (
            field.key && list,
            "key",
            "a list, json or body cannot be a key",
            "Choose another field, or add `id = \"uuid key auto\"`.",
        ),
        (
            field.key && field.kind == FieldKind::Position,
            "key",
            "`position` cannot be a key",
            "Leave `key` out: without one, parent and position tell rows apart.",
        ),
        (
            field.key && several_targets(field),
            "key",
            "a reference to one of several collections cannot be a key",
            "Write `unique = [...]` with it instead.",
        ),
        (field.key && field.optional, "key", "a key that may be missing", "Leave out `?` or `key`."),
        (
            field.unique && field.key && single_key(collection),
            "unique",
            "`key` is unique already",
            "Leave `unique` out.",
        ),
        (field.unique && list, "unique", "a list, json or body cannot be unique", "Leave `unique` out."),
    ])
}

fn word_rules<'f>(collection: &Collection, field: &'f Field) -> Vec<Broken<'f>> {
    let name = field.name.as_str();
    let whole = matches!(field.kind, FieldKind::Body(_) | FieldKind::Position);
    let acts = field.on_delete != OnDelete::Refuse;
    let was_there = field.was.as_ref().is_some_and(|was| was != name && collection.field(was).is_some());
    broken([
        (
            acts && !matches!(field.kind, FieldKind::Ref(_)),
            if field.on_delete == OnDelete::Cascade { "cascade" } else { "set" },
            "only a reference can have `cascade` or `set null`",
            "Leave it out, or make the field a reference: `-> collection`.",
        ),
        (
            field.on_delete == OnDelete::SetNull && !field.optional,
            "set",
            "`set null` on a field that must not be null",
            "Write `?` behind the reference, or `cascade`.",
        ),
        (
            whole && field.from.is_some(),
            "from",
            "`body` and `position` have no name in the document",
            "Leave `from` out.",
        ),
        (
            field.auto && field.from.is_some(),
            "from",
            "`auto` is never in the document, so it has no name there",
            "Leave out `auto` or `from`.",
        ),
        (
            several_targets(field) && field.from.is_some(),
            "from",
            "a reference to one of several collections reads two names",
            "Leave `from` out; it reads the names with `_type` and `_id` behind.",
        ),
        (whole && field.auto, "auto", "`body` and `position` are filled in anyway", "Leave `auto` out."),
        (
            field.optional && field.kind == FieldKind::Position,
            "?",
            "`position` cannot be missing",
            "Leave `?` out.",
        ),
        (
            matches!(&field.kind, FieldKind::Enum(words) if words.is_empty()),
            name,
            "no word but `null`",
            "Name the words, as in `open | done | null`.",
        ),
        (
            matches!(&field.kind, FieldKind::List(Scalar::Text(Some(_)))),
            "text",
            "a length inside a list is not kept to",
            "Write `[text]`.",
        ),
        (
            field.was.as_deref() == Some(name),
            "was",
            "`was` names the field itself",
            "Leave `was` out, or write the old name.",
        ),
        (
            was_there,
            "was",
            "the old name behind `was` is a field still",
            "Leave `was` out, or remove the other field.",
        ),
    ])
}

fn single_key(collection: &Collection) -> bool {
    collection.fields.iter().filter(|field| field.key).count() == 1
}

/// Is the text a value of the type?
pub(super) fn constant_fits(text: &str, kind: &FieldKind) -> bool {
    match kind {
        FieldKind::Enum(words) => words.iter().any(|word| word == text),
        FieldKind::Scalar(scalar) => match scalar {
            Scalar::Text(most) => {
                most.is_none_or(|most| text.chars().count() <= most as usize) && !text.contains('\0')
            }
            Scalar::Int => plain_number(text, false) && text.parse::<i64>().is_ok(),
            Scalar::Float => plain_number(text, true) && text.parse::<f64>().is_ok_and(f64::is_finite),
            Scalar::Decimal => plain_number(text, true) && !text.contains(['e', 'E']),
            Scalar::Bool => matches!(text, "true" | "false"),
            Scalar::Time => {
                text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
            }
            Scalar::Date => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
            Scalar::Uuid => is_uuid(text),
            Scalar::Json => repot_json::Tree::parse(text.as_bytes(), repot_json::Limits::default()).is_ok(),
            Scalar::Bytes => false,
        },
        FieldKind::List(_) | FieldKind::Ref(_) | FieldKind::Body(_) | FieldKind::Position => false,
    }
}

/// A number as JSON writes it: both databases take it as it stands in a `DEFAULT`.
fn plain_number(text: &str, fraction: bool) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || fraction && matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && (text.parse::<f64>().is_ok())
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// The fields that keys of maps fill.
pub(super) fn entry_fields(collection: &Collection) -> Vec<&str> {
    let steps: Vec<&Step> = match &collection.place {
        Place::In(places) => places.iter().flat_map(|place| &place.steps).collect(),
        Place::InFiles { steps, .. } => steps.iter().collect(),
        Place::Files(_) | Place::SqliteTable { .. } | Place::View { .. } => Vec::new(),
    };
    let names = steps.into_iter().filter_map(|step| match step {
        Step::Entry(name) => Some(name.as_str()),
        Step::Name(_) | Step::Each => None,
    });
    names.collect()
}
