//! Writes a model as a file: one form, fields aligned, evidence as comments behind them.

use std::fmt::Write as _;

use super::field;
use super::names::is_identifier;
use super::places::steps_text;
use super::{Auth, Collection, Format, Index, Model, Place, Settings, Written};
use crate::place::Template;

/// Longest list that stands on one line.
const LINE_MAX: usize = 100;

/// Writes the model with its schema line. What [`parse()`](crate::language::parse()) reads from it is the model again, but for
/// spans and evidence.
#[must_use]
pub fn print(model: &Model) -> String {
    print_with_header(model, "")
}

/// Writes the model with `header` as comment lines on top.
#[must_use]
pub fn print_with_header(model: &Model, header: &str) -> String {
    let mut out = String::from("#:schema https://repot.dev/model.json\n");
    for line in header.lines() {
        out.push_str(format!("# {}", comment(line)).trim_end());
        out.push('\n');
    }
    settings(&mut out, &model.settings);
    for each in &model.collections {
        collection(&mut out, each);
    }
    out
}

/// Lines of one section: `key = value`, aligned.
struct Block(Vec<(String, String, Option<String>)>);

impl Block {
    fn push(&mut self, key: &str, value: impl Into<String>) {
        self.0.push((key_text(key), value.into(), None));
    }

    fn write(&self, out: &mut String) {
        let keys = self.0.iter().map(|line| width(&line.0)).max().unwrap_or(0);
        let noted = self.0.iter().filter(|line| line.2.is_some());
        let values = noted.map(|line| width(&line.1)).filter(|&width| width <= 60).max().unwrap_or(0);
        for (key, value, note) in &self.0 {
            let gap = " ".repeat(keys - width(key));
            line(
                out,
                &format!("{key}{gap} = {value}"),
                note.as_deref().map(|note| (values.saturating_sub(width(value)), note)),
            );
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn line(out: &mut String, text: &str, note: Option<(usize, &str)>) {
    out.push_str(text);
    if let Some((gap, note)) = note {
        let _ = write!(out, "{}   # {}", " ".repeat(gap), comment(note));
    }
    out.push('\n');
}

/// Fit for a comment: TOML allows no control characters there.
fn comment(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn key_text(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { string(key) }
}

/// A basic string.
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other if other.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn list(key: &str, values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| string(value)).collect();
    let one_line = format!("[{}]", quoted.join(", "));
    if width(&one_line) + width(key) < LINE_MAX || quoted.len() < 2 {
        return one_line;
    }
    format!("[\n{}]", quoted.iter().map(|value| format!("  {value},\n")).collect::<String>())
}

fn one_or_list(key: &str, values: &[String]) -> String {
    match values {
        [value] => string(value),
        values => list(key, values),
    }
}

fn header(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "[{name}]");
}

fn settings(out: &mut String, settings: &Settings) {
    let Settings { source, target, blobs, backup, cache, limits, auth } = settings;
    let mut block = Block(Vec::new());
    if let Some(source) = source {
        block.push("source", string(&source.text));
    }
    if let Some(target) = target {
        block.push("target", string(&target.text));
    }
    if let Some(blobs) = blobs {
        block.push(
            "blobs",
            format!("{{ over = {}, at = {} }}", string(&blobs.over_bytes.text), string(&blobs.at)),
        );
    }
    if let Some(backup) = backup {
        let value = format!(
            "{{ at = {}, daily = {}, monthly = {} }}",
            string(&backup.at),
            backup.daily,
            backup.monthly
        );
        block.push("backup", value);
    }
    if let Some(auth) = auth {
        block.push("auth", allowed(auth));
    }
    if !block.0.is_empty() {
        if out.lines().count() > 1 {
            out.push('\n');
        }
        out.push_str("[repot]\n");
        block.write(out);
    }
    let mut cached = Block(Vec::new());
    cache.iter().for_each(|(name, life)| cached.push(name, string(&life.text)));
    let mut limited = Block(Vec::new());
    limits.iter().for_each(|(name, limit)| limited.push(name, string(&limit.text)));
    for (name, block) in [("repot.cache", cached), ("repot.limits", limited)] {
        if !block.0.is_empty() {
            header(out, name);
            block.write(out);
        }
    }
}

fn allowed(auth: &Auth) -> String {
    let Auth { jwks, issuer, audience, tenant_claim, rights_claim, rights } = auth;
    let all = [
        ("jwks", jwks),
        ("issuer", issuer),
        ("audience", audience),
        ("tenant_claim", tenant_claim),
        ("rights_claim", rights_claim),
        ("rights", rights),
    ];
    let written = |(name, value): (&str, &Option<Written<String>>)| {
        value.as_ref().map(|value| format!("{name} = {}", string(&value.text)))
    };
    let said: Vec<String> = all.into_iter().filter_map(written).collect();
    if said.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", said.join(", ")) }
}

fn collection(out: &mut String, collection: &Collection) {
    let name = key_text(&collection.name);
    header(out, &name);
    let mut block = Block(Vec::new());
    place(&mut block, &collection.place);
    whole(&mut block, collection);
    block.write(out);
    if !collection.fields.is_empty() {
        header(out, &format!("{name}.fields"));
        let lines = collection
            .fields
            .iter()
            .map(|field| (key_text(&field.name), string(&field::text(field)), field.evidence.clone()));
        Block(lines.collect()).write(out);
    }
    for (field, changes) in &collection.transitions {
        header(out, &format!("{name}.transitions.{}", key_text(field)));
        let mut block = Block(Vec::new());
        changes.iter().for_each(|(from, to)| block.push(from, list(from, to)));
        block.write(out);
    }
    if !collection.quota.is_empty() {
        header(out, &format!("{name}.quota"));
        let mut block = Block(Vec::new());
        for (counter, quota) in &collection.quota {
            let parts = [
                ("used", Some(&quota.used)),
                ("limit", quota.limit.as_ref()),
                ("reset", quota.reset.as_ref()),
            ];
            let parts =
                parts.iter().filter_map(|(key, value)| Some(format!("{key} = {}", string((*value)?))));
            block.push(counter, format!("{{ {} }}", parts.collect::<Vec<_>>().join(", ")));
        }
        block.write(out);
    }
}

fn place(block: &mut Block, place: &Place) {
    let texts = |templates: &[Template]| {
        templates.iter().map(|template| template.text().to_owned()).collect::<Vec<_>>()
    };
    match place {
        Place::Files(templates) => block.push("file", one_or_list("file", &texts(templates))),
        Place::InFiles { templates, steps } => {
            block.push("file", one_or_list("file", &texts(templates)));
            block.push("in", string(&steps_text(steps, true)));
        }
        Place::SqliteTable { templates, table, .. } => {
            block.push("file", one_or_list("file", &texts(templates)));
            block.push("table", string(table));
        }
        Place::In(places) => {
            let all: Vec<String> = places
                .iter()
                .map(|place| format!("{}{}", place.parent, steps_text(&place.steps, false)))
                .collect();
            block.push("in", one_or_list("in", &all));
        }
        Place::View { sql, refresh } => {
            if let Some(refresh) = refresh {
                block.push("refresh", string(&refresh.text));
            }
            block.push("view", lines(sql));
        }
    }
}

/// A text of several lines as it stands, where TOML can hold it so.
fn lines(text: &str) -> String {
    let plain = text.contains('\n')
        && !text.contains(['"', '\\', '\r'])
        && !text.contains(|c: char| c.is_control() && c != '\n');
    if plain { format!("\"\"\"\n{text}\"\"\"") } else { string(text) }
}

/// Settings that are one line each.
fn whole(block: &mut Block, collection: &Collection) {
    if !collection.moves {
        block.push("move", "false");
    }
    if let Some(format) = collection.format {
        let name = match format {
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Text => "text",
            Format::Bytes => "bytes",
        };
        block.push("format", string(name));
    }
    if collection.refuse_unknown {
        block.push("unknown", string("refuse"));
    }
    if let Some(tenant) = &collection.tenant {
        block.push("tenant", string(tenant));
    }
    for (key, entries) in [("unique", &collection.unique), ("index", &collection.index)] {
        if !entries.is_empty() {
            block.push(key, list(key, &entries.iter().map(index_text).collect::<Vec<_>>()));
        }
    }
    if !collection.search.is_empty() {
        block.push("search", list("search", &collection.search));
    }
    let lives = [
        ("mirror", collection.mirror.as_ref().map(|life| &life.text)),
        ("cache", collection.cache.as_ref().map(|life| &life.text)),
        ("expire", collection.expire.as_ref().map(|after| &after.text)),
        ("archive", collection.archive.as_ref().map(|after| &after.text)),
        ("soft_delete", collection.soft_delete.as_ref().map(|life| &life.text)),
        ("audit", collection.audit.as_ref().map(|life| &life.text)),
    ];
    for (key, text) in lives {
        if let Some(text) = text {
            block.push(key, string(text));
        }
    }
    if let Some(queue) = &collection.queue {
        block.push("queue", format!("{{ lease = {}, tries = {} }}", string(&queue.lease.text), queue.tries));
    }
    if collection.watch {
        block.push("watch", "true");
    }
    if collection.etag_required {
        block.push("etag", string("required"));
    }
}

fn index_text(index: &Index) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|(name, descending)| if *descending { format!("{name} desc") } else { name.clone() })
        .collect();
    match &index.name {
        Some(name) if is_identifier(name) => format!("{name}: {}", columns.join(", ")),
        _ => columns.join(", "),
    }
}
