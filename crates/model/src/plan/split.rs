//! Documents to rows. A file is split whole: one document, one a line, or several inside one JSON text. What a
//! column cannot say stays in the stored text; a document that breaks the model gives a [`Misfit`] and no rows.

use std::ops::Range;

use repot_json::{Fault, Kind, Limits, SyntaxError, Tree, Value};

use super::among::Standing;
use super::problem::line_and_column;
use super::program::Op;
use super::walker::{Element, Walker, walk};
use super::{Plan, Root};
use crate::language::{Body, Format};
use crate::row::RowBuffer;

/// Which file is split, as what.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Index in [`Plan::roots`].
    pub root: usize,
    /// Which of its templates matched.
    pub template: usize,
    /// What its captures matched.
    pub values: &'a [&'a str],
}

/// Why a document has no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Stable code of the catalogue.
    pub code: &'static str,
    /// What is wrong and where in the document: lower case, no full stop.
    pub reason: String,
}

/// A document found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitDocument {
    /// Its bytes in the file.
    pub span: Range<usize>,
    /// Index in [`Plan::roots`].
    pub root: usize,
    /// Its key as text; `None` when it is a misfit.
    pub key: Option<String>,
    /// Its rows in the buffer.
    pub rows: Range<usize>,
    /// Why it has no rows.
    pub misfit: Option<Misfit>,
    /// An element of a list or a map has no row, so its rows do not say how long that list is.
    pub skips: bool,
}

impl SplitDocument {
    /// A document without rows; `at`: how many rows there were before it.
    fn unfit(span: Range<usize>, root: usize, at: usize, misfit: Misfit) -> Self {
        Self { span, root, key: None, rows: at..at, misfit: Some(misfit), skips: false }
    }
}

/// Splits files; keeps its memory from one to the next.
#[derive(Debug)]
pub struct Splitter<'p> {
    pub(super) plan: &'p Plan,
    pub(super) limits: Limits,
    tree: Tree,
    pub(super) counters: Vec<u64>,
    /// For each row, the node index of its element; filled when tracing.
    pub(crate) trace: Option<Vec<u32>>,
    /// Texts are single documents, which stand so in a file with others.
    pub(super) standing: Option<Standing>,
}

impl<'p> Splitter<'p> {
    /// A splitter for this plan.
    #[must_use]
    pub fn new(plan: &'p Plan, limits: Limits) -> Self {
        Self {
            plan,
            limits,
            tree: Tree::default(),
            counters: vec![0; plan.tables.len()],
            trace: None,
            standing: None,
        }
    }

    /// From now on every text is one document alone, which stands so in a file with others; `None`: texts are whole
    /// files.
    pub fn stand(&mut self, standing: Option<Standing>) {
        self.standing = standing;
    }

    /// Splits a file. `places`: all collections whose documents it holds (one, but for files with several
    /// lists). Rows are appended to `rows`, parents before children; documents to `found`, in the order in
    /// which they stand. A file that cannot be split at all gives one document with a misfit.
    pub fn split(
        &mut self,
        places: &[Place<'_>],
        path: &str,
        bytes: &[u8],
        rows: &mut RowBuffer,
        found: &mut Vec<SplitDocument>,
    ) {
        let Some(first) = places.first() else { return };
        let root = &self.plan.roots[first.root];
        let whole = |misfit| SplitDocument::unfit(0..bytes.len(), first.root, rows.len(), misfit);
        if let Some(standing) = self.standing.take() {
            found.push(self.alone(first, path, (bytes, &standing), rows));
            self.standing = Some(standing);
        } else if root.format == Format::JsonLines {
            self.lines(first, path, bytes, rows, found);
        } else if matches!(root.body, Some((_, Body::Text | Body::Bytes))) {
            let document =
                self.document(first, path, Whole { bytes, span: 0..bytes.len(), ordinal: 0 }, None, rows);
            found.push(document);
        } else {
            let mut tree = std::mem::take(&mut self.tree);
            match tree.scan(bytes, self.limits) {
                Err(error) => found.push(whole(syntax(bytes, error))),
                Ok(()) => {
                    let value = tree.root(bytes).expect("the scan succeeded");
                    if root.inside.is_some() {
                        self.inside(places, path, value, rows, found);
                    } else {
                        let span = Whole { bytes, span: 0..bytes.len(), ordinal: 0 };
                        let document = self.document(first, path, span, Some(&Element::of(value)), rows);
                        found.push(document);
                    }
                }
            }
            self.tree = tree;
        }
    }

    /// A document of a file with others, by itself.
    fn alone(
        &mut self,
        place: &Place<'_>,
        path: &str,
        (bytes, standing): (&[u8], &Standing),
        rows: &mut RowBuffer,
    ) -> SplitDocument {
        let mut tree = std::mem::take(&mut self.tree);
        let whole = Whole { bytes, span: 0..bytes.len(), ordinal: standing.ordinal };
        let keys = KeyTree::new(standing);
        let document = match tree.scan(bytes, self.limits) {
            Ok(()) => {
                let value = tree.root(bytes).expect("the scan succeeded");
                let element = keys.element(value, &self.plan.roots[place.root], standing);
                self.document(place, path, whole, Some(&element), rows)
            }
            Err(error) => SplitDocument::unfit(whole.span, place.root, rows.len(), syntax(bytes, error)),
        };
        self.tree = tree;
        document
    }

    fn lines(
        &mut self,
        place: &Place<'_>,
        path: &str,
        bytes: &[u8],
        rows: &mut RowBuffer,
        found: &mut Vec<SplitDocument>,
    ) {
        let mut start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut tree = std::mem::take(&mut self.tree);
        while start < bytes.len() {
            let end = memchr(bytes, start).unwrap_or(bytes.len());
            let line = &bytes[start..end];
            let lead = line.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let text = line.trim_ascii();
            if !text.is_empty() {
                let span = start + lead..start + lead + text.len();
                let ordinal = found.len();
                let whole = Whole { bytes: text, span, ordinal };
                let document = match tree.scan(text, self.limits) {
                    Ok(()) => {
                        let value = tree.root(text).expect("the scan succeeded");
                        let element = Element { position: number(ordinal), ..Element::of(value) };
                        self.document(place, path, whole, Some(&element), rows)
                    }
                    Err(error) => {
                        SplitDocument::unfit(whole.span, place.root, rows.len(), syntax(text, error))
                    }
                };
                found.push(document);
            }
            start = end + 1;
        }
        self.tree = tree;
    }

    fn inside(
        &mut self,
        places: &[Place<'_>],
        path: &str,
        value: Value<'_>,
        rows: &mut RowBuffer,
        found: &mut Vec<SplitDocument>,
    ) {
        let mut elements = Vec::new();
        for place in places {
            let ops = self.plan.roots[place.root].inside.as_deref().unwrap_or_default();
            if let Some(expected) = mismatch(ops, value) {
                let reason = format!(
                    "the file is no {expected}, which `in` of {} says",
                    self.plan.roots[place.root].name
                );
                found.push(SplitDocument::unfit(
                    0..value.document().len(),
                    place.root,
                    rows.len(),
                    Misfit { code: "R0316", reason },
                ));
                return;
            }
            let mut here = Vec::new();
            walk(ops, value, &mut Vec::new(), &mut here);
            elements.extend(here.into_iter().map(|element| (place, element)));
        }
        elements.sort_by_key(|(_, element)| element.value.node().start);
        let mut end = 0;
        for (ordinal, (place, element)) in elements.into_iter().enumerate() {
            let node = element.value.node();
            if (node.start as usize) < end {
                found.clear();
                rows.truncate(0);
                let reason = "two collections claim the same part of the file".to_owned();
                found.push(SplitDocument::unfit(
                    0..value.document().len(),
                    place.root,
                    0,
                    Misfit { code: "R0319", reason },
                ));
                return;
            }
            end = node.end as usize;
            let whole =
                Whole { bytes: element.value.raw().as_bytes(), span: node.start as usize..end, ordinal };
            let document = self.document(place, path, whole, Some(&element), rows);
            found.push(document);
        }
    }

    fn document(
        &mut self,
        place: &Place<'_>,
        path: &str,
        whole: Whole<'_>,
        element: Option<&Element<'_>>,
        rows: &mut RowBuffer,
    ) -> SplitDocument {
        let start = rows.len();
        let traced = self.trace.as_ref().map_or(0, Vec::len);
        self.counters.fill(0);
        let root = &self.plan.roots[place.root];
        let mut walker = Walker {
            plan: self.plan,
            rows,
            counters: &mut self.counters,
            path,
            ordinal: whole.ordinal,
            trace: self.trace.as_mut(),
            problems: None,
            skipped: false,
        };
        let done = match root.table {
            Some(table) => walker.root(root, table, place, whole.bytes, element),
            None => Ok(String::new()),
        };
        let skips = walker.skipped;
        match done {
            Ok(key) => SplitDocument {
                span: whole.span,
                root: place.root,
                key: Some(key),
                rows: start..rows.len(),
                misfit: None,
                skips,
            },
            Err(misfit) => {
                rows.truncate(start);
                if let Some(trace) = &mut self.trace {
                    trace.truncate(traced);
                }
                SplitDocument::unfit(whole.span, place.root, start, misfit)
            }
        }
    }
}

/// The keys of maps on the way to a document, as the JSON strings they are in the file.
pub(super) struct KeyTree {
    text: String,
    tree: Option<Tree>,
}

impl KeyTree {
    pub(super) fn new(standing: &Standing) -> Self {
        let keys: Vec<String> = standing.keys.iter().map(|key| repot_json::edit::quote(key)).collect();
        let text = format!("[{}]", keys.join(","));
        let tree = Tree::parse(text.as_bytes(), Limits::default()).ok();
        Self { text, tree }
    }

    /// The document as an element of its file.
    pub(super) fn element<'t>(&'t self, value: Value<'t>, root: &Root, standing: &Standing) -> Element<'t> {
        let keys = self.tree.as_ref().and_then(|tree| tree.root(self.text.as_bytes()));
        let keys = root.entries().zip(keys.into_iter().flat_map(Value::elements)).collect();
        let counted =
            root.is_lines() || matches!(root.inside.as_deref().and_then(<[Op]>::last), Some(Op::Each));
        Element { value, position: counted.then_some(standing.position), keys }
    }
}

/// A document's bytes and where they stand.
struct Whole<'t> {
    bytes: &'t [u8],
    span: Range<usize>,
    ordinal: usize,
}

fn memchr(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.iter().position(|&byte| byte == b'\n').map(|at| from + at)
}

fn number(ordinal: usize) -> Option<i64> {
    i64::try_from(ordinal).ok()
}

fn mismatch(ops: &[Op], value: Value<'_>) -> Option<&'static str> {
    match (ops.first(), value.kind()) {
        (Some(Op::Each), Kind::Array) | (Some(Op::Entry(_) | Op::Name(_)), Kind::Object) | (None, _) => None,
        (Some(Op::Each), _) => Some("list"),
        (Some(_), _) => Some("object"),
    }
}

/// Why bytes are no JSON, with line and column.
pub(super) fn syntax(bytes: &[u8], error: SyntaxError) -> Misfit {
    let (line, column) = line_and_column(bytes, error.offset);
    let code = match error.fault {
        Fault::NotUtf8 => "R0212",
        Fault::TooDeep | Fault::TooLarge => "R0214",
        _ => "R0211",
    };
    Misfit { code, reason: format!("not JSON: {} at line {line}, column {column}", error.fault) }
}
