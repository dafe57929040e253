//! Steps laid over a text by reading and writing it once. That gives what one after the other gives only where no step depends
//! on another one; what does is left to [`super::Laid`].

use std::collections::BTreeMap;

use repot_json::edit::{Editor, quote};
use repot_json::patch::{self, Pointer};
use repot_json::{Kind, Tree, Value};
use repot_model::plan::now_like;

use super::{Step, UNBOUNDED};

/// The text with these steps; `None`: they are to be made one after the other.
pub(super) fn at_once(text: &[u8], steps: &[Step]) -> Option<Vec<u8>> {
    if steps.len() > 1 && !keep_habits(steps) {
        return None;
    }
    let tree = Tree::parse(text, UNBOUNDED).ok()?;
    let root = tree.root(text)?;
    let mut strokes = Strokes {
        root,
        editor: Editor::new(root),
        set: Vec::new(),
        times: BTreeMap::new(),
        count: steps.len(),
    };
    for step in steps {
        match step {
            Step::Append(list, element) => strokes.append(list, element)?,
            Step::Set(at, value) => strokes.set(at, value),
            Step::Time(at, micros) => drop(strokes.times.insert(at, *micros)),
        }
    }
    strokes.finish()
}

/// What is to be done to one text.
struct Strokes<'t, 's> {
    root: Value<'t>,
    editor: Editor<'t>,
    /// The last value of each place, and whether there were others before it.
    set: Vec<(&'s Pointer, &'s [u8], bool)>,
    times: BTreeMap<&'s Pointer, i64>,
    /// Of all steps.
    count: usize,
}

impl<'s> Strokes<'_, 's> {
    fn append(&mut self, list: &Pointer, element: &[u8]) -> Option<()> {
        let there = patch::resolve(self.root, list).filter(|there| there.kind() == Kind::Array)?;
        let tree = Tree::parse(element, UNBOUNDED).ok()?;
        self.editor.insert_element(there.index(), usize::MAX, tree.root(element)?.raw());
        Some(())
    }

    fn set(&mut self, at: &'s Pointer, value: &'s [u8]) {
        // a time that was set before it does not count
        self.times.remove(at);
        match self.set.iter_mut().find(|(other, ..)| *other == at) {
            Some(before) => (before.1, before.2) = (value, true),
            None => self.set.push((at, value, false)),
        }
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        for (at, value, again) in std::mem::take(&mut self.set) {
            let tree = Tree::parse(value, UNBOUNDED).ok()?;
            let mut fresh = tree.root(value)?;
            let (time_tree, time);
            if let Some(micros) = self.times.remove(at) {
                time = quote(&now_like(micros, &fresh.as_str()?)?);
                time_tree = Tree::parse(time.as_bytes(), UNBOUNDED).ok()?;
                fresh = time_tree.root(time.as_bytes())?;
            }
            match patch::resolve(self.root, at) {
                Some(old) => self.replace(old, fresh, again)?,
                None => self.insert(at, fresh)?,
            }
        }
        for (at, micros) in std::mem::take(&mut self.times) {
            let old = patch::resolve(self.root, at)?;
            let time = quote(&now_like(micros, &old.as_str()?)?);
            let tree = Tree::parse(time.as_bytes(), UNBOUNDED).ok()?;
            self.replace(old, tree.root(time.as_bytes())?, false)?;
        }
        Some(self.editor.finish())
    }

    /// `again`: the value was another one in between, so that it is written even where it is the old one; a structure is laid out
    /// like that one then.
    fn replace(&mut self, old: Value<'_>, fresh: Value<'_>, again: bool) -> Option<()> {
        let nests = |value: Value<'_>| matches!(value.kind(), Kind::Array | Kind::Object);
        let same = patch::same_text(old, fresh);
        if again && (same || nests(fresh)) {
            return None;
        }
        // from it others may have had their layout, or their escapes
        let shows = nests(old) || !(old.raw().is_ascii() && escapes(old.raw().as_bytes()).next().is_none());
        if shows && !same && self.count > 1 {
            return None;
        }
        if !same {
            self.editor.replace(old.index(), fresh.raw());
        }
        Some(())
    }

    fn insert(&mut self, at: &Pointer, fresh: Value<'_>) -> Option<()> {
        let (name, path) = at.parts().split_last()?;
        let holder = patch::resolve(self.root, &Pointer::from_parts(path))?;
        if holder.kind() != Kind::Object {
            return None;
        }
        self.editor.insert_entry(holder.index(), name, fresh.raw());
        Some(())
    }
}

/// Whether none of the values brings a way to escape that the next one would take over: there are no escapes that could be left
/// out, or only those of a writer that leaves no character beyond ASCII as it is.
fn keep_habits(steps: &[Step]) -> bool {
    let values = || {
        steps.iter().filter_map(|step| match step {
            Step::Set(_, value) | Step::Append(_, value) => Some(value.as_ref()),
            Step::Time(..) => None,
        })
    };
    let has_capitals = |digits: &[u8]| digits.iter().any(u8::is_ascii_uppercase);
    values().all(|value| escapes(value).next().is_none())
        || values().all(|value| {
            let foreign =
                |digits: &[u8]| !digits.starts_with(b"00") && !digits.is_empty() && !has_capitals(digits);
            value.is_ascii() && escapes(value).all(foreign)
        })
}

/// Of the escapes that could be left out, the digits of each; none of `\/`.
fn escapes(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += text.get(at..)?.iter().position(|&byte| byte == b'\\')?;
            let name = text.get(at + 1)?;
            at += 2;
            match name {
                b'/' => return Some([].as_slice()),
                b'u' => return text.get(at..at + 4),
                _ => {}
            }
        }
    })
}
