//! A conversation's JSON text from its rows, and its rows from the text.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::Value;

/// A message that a user sends.
pub(crate) fn message(content: &str) -> String {
    format!(r#"{{"role":"user","content":{}}}"#, Value::from(content))
}

/// One message's row without its keys; JSON columns as texts.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: Option<String>,
    pub(super) json: [Option<String>; 4],
}

/// Of the JSON columns, in the document.
const JSON: [&str; 4] = ["stage1", "stage2", "stage3", "metadata"];

/// What the columns take of a conversation's text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) title: String,
    pub(super) created_at: Option<String>,
    pub(super) messages: Vec<Message>,
}

impl Parsed {
    pub(super) fn of(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = value.get("messages").and_then(Value::as_array).context("a conversation has messages")?;
        let messages = list.iter().map(|one| Message {
            role: text(one, "role").unwrap_or_default(),
            content: text(one, "content"),
            json: JSON.map(|name| one.get(name).filter(|value| !value.is_null()).map(Value::to_string)),
        });
        Ok(Self {
            title: text(&value, "title").unwrap_or_else(|| "New Conversation".to_owned()),
            created_at: text(&value, "created_at"),
            messages: messages.collect(),
        })
    }
}

/// Puts a JSON text together.
#[derive(Debug)]
pub(super) struct Text(Vec<u8>);

impl Text {
    /// A conversation's row: the object is left open.
    pub(super) fn row(
        id: &str,
        title: &str,
        created_at: Option<&str>,
        updated_at: Option<&str>,
    ) -> Result<Self> {
        let mut text = Self(Vec::with_capacity(256));
        text.raw("{\"id\":");
        text.string(id)?;
        text.raw(",\"title\":");
        text.string(title)?;
        for (name, value) in [(",\"created_at\":", created_at), (",\"updated_at\":", updated_at)] {
            text.raw(name);
            match value {
                Some(value) => text.string(value)?,
                None => text.raw("null"),
            }
        }
        Ok(text)
    }

    pub(super) fn begin_messages(&mut self) {
        self.raw(",\"messages\":[");
    }

    pub(super) fn message(
        &mut self,
        role: &str,
        content: Option<&str>,
        json: [Option<&str>; 4],
    ) -> Result<()> {
        if !self.0.ends_with(b"[") {
            self.raw(",");
        }
        self.raw("{\"role\":");
        self.string(role)?;
        if let Some(content) = content {
            self.raw(",\"content\":");
            self.string(content)?;
        }
        for (name, value) in JSON.iter().zip(json) {
            if let Some(value) = value {
                self.raw(",\"");
                self.raw(name);
                self.raw("\":");
                self.raw(value);
            }
        }
        self.raw("}");
        Ok(())
    }

    pub(super) fn end_messages(&mut self) {
        self.raw("]");
    }

    pub(super) fn close(mut self) -> Bytes {
        self.raw("}");
        self.0.into()
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) -> Result<()> {
        Ok(serde_json::to_writer(&mut self.0, text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Parsed, Text, message};

    #[test]
    fn a_conversation_to_columns_and_back() {
        let parsed = Parsed::of(
            r#"{"id":"a","title":"t","created_at":"2024-01-01T00:00:00Z","messages":[{"role":"user","content":"\"x\""},
               {"role":"assistant","content":null,"stage1":[1]}]}"#,
        )
        .unwrap();
        let mut text = Text::row("a", &parsed.title, parsed.created_at.as_deref(), None).unwrap();
        text.begin_messages();
        for one in &parsed.messages {
            let json = one.json.each_ref().map(Option::as_deref);
            text.message(&one.role, one.content.as_deref(), json).unwrap();
        }
        text.end_messages();
        assert_eq!(
            text.close(),
            r#"{"id":"a","title":"t","created_at":"2024-01-01T00:00:00Z","updated_at":null,"messages":[{"role":"user","content":"\"x\""},{"role":"assistant","stage1":[1]}]}"#
        );
        assert_eq!(message("a\"b"), r#"{"role":"user","content":"a\"b"}"#);
    }
}
