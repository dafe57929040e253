//! A whole file: its documents are laid over one by one, and what came out is split again to see that it says
//! what the rows say.

use std::ops::Range;

use repot_json::edit::Editor;
use repot_json::{Tree, Value};

use super::document::Layer;
use super::family::{Family, Spot, chosen};
use super::growth::Patch;
use super::places::remove_entry;
use super::slots::entries;
use crate::language::{Body, Format};
use crate::plan::{Misfit, Place, Plan, SplitDocument, Splitter};
use crate::row::{Cell, Cells, RowBuffer};

/// What laying over did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidOver {
    /// The file.
    pub bytes: Vec<u8>,
    /// Changes that cannot be written into it, in words: lower case, no full stop.
    pub notes: Vec<String>,
    /// The file was one document whose row is gone; `bytes` is the file as it was.
    pub deleted: bool,
}

/// The file as it was split.
struct Original<'a> {
    bytes: &'a [u8],
    rows: RowBuffer,
    found: Vec<SplitDocument>,
    nodes: Vec<u32>,
}

/// What became of one document.
#[derive(Default)]
struct Outcome {
    notes: Vec<String>,
    /// Where its rows came to stand; `None` when nothing was done to it.
    spots: Option<Vec<Spot>>,
    deleted: bool,
}

/// One attempt.
struct Draft {
    /// The file may hold several documents, so one that is gone leaves the others.
    container: bool,
    bytes: Vec<u8>,
    outcomes: Vec<Outcome>,
}

impl Splitter<'_> {
    /// Lays rows of the database over a file: each change of a column is written into the text in the file's own
    /// formatting, rows that came or went become elements that come or go. Columns win; what none of the changes
    /// touches stays the same bytes.
    ///
    /// `actual` has the rows of each document (of all tables, in any order), numbered as [`Splitter::split`] finds
    /// the documents; `None`, or nothing at its number, for a document that is to stay as it is. No row of the
    /// document itself among them: the document is deleted.
    ///
    /// Split again, the result gives those rows, whenever there are no notes, but for what follows from the
    /// place: positions count from 0 without gaps, and keys that Repot makes. JSON columns are compared by what
    /// they say: white space and escapes in them are the file's.
    ///
    /// # Errors
    /// The misfit of a document that has rows but does not give any.
    pub fn lay_over(
        &mut self,
        places: &[Place<'_>],
        path: &str,
        bytes: &[u8],
        actual: &[Option<RowBuffer>],
    ) -> Result<LaidOver, Misfit> {
        let mut original = Original { bytes, rows: RowBuffer::new(), found: Vec::new(), nodes: Vec::new() };
        self.trace = Some(Vec::new());
        self.split(places, path, bytes, &mut original.rows, &mut original.found);
        original.nodes = self.trace.take().unwrap_or_default();
        for (document, rows) in original.found.iter().zip(actual) {
            if let (Some(misfit), Some(rows)) = (&document.misfit, rows)
                && !rows.is_empty()
            {
                return Err(misfit.clone());
            }
        }
        let mut held: Vec<Option<String>> = vec![None; original.found.len()];
        loop {
            let draft = self.attempt(places, &original, actual, &held);
            let spoiled = self.spoiled(places, path, &original, &draft);
            if spoiled.is_empty() {
                return Ok(self.settle(places, path, &original, (draft, actual), held));
            }
            for (document, reason) in spoiled {
                held[document] = Some(format!(
                    "{}: its changes are left out: {reason}",
                    document_name(&original, document)
                ));
            }
        }
    }

    /// Makes the file of a document that has rows and no text yet, in the formatting of `like`, a file of another document
    /// of the collection. The bytes are as [`Splitter::lay_over`] gives them.
    ///
    /// # Errors
    /// The misfit of the text: the rows hold what no document of the model can say.
    pub fn compose(
        &mut self,
        place: &Place<'_>,
        path: &str,
        rows: &RowBuffer,
        like: Option<&[u8]>,
    ) -> Result<LaidOver, Misfit> {
        const LIKE: &[u8] = b"{\n  \"like\": {}\n}\n";
        let root = &self.plan.roots[place.root];
        let body = root.body.filter(|body| matches!(body.1, Body::Text | Body::Bytes));
        let bytes = match body.and_then(|(column, _)| body_bytes(self.plan, root.table, column, rows)) {
            Some(Cell::Text(text)) => text.into_owned().into_bytes(),
            Some(Cell::Bytes(bytes)) => bytes.into_owned(),
            Some(_) => Vec::new(),
            None => {
                let styled = |like: &[u8]| -> Option<Vec<u8>> {
                    let tree = Tree::parse(like, self.limits).ok()?;
                    let text = tree.root(like)?;
                    let mut editor = Editor::new(text);
                    editor.replace(0, &self.fresh_text(place, text, rows)?);
                    Some(editor.finish())
                };
                like.and_then(styled).or_else(|| styled(LIKE)).unwrap_or_default()
            }
        };
        self.lay_over(std::slice::from_ref(place), path, &bytes, &[Some(rows.clone())])
    }

    /// The JSON text of the root row and all it holds.
    fn fresh_text(&self, place: &Place<'_>, any: Value<'_>, rows: &RowBuffer) -> Option<String> {
        let root = &self.plan.roots[place.root];
        let table = root.table?;
        let none = RowBuffer::new();
        let expected = Family::new(self.plan, &none, 0..0, table, None);
        let family = Family::new(self.plan, rows, 0..rows.len(), table, None);
        let row = family.root?;
        let mut layer = Layer::new(self.plan, any, &[], &expected, &family);
        Some(match root.body {
            Some((column, _)) => layer.cell_text(row, column, None)?,
            None => layer.fresh(row),
        })
    }

    fn attempt(
        &self,
        places: &[Place<'_>],
        original: &Original<'_>,
        actual: &[Option<RowBuffer>],
        held: &[Option<String>],
    ) -> Draft {
        let count = original.found.len();
        let mut draft = Draft {
            container: places.first().is_some_and(|place| self.plan.roots[place.root].is_container()),
            bytes: original.bytes.to_vec(),
            outcomes: std::iter::repeat_with(Outcome::default).take(count).collect(),
        };
        let wanted = |at: usize| {
            let fine = held[at].is_none() && original.found[at].misfit.is_none();
            actual.get(at).and_then(Option::as_ref).filter(|_| fine)
        };
        let Some(first) = places.first() else { return draft };
        let root = &self.plan.roots[first.root];
        if root.format == Format::JsonLines {
            self.lay_lines(places, original, &wanted, &mut draft);
        } else if let Some((column, body @ (Body::Text | Body::Bytes))) = root.body {
            if let (Some(rows), Some(outcome)) = (wanted(0), draft.outcomes.first_mut()) {
                match body_bytes(self.plan, root.table, column, rows) {
                    None => outcome.deleted = true,
                    Some(Cell::Text(text)) if body == Body::Text => {
                        draft.bytes = text.into_owned().into_bytes();
                    }
                    Some(Cell::Bytes(bytes)) if body == Body::Bytes => draft.bytes = bytes.into_owned(),
                    // null stands for bytes that are no text
                    Some(Cell::Null)
                        if std::str::from_utf8(original.bytes).map_or(true, |text| text.contains('\0')) => {}
                    Some(_) => outcome.notes.push(format!("{}: its body holds no text", root.name)),
                }
                self.path_notes(places, original, rows, outcome);
            }
        } else if let Ok(tree) = Tree::parse(original.bytes, self.limits)
            && let Some(text) = tree.root(original.bytes)
        {
            let mut patch = Patch::new(text, 0);
            for at in 0..count {
                let Some(rows) = wanted(at) else { continue };
                let outcome = self.lay_document(places, (original, at), text, rows, &mut patch);
                if outcome.deleted && root.inside.is_some() {
                    let row = original.found[at].rows.start;
                    remove_element(text, original.nodes[row], &mut patch);
                }
                draft.outcomes[at] = outcome;
            }
            draft.bytes = patch.finish();
        }
        draft
    }

    /// Each line by itself.
    fn lay_lines<'w>(
        &self,
        places: &[Place<'_>],
        original: &Original<'_>,
        wanted: &dyn Fn(usize) -> Option<&'w RowBuffer>,
        draft: &mut Draft,
    ) {
        let mut out = Vec::with_capacity(original.bytes.len());
        let mut done = 0;
        for at in 0..original.found.len() {
            let span = original.found[at].span.clone();
            let Some(line) = original.bytes.get(span.clone()) else { continue };
            let (Some(rows), Ok(tree)) = (wanted(at), Tree::parse(line, self.limits)) else { continue };
            let Some(text) = tree.root(line) else { continue };
            let mut patch = Patch::new(text, 0);
            let outcome = self.lay_document(places, (original, at), text, rows, &mut patch);
            if outcome.deleted {
                let (start, end) = line_around(original.bytes, &span);
                out.extend_from_slice(original.bytes.get(done..start).unwrap_or_default());
                done = end;
            } else {
                out.extend_from_slice(original.bytes.get(done..span.start).unwrap_or_default());
                out.extend_from_slice(&patch.finish());
                done = span.end;
            }
            draft.outcomes[at] = outcome;
        }
        out.extend_from_slice(original.bytes.get(done..).unwrap_or_default());
        if !original.bytes.ends_with(b"\n") && out.ends_with(b"\n") {
            out.truncate(out.len() - if out.ends_with(b"\r\n") { 2 } else { 1 });
        }
        draft.bytes = out;
    }

    fn lay_document(
        &self,
        places: &[Place<'_>],
        at: (&Original<'_>, usize),
        text: Value<'_>,
        rows: &RowBuffer,
        patch: &mut Patch<'_>,
    ) -> Outcome {
        let (original, at) = at;
        let document = &original.found[at];
        let root = &self.plan.roots[document.root];
        let (Some(table), Some(place)) =
            (root.table, places.iter().find(|place| place.root == document.root))
        else {
            return Outcome::default();
        };
        if same_rows(original, &document.rows, rows) {
            return Outcome::default();
        }
        let expected = Family::new(self.plan, &original.rows, document.rows.clone(), table, None);
        let wanted = expected
            .members
            .first()
            .map(|member| chosen(member, self.plan.tables[table].identity.iter().copied()));
        let family = Family::new(self.plan, rows, 0..rows.len(), table, wanted.as_deref());
        if family.root.is_none() {
            return Outcome { deleted: true, ..Outcome::default() };
        }
        let nodes = original.nodes.get(document.rows.clone()).unwrap_or_default();
        let mut layer = Layer::new(self.plan, text, nodes, &expected, &family);
        let captures: Vec<usize> =
            root.captures.get(place.template).into_iter().flatten().flatten().copied().collect();
        layer.run(root, &captures, patch);
        Outcome { notes: layer.notes, spots: Some(layer.spots), deleted: false }
    }

    /// Columns beside a body that is no JSON are never in the file.
    fn path_notes(
        &self,
        places: &[Place<'_>],
        original: &Original<'_>,
        rows: &RowBuffer,
        outcome: &mut Outcome,
    ) {
        let Some(root) = places.first().map(|place| &self.plan.roots[place.root]) else { return };
        let (Some(table), Some((body, _))) = (root.table, root.body) else { return };
        let Some(row) = (0..rows.len()).map(|at| rows.row(at)).find(|row| row.0 == table) else { return };
        if original.rows.is_empty() {
            return;
        }
        let before = Cells::new(original.rows.row(0).1);
        for (column, (old, new)) in before.zip(Cells::new(row.1)).enumerate() {
            if column != body && old != new {
                let name = &self.plan.tables[table].columns[column].name;
                outcome.notes.push(format!("{}: {name} is not in the document", root.name));
            }
        }
    }

    /// Documents that gave rows before and would not now.
    fn spoiled(
        &mut self,
        places: &[Place<'_>],
        path: &str,
        original: &Original<'_>,
        draft: &Draft,
    ) -> Vec<(usize, String)> {
        if draft.bytes == original.bytes {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.split(places, path, &draft.bytes, &mut RowBuffer::new(), &mut found);
        let kept = kept(draft);
        let changed = |at: usize| draft.outcomes[at].spots.is_some() || draft.outcomes[at].deleted;
        if kept.len() != found.len() {
            let reason = found.first().and_then(|document| document.misfit.as_ref());
            let reason =
                reason.map_or("the file would not hold the same documents", |misfit| misfit.reason.as_str());
            return (0..original.found.len())
                .filter(|&at| changed(at))
                .map(|at| (at, reason.to_owned()))
                .collect();
        }
        let pairs = kept.into_iter().zip(&found);
        pairs
            .filter(|(at, _)| original.found[*at].misfit.is_none())
            .filter_map(|(at, document)| Some((at, document.misfit.as_ref()?.reason.clone())))
            .filter(|(at, _)| changed(*at))
            .collect()
    }

    /// The result, with a note for each document that does not say what its rows say.
    fn settle(
        &mut self,
        places: &[Place<'_>],
        path: &str,
        original: &Original<'_>,
        laid: (Draft, &[Option<RowBuffer>]),
        held: Vec<Option<String>>,
    ) -> LaidOver {
        let (mut draft, actual) = laid;
        let (mut rows, mut found) = (RowBuffer::new(), Vec::new());
        self.split(places, path, &draft.bytes, &mut rows, &mut found);
        for (at, document) in kept(&draft).into_iter().zip(&found) {
            let outcome = &mut draft.outcomes[at];
            let (Some(spots), Some(Some(wanted))) = (&outcome.spots, actual.get(at)) else { continue };
            let Some(table) = self.plan.roots[document.root].table.filter(|_| outcome.notes.is_empty())
            else {
                continue;
            };
            let now = Family::new(self.plan, &rows, document.rows.clone(), table, None);
            let first = now
                .members
                .first()
                .map(|member| chosen(member, self.plan.tables[table].identity.iter().copied()));
            let wanted = Family::new(self.plan, wanted, 0..wanted.len(), table, first.as_deref());
            let digest =
                |family: &Family<'_>, spots| family.root.map(|root| family.digest(self.plan, root, spots));
            if digest(&now, None) != digest(&wanted, Some(spots)) {
                let name = document_name(original, at);
                outcome.notes.push(format!(
                    "{name}: its columns contradict each other, the document cannot say all of them"
                ));
            }
        }
        let mut notes: Vec<String> = held.into_iter().flatten().collect();
        notes.extend(self.order_note(original, &draft, actual));
        let deleted = !draft.container && draft.outcomes.iter().any(|outcome| outcome.deleted);
        notes.extend(draft.outcomes.into_iter().flat_map(|outcome| outcome.notes));
        LaidOver { bytes: draft.bytes, notes, deleted }
    }

    /// Documents keep their order in the file, whatever the position in their rows.
    fn order_note(
        &self,
        original: &Original<'_>,
        draft: &Draft,
        actual: &[Option<RowBuffer>],
    ) -> Option<String> {
        let mut last: Vec<(usize, i64)> = Vec::new();
        for at in kept(draft) {
            let Some(Some(rows)) = actual.get(at) else { continue };
            let root = original.found[at].root;
            let Some(table) = self.plan.roots[root].table else { continue };
            let Some(column) = self.plan.tables[table].position else { continue };
            let row = rows.iter().find(|row| row.0 == table)?;
            let Some(Cell::Int(position)) = Cells::new(row.1).nth(column) else { continue };
            match last.iter_mut().find(|last| last.0 == root) {
                Some(last) if last.1 > position => {
                    return Some(format!(
                        "{}: the order of documents in their file is kept",
                        self.plan.roots[root].name
                    ));
                }
                Some(last) => last.1 = position,
                None => last.push((root, position)),
            }
        }
        None
    }
}

fn document_name(original: &Original<'_>, at: usize) -> String {
    original.found[at].key.clone().unwrap_or_else(|| format!("document {at}"))
}

/// The documents that are in the file still, by their number before.
fn kept(draft: &Draft) -> Vec<usize> {
    (0..draft.outcomes.len()).filter(|&at| !(draft.outcomes[at].deleted && draft.container)).collect()
}

/// The same rows in any order.
fn same_rows(original: &Original<'_>, range: &Range<usize>, rows: &RowBuffer) -> bool {
    let mut before: Vec<_> = range.clone().map(|at| original.rows.row(at)).collect();
    let mut now: Vec<_> = rows.iter().collect();
    before.sort_unstable();
    now.sort_unstable();
    before == now
}

/// The body column of the document's row; `None` when the row is gone.
fn body_bytes<'r>(plan: &Plan, table: Option<usize>, column: usize, rows: &'r RowBuffer) -> Option<Cell<'r>> {
    let row = rows.iter().find(|row| Some(row.0) == table && row.0 < plan.tables.len())?;
    Cells::new(row.1).nth(column)
}

/// The line that holds `span`, with its line break.
fn line_around(bytes: &[u8], span: &Range<usize>) -> (usize, usize) {
    let before = bytes.get(..span.start).unwrap_or_default();
    let mut start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if start == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
        start = 3;
    }
    let after = bytes.get(span.end..).unwrap_or_default();
    let end = after.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| span.end + at + 1);
    (start, end)
}

/// Removes the element or entry whose value is at `node`.
fn remove_element(root: Value<'_>, node: u32, patch: &mut Patch<'_>) {
    let inside = |value: &Value<'_>| (value.index()..value.node().next).contains(&node);
    let mut here = root;
    loop {
        if let Some(element) = here.elements().find(inside) {
            if element.index() == node {
                return patch.remove(node);
            }
            here = element;
        } else if let Some((key, value)) = entries(here).into_iter().find(|(_, value)| inside(value)) {
            if value.index() == node {
                return remove_entry(here, key, patch);
            }
            here = value;
        } else {
            return;
        }
    }
}
