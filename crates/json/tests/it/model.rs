//! A plain JSON model for the property tests, with a printer that knows many styles and a naive editor.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use repot_json::edit::quote;
use repot_json::{Kind, Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Word(String),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Printer {
    /// `None` prints on one line.
    pub(crate) indent: Option<&'static str>,
    pub(crate) newline: &'static str,
    pub(crate) comma: &'static str,
    pub(crate) comma_line: &'static str,
    pub(crate) colon: &'static str,
    pub(crate) padding: &'static str,
    pub(crate) ascii: bool,
    pub(crate) upper: bool,
    pub(crate) slash: bool,
    pub(crate) end: &'static str,
}

impl Printer {
    pub(crate) const COMPACT: Self = Self {
        indent: None,
        newline: "\n",
        comma: ",",
        comma_line: ",",
        colon: ":",
        padding: "",
        ascii: false,
        upper: false,
        slash: false,
        end: "",
    };

    pub(crate) fn print(&self, json: &Json) -> String {
        let mut out = String::new();
        self.value(json, 0, &mut out);
        out + self.end
    }

    fn value(&self, json: &Json, depth: usize, out: &mut String) {
        match json {
            Json::Word(word) => out.push_str(word),
            Json::Text(text) => self.text(text, out),
            Json::Array(elements) => {
                self.body(['[', ']'], elements.len(), depth, out, |at, out| {
                    self.value(&elements[at], depth + 1, out);
                });
            }
            Json::Object(entries) => self.body(['{', '}'], entries.len(), depth, out, |at, out| {
                self.text(&entries[at].0, out);
                out.push_str(self.colon);
                self.value(&entries[at].1, depth + 1, out);
            }),
        }
    }

    fn body(
        &self,
        [open, close]: [char; 2],
        count: usize,
        depth: usize,
        out: &mut String,
        child: impl Fn(usize, &mut String),
    ) {
        out.push(open);
        for at in 0..count {
            match self.indent {
                None => out.push_str(if at > 0 { self.comma } else { self.padding }),
                Some(unit) => {
                    out.push_str(if at > 0 { self.comma_line } else { "" });
                    out.push_str(self.newline);
                    out.push_str(&unit.repeat(depth + 1));
                }
            }
            child(at, out);
        }
        match self.indent {
            _ if count == 0 => {}
            None => out.push_str(self.padding),
            Some(unit) => {
                out.push_str(self.newline);
                out.push_str(&unit.repeat(depth));
            }
        }
        out.push(close);
    }

    fn text(&self, text: &str, out: &mut String) {
        let mut plain = quote(text);
        if self.upper {
            plain = plain.replace("\\u001f", "\\u001F");
        }
        for character in plain.chars() {
            if self.ascii && !character.is_ascii() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let hex = if self.upper { format!("{unit:04X}") } else { format!("{unit:04x}") };
                    out.push_str("\\u");
                    out.push_str(&hex);
                }
            } else if self.slash && character == '/' {
                out.push_str("\\/");
            } else {
                out.push(character);
            }
        }
    }
}

pub(crate) fn read(value: Value<'_>) -> Json {
    match value.kind() {
        Kind::Array => Json::Array(value.elements().map(read).collect()),
        Kind::Object => Json::Object(
            value
                .entries()
                .map(|(key, value)| (key.as_str().expect("no lone surrogates").into_owned(), read(value)))
                .collect(),
        ),
        Kind::String => Json::Text(value.as_str().expect("no lone surrogates").into_owned()),
        _ => Json::Word(value.raw().to_owned()),
    }
}

/// The same edits the editor was given, applied to the model in the plainest way.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) removed: BTreeSet<u32>,
    pub(crate) replaced: BTreeMap<u32, Json>,
    pub(crate) elements: BTreeMap<u32, Vec<(usize, Json)>>,
    pub(crate) entries: BTreeMap<u32, Vec<(String, Json)>>,
}

impl Plan {
    pub(crate) fn apply(&self, value: Value<'_>) -> Json {
        if let Some(json) = self.replaced.get(&value.index()) {
            return json.clone();
        }
        match value.kind() {
            Kind::Array => {
                let inserts = self.elements.get(&value.index()).cloned().unwrap_or_default();
                let at = |place: usize| {
                    inserts.iter().filter(move |(before, _)| *before == place).map(|(_, json)| json.clone())
                };
                let mut out = Vec::new();
                let mut count = 0;
                for (number, element) in value.elements().enumerate() {
                    out.extend(at(number));
                    if !self.removed.contains(&element.index()) {
                        out.push(self.apply(element));
                    }
                    count = number + 1;
                }
                out.extend(at(count));
                Json::Array(out)
            }
            Kind::Object => {
                let mut out: Vec<(String, Json)> = value
                    .entries()
                    .filter(|(_, value)| !self.removed.contains(&value.index()))
                    .map(|(key, value)| {
                        (key.as_str().expect("no lone surrogates").into_owned(), self.apply(value))
                    })
                    .collect();
                for (key, json) in self.entries.get(&value.index()).into_iter().flatten() {
                    match out.iter_mut().find(|(known, _)| known == key) {
                        Some((_, old)) => old.clone_from(json),
                        None => out.push((key.clone(), json.clone())),
                    }
                }
                Json::Object(out)
            }
            _ => read(value),
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]{0,3}", "[a-z/\"\\\\\n\u{0}\u{1f}é😀\u{2028}]{0,12}", any::<String>()]
}

pub(crate) fn json() -> impl Strategy<Value = Json> {
    let word =
        prop_oneof![Just("null"), Just("true"), Just("false"), Just("0"), Just("-1.50"), Just("1E+400")];
    let leaf = prop_oneof![word.prop_map(|word| Json::Word(word.to_owned())), text().prop_map(Json::Text)];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::vec((text(), inner), 0..5).prop_map(|mut entries| {
                let mut seen = BTreeSet::new();
                entries.retain(|(key, _)| seen.insert(key.clone()));
                Json::Object(entries)
            }),
        ]
    })
}

pub(crate) fn printer() -> impl Strategy<Value = Printer> {
    let indent = prop_oneof![
        2 => Just(None),
        6 => prop::sample::select(vec!["", " ", "  ", "   ", "    ", "\t"]).prop_map(Some),
    ];
    let line = (prop::sample::select(vec!["\n", "\r\n"]), prop::sample::select(vec![",", ", ", " ,"]));
    let inner = (
        prop::sample::select(vec![",", ", ", " , "]),
        prop::sample::select(vec![":", ": ", " : "]),
        prop::sample::select(vec!["", " "]),
        prop::sample::select(vec!["", "\n", "\r\n", " \t\n"]),
    );
    (indent, line, inner, any::<[bool; 3]>()).prop_map(|(indent, line, inner, [ascii, upper, slash])| {
        Printer {
            indent,
            newline: line.0,
            comma_line: line.1,
            comma: inner.0,
            colon: inner.1,
            padding: inner.2,
            end: inner.3,
            ascii,
            upper: ascii && upper,
            slash,
        }
    })
}
