//! JSON as several programs print it.

use std::fmt::Write as _;

/// A value to print.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    /// Anything that is printed as it is: numbers, `true`, `null`.
    Plain(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    /// `null`.
    pub(crate) fn null() -> Self {
        Self::Plain("null".to_owned())
    }

    /// A whole number.
    pub(crate) fn number(value: u64) -> Self {
        Self::Plain(value.to_string())
    }
}

/// How a program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Blanks for each level; `None`: one line.
    pub(crate) indent: Option<usize>,
    /// Between key and value.
    pub(crate) colon: &'static str,
    /// Between members on one line.
    pub(crate) comma: &'static str,
    /// Everything beyond ASCII is escaped.
    pub(crate) ascii: bool,
}

impl Style {
    /// Python's `json.dump(x, f, indent=2)`.
    pub(crate) const PYTHON: Self = Self { indent: Some(2), colon: ": ", comma: ",", ascii: true };
    /// The same with `ensure_ascii=False`.
    pub(crate) const PYTHON_UTF8: Self = Self { ascii: false, ..Self::PYTHON };
    /// Python's `json.dump(x, f)`.
    pub(crate) const PYTHON_LINE: Self = Self { indent: None, colon: ": ", comma: ", ", ascii: true };
    /// JavaScript's `JSON.stringify(x)`.
    pub(crate) const JAVASCRIPT: Self = Self { indent: None, colon: ":", comma: ",", ascii: false };

    /// Prints `value`.
    pub(crate) fn print(self, value: &Json) -> String {
        let mut out = String::new();
        self.value(value, 0, &mut out);
        out
    }

    fn value(self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::Plain(plain) => out.push_str(plain),
            Json::Text(text) => self.text(text, out),
            Json::List(list) if list.is_empty() => out.push_str("[]"),
            Json::Object(members) if members.is_empty() => out.push_str("{}"),
            Json::List(list) => {
                out.push('[');
                for (index, element) in list.iter().enumerate() {
                    self.separate(index, depth + 1, out);
                    self.value(element, depth + 1, out);
                }
                self.line(depth, out);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (key, member)) in members.iter().enumerate() {
                    self.separate(index, depth + 1, out);
                    self.text(key, out);
                    out.push_str(self.colon);
                    self.value(member, depth + 1, out);
                }
                self.line(depth, out);
                out.push('}');
            }
        }
    }

    fn separate(self, index: usize, depth: usize, out: &mut String) {
        if index > 0 {
            out.push_str(self.comma);
        }
        self.line(depth, out);
    }

    fn line(self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn text(self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                other if self.ascii && !other.is_ascii() => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04x}").expect("a String takes everything");
                    }
                }
                other => out.push(other),
            }
        }
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Style};

    #[test]
    fn each_program_prints_its_own_way() {
        let value = Json::Object(vec![
            ("a", Json::List(vec![Json::number(1), Json::null()])),
            ("é", Json::Text("🙂\"\n".to_owned())),
            ("none", Json::List(Vec::new())),
        ]);
        assert_eq!(Style::JAVASCRIPT.print(&value), r#"{"a":[1,null],"é":"🙂\"\n","none":[]}"#);
        assert_eq!(
            Style::PYTHON_LINE.print(&value),
            r#"{"a": [1, null], "\u00e9": "\ud83d\ude42\"\n", "none": []}"#
        );
        assert_eq!(
            Style::PYTHON_UTF8.print(&value),
            "{\n  \"a\": [\n    1,\n    null\n  ],\n  \"é\": \"🙂\\\"\\n\",\n  \"none\": []\n}"
        );
    }
}
