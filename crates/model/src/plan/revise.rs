//! A document that is to be written, against the rules of the model and the state before: everything wrong with it at
//! once, missing values filled in, times set, changes of states checked. The text keeps its formatting.

use std::collections::HashMap;

use repot_json::edit::{Editor, quote};
use repot_json::{Kind, Tree, Value};

use super::lay_over::now_like;
use super::problem::{Problem, line_and_column};
use super::rules::{Filler, TableRules};
use super::split::{KeyTree, Misfit, Place, Splitter, syntax};
use super::time::{date_text, time_text};
use super::walker::{Element, Walker};
use super::{ColumnKind, Plan, key_text};
use crate::language::Body;
use crate::row::{Cell, Cells, RowBuffer};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// A document that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'t> {
    /// Its text.
    pub after: &'t [u8],
    /// The text that it replaces; `None` when the document is new.
    pub before: Option<&'t [u8]>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub now_us: i64,
}

/// What is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// The document's key as text.
    pub key: String,
    /// The text; `None`: as it was given.
    pub text: Option<Vec<u8>>,
    /// What became of states.
    pub states: Vec<StateChange>,
}

/// A state that became another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The table.
    pub table: String,
    /// The row: its key as text, or its place where it has none of its own.
    pub row: String,
    /// The column.
    pub field: String,
    /// The word before; `None`: there was none.
    pub from: Option<String>,
    /// The word now.
    pub to: Option<String>,
}

/// A text, and the rows that it makes.
struct Look<'t> {
    root: Option<Value<'t>>,
    rows: RowBuffer,
    /// For each row, the node of its element.
    nodes: Vec<u32>,
    key: Option<String>,
}

impl Splitter<'_> {
    /// Checks a document alone: gives its key, or all that is wrong with it, in the order of the text.
    ///
    /// # Errors
    /// The problems; at most [`super::PROBLEMS_MAX`] and one more.
    pub fn examine(&mut self, place: &Place<'_>, path: &str, text: &[u8]) -> Result<String, Vec<Problem>> {
        let (mut tree, mut problems) = (Tree::default(), Vec::new());
        let look = self.look(place, path, text, (&mut tree, &mut problems));
        settled(look.key, problems)
    }

    /// Checks a document against what it replaces, and fills in what the model says.
    ///
    /// # Errors
    /// All that is wrong with it. Forbidden changes of states have the code `R0410`.
    pub fn revise(
        &mut self,
        place: &Place<'_>,
        path: &str,
        revision: Revision<'_>,
    ) -> Result<Revised, Vec<Problem>> {
        let (mut tree, mut problems) = (Tree::default(), Vec::new());
        let after = self.look(place, path, revision.after, (&mut tree, &mut problems));
        let (Some(root), true) = (after.root, self.plan.has_rules(place.root)) else {
            return settled(after.key, problems).map(|key| Revised { key, text: None, states: Vec::new() });
        };
        let mut old_tree = Tree::default();
        // what was wrong with it before is nobody's fault now
        let before = revision.before.filter(|text| *text != revision.after);
        let before = before.map(|text| self.look(place, path, text, (&mut old_tree, &mut Vec::new())));
        if revision.before.is_some() && before.is_none() {
            return settled(after.key, problems).map(|key| Revised { key, text: None, states: Vec::new() });
        }
        let mut review = Review {
            plan: self.plan,
            after: &after,
            before: before.as_ref(),
            known: before.as_ref().map(|look| addresses(self.plan, look)).unwrap_or_default(),
            now_us: revision.now_us,
            problems,
            editor: Editor::new(root),
            missing: Vec::new(),
            states: Vec::new(),
            captured: self.plan.roots[place.root].captures.get(place.template).map_or(&[], Vec::as_slice),
        };
        review.rows(root);
        let states = std::mem::take(&mut review.states);
        let (problems, text) = review.finish();
        settled(after.key, problems).map(|key| Revised { key, text, states })
    }

    fn look<'t>(
        &mut self,
        place: &Place<'_>,
        path: &str,
        bytes: &'t [u8],
        (tree, problems): (&'t mut Tree, &mut Vec<Problem>),
    ) -> Look<'t> {
        let mut look = Look { root: None, rows: RowBuffer::new(), nodes: Vec::new(), key: None };
        let root = &self.plan.roots[place.root];
        let Some(table) = root.table else { return look };
        if !matches!(root.body, Some((_, Body::Text | Body::Bytes))) {
            if let Err(error) = tree.scan(bytes, self.limits) {
                let (line, column) = line_and_column(bytes, error.offset);
                problems.push(Problem { line, column, ..Problem::of(syntax(bytes, error), None, &[]) });
                return look;
            }
            let tree: &'t Tree = tree;
            look.root = tree.root(bytes);
        }
        self.counters.fill(0);
        let standing = self.standing.clone();
        let keys = standing.as_ref().map(KeyTree::new);
        let mut walker = Walker {
            plan: self.plan,
            rows: &mut look.rows,
            counters: &mut self.counters,
            path,
            ordinal: standing.as_ref().map_or(0, |standing| standing.ordinal),
            trace: Some(&mut look.nodes),
            problems: Some(&mut *problems),
            skipped: false,
        };
        let element = look.root.map(|value| match (&keys, &standing) {
            (Some(keys), Some(standing)) => keys.element(value, root, standing),
            _ => Element::of(value),
        });
        match walker.root(root, table, place, bytes, element.as_ref()) {
            Ok(key) => look.key = Some(key),
            Err(misfit) => problems.push(Problem::of(misfit, look.root, &[])),
        }
        look
    }
}

/// The key, if nothing is wrong.
fn settled(key: Option<String>, problems: Vec<Problem>) -> Result<String, Vec<Problem>> {
    match key {
        Some(key) if problems.is_empty() => Ok(key),
        _ => Err(problems),
    }
}

/// What tells each row of a document apart from the others, whatever changes around it: its own key, or its place within
/// the row that holds it.
fn addresses(plan: &Plan, look: &Look<'_>) -> HashMap<Vec<u8>, usize> {
    let mut by_key: Holders = HashMap::new();
    let mut known = HashMap::new();
    for (at, (table, row)) in look.rows.iter().enumerate() {
        let mut address = address(plan, (table, row), &by_key);
        // rows that nothing tells apart are told apart by their order
        let mut again = 0_u32;
        let plain = address.len();
        while at > 0 && known.contains_key(&address) {
            again += 1;
            address.truncate(plain);
            address.extend(again.to_le_bytes());
        }
        by_key.insert((table, key_text(&pick(row, &plan.tables[table].key))), address.clone());
        known.insert(address, at);
    }
    known
}

/// Addresses of rows that may hold others, by table and key as text: a child's column may have another type than the key.
type Holders = HashMap<(usize, String), Vec<u8>>;

fn address(plan: &Plan, (table, row): (usize, &[u8]), by_key: &Holders) -> Vec<u8> {
    let shape = &plan.tables[table];
    let mut out = (table as u64).to_le_bytes().to_vec();
    if shape.parents.is_empty() {
        return out;
    }
    if !(shape.key.is_empty() || shape.key_is_auto) {
        out.extend(pick(row, &shape.key));
        return out;
    }
    let holder = shape.parents.iter().find_map(|parent| {
        let name = plan.tables[parent.table].name.as_str();
        let of_type = parent.type_column.is_none_or(|at| cell(row, at) == Cell::Text(name.into()));
        by_key.get(&(parent.table, key_text(&pick(row, &[parent.column])))).filter(|_| of_type)
    });
    out.extend(holder.into_iter().flatten());
    let place = shape.position.iter().chain(&plan.rules[table].map_keys).copied().collect::<Vec<_>>();
    out.extend(pick(row, &place));
    out
}

/// The encoded cells of these columns, in this order.
fn pick(row: &[u8], columns: &[usize]) -> Vec<u8> {
    let mut cells = Cells::new(row);
    let raw: Vec<&[u8]> = std::iter::from_fn(|| cells.next_raw()).collect();
    columns.iter().flat_map(|&column| raw.get(column).copied().unwrap_or_default()).copied().collect()
}

fn cell(row: &[u8], column: usize) -> Cell<'_> {
    Cells::new(row).nth(column).unwrap_or(Cell::Null)
}

/// Where a value stands, or would stand.
pub(super) enum Spot<'t> {
    There(Value<'t>),
    /// The object that is there, and how many of the names led to it.
    Missing(Value<'t>, usize),
    /// Something else is in the way.
    Nowhere,
}

pub(super) fn spot<'t>(element: Value<'t>, names: &[String]) -> Spot<'t> {
    let mut here = element;
    for (depth, name) in names.iter().enumerate() {
        if here.kind() != Kind::Object {
            return Spot::Nowhere;
        }
        match here.get(name) {
            Some(inner) => here = inner,
            None => return Spot::Missing(here, depth),
        }
    }
    Spot::There(here)
}

fn state_change(
    plan: &Plan,
    (table, row): (usize, &[u8]),
    column: usize,
    (from, to): (Option<String>, Option<String>),
) -> StateChange {
    let shape = &plan.tables[table];
    let by = if shape.key.is_empty() { &shape.identity } else { &shape.key };
    let field = shape.columns[column].name.clone();
    StateChange { table: shape.name.clone(), row: key_text(&pick(row, by)), field, from, to }
}

/// Values that are to be put into an object under one name.
struct Missing {
    object: u32,
    name: String,
    /// Names below that one, and the JSON text.
    values: Vec<(Vec<String>, String)>,
}

/// One document under review.
struct Review<'p, 'l, 't> {
    plan: &'p Plan,
    after: &'l Look<'t>,
    before: Option<&'l Look<'t>>,
    /// The rows before, by their addresses.
    known: HashMap<Vec<u8>, usize>,
    now_us: i64,
    problems: Vec<Problem>,
    editor: Editor<'t>,
    missing: Vec<Missing>,
    states: Vec<StateChange>,
    /// Columns that the path fills.
    captured: &'l [Option<usize>],
}

impl<'t> Review<'_, '_, 't> {
    fn rows(&mut self, root: Value<'t>) {
        let plan = self.plan;
        let now = addresses(plan, self.after);
        let mut now: Vec<(usize, Vec<u8>)> = now.into_iter().map(|(address, at)| (at, address)).collect();
        now.sort_unstable();
        for (at, address) in now {
            let (table, row) = self.after.rows.row(at);
            let rules = &plan.rules[table];
            let Some(&node) = self.after.nodes.get(at).filter(|_| !rules.is_empty()) else { continue };
            let element = root.at(node);
            let old = self.known.get(&address).and_then(|&old| {
                let before = self.before?;
                let element = before.root?.at(*before.nodes.get(old)?);
                Some((before.rows.row(old).1, element))
            });
            self.machines(table, (row, element), old);
            self.fill((table, rules), (at, element), old.map(|(_, element)| element));
        }
    }

    fn machines(
        &mut self,
        table: usize,
        (row, element): (&[u8], Value<'t>),
        old: Option<(&[u8], Value<'t>)>,
    ) {
        let Some((old, _)) = old else { return };
        let plan = self.plan;
        for machine in &plan.rules[table].machines {
            let (was, is) = (cell(old, machine.column), cell(row, machine.column));
            let word = |cell: &Cell<'_>| match cell {
                Cell::Text(text) => Some(text.clone().into_owned()),
                _ => None,
            };
            let (was, is) = (word(&was), word(&is));
            if machine.allows(was.as_deref(), is.as_deref()) {
                if was != is {
                    self.states.push(state_change(plan, (table, row), machine.column, (was, is)));
                }
                continue;
            }
            let (Some(was), column) = (was, &plan.programs[table].columns[machine.column]) else { continue };
            let next = machine.next(&was);
            let reason = format!(
                "{}.{}: {was} -> {} is no allowed change; {}",
                plan.tables[table].name,
                column.name,
                is.as_deref().unwrap_or("null"),
                if next.is_empty() {
                    format!("{was} is final")
                } else {
                    format!("from {was}: {}", next.join(", "))
                }
            );
            let names = column.path.as_deref().unwrap_or_default();
            let problem = Problem::of(Misfit { code: "R0410", reason }, Some(element), names);
            // a word that is wrong in itself is no change of state
            if !self.problems.iter().any(|other| other.pointer == problem.pointer) {
                self.problems.push(problem);
            }
        }
    }

    fn fill(
        &mut self,
        (table, rules): (usize, &TableRules),
        (at, element): (usize, Value<'t>),
        old: Option<Value<'t>>,
    ) {
        let plan = self.plan;
        let changed = old.is_none_or(|old| at == 0 || !same(old, element));
        for filling in &rules.fillings {
            // what the path says is not missing, and may be another value
            if at == 0 && self.captured.contains(&Some(filling.column)) {
                continue;
            }
            let on_write = filling.with == Filler::NowOnWrite;
            let column = &plan.programs[table].columns[filling.column];
            let names = column.path.as_deref().unwrap_or_default();
            let there = spot(element, names);
            let Some(old) = old else {
                if let Spot::Missing(object, depth) = there {
                    let json = self.json(&filling.with, column.kind, (at, None));
                    self.put(object, &names[depth..], json);
                }
                continue;
            };
            if !(on_write && changed) {
                continue;
            }
            match (there, spot(old, names)) {
                (Spot::There(value), Spot::There(was)) if same(value, was) => {
                    let json = self.json(&filling.with, column.kind, (at, Some(value)));
                    self.editor.replace(value.index(), &json);
                }
                (Spot::Missing(object, depth), was) => {
                    let was = if let Spot::There(was) = was { Some(was) } else { None };
                    let json = self.json(&filling.with, column.kind, (at, was));
                    self.put(object, &names[depth..], json);
                }
                // the write itself sets it
                _ => {}
            }
        }
    }

    /// The JSON text of what fills a field in row `at`; a time is spelled like `old`, or like others of the document.
    fn json(&self, with: &Filler, kind: ColumnKind, (at, old): (usize, Option<Value<'t>>)) -> String {
        match (with, kind) {
            (Filler::Constant(json), _) => json.clone(),
            (Filler::Today, _) | (_, ColumnKind::Date) => {
                let days = i32::try_from(self.now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
                quote(&date_text(days))
            }
            (Filler::Now | Filler::NowOnWrite, _) => {
                let like = |value: Value<'t>| now_like(self.now_us, &value.as_str()?);
                let text = old.and_then(like).or_else(|| self.times(at).find_map(like));
                quote(&text.unwrap_or_else(|| format!("{}Z", time_text(self.now_us, 'T', 3))))
            }
        }
    }

    /// Values of fields that are times: those of row `at` first, then the others in order.
    fn times(&self, at: usize) -> impl Iterator<Item = Value<'t>> {
        let root = self.after.root;
        std::iter::once(at).chain(0..self.after.rows.len()).flat_map(move |at| {
            let columns = &self.plan.programs[self.after.rows.row(at).0].columns;
            let element = root.zip(self.after.nodes.get(at)).map(|(root, &node)| root.at(node));
            columns.iter().filter(|column| column.kind == ColumnKind::Time).filter_map(move |column| {
                match spot(element?, column.path.as_deref()?) {
                    Spot::There(value) => Some(value),
                    _ => None,
                }
            })
        })
    }

    fn put(&mut self, object: Value<'t>, names: &[String], json: String) {
        let Some((name, below)) = names.split_first() else { return };
        let value = (below.to_vec(), json);
        let same = |missing: &&mut Missing| missing.object == object.index() && missing.name == *name;
        if let Some(missing) = self.missing.iter_mut().find(same) {
            missing.values.push(value);
        } else {
            let values = vec![value];
            self.missing.push(Missing { object: object.index(), name: name.clone(), values });
        }
    }

    /// The problems, and the text where it changes.
    fn finish(mut self) -> (Vec<Problem>, Option<Vec<u8>>) {
        if !self.problems.is_empty() {
            return (self.problems, None);
        }
        for Missing { object, name, values } in self.missing {
            let values: Vec<Below<'_>> =
                values.iter().map(|(names, json)| (names.as_slice(), json.as_str())).collect();
            self.editor.insert_entry(object, &name, &nested(&values));
        }
        (self.problems, (!self.editor.is_empty()).then(|| self.editor.finish()))
    }
}

/// Names that lead to a value, and its JSON text.
type Below<'v> = (&'v [String], &'v str);

/// The JSON text of values below one name.
fn nested(values: &[Below<'_>]) -> String {
    if let Some((_, json)) = values.iter().find(|(names, _)| names.is_empty()) {
        return (*json).to_owned();
    }
    let mut groups: Vec<(&str, Vec<Below<'_>>)> = Vec::new();
    for (names, json) in values {
        let Some((name, below)) = names.split_first() else { continue };
        match groups.iter_mut().find(|group| group.0 == name) {
            Some(group) => group.1.push((below, json)),
            None => groups.push((name, vec![(below, json)])),
        }
    }
    let entries: Vec<String> =
        groups.iter().map(|(name, values)| format!("{}: {}", quote(name), nested(values))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// Whether two values are written the same but for the white space between their parts.
fn same(one: Value<'_>, other: Value<'_>) -> bool {
    let size = |value: Value<'_>| value.node().next - value.index();
    size(one) == size(other)
        && (0..size(one)).all(|step| {
            let (one, other) = (one.at(one.index() + step), other.at(other.index() + step));
            one.node().kind == other.node().kind
                && size(one) == size(other)
                && (matches!(one.kind(), Kind::Object | Kind::Array) || one.raw() == other.raw())
        })
}
