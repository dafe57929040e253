//! The grammar of a field: `type`, `?`, words, then `= default` last.

use super::names::{is_identifier, name_text, quoted, take_plain, take_quoted};
use super::suggest::nearest;
use super::{Body, DefaultValue, Field, FieldKind, OnDelete, Scalar};

/// Words after the type.
pub(super) const WORDS: [&str; 7] = ["key", "unique", "auto", "cascade", "set null", "from", "was"];
/// Names of scalar types.
pub(super) const SCALARS: [&str; 10] =
    ["text", "int", "float", "decimal", "bool", "time", "date", "uuid", "json", "bytes"];
/// What other languages call the types.
const ALIASES: [(&str, &str); 30] = [
    ("string", "text"),
    ("str", "text"),
    ("varchar", "text(255)"),
    ("char", "text"),
    ("markdown", "text"),
    ("email", "text"),
    ("url", "text"),
    ("integer", "int"),
    ("bigint", "int"),
    ("smallint", "int"),
    ("long", "int"),
    ("number", "int` or `float"),
    ("double", "float"),
    ("real", "float"),
    ("numeric", "decimal"),
    ("money", "decimal"),
    ("boolean", "bool"),
    ("datetime", "time"),
    ("timestamp", "time"),
    ("timestamptz", "time"),
    ("jsonb", "json"),
    ("object", "json"),
    ("dict", "json"),
    ("map", "json"),
    ("any", "json"),
    ("array", "[text]"),
    ("list", "[text]"),
    ("blob", "bytes"),
    ("binary", "bytes"),
    ("guid", "uuid"),
];

/// What is wrong with a field's text.
pub(super) struct FieldProblem {
    /// Byte offset in the text.
    pub at: usize,
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}

/// Reads a field.
pub(super) fn parse(name: &str, text: &str) -> Result<Field, Vec<FieldProblem>> {
    let mut parser = Parser { text, left: text, problems: Vec::new() };
    let mut field = Field::new(name, FieldKind::Position);
    if parser.kind(&mut field) {
        parser.words(&mut field);
    }
    if parser.problems.is_empty() { Ok(field) } else { Err(parser.problems) }
}

struct Parser<'t> {
    text: &'t str,
    left: &'t str,
    problems: Vec<FieldProblem>,
}

impl<'t> Parser<'t> {
    fn at(&self) -> usize {
        self.text.len() - self.left.len()
    }

    fn blanks(&mut self) {
        self.left = self.left.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        self.left.strip_prefix(token).inspect(|after| self.left = after).is_some()
    }

    /// A run of characters that are no blank and no sign of the grammar.
    fn word(&mut self) -> &'t str {
        self.blanks();
        let end =
            self.left.find(|c: char| c.is_whitespace() || "?|=,'()[]".contains(c)).unwrap_or(self.left.len());
        let (word, after) = self.left.split_at_checked(end).unwrap_or((self.left, ""));
        self.left = after;
        word
    }

    fn fail(&mut self, at: usize, code: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(FieldProblem { at, code, message: message.into(), hint: hint.into() });
    }

    /// The type and its `?`; false when what follows cannot be read.
    fn kind(&mut self, field: &mut Field) -> bool {
        self.blanks();
        let start = self.at();
        let read = if self.left.is_empty() {
            self.fail(
                start,
                "R0123",
                "a field without a type",
                "Write a type such as `text`, `int?` or `-> users`.",
            );
            false
        } else if self.eat("->") {
            self.targets(field)
        } else if self.eat("[") {
            self.list(field)
        } else {
            self.scalar_or_enum(field)
        };
        if read && self.eat("?") {
            field.optional = true;
        }
        read
    }

    fn targets(&mut self, field: &mut Field) -> bool {
        let mut targets = Vec::new();
        loop {
            self.blanks();
            let at = self.at();
            let target = self.word();
            if !is_identifier(target) {
                let hint = "Write the name of a collection, as in `-> users` or `-> dramas | scenes`.";
                self.fail(at, "R0123", "`->` without the name of a collection", hint);
                return false;
            }
            if targets.iter().any(|other| other == target) {
                self.fail(at, "R0123", format!("`{target}` twice"), "Leave one of them out.");
            }
            targets.push(target.to_owned());
            if !self.eat("|") {
                break;
            }
        }
        field.kind = FieldKind::Ref(targets);
        true
    }

    fn list(&mut self, field: &mut Field) -> bool {
        self.blanks();
        let at = self.at();
        let name = self.word();
        let scalar = scalar(name);
        if !self.eat("]") {
            let hint = "Write a list of scalars as `[text]`; lists of lists or of objects are `json` or a collection of their own.";
            self.fail(at, "R0123", "a list that is not closed after one type", hint);
            return false;
        }
        let Some(scalar) = scalar else {
            self.unknown_type(at, name);
            return false;
        };
        field.kind = FieldKind::List(scalar);
        true
    }

    fn scalar_or_enum(&mut self, field: &mut Field) -> bool {
        self.blanks();
        let at = self.at();
        let quoted_first = self.left.starts_with('\'');
        let before = self.left;
        let name = if quoted_first { "" } else { self.word() };
        if quoted_first || self.left.trim_start().starts_with('|') {
            self.left = before;
            return self.words_of_enum(field);
        }
        if name.is_empty() {
            self.fail(
                at,
                "R0123",
                "a field without a type",
                "Write a type such as `text`, `int?` or `-> users`.",
            );
            return false;
        }
        let Some(mut found) = scalar(name) else {
            field.kind = match name {
                "body" => FieldKind::Body(Body::Text),
                "position" => FieldKind::Position,
                _ => {
                    self.unknown_type(at, name);
                    return false;
                }
            };
            return true;
        };
        if found == Scalar::Text(None) && self.left.starts_with('(') {
            let Some(most) = self.length() else { return false };
            found = Scalar::Text(Some(most));
        }
        field.kind = FieldKind::Scalar(found);
        let body = match found {
            Scalar::Bytes => Some(Body::Bytes),
            Scalar::Json => Some(Body::Json),
            _ => None,
        };
        let before = self.left;
        if self.word() == "body"
            && let Some(body) = body
        {
            field.kind = FieldKind::Body(body);
        } else {
            self.left = before;
        }
        true
    }

    fn length(&mut self) -> Option<u32> {
        let at = self.at() + 1;
        let read = self.left.strip_prefix('(').and_then(|left| left.split_once(')'));
        let length =
            read.and_then(|(digits, _)| digits.trim().parse::<u32>().ok()).filter(|&length| length > 0);
        if let (Some(length), Some((_, after))) = (length, read) {
            self.left = after;
            return Some(length);
        }
        self.fail(at, "R0123", "a length that is no number of characters", "Write it as in `text(500)`.");
        None
    }

    fn words_of_enum(&mut self, field: &mut Field) -> bool {
        let mut words: Vec<String> = Vec::new();
        loop {
            self.blanks();
            let at = self.at();
            if let Some((word, after)) = take_quoted(self.left) {
                self.left = after;
                words.push(word);
            } else {
                let word = self.word();
                match word {
                    "" => {
                        let hint = "Write words with `|` between them, as in `open | done`; put odd ones in single quotes.";
                        self.fail(at, "R0123", "a `|` without a word beside it", hint);
                        return false;
                    }
                    "null" => field.optional = true,
                    word => words.push(word.to_owned()),
                }
            }
            if let Some((last, before)) = words.split_last()
                && before.contains(last)
            {
                self.fail(at, "R0123", format!("`{last}` twice among the words"), "Leave one of them out.");
            }
            if !self.eat("|") {
                break;
            }
        }
        field.kind = FieldKind::Enum(words);
        true
    }

    fn unknown_type(&mut self, at: usize, name: &str) {
        let lower = name.to_lowercase();
        let known = SCALARS.iter().copied().chain(["body", "position"]);
        let hint = if let Some((_, meant)) = ALIASES.iter().find(|alias| alias.0 == lower) {
            format!("Repot calls it `{meant}`.")
        } else if let Some(meant) = nearest(name, known) {
            format!("Did you mean `{meant}`?")
        } else {
            format!(
                "Types are {}, `[text]`, `a | b`, `-> collection`, `body`, `position`; a single allowed word is written in quotes: `'{name}'`.",
                SCALARS.join(", ")
            )
        };
        self.fail(at, "R0123", format!("`{name}` is no type"), hint);
    }

    fn words(&mut self, field: &mut Field) {
        let mut seen: Vec<&str> = Vec::new();
        loop {
            self.blanks();
            let at = self.at();
            if self.left.is_empty() {
                return;
            }
            if let Some(default) = self.left.strip_prefix('=') {
                self.left = "";
                field.default = self.default(at, default.trim());
                return;
            }
            let word = self.word();
            if word.is_empty() {
                let sign = self.left.chars().next().unwrap_or_default();
                let hint = if sign == '?' {
                    "Put `?` right behind the type."
                } else {
                    "After the type come words such as `key`, then `= default` last."
                };
                self.fail(at, "R0124", format!("`{sign}` is not expected here"), hint);
                return;
            }
            if !self.apply(field, at, word) {
                continue;
            }
            if seen.contains(&word) {
                self.fail(at, "R0124", format!("`{word}` twice"), "Leave one of them out.");
            }
            seen.push(word);
        }
    }

    /// Acts on one word; false when it was none.
    fn apply(&mut self, field: &mut Field, at: usize, word: &str) -> bool {
        match word {
            "key" => field.key = true,
            "unique" => field.unique = true,
            "auto" => field.auto = true,
            "cascade" => self.on_delete(field, at, OnDelete::Cascade),
            "set" => {
                let before = self.left;
                if self.word() != "null" {
                    self.left = before;
                    self.fail(at, "R0124", "`set` without `null`", "Write `set null`.");
                }
                self.on_delete(field, at, OnDelete::SetNull);
            }
            "from" => field.from = self.from(at),
            "was" => {
                let name = self.word();
                if is_identifier(name) {
                    field.was = Some(name.to_owned());
                } else {
                    self.fail(
                        at,
                        "R0124",
                        "`was` without the old name",
                        "Write the name that the field had, as in `was old_name`.",
                    );
                }
            }
            _ => {
                let hint = nearest(word, WORDS).map_or_else(
                    || "Words are `key`, `unique`, `auto`, `cascade`, `set null`, `from NAME`, `was NAME`; a default comes last, after `=`.".to_owned(),
                    |found| format!("Did you mean `{found}`?"),
                );
                self.fail(at, "R0124", format!("`{word}` is no word of the language"), hint);
                return false;
            }
        }
        true
    }

    fn on_delete(&mut self, field: &mut Field, at: usize, action: OnDelete) {
        if field.on_delete != OnDelete::Refuse && field.on_delete != action {
            self.fail(at, "R0124", "`cascade` and `set null` together", "Leave one of them out.");
        }
        field.on_delete = action;
    }

    fn from(&mut self, at: usize) -> Option<Vec<String>> {
        self.blanks();
        let mut names = Vec::new();
        if let Some(after) = self.left.strip_prefix('.')
            && (after.is_empty() || after.starts_with(char::is_whitespace))
        {
            self.left = after;
            return Some(names);
        }
        loop {
            let quoted = take_quoted(self.left);
            let read = quoted.or_else(|| {
                let (name, after) = take_plain(self.left);
                (!name.is_empty()).then(|| (name.to_owned(), after))
            });
            let Some((name, after)) = read else {
                let hint = "Write the name in the document, as in `from stage1`, `from meta.genre`, `from 'odd.name'`, or `from .` for the element itself.";
                self.fail(at, "R0124", "`from` without a name that can be read", hint);
                self.word();
                return None;
            };
            names.push(name);
            self.left = after;
            match self.left.strip_prefix('.') {
                Some(after) => self.left = after,
                None => return Some(names),
            }
        }
    }

    fn default(&mut self, at: usize, text: &str) -> Option<DefaultValue> {
        if text.starts_with('\'') {
            if let Some((constant, "")) = take_quoted(text) {
                return Some(DefaultValue::Constant(constant));
            }
            let hint = "Close the quote, and double a quote that belongs to the text: `= 'it''s'`.";
            self.fail(at, "R0124", "a default in quotes that do not end with it", hint);
            return None;
        }
        match text {
            "" => {
                self.fail(
                    at,
                    "R0124",
                    "`=` without a default",
                    "Write the default behind it; an empty text is `= ''`.",
                );
                None
            }
            "now" => Some(DefaultValue::Now),
            "now on write" => Some(DefaultValue::NowOnWrite),
            "today" => Some(DefaultValue::Today),
            _ => Some(DefaultValue::Constant(text.to_owned())),
        }
    }
}

fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "text" => Scalar::Text(None),
        "int" => Scalar::Int,
        "float" => Scalar::Float,
        "decimal" => Scalar::Decimal,
        "bool" => Scalar::Bool,
        "time" => Scalar::Time,
        "date" => Scalar::Date,
        "uuid" => Scalar::Uuid,
        "json" => Scalar::Json,
        "bytes" => Scalar::Bytes,
        _ => return None,
    })
}

fn scalar_text(scalar: Scalar) -> String {
    match scalar {
        Scalar::Text(None) => "text".to_owned(),
        Scalar::Text(Some(most)) => format!("text({most})"),
        Scalar::Int => "int".to_owned(),
        Scalar::Float => "float".to_owned(),
        Scalar::Decimal => "decimal".to_owned(),
        Scalar::Bool => "bool".to_owned(),
        Scalar::Time => "time".to_owned(),
        Scalar::Date => "date".to_owned(),
        Scalar::Uuid => "uuid".to_owned(),
        Scalar::Json => "json".to_owned(),
        Scalar::Bytes => "bytes".to_owned(),
    }
}

fn enum_word(word: &str, only: bool) -> String {
    let odd = |c: char| c.is_whitespace() || "?|=,'()[]".contains(c);
    let plain = !only && !word.is_empty() && word != "null" && !word.starts_with("->") && !word.contains(odd);
    if plain { word.to_owned() } else { quoted(word) }
}

/// Writes a field's text.
pub(super) fn text(field: &Field) -> String {
    let optional = if field.optional { "?" } else { "" };
    let mut out = match &field.kind {
        FieldKind::Scalar(scalar) => format!("{}{optional}", scalar_text(*scalar)),
        FieldKind::List(scalar) => format!("[{}]{optional}", scalar_text(*scalar)),
        FieldKind::Ref(targets) => format!("-> {}{optional}", targets.join(" | ")),
        FieldKind::Body(Body::Text) => format!("body{optional}"),
        FieldKind::Body(Body::Bytes) => format!("bytes body{optional}"),
        FieldKind::Body(Body::Json) => format!("json body{optional}"),
        FieldKind::Position => format!("position{optional}"),
        FieldKind::Enum(words) => {
            let only = words.len() == 1 && !field.optional;
            let mut shown: Vec<String> = words.iter().map(|word| enum_word(word, only)).collect();
            if field.optional {
                shown.push("null".to_owned());
            }
            shown.join(" | ")
        }
    };
    for (set, word) in [
        (field.key, "key"),
        (field.unique, "unique"),
        (field.on_delete == OnDelete::Cascade, "cascade"),
        (field.on_delete == OnDelete::SetNull, "set null"),
        (field.auto, "auto"),
    ] {
        if set {
            out.push(' ');
            out.push_str(word);
        }
    }
    if let Some(names) = &field.from {
        out.push_str(" from ");
        match names.as_slice() {
            [] => out.push('.'),
            names => out.push_str(&names.iter().map(|name| name_text(name)).collect::<Vec<_>>().join(".")),
        }
    }
    if let Some(was) = &field.was {
        out.push_str(" was ");
        out.push_str(was);
    }
    if let Some(default) = &field.default {
        out.push_str(" = ");
        out.push_str(&default_text(default));
    }
    out
}

fn default_text(default: &DefaultValue) -> String {
    match default {
        DefaultValue::Now => "now".to_owned(),
        DefaultValue::NowOnWrite => "now on write".to_owned(),
        DefaultValue::Today => "today".to_owned(),
        DefaultValue::Constant(text) => {
            let read_otherwise = matches!(text.as_str(), "" | "now" | "now on write" | "today");
            if read_otherwise || text.starts_with('\'') || text.trim() != text {
                quoted(text)
            } else {
                text.clone()
            }
        }
    }
}
