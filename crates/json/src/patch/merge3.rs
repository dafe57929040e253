//! [`merge3()`]: two changes of one text become one.

use std::collections::{HashMap, HashSet};

use crate::edit::Editor;
use crate::patch::draft::{Draft, root, scan};
use crate::patch::equal::{same_text, same_value};
use crate::patch::error::{PatchError, Text};
use crate::patch::lists::{Lists, Step, identity};
use crate::patch::members::{Member, by_key, members};
use crate::patch::pointer::Pointer;
use crate::patch::spot::put;
use crate::scan::{Kind, Limits};
use crate::value::Value;

/// What [`merge3()`] made of two changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The text with both.
    Text(Vec<u8>),
    /// Both changed these places, each to something else. Rows have the number they had in `base`, new ones that
    /// in `theirs`.
    Conflicts(Vec<Pointer>),
}

/// Makes the changes from `base` to `ours` in `theirs`, which came from `base` too and keeps its formatting.
///
/// What only one side changed is as that side has it; what both changed to the same stays; what both changed to
/// different things is a conflict. Objects are merged by key. Lists that `lists` names as rows are merged row by
/// row: by their key, else rows that one side only added at the end are kept beside what the other did. Rows that
/// both add at one place come in the order of the merges, those of `theirs` first. Every other list is one value.
/// Whether something changed is seen by its text, not by its worth: `1.0` is a change of `1`.
///
/// # Errors
/// When a text or the outcome is no JSON within the limits.
pub fn merge3(
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
    lists: &Lists,
    limits: Limits,
) -> Result<Merged, PatchError> {
    let base_tree = scan(base, Text::Document, limits)?;
    let ours_tree = scan(ours, Text::Patch, limits)?;
    let mut draft = Draft::open(theirs, ours.len(), limits)?;
    let (base, ours) = (root(&base_tree, base), root(&ours_tree, ours));
    let mut merge = Merge { lists, limits, conflicts: Vec::new() };
    draft.change(|theirs, editor| merge.whole(base, ours, theirs, editor))?;
    let Merge { mut conflicts, .. } = merge;
    if conflicts.is_empty() {
        return Ok(Merged::Text(draft.finish()));
    }
    conflicts.sort();
    Ok(Merged::Conflicts(conflicts))
}

/// What becomes of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays as `theirs` has it.
    Stay,
    /// It becomes as `ours` has it.
    Take,
    /// That is decided further inside.
    Inside,
    Conflict,
}

type Place<'t> = (Option<Value<'t>>, Option<Value<'t>>, Option<Value<'t>>);

fn same(one: Option<Value<'_>>, other: Option<Value<'_>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same_text(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn fate((base, ours, theirs): Place<'_>) -> Fate {
    if same(ours, base) || same(ours, theirs) {
        return Fate::Stay;
    }
    if let (Some(base), Some(ours), Some(theirs)) = (base, ours, theirs)
        && base.kind() == ours.kind()
        && ours.kind() == theirs.kind()
        && matches!(ours.kind(), Kind::Object | Kind::Array)
    {
        return Fate::Inside;
    }
    if same(theirs, base) {
        return Fate::Take;
    }
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if same_value(ours, theirs) => Fate::Stay,
        _ => Fate::Conflict,
    }
}

/// Containers of one kind that are there three times.
struct Open<'t> {
    base: Value<'t>,
    ours: Value<'t>,
    theirs: Value<'t>,
    path: Vec<Step>,
}

struct Merge<'l> {
    lists: &'l Lists,
    limits: Limits,
    conflicts: Vec<Pointer>,
}

impl Merge<'_> {
    fn whole<'t>(
        &mut self,
        base: Value<'t>,
        ours: Value<'t>,
        theirs: Value<'t>,
        editor: &mut Editor<'_>,
    ) -> Result<(), PatchError> {
        let open = Open { base, ours, theirs, path: Vec::new() };
        match fate((Some(base), Some(ours), Some(theirs))) {
            Fate::Stay => {}
            Fate::Take => put(editor, theirs, ours),
            Fate::Inside => self.walk(open, editor)?,
            Fate::Conflict => self.conflict(&[]),
        }
        Ok(())
    }

    fn conflict(&mut self, path: &[Step]) {
        self.conflicts.push(Pointer::from_parts(path.iter().map(|step| match step {
            Step::Entry(key) => key.clone(),
            Step::Element(number) => number.to_string(),
        })));
    }

    fn walk<'t>(&mut self, first: Open<'t>, editor: &mut Editor<'_>) -> Result<(), PatchError> {
        let mut open = vec![first];
        while let Some(next) = open.pop() {
            if next.ours.kind() == Kind::Object {
                self.object(&next, &mut open, editor);
            } else {
                self.list(&next, &mut open, editor)?;
            }
        }
        Ok(())
    }

    fn object<'t>(&mut self, at: &Open<'t>, open: &mut Vec<Open<'t>>, editor: &mut Editor<'_>) {
        let (bases, standing) = (by_key(at.base), by_key(at.theirs));
        let ours = members(at.ours);
        let kept: HashSet<&[u8]> = ours.iter().map(|member| &*member.content).collect();
        let gone = members(at.base).into_iter().filter(|member| !kept.contains(&*member.content));
        let gone: Vec<Member<'t>> = gone.collect();
        let ours_there = ours.iter().map(|member| (member, Some(member.value)));
        for (member, ours) in ours_there.chain(gone.iter().map(|member| (member, None))) {
            let base = bases.get(&member.content).and_then(|found| found.last());
            let all = standing.get(&member.content).map_or([].as_slice(), Vec::as_slice);
            let base = base.map(|&index| at.base.at(index));
            let theirs = all.last().map(|&index| at.theirs.at(index));
            let mut path = at.path.clone();
            path.push(Step::Entry(String::from_utf8_lossy(&member.content).into_owned()));
            match (fate((base, ours, theirs)), ours, theirs) {
                (Fate::Conflict, ..) => self.conflict(&path),
                (Fate::Take, Some(ours), Some(theirs)) => put(editor, theirs, ours),
                (Fate::Take, Some(ours), None) => {
                    editor.insert_quoted(at.theirs.index(), member.key.raw(), ours.raw());
                }
                (Fate::Take, None, _) => all.iter().for_each(|&old| editor.remove_entry(old)),
                (Fate::Inside, Some(ours), Some(theirs)) => {
                    open.extend(base.map(|base| Open { base, ours, theirs, path }));
                }
                (Fate::Stay | Fate::Inside, ..) => {}
            }
        }
    }

    fn list<'t>(
        &mut self,
        at: &Open<'t>,
        open: &mut Vec<Open<'t>>,
        editor: &mut Editor<'_>,
    ) -> Result<(), PatchError> {
        let Some(key) = self.lists.key(&at.path) else {
            if same_text(at.theirs, at.base) {
                put(editor, at.theirs, at.ours);
            } else if !same_value(at.ours, at.theirs) {
                self.conflict(&at.path);
            }
            return Ok(());
        };
        let rows = |list| Rows::of(list, key);
        match (rows(at.base), rows(at.ours), rows(at.theirs)) {
            (Some(base), Some(ours), Some(theirs)) => {
                let sides = Sides { base, ours, theirs };
                match (sides.ours.reorders(&sides.base), sides.theirs.reorders(&sides.base)) {
                    (false, _) => self.keyed(at, &sides, open, editor),
                    (true, false) => return self.reordered(at, &sides, editor),
                    (true, true) if same_value(at.ours, at.theirs) => {}
                    (true, true) => self.conflict(&at.path),
                }
            }
            _ => self.placed(at, editor),
        }
        Ok(())
    }

    /// Rows without keys: what one side only adds at the end goes behind what the other made of the list.
    fn placed(&mut self, at: &Open<'_>, editor: &mut Editor<'_>) {
        let grows = |side: Value<'_>| {
            side.elements().count() >= at.base.elements().count()
                && at.base.elements().zip(side.elements()).all(|(base, side)| same_text(base, side))
        };
        let tail = at.base.elements().count();
        if grows(at.ours) {
            for element in at.ours.elements().skip(tail) {
                editor.insert_element(at.theirs.index(), usize::MAX, element.raw());
            }
        } else if grows(at.theirs) {
            let all = at.ours.elements().map(Value::raw);
            let all: Vec<&str> = all.chain(at.theirs.elements().skip(tail).map(Value::raw)).collect();
            editor.replace(at.theirs.index(), &format!("[{}]", all.join(",")));
        } else if !same_value(at.ours, at.theirs) {
            self.conflict(&at.path);
        }
    }

    /// Rows by key, in the order of `theirs`.
    fn keyed<'t>(
        &mut self,
        at: &Open<'t>,
        sides: &Sides<'t>,
        open: &mut Vec<Open<'t>>,
        editor: &mut Editor<'_>,
    ) {
        // an element that is new goes before the one that follows it on its side
        let mut before = vec![usize::MAX; sides.ours.order.len()];
        let mut next = usize::MAX;
        for (number, key) in sides.ours.order.iter().enumerate().rev() {
            next = sides.theirs.numbers.get(key).copied().unwrap_or(next);
            before[number] = next;
        }
        for key in sides.changeable() {
            let place = sides.place(key);
            let path = || sides.path(&at.path, key);
            match (fate(place), place) {
                (Fate::Conflict, _) => self.conflict(&path()),
                (Fate::Take, (_, Some(ours), Some(theirs))) => put(editor, theirs, ours),
                (Fate::Take, (_, Some(ours), None)) => {
                    let before = before[sides.ours.numbers[key]];
                    editor.insert_element(at.theirs.index(), before, ours.raw());
                }
                (Fate::Take, (_, None, Some(theirs))) => editor.remove_element(theirs.index()),
                (Fate::Inside, (Some(base), Some(ours), Some(theirs))) => {
                    open.push(Open { base, ours, theirs, path: path() });
                }
                _ => {}
            }
        }
    }

    /// Rows by key, in the order of `ours`; those that only `theirs` has go before the one that follows them there.
    fn reordered<'t>(
        &mut self,
        at: &Open<'t>,
        sides: &Sides<'t>,
        editor: &mut Editor<'_>,
    ) -> Result<(), PatchError> {
        let mut ahead: HashMap<Option<&Vec<u8>>, Vec<&Vec<u8>>> = HashMap::new();
        let mut next = None;
        for key in sides.theirs.order.iter().rev() {
            if sides.ours.numbers.contains_key(key) {
                next = Some(key);
            } else {
                ahead.entry(next).or_default().push(key);
            }
        }
        let mut order: Vec<&Vec<u8>> = Vec::new();
        for key in sides.ours.order.iter().map(Some).chain([None]) {
            order.extend(ahead.remove(&key).into_iter().flatten().rev());
            order.extend(key);
        }
        let mut texts = Vec::with_capacity(order.len());
        for key in order {
            let place = sides.place(key);
            let (base, ours, theirs) = place;
            match fate(place) {
                Fate::Conflict => self.conflict(&sides.path(&at.path, key)),
                Fate::Stay => texts.extend(theirs.map(|theirs| theirs.raw().to_owned())),
                Fate::Take => texts.extend(ours.map(|ours| ours.raw().to_owned())),
                Fate::Inside => {
                    if let (Some(base), Some(ours), Some(theirs)) = (base, ours, theirs) {
                        let path = sides.path(&at.path, key);
                        texts.push(self.apart(base, ours, theirs, path)?);
                    }
                }
            }
        }
        editor.replace(at.theirs.index(), &format!("[{}]", texts.join(",")));
        Ok(())
    }

    /// Merges an element on its own. Only lists of rows within lists of rows come here again, so the depth is that
    /// of [`Lists`].
    fn apart<'t>(
        &mut self,
        base: Value<'t>,
        ours: Value<'t>,
        theirs: Value<'_>,
        path: Vec<Step>,
    ) -> Result<String, PatchError> {
        let text = theirs.raw().as_bytes();
        let tree = scan(text, Text::Document, self.limits)?;
        let alone = root(&tree, text);
        let mut editor = Editor::new(alone);
        self.walk(Open { base, ours, theirs: alone, path }, &mut editor)?;
        Ok(String::from_utf8(editor.finish()).unwrap_or_default())
    }
}

/// The rows of one list.
struct Rows<'t> {
    list: Vec<Value<'t>>,
    order: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, usize>,
}

impl<'t> Rows<'t> {
    /// `None` where a row cannot be told from the others.
    fn of(list: Value<'t>, key: &[Vec<String>]) -> Option<Self> {
        let list: Vec<Value<'t>> = list.elements().collect();
        let order: Vec<Vec<u8>> = list.iter().map(|&row| identity(row, key)).collect::<Option<_>>()?;
        let numbers: HashMap<Vec<u8>, usize> =
            order.iter().enumerate().map(|(number, key)| (key.clone(), number)).collect();
        (!key.is_empty() && numbers.len() == order.len()).then_some(Self { list, order, numbers })
    }

    fn get(&self, key: &Vec<u8>) -> Option<Value<'t>> {
        self.numbers.get(key).map(|&number| self.list[number])
    }

    /// Are the rows that `base` has too in another order?
    fn reorders(&self, base: &Rows<'_>) -> bool {
        let places = self.order.iter().filter_map(|key| base.numbers.get(key));
        !places.is_sorted()
    }
}

struct Sides<'t> {
    base: Rows<'t>,
    ours: Rows<'t>,
    theirs: Rows<'t>,
}

impl<'t> Sides<'t> {
    fn place(&self, key: &Vec<u8>) -> Place<'t> {
        (self.base.get(key), self.ours.get(key), self.theirs.get(key))
    }

    /// Rows that `ours` may have changed: its own and those it removed.
    fn changeable(&self) -> impl Iterator<Item = &Vec<u8>> {
        let gone = self.base.order.iter().filter(|key| !self.ours.numbers.contains_key(*key));
        self.ours.order.iter().chain(gone)
    }

    fn path(&self, list: &[Step], key: &Vec<u8>) -> Vec<Step> {
        let sides = [&self.base.numbers, &self.theirs.numbers, &self.ours.numbers];
        let number = sides.iter().find_map(|numbers| numbers.get(key)).copied().unwrap_or_default();
        list.iter().cloned().chain([Step::Element(number)]).collect()
    }
}
