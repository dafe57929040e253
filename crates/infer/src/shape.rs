//! Statistics of all values at one place of the documents. Two statistics merge into the statistics of both
//! sets of values, whatever was folded before, so that no order of the files can show in the result.

use std::collections::BTreeMap;
use std::rc::Rc;

use repot_json::{Kind, Value};

use crate::look::{self, Zone};

/// Distinct words kept of one place.
const WORDS_MAX: usize = 8;
/// Levels of a document told apart; deeper values are only counted.
const DEPTH_MAX: usize = 24;

/// What a value can be. Numbers are told apart by what holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Null,
    Bool,
    /// An integer of 64 bits.
    Int,
    /// A number that is finite as a double.
    Float,
    /// A plain decimal beyond both, of at most 38 digits.
    Decimal,
    /// Any other number.
    Beyond,
    Text,
    Object,
    List,
}

/// All of them, in the order of [`Node::counts`].
pub(crate) const SORTS: [(Sort, &str); 9] = [
    (Sort::Null, "null"),
    (Sort::Bool, "bool"),
    (Sort::Int, "int"),
    (Sort::Float, "float"),
    (Sort::Decimal, "big number"),
    (Sort::Beyond, "huge number"),
    (Sort::Text, "text"),
    (Sort::Object, "object"),
    (Sort::List, "list"),
];

/// Counts of texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    /// Characters of the longest.
    pub(crate) longest: u64,
    /// With NUL or a lone surrogate: no column of text can hold them.
    pub(crate) unfit: u64,
    pub(crate) uuids: u64,
    pub(crate) times: u64,
    pub(crate) zoned: u64,
    pub(crate) dates: u64,
    pub(crate) empty: u64,
    /// `None`: too many, or not all are words.
    words: Words,
}

/// A few distinct texts with their counts.
#[derive(Debug, Clone)]
struct Words(Option<BTreeMap<Box<str>, u64>>);

impl Default for Words {
    fn default() -> Self {
        Self(Some(BTreeMap::new()))
    }
}

impl Words {
    fn add(&mut self, word: &str, count: u64) {
        let Some(words) = &mut self.0 else { return };
        if word.len() > 64 {
            self.0 = None;
            return;
        }
        *words.entry(word.into()).or_default() += count;
        if words.len() > WORDS_MAX {
            self.0 = None;
        }
    }
}

impl Texts {
    /// The distinct texts, if they are few.
    pub(crate) const fn words(&self) -> Option<&BTreeMap<Box<str>, u64>> {
        self.words.0.as_ref()
    }

    fn add(&mut self, text: Option<&str>) {
        let Some(text) = text.filter(|text| !text.contains('\0')) else {
            self.unfit += 1;
            self.words.0 = None;
            return;
        };
        self.longest =
            self.longest.max(if text.is_ascii() { text.len() } else { text.chars().count() } as u64);
        self.empty += u64::from(text.is_empty());
        self.words.add(text, 1);
        if (10..=40).contains(&text.len()) {
            self.uuids += u64::from(look::is_uuid(text));
            self.dates += u64::from(look::is_date(text));
            let zone = look::instant(text);
            self.times += u64::from(zone.is_some());
            self.zoned += u64::from(zone == Some(Zone::Given));
        }
    }

    fn merge(&mut self, other: Self) {
        let Self { longest, unfit, uuids, times, zoned, dates, empty, words } = other;
        self.longest = self.longest.max(longest);
        self.unfit += unfit;
        self.uuids += uuids;
        self.times += times;
        self.zoned += zoned;
        self.dates += dates;
        self.empty += empty;
        match words.0 {
            Some(words) => words.iter().for_each(|(word, count)| self.words.add(word, *count)),
            None => self.words.0 = None,
        }
    }
}

/// The entries of all objects at one place.
#[derive(Debug, Clone)]
pub(crate) enum Entries {
    /// Each name for itself.
    Named(BTreeMap<Box<str>, Node>),
    /// Too many names: all values together.
    Folded(Box<Node>),
}

impl Default for Entries {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

/// The first place in byte order of paths, then in the document.
pub(crate) type At = (Rc<str>, u32);

/// All values at one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    counts: [u64; SORTS.len()],
    firsts: [Option<Rc<str>>; SORTS.len()],
    /// Where it is met first.
    pub(crate) first: Option<At>,
    pub(crate) texts: Option<Box<Texts>>,
    pub(crate) entries: Entries,
    /// Entries of all objects whose key is data, and all entries.
    pub(crate) data_keys: u64,
    pub(crate) keys: u64,
    pub(crate) items: Option<Box<Self>>,
    /// Nested deeper than what was told apart.
    pub(crate) deep: bool,
}

/// Bounds of one gathering, and what it has cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Names kept of the objects at one place.
    pub(crate) names_max: usize,
    /// Places made so far.
    pub(crate) places: usize,
}

impl Node {
    /// How many values of this sort.
    pub(crate) const fn count(&self, sort: Sort) -> u64 {
        self.counts[sort as usize]
    }

    /// Smallest path with a value of this sort.
    pub(crate) fn path(&self, sort: Sort) -> Option<&str> {
        self.firsts[sort as usize].as_deref()
    }

    /// All values.
    pub(crate) fn seen(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All but null.
    pub(crate) fn filled(&self) -> u64 {
        self.seen() - self.count(Sort::Null)
    }

    /// Whether every value but null is one of these sorts.
    pub(crate) fn only(&self, sorts: &[Sort]) -> bool {
        self.filled() > 0 && sorts.iter().map(|sort| self.count(*sort)).sum::<u64>() == self.filled()
    }

    /// The named entries; empty when folded.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Self)> {
        let named = match &self.entries {
            Entries::Named(named) => Some(named),
            Entries::Folded(_) => None,
        };
        named.into_iter().flatten().map(|(name, node)| (&**name, node))
    }

    /// Takes in one value.
    pub(crate) fn add(&mut self, value: Value<'_>, at: &At, depth: usize, bounds: &mut Bounds) {
        let sort = sort_of(value);
        self.counts[sort as usize] += 1;
        least(&mut self.firsts[sort as usize], &at.0);
        if self.first.as_ref().is_none_or(|first| at < first) {
            self.first = Some(at.clone());
        }
        if depth >= DEPTH_MAX {
            self.deep |= matches!(sort, Sort::Object | Sort::List);
            return;
        }
        match sort {
            Sort::Text => self.texts.get_or_insert_default().add(value.as_str().as_deref()),
            Sort::List => {
                for item in value.elements() {
                    let items = self.items.get_or_insert_with(|| {
                        bounds.places += 1;
                        Box::default()
                    });
                    items.add(item, at, depth + 1, bounds);
                }
            }
            Sort::Object => self.add_object(value, &at.0, depth, bounds),
            _ => {}
        }
    }

    fn add_object(&mut self, object: Value<'_>, path: &Rc<str>, depth: usize, bounds: &mut Bounds) {
        let mut last: BTreeMap<Box<str>, (u32, Value<'_>)> = BTreeMap::new();
        for (place, (key, value)) in (0_u32..).zip(object.entries()) {
            // A key with a lone surrogate can be no field's name; a key that stands twice counts as its last.
            if let Some(key) = key.as_str() {
                last.insert(key.into(), (place, value));
            }
        }
        for (key, (place, value)) in last {
            self.keys += 1;
            self.data_keys += u64::from(look::is_data_key(&key));
            let at = (Rc::clone(path), place);
            match &mut self.entries {
                Entries::Folded(all) => all.add(value, &at, depth + 1, bounds),
                Entries::Named(named) => {
                    let node = named.entry(key).or_insert_with(|| {
                        bounds.places += 1;
                        Self::default()
                    });
                    node.add(value, &at, depth + 1, bounds);
                }
            }
            self.fold_beyond(bounds);
        }
    }

    fn fold_beyond(&mut self, bounds: &mut Bounds) {
        if let Entries::Named(named) = &self.entries
            && named.len() > bounds.names_max
        {
            let before = self.size();
            self.fold(bounds.names_max);
            bounds.places = bounds.places.saturating_sub(before - self.size());
        }
    }

    /// Puts the values of all names together.
    pub(crate) fn fold(&mut self, names_max: usize) {
        if let Entries::Named(named) = &mut self.entries {
            let mut all = Self::default();
            for node in std::mem::take(named).into_values() {
                all.merge(node, names_max);
            }
            self.entries = Entries::Folded(Box::new(all));
        }
    }

    /// The values of all names together.
    pub(crate) fn folded(&self, names_max: usize) -> Self {
        match &self.entries {
            Entries::Folded(all) => (**all).clone(),
            Entries::Named(named) => {
                let mut all = Self::default();
                for node in named.values() {
                    all.merge(node.clone(), names_max);
                }
                all
            }
        }
    }

    /// Adds what another place saw.
    pub(crate) fn merge(&mut self, other: Self, names_max: usize) {
        let Self { counts, firsts, first, texts, entries, data_keys, keys, items, deep } = other;
        for (mine, theirs) in self.counts.iter_mut().zip(counts) {
            *mine += theirs;
        }
        for (mine, theirs) in self.firsts.iter_mut().zip(firsts) {
            if let Some(theirs) = theirs {
                least(mine, &theirs);
            }
        }
        if let Some(first) = first
            && self.first.as_ref().is_none_or(|mine| first < *mine)
        {
            self.first = Some(first);
        }
        if let Some(texts) = texts {
            self.texts.get_or_insert_default().merge(*texts);
        }
        if let Some(items) = items {
            self.items.get_or_insert_default().merge(*items, names_max);
        }
        self.data_keys += data_keys;
        self.keys += keys;
        self.deep |= deep;
        self.merge_entries(entries, names_max);
    }

    fn merge_entries(&mut self, entries: Entries, names_max: usize) {
        match entries {
            Entries::Folded(theirs) => {
                self.fold(names_max);
                if let Entries::Folded(all) = &mut self.entries {
                    all.merge(*theirs, names_max);
                }
            }
            Entries::Named(theirs) => {
                for (name, node) in theirs {
                    match &mut self.entries {
                        Entries::Folded(all) => all.merge(node, names_max),
                        Entries::Named(named) => {
                            named.entry(name).or_default().merge(node, names_max);
                            if named.len() > names_max {
                                self.fold(names_max);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Takes the lists out of the counts: their items are looked at instead.
    pub(crate) fn forget_lists(&mut self) {
        self.counts[Sort::List as usize] = 0;
        self.firsts[Sort::List as usize] = None;
        self.items = None;
    }

    /// Places in it, itself included.
    pub(crate) fn size(&self) -> usize {
        let entries = match &self.entries {
            Entries::Named(named) => named.values().map(Self::size).sum(),
            Entries::Folded(all) => all.size(),
        };
        1 + entries + self.items.as_ref().map_or(0, |items| items.size())
    }
}

fn least(mine: &mut Option<Rc<str>>, path: &Rc<str>) {
    if mine.as_ref().is_none_or(|mine| path < mine) {
        *mine = Some(Rc::clone(path));
    }
}

fn sort_of(value: Value<'_>) -> Sort {
    match value.kind() {
        Kind::Null => Sort::Null,
        Kind::False | Kind::True => Sort::Bool,
        Kind::Number => number(value.raw()),
        Kind::String | Kind::Key => Sort::Text,
        Kind::Array => Sort::List,
        Kind::Object => Sort::Object,
    }
}

fn number(lexeme: &str) -> Sort {
    let plain = !lexeme.contains(['e', 'E']);
    let whole = plain && !lexeme.contains('.');
    if whole && lexeme != "-0" && lexeme.parse::<i64>().is_ok() {
        return Sort::Int;
    }
    let digits = lexeme.bytes().filter(u8::is_ascii_digit).count();
    // A double keeps 15 digits of any number; a whole number of more is an id or an amount, not a measurement.
    if !(whole && digits > 15) && lexeme.parse::<f64>().is_ok_and(f64::is_finite) {
        return Sort::Float;
    }
    if plain && digits <= 38 { Sort::Decimal } else { Sort::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_what_holds_them() {
        for (lexeme, sort) in [
            ("0", Sort::Int),
            ("-0", Sort::Float),
            ("9223372036854775807", Sort::Int),
            ("9223372036854775808", Sort::Decimal),
            ("1.0", Sort::Float),
            ("1E2", Sort::Float),
            ("1e400", Sort::Beyond),
            ("1234567890123456789012345678901234567890", Sort::Beyond),
        ] {
            assert_eq!(number(lexeme), sort, "{lexeme}");
        }
    }

    #[test]
    fn folding_early_or_late_is_the_same() {
        let texts = [r#"{"a":{"x":1},"b":{"y":2}}"#, r#"{"c":{"x":"t"}}"#, r#"{"d":null,"a":{"z":[1]}}"#];
        let run = |order: &[usize]| {
            let mut node = Node::default();
            let mut bounds = Bounds { names_max: 2, places: 0 };
            for &at in order {
                let tree =
                    repot_json::Tree::parse(texts[at].as_bytes(), repot_json::Limits::default()).unwrap();
                let path = (Rc::from(format!("{at}")), 0);
                node.add(tree.root(texts[at].as_bytes()).unwrap(), &path, 0, &mut bounds);
            }
            format!("{node:?}")
        };
        assert_eq!(run(&[0, 1, 2]), run(&[2, 1, 0]));
        assert_eq!(run(&[0, 1, 2]), run(&[1, 0, 2]));
        assert!(run(&[0, 1, 2]).contains("Folded"));
    }
}
