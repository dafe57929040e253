//! Files that hold several documents: what stands around them, and how it changes when one comes or goes. The
//! documents themselves are not needed for it: in a skeleton of the file a number stands for each of them.

use std::borrow::Cow;

use repot_json::edit::{Editor, quote};
use repot_json::{Kind, Limits, Tree, Value};

use super::program::Op;
use super::walker::walk;
use super::{Plan, Root};
use crate::language::Format;

/// In the skeleton: a document that is there, and one that comes.
const OLD: &str = "0";
const NEW: &str = "1";

/// Where a document stands in its file, when it is split by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its number in the file, from 0.
    pub ordinal: usize,
    /// Its place in its list, or its line, from 0.
    pub position: i64,
    /// The keys of the maps on the way to it, from the outermost.
    pub keys: Vec<String>,
}

/// Why what stands around documents cannot be changed: lower case, no full stop.
pub type Stuck = &'static str;

/// The bytes before, between and after the documents of a file: one more than there are documents.
pub type Gaps = Vec<Vec<u8>>;

impl Root {
    /// The columns that the keys of the maps on the way to a document fill.
    pub fn entries(&self) -> impl Iterator<Item = usize> + '_ {
        self.inside.iter().flatten().filter_map(|op| match op {
            Op::Entry(column) => Some(*column),
            _ => None,
        })
    }

    /// Each document is a line.
    #[must_use]
    pub fn is_lines(&self) -> bool {
        self.format == Format::JsonLines
    }
}

impl Plan {
    /// Why a document of this root cannot be told from the others in its file by its key; `None` when it can: the key is
    /// of the document or of its place, and stays when others come and go.
    #[must_use]
    pub fn unnamed_inside(&self, root: usize) -> Option<Stuck> {
        let root = &self.roots[root];
        let table = root.table?;
        let (shape, program) = (&self.tables[table], &self.programs[table]);
        if program.auto_key.is_some_and(|key| shape.key.contains(&key)) {
            return Some("their keys are made from their place in the file, which changes when others go");
        }
        if shape.key.is_empty() {
            return Some("they have no key");
        }
        if shape.position.is_some_and(|position| shape.key.contains(&position)) {
            return Some("their place in the file is part of their key, and changes when others go");
        }
        if root.entries().any(|column| !shape.key.contains(&column)) {
            return Some("their key in the file is no part of their key in the model");
        }
        None
    }

    /// Whether rows of this root say where in its file a document stands, so that they change when one before it goes.
    #[must_use]
    pub fn counts_inside(&self, root: usize) -> bool {
        let Some(top) = self.roots[root].table else { return false };
        // parents stand before their children
        let mut held = vec![false; self.tables.len()];
        for (table, shape) in self.tables.iter().enumerate() {
            held[table] = table == top || shape.parents.iter().any(|parent| held[parent.table]);
        }
        let made = |table: usize| held[table] && self.programs[table].auto_key.is_some();
        self.tables[top].position.is_some() || (0..held.len()).any(made)
    }

    /// What stands around the only document of a new file.
    #[must_use]
    pub fn first_inside(&self, root: usize, keys: &[String]) -> Gaps {
        let root = &self.roots[root];
        if root.is_lines() {
            return vec![Vec::new(), b"\n".to_vec()];
        }
        let (mut before, mut after) = (String::new(), "\n".to_owned());
        let mut keys = keys.iter();
        for (depth, op) in root.inside.iter().flatten().enumerate() {
            let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
            let (open, close) = match op {
                Op::Each => (format!("[\n{inner}"), ']'),
                Op::Name(name) => (format!("{{\n{inner}{}: ", quote(name)), '}'),
                Op::Entry(_) => {
                    let key = keys.next().map_or("", String::as_str);
                    (format!("{{\n{inner}{}: ", quote(key)), '}')
                }
            };
            before.push_str(&open);
            after.insert_str(0, &format!("\n{outer}{close}"));
        }
        vec![before.into_bytes(), after.into_bytes()]
    }

    /// What stands around the documents of a file when one of `root` comes, in the file's own formatting; and the
    /// number that it gets. `roots`: all whose documents the file holds.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn enter(
        &self,
        (root, roots): (usize, &[usize]),
        gaps: &[Cow<'_, [u8]>],
        keys: &[String],
        limits: Limits,
    ) -> Result<(usize, Gaps), Stuck> {
        let shape = &self.roots[root];
        if shape.is_lines() {
            return Ok(enter_line(gaps));
        }
        let skeleton = gaps.join(OLD.as_bytes());
        let tree = Tree::parse(&skeleton, limits).map_err(|_error| "the file is no JSON")?;
        let text = tree.root(&skeleton).ok_or("the file is no JSON")?;
        let mut editor = Editor::new(text);
        room(shape.inside.as_deref().unwrap_or_default(), keys, text, &mut editor)?;
        let after = editor.finish();
        let tree = Tree::parse(&after, limits).map_err(|_error| "the file would be no JSON")?;
        let text = tree.root(&after).ok_or("the file would be no JSON")?;
        let found = self.documents(roots, text);
        let new = found.iter().position(|value| value.raw() == NEW);
        match new {
            Some(new) if found.len() == gaps.len() => Ok((new, apart(&after, &found))),
            _ => Err("something else stands at its place in the file"),
        }
    }

    /// What stands around the documents of a file when the one with this number goes.
    ///
    /// # Errors
    /// When what stands around them is no file of these roots.
    pub fn leave(
        &self,
        roots: &[usize],
        gaps: &[Cow<'_, [u8]>],
        number: usize,
        limits: Limits,
    ) -> Result<Gaps, Stuck> {
        if roots.iter().any(|&root| self.roots[root].is_lines()) {
            return leave_line(gaps, number).ok_or("the file has no such document");
        }
        let skeleton = gaps.join(OLD.as_bytes());
        let tree = Tree::parse(&skeleton, limits).map_err(|_error| "the file is no JSON")?;
        let text = tree.root(&skeleton).ok_or("the file is no JSON")?;
        let mut found: Vec<(usize, Value<'_>)> = Vec::new();
        for &root in roots {
            found.extend(self.of_root(root, text).into_iter().map(|value| (root, value)));
        }
        found.sort_by_key(|(_, value)| value.node().start);
        if found.len() + 1 != gaps.len() {
            return Err("the file holds other documents");
        }
        let &(root, value) = found.get(number).ok_or("the file has no such document")?;
        let mut editor = Editor::new(text);
        match self.roots[root].inside.as_deref().and_then(<[Op]>::last) {
            Some(Op::Each) => editor.remove_element(value.index()),
            Some(_) => editor.remove_entry(value.index()),
            None => return Err("the file is the document"),
        }
        let after = editor.finish();
        let tree = Tree::parse(&after, limits).map_err(|_error| "the file would be no JSON")?;
        let found = self.documents(roots, tree.root(&after).ok_or("the file would be no JSON")?);
        if found.len() + 2 != gaps.len() {
            return Err("another entry of the file has the same key");
        }
        Ok(apart(&after, &found))
    }

    fn of_root<'t>(&self, root: usize, text: Value<'t>) -> Vec<Value<'t>> {
        let mut elements = Vec::new();
        let ops = self.roots[root].inside.as_deref().unwrap_or_default();
        walk(ops, text, &mut Vec::new(), &mut elements);
        elements.into_iter().map(|element| element.value).collect()
    }

    /// The documents of a skeleton, in order.
    fn documents<'t>(&self, roots: &[usize], text: Value<'t>) -> Vec<Value<'t>> {
        let mut found: Vec<Value<'t>> = roots.iter().flat_map(|&root| self.of_root(root, text)).collect();
        found.sort_by_key(|value| value.node().start);
        found
    }
}

/// What stands around these values.
fn apart(bytes: &[u8], found: &[Value<'_>]) -> Gaps {
    let mut gaps = Vec::with_capacity(found.len() + 1);
    let mut at = 0;
    for value in found {
        let node = value.node();
        gaps.push(bytes.get(at..node.start as usize).unwrap_or_default().to_vec());
        at = node.end as usize;
    }
    gaps.push(bytes.get(at..).unwrap_or_default().to_vec());
    gaps
}

/// Makes room for one more document where these steps lead.
fn room(ops: &[Op], keys: &[String], here: Value<'_>, editor: &mut Editor<'_>) -> Result<(), Stuck> {
    let Some((op, rest)) = ops.split_first() else {
        return Err("something else stands at its place in the file");
    };
    let (name, later) = match op {
        Op::Each if here.kind() == Kind::Array => {
            editor.insert_element(here.index(), here.elements().count(), NEW);
            return Ok(());
        }
        Op::Each => return Err("no list stands in the file where it belongs"),
        Op::Name(name) => (name.as_str(), keys),
        Op::Entry(_) => {
            let (key, later) = keys.split_first().ok_or("its key in the file is not known")?;
            (key.as_str(), later)
        }
    };
    if here.kind() != Kind::Object {
        return Err("no object stands in the file where it belongs");
    }
    match here.get(name) {
        Some(inner) => room(rest, later, inner, editor),
        None => {
            editor.insert_entry(here.index(), name, &nested(rest, later));
            Ok(())
        }
    }
}

/// A document alone where these steps lead.
fn nested(ops: &[Op], keys: &[String]) -> String {
    match ops.split_first() {
        None => NEW.to_owned(),
        Some((Op::Each, _)) => format!("[{NEW}]"),
        Some((Op::Name(name), rest)) => format!("{{{}: {}}}", quote(name), nested(rest, keys)),
        Some((Op::Entry(_), rest)) => {
            let key = keys.first().map_or("", String::as_str);
            format!("{{{}: {}}}", quote(key), nested(rest, keys.get(1..).unwrap_or_default()))
        }
    }
}

fn first_break(gap: &[u8]) -> Option<usize> {
    gap.iter().position(|&byte| byte == b'\n').map(|at| at + 1)
}

/// A line at the end.
fn enter_line(gaps: &[Cow<'_, [u8]>]) -> (usize, Gaps) {
    let number = gaps.len().saturating_sub(1);
    let mut out: Gaps = gaps.iter().map(|gap| gap.to_vec()).collect();
    let last = out.pop().unwrap_or_default();
    let crlf = gaps.iter().skip(1).rev().find_map(|gap| {
        let end = first_break(gap)?;
        Some(gap.get(..end).is_some_and(|line| line.ends_with(b"\r\n")))
    });
    let line_break: &[u8] = if crlf == Some(true) { b"\r\n" } else { b"\n" };
    if number == 0 {
        let mut before = last;
        if !(before.is_empty() || before.ends_with(b"\n") || before == b"\xef\xbb\xbf") {
            before.extend_from_slice(line_break);
        }
        out.extend([before, line_break.to_vec()]);
        return (0, out);
    }
    match first_break(&last) {
        Some(end) => {
            let (line, rest) = last.split_at(end);
            out.push(line.to_vec());
            out.push([line_break, rest].concat());
        }
        None => {
            out.push([&last[..], line_break].concat());
            out.push(Vec::new());
        }
    }
    (number, out)
}

/// A line goes with its line break.
fn leave_line(gaps: &[Cow<'_, [u8]>], number: usize) -> Option<Gaps> {
    let (before, after) = (gaps.get(number)?, gaps.get(number + 1)?);
    let start = before.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
    let merged = match (first_break(after), start) {
        (Some(end), start) => {
            let kept = match start {
                Some(start) => before.get(..start)?,
                None if before.starts_with(b"\xef\xbb\xbf") => b"\xef\xbb\xbf",
                None => &[],
            };
            [kept, after.get(end..)?].concat()
        }
        (None, Some(start)) if number > 0 => {
            let kept = before.get(..start - 1)?;
            kept.strip_suffix(b"\r").unwrap_or(kept).to_vec()
        }
        (None, _) => before.trim_ascii_end().to_vec(),
    };
    let mut out: Gaps = gaps.iter().map(|gap| gap.to_vec()).collect();
    out.splice(number..number + 2, [merged]);
    Some(out)
}
