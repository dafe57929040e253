//! One document to rows: follows the shape of each table through the document's values, fills a row's cells, and
//! emits parents before their children.

use std::borrow::Cow;

use repot_json::{Kind, Value};
use xxhash_rust::xxh3;

use super::convert::{self, Unfit};
use super::problem::{PROBLEMS_MAX, Problem};
use super::program::{Child, ColumnProgram, Op, PathReference, Shape, TableProgram};
use super::split::{Misfit, Place};
use super::{ColumnKind, Plan, Root, key_text};
use crate::language::Body;
use crate::row::{Cell, RowBuffer};

/// An element that becomes a row.
#[derive(Debug, Clone)]
pub(super) struct Element<'t> {
    pub value: Value<'t>,
    pub position: Option<i64>,
    /// Column and key, for each map on the way.
    pub keys: Vec<(usize, Value<'t>)>,
}

impl<'t> Element<'t> {
    pub(super) const fn of(value: Value<'t>) -> Self {
        Self { value, position: None, keys: Vec::new() }
    }
}

/// Follows `ops` from `value`; entries that stand twice count once, the last.
pub(super) fn walk<'t>(
    ops: &[Op],
    value: Value<'t>,
    keys: &mut Vec<(usize, Value<'t>)>,
    out: &mut Vec<Element<'t>>,
) {
    let Some((op, rest)) = ops.split_first() else {
        out.push(Element { value, position: None, keys: keys.clone() });
        return;
    };
    match op {
        Op::Name(name) => {
            if let Some(inner) = value.get(name) {
                walk(rest, inner, keys, out);
            }
        }
        Op::Entry(column) => {
            for (key, inner) in distinct(value) {
                keys.push((*column, key));
                walk(rest, inner, keys, out);
                keys.pop();
            }
        }
        Op::Each => {
            for (at, element) in value.elements().enumerate() {
                out.push(Element { value: element, position: i64::try_from(at).ok(), keys: keys.clone() });
            }
        }
    }
}

/// An object's entries; of those with one key only the last.
pub(super) fn distinct(value: Value<'_>) -> Vec<(Value<'_>, Value<'_>)> {
    let all: Vec<_> = value.entries().collect();
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<_> = all
        .into_iter()
        .rev()
        .filter(|(key, _)| seen.insert(key.as_str().unwrap_or(Cow::Borrowed(key.raw()))))
        .collect();
    kept.reverse();
    kept
}

/// Makes the rows of one document.
pub(super) struct Walker<'p, 'r> {
    pub plan: &'p Plan,
    pub rows: &'r mut RowBuffer,
    pub counters: &'r mut [u64],
    pub path: &'r str,
    pub ordinal: usize,
    /// For each row, the node of its element.
    pub trace: Option<&'r mut Vec<u32>>,
    /// Where all that is wrong goes; `None`: the first thing wrong ends the walk.
    pub problems: Option<&'r mut Vec<Problem>>,
    /// An element was met that gives no row.
    pub skipped: bool,
}

/// A row being filled.
struct Draft<'t> {
    cells: Vec<Cell<'t>>,
    /// Columns whose value no database can say.
    unsayable: Vec<usize>,
    /// Columns whose value is reported as a problem.
    wrong: Vec<usize>,
}

/// A parent's part in its children's rows.
pub(super) struct Held<'t, 'p> {
    pub child: &'p Child,
    pub key: Cell<'t>,
}

impl<'p> Walker<'p, '_> {
    /// All rows of a document; gives its key as text.
    pub(super) fn root<'t>(
        &mut self,
        root: &'p Root,
        table: usize,
        place: &Place<'t>,
        bytes: &'t [u8],
        element: Option<&Element<'t>>,
    ) -> Result<String, Misfit> {
        let program = &self.plan.programs[table];
        let mut draft = self.draft(table);
        match root.body {
            Some((column, Body::Bytes)) => draft.cells[column] = Cell::Bytes(Cow::Borrowed(bytes)),
            Some((column, Body::Text)) => {
                if let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')) {
                    draft.cells[column] = Cell::Text(Cow::Borrowed(text));
                }
            }
            Some((column, Body::Json)) => {
                let value = element.expect("a JSON body is scanned").value;
                draft.cells[column] = Cell::Json(Cow::Borrowed(value.raw()));
            }
            None => {
                let value = element.expect("a document without a body is scanned").value;
                if value.kind() != Kind::Object && program.whole.is_empty() {
                    return Err(Misfit { code: "R0316", reason: "the document is no object".to_owned() });
                }
            }
        }
        let mut children = Vec::new();
        if let (Some(element), None) = (element, root.body) {
            self.fill(table, element, &mut draft, &mut children)?;
        }
        let captures = root.captures.get(place.template).map_or(&[][..], Vec::as_slice);
        for (column, &text) in captures.iter().zip(place.values) {
            if let Some(column) = *column {
                self.capture(table, column, (text, element), &mut draft)?;
            }
        }
        for reference in &root.path_references {
            let names = root.capture_names.get(place.template).map_or(&[][..], Vec::as_slice);
            match self.refer(table, reference, names, place.values) {
                Ok(cell) => draft.cells[reference.column] = cell,
                Err(misfit) => self.report(misfit, element.map(|element| element.value), &[])?,
            }
        }
        self.position(table, element, &mut draft);
        let node = element.map_or(0, |element| element.value.index());
        self.finish(table, element, &mut draft)?;
        let mut key = Vec::new();
        for &column in &self.plan.tables[table].key {
            draft.cells[column].encode(&mut key);
        }
        let key = if key.is_empty() { format!("{}#{}", self.path, self.ordinal) } else { key_text(&key) };
        self.emit(table, &draft, node);
        self.children(&draft, children)?;
        Ok(key)
    }

    fn draft<'t>(&self, table: usize) -> Draft<'t> {
        Draft {
            cells: vec![Cell::Null; self.plan.tables[table].columns.len()],
            unsayable: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// A child's row, and those below it.
    pub(super) fn row<'t>(&mut self, held: &Held<'t, 'p>, element: &Element<'t>) -> Result<(), Misfit> {
        let table = held.child.table;
        let program = &self.plan.programs[table];
        if element.value.kind() != Kind::Object && program.whole.is_empty() {
            self.skipped = true;
            return Ok(());
        }
        let mut draft = self.draft(table);
        let mut children = Vec::new();
        self.fill(table, element, &mut draft, &mut children)?;
        draft.cells[held.child.key.0] = held.key.clone();
        if let Some(column) = held.child.type_column {
            draft.cells[column] = Cell::Text(Cow::Owned(held.child.parent_name.clone()));
        }
        self.position(table, Some(element), &mut draft);
        self.finish(table, Some(element), &mut draft)?;
        self.emit(table, &draft, element.value.index());
        self.children(&draft, children)
    }

    fn children<'t>(
        &mut self,
        draft: &Draft<'t>,
        children: Vec<(&'p Child, Value<'t>)>,
    ) -> Result<(), Misfit> {
        for (child, value) in children {
            let key = draft.cells[child.key.1].clone();
            let key = self.plan.child_key(child, key);
            let held = Held { child, key };
            let mut elements = Vec::new();
            walk(&child.ops, value, &mut Vec::new(), &mut elements);
            for element in &elements {
                self.row(&held, element)?;
            }
        }
        Ok(())
    }

    fn fill<'t>(
        &mut self,
        table: usize,
        element: &Element<'t>,
        draft: &mut Draft<'t>,
        children: &mut Vec<(&'p Child, Value<'t>)>,
    ) -> Result<(), Misfit> {
        let plan = self.plan;
        let program = &plan.programs[table];
        let value = element.value;
        if value.kind() == Kind::Object {
            let refuse = program.refuse_unknown;
            self.shape(table, &program.shape, value, draft, children, refuse)?;
        } else {
            children.extend(program.shape.children.iter().map(|child| (child, value)));
        }
        if value.kind() != Kind::Object || program.shape.is_empty() {
            for &column in &program.whole {
                self.set(table, column, value, draft)?;
            }
        }
        for (column, key) in &element.keys {
            let word = key
                .as_str()
                .map_or(Err(Unfit::Unsayable), |word| convert::word(word, &program.columns[*column]));
            match word {
                Ok(cell) => draft.cells[*column] = cell,
                Err(unfit) => self.unfit(table, *column, unfit, *key, draft)?,
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one recursion over shapes; a struct would only rename them"
    )]
    fn shape<'t>(
        &mut self,
        table: usize,
        shape: &'p Shape,
        value: Value<'t>,
        draft: &mut Draft<'t>,
        children: &mut Vec<(&'p Child, Value<'t>)>,
        refuse: bool,
    ) -> Result<(), Misfit> {
        const NONE: u32 = u32::MAX;
        children.extend(shape.children.iter().map(|child| (child, value)));
        if shape.entries.is_empty() && !refuse {
            return Ok(());
        }
        let mut inline = [NONE; 48];
        let mut heap;
        let last: &mut [u32] = if shape.entries.len() <= inline.len() {
            &mut inline[..shape.entries.len()]
        } else {
            heap = vec![NONE; shape.entries.len()];
            &mut heap
        };
        let mut hint = 0;
        for (key, inner) in value.entries() {
            let found = key.as_str().and_then(|name| lookup(shape, &name, hint));
            match found {
                Some(at) => {
                    hint = at + 1;
                    last[at] = inner.index();
                }
                None if refuse => {
                    let place = pointer(value.at(0), inner.index());
                    let name = &self.plan.tables[table].name;
                    let reason = format!("{name}: a field the model does not name (at {place})");
                    self.report(Misfit { code: "R0315", reason }, Some(inner), &[])?;
                }
                None => {}
            }
        }
        for (entry, &node) in shape.entries.iter().zip(last.iter()) {
            if node == NONE {
                continue;
            }
            let inner = value.at(node);
            for &column in &entry.columns {
                self.set(table, column, inner, draft)?;
            }
            if inner.kind() == Kind::Object {
                self.shape(table, &entry.inner, inner, draft, children, false)?;
            } else {
                children.extend(entry.inner.children.iter().map(|child| (child, inner)));
            }
        }
        Ok(())
    }

    fn set<'t>(
        &mut self,
        table: usize,
        column: usize,
        value: Value<'t>,
        draft: &mut Draft<'t>,
    ) -> Result<(), Misfit> {
        if value.kind() == Kind::Null {
            return Ok(());
        }
        match convert::cell(value, &self.plan.programs[table].columns[column]) {
            Ok(cell) => {
                draft.cells[column] = cell;
                Ok(())
            }
            Err(unfit) => self.unfit(table, column, unfit, value, draft),
        }
    }

    fn unfit(
        &mut self,
        table: usize,
        column: usize,
        unfit: Unfit,
        value: Value<'_>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Misfit> {
        match unfit {
            Unfit::Unsayable => {
                draft.unsayable.push(column);
                Ok(())
            }
            Unfit::Wrong(code, message) => {
                let message = format!("{message} (at {})", pointer(value.at(0), value.index()));
                draft.wrong.push(column);
                self.report(self.misfit(code, table, column, &message), Some(value), &[])
            }
        }
    }

    /// Something is wrong at `value`, or at what is not there below it by these names: goes on when all problems are
    /// wanted.
    fn report(&mut self, misfit: Misfit, value: Option<Value<'_>>, below: &[String]) -> Result<(), Misfit> {
        match &mut self.problems {
            Some(problems) if problems.len() < PROBLEMS_MAX => {
                problems.push(Problem::of(misfit, value, below));
                Ok(())
            }
            _ => Err(misfit),
        }
    }

    fn misfit(&self, code: &'static str, table: usize, column: usize, message: &str) -> Misfit {
        let name = &self.plan.tables[table].name;
        let column = &self.plan.programs[table].columns[column].name;
        Misfit { code, reason: format!("{name}.{column}: {message}") }
    }

    /// A word of the path fills a column the document left empty; if the document has it too, they must agree.
    fn capture<'t>(
        &mut self,
        table: usize,
        column: usize,
        (text, element): (&'t str, Option<&Element<'t>>),
        draft: &mut Draft<'t>,
    ) -> Result<(), Misfit> {
        let program: &'p ColumnProgram = &self.plan.programs[table].columns[column];
        let (code, message) = match convert::word(Cow::Borrowed(text), program) {
            Ok(cell) if draft.cells[column] == Cell::Null => {
                draft.cells[column] = cell;
                return Ok(());
            }
            Ok(cell) if draft.cells[column] == cell => return Ok(()),
            Ok(_) => {
                let said = convert::json(&draft.cells[column]);
                ("R0318", format!("the path says `{text}`, the document says {said}"))
            }
            Err(Unfit::Wrong(code, message)) => (code, message),
            Err(Unfit::Unsayable) => ("R0314", "no column can hold this name".to_owned()),
        };
        draft.wrong.push(column);
        let names = program.path.as_deref().unwrap_or_default();
        let misfit = self.misfit(code, table, column, &message);
        self.report(misfit, element.map(|element| element.value), names)
    }

    fn position(&self, table: usize, element: Option<&Element<'_>>, draft: &mut Draft<'_>) {
        if let Some(column) = self.plan.tables[table].position {
            draft.cells[column] = element.and_then(|element| element.position).map_or(Cell::Null, Cell::Int);
        }
    }

    /// Auto keys, defaults, and what must not be missing.
    fn finish<'t>(
        &mut self,
        table: usize,
        element: Option<&Element<'t>>,
        draft: &mut Draft<'t>,
    ) -> Result<(), Misfit> {
        let program: &'p TableProgram = &self.plan.programs[table];
        if let Some(column) = program.auto_key {
            let index = self.counters[table];
            let name = &self.plan.tables[table].name;
            draft.cells[column] =
                auto_key(program.columns[column].kind, name, self.path, self.ordinal, index);
        }
        self.counters[table] += 1;
        for (at, column) in program.columns.iter().enumerate() {
            if draft.cells[at] != Cell::Null {
                continue;
            }
            if let Some(default) = &column.default
                && !draft.unsayable.contains(&at)
                && !draft.wrong.contains(&at)
            {
                draft.cells[at] = default.clone();
            } else if column.required && !draft.wrong.contains(&at) {
                let value = element.map(|element| element.value);
                let place = value.map_or_else(String::new, |value| {
                    format!(" (at {})", pointer(value.at(0), value.index()))
                });
                let misfit = if draft.unsayable.contains(&at) {
                    self.misfit("R0314", table, at, &format!("a value that no column can hold{place}"))
                } else {
                    self.misfit("R0312", table, at, &format!("is missing or null{place}"))
                };
                self.report(misfit, value, column.path.as_deref().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, table: usize, draft: &Draft<'_>, node: u32) {
        for cell in &draft.cells {
            self.rows.cell(cell);
        }
        self.rows.end_row(table);
        if let Some(trace) = &mut self.trace {
            trace.push(node);
        }
    }

    fn refer<'t>(
        &self,
        table: usize,
        reference: &PathReference,
        names: &[String],
        values: &[&'t str],
    ) -> Result<Cell<'t>, Misfit> {
        let value_of =
            |name: &str| names.iter().position(|own| own == name).and_then(|at| values.get(at).copied());
        if let Some(name) = &reference.key_capture
            && let Some(text) = value_of(name)
        {
            return convert::word(Cow::Borrowed(text), &self.plan.programs[table].columns[reference.column])
                .map_err(|_unfit| {
                    self.misfit("R0314", table, reference.column, "no column can hold this name")
                });
        }
        for template in &reference.templates {
            let words: Option<Vec<&str>> =
                template.captures().iter().map(|capture| value_of(&capture.name)).collect();
            if let Some(path) = words.and_then(|words| template.render(&words)) {
                let kind = self.plan.programs[table].columns[reference.column].kind;
                return Ok(auto_key(kind, &reference.target_name, &path, 0, 0));
            }
        }
        Ok(Cell::Null)
    }
}

fn lookup(shape: &Shape, name: &str, hint: usize) -> Option<usize> {
    if shape.entries.get(hint).is_some_and(|entry| entry.name == name) {
        return Some(hint);
    }
    shape.entries.iter().position(|entry| entry.name == name)
}

/// A key made from the place: the same on every machine and every database. The document's [`place_order`] leads,
/// in every table, so that its rows are neighbours in the key's index; integers of one document are consecutive.
fn auto_key(kind: ColumnKind, table: &str, path: &str, ordinal: usize, index: u64) -> Cell<'static> {
    let document = place_order(path, ordinal);
    if kind == ColumnKind::Int {
        let key = document.wrapping_add(index) & (u64::MAX >> 1);
        return Cell::Int(i64::try_from(key).expect("the highest bit is clear"));
    }
    let mut place = Vec::with_capacity(table.len() + path.len() + 16);
    place.extend_from_slice(&(table.len() as u64).to_le_bytes());
    place.extend_from_slice(table.as_bytes());
    place.extend_from_slice(path.as_bytes());
    place.extend_from_slice(&(ordinal as u64).to_le_bytes());
    let row = xxh3::xxh3_64(&place).wrapping_add(index);
    let mut bytes = ((u128::from(document) << 65) | u128::from(row)).to_be_bytes();
    // a version 8 (custom) UUID of RFC 9562
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    if kind == ColumnKind::Uuid {
        return Cell::Uuid(bytes);
    }
    Cell::Text(Cow::Owned(super::uuid_text(&bytes)))
}

impl Plan {
    /// The parent's key as the child's column holds it: text where parents of several key types meet.
    pub(super) fn child_key<'t>(&self, child: &Child, key: Cell<'t>) -> Cell<'t> {
        let kind = self.tables[child.table].columns[child.key.0].kind;
        if matches!(kind, ColumnKind::Text(_)) && !matches!(key, Cell::Text(_)) {
            let mut encoded = Vec::new();
            key.encode(&mut encoded);
            return Cell::Text(Cow::Owned(key_text(&encoded)));
        }
        key
    }

    /// Whether Repot makes the keys of the documents of `root`.
    #[must_use]
    pub fn makes_key(&self, root: usize) -> bool {
        let made = |table: usize| {
            let key = self.programs[table].auto_key?;
            (self.tables[table].key == [key]).then_some(())
        };
        self.roots[root].table.and_then(made).is_some()
    }

    /// The key, as text, that Repot makes for the document that is the file at `path`; `None` where it makes none, or
    /// documents stand several in one file.
    #[must_use]
    pub fn made_key(&self, root: usize, path: &str) -> Option<String> {
        if !self.makes_key(root) || self.roots[root].is_container() {
            return None;
        }
        let table = self.roots[root].table?;
        let column = self.programs[table].auto_key?;
        let kind = self.programs[table].columns[column].kind;
        let mut cell = Vec::new();
        auto_key(kind, &self.tables[table].name, path, 0, 0).encode(&mut cell);
        Some(key_text(&cell))
    }
}

/// Where a document's rows lie among all others in the indexes of keys made from the place: 63 bits that follow
/// from the path of its file and its number in it. Documents loaded in this order are appended to those indexes.
#[must_use]
pub fn place_order(path: &str, ordinal: usize) -> u64 {
    xxh3::xxh3_64_with_seed(path.as_bytes(), ordinal as u64) >> 1
}

/// The JSON Pointer (RFC 6901) of the node `target` in the document of `root`; `/` alone for the whole document.
#[must_use]
pub fn pointer(root: Value<'_>, target: u32) -> String {
    let pointer = exact_pointer(root, target);
    if pointer.is_empty() { "/".to_owned() } else { pointer }
}

/// A name as it stands in a JSON Pointer.
pub(super) fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The JSON Pointer of the node `target`; empty for the whole document.
pub(super) fn exact_pointer(root: Value<'_>, target: u32) -> String {
    let mut out = String::new();
    let mut here = root;
    while here.index() != target {
        let inside = |value: &Value<'_>| (value.index()..value.node().next).contains(&target);
        let name = |key: Value<'_>| pointer_token(&key.as_str().unwrap_or(Cow::Borrowed(key.raw())));
        let entry = here.entries().find(|(key, value)| key.index() == target || inside(value));
        let element = here.elements().enumerate().find(|(_, value)| inside(value));
        let (step, next) = match (entry, element) {
            (Some((key, value)), _) => (name(key), value),
            (None, Some((at, value))) => (at.to_string(), value),
            (None, None) => break,
        };
        out.push('/');
        out.push_str(&step);
        if next.index() > target {
            break;
        }
        here = next;
    }
    out
}
