//! One walk over all contents that gathers the statistics of every template's documents.

use std::collections::BTreeMap;
use std::rc::Rc;

use repot_json::{Kind, Limits, Tree, Value};

use crate::body::Reading;
use crate::corpus::{Corpus, Options};
use crate::paths::PathTree;
use crate::roots::lines;
use crate::shape::{Bounds, Node};

/// Names of one object kept apart, tried in turn until a template's statistics fit.
const NAMES_MAX: [usize; 3] = [256, 64, 24];
/// What a template may use without having its statistics made coarser because of others.
const FAIR_SHARE: usize = 1_000;
/// Names that may equal a capture.
const EQUAL_MAX: usize = 1_024;

/// What the documents of one template hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Documents: files, elements of root lists, or lines.
    pub(crate) documents: u64,
    pub(crate) node: Node,
    /// How often a capture's text is a top-level field's value.
    pub(crate) equal: BTreeMap<(usize, Box<str>), u64>,
}

/// All templates' shapes.
#[derive(Debug)]
pub(crate) struct Shapes {
    pub(crate) of: Vec<Shape>,
    /// Names of one object that were kept apart, for each template; `None`: too much to tell anything.
    pub(crate) names_max: Vec<Option<usize>>,
}

/// Walks the contents, again with coarser statistics for the templates that need too much.
pub(crate) fn gather<C: Corpus>(
    corpus: &C,
    tree: &PathTree,
    readings: &[Reading],
    options: &Options,
) -> Result<Shapes, C::Error> {
    let mut levels = vec![0_usize; tree.leaves.len()];
    loop {
        let mut of = vec![Shape::default(); tree.leaves.len()];
        let mut places = vec![0_usize; tree.leaves.len()];
        let mut json = Tree::default();
        let stop = options.places_max.saturating_mul(4);
        corpus.contents(&mut |path, bytes| {
            let mut captures = Vec::new();
            let (Some(leaf), Ok(bytes)) = (tree.find(path, &mut captures), bytes) else { return };
            let Some(&names_max) = NAMES_MAX.get(levels[leaf]) else { return };
            let mut bounds = Bounds { names_max, places: places[leaf] };
            if bounds.places <= stop {
                let file = File { path, bytes, reading: readings[leaf], captures: &captures };
                of[leaf].add(&file, &mut json, &mut bounds);
                places[leaf] = bounds.places;
            }
        })?;
        let sizes: Vec<usize> = of.iter().map(|shape| shape.node.size()).collect();
        let fits = sizes.iter().sum::<usize>() <= options.places_max;
        let share = FAIR_SHARE.min(options.places_max / 2);
        let mut again = false;
        for (leaf, level) in levels.iter_mut().enumerate() {
            if *level < NAMES_MAX.len() && (places[leaf] > stop || (!fits && sizes[leaf] > share)) {
                *level += 1;
                again = true;
            }
        }
        if !again {
            let names_max = levels.iter().map(|level| NAMES_MAX.get(*level).copied()).collect();
            return Ok(Shapes { of, names_max });
        }
    }
}

/// A file while it is looked at.
#[derive(Debug, Clone, Copy)]
struct File<'f> {
    path: &'f str,
    bytes: &'f [u8],
    reading: Reading,
    captures: &'f [&'f str],
}

impl Shape {
    fn add(&mut self, file: &File<'_>, json: &mut Tree, bounds: &mut Bounds) {
        let shared: Rc<str> = Rc::from(file.path);
        for_each_document(file.bytes, file.reading, json, &mut |place, document| {
            self.documents += 1;
            self.node.add(document, &(Rc::clone(&shared), place), 0, bounds);
            if file.reading == Reading::Objects {
                self.compare(document, file.captures);
            }
        });
    }

    fn compare(&mut self, document: Value<'_>, captures: &[&str]) {
        for (key, value) in document.entries() {
            let same = |capture: &str| match value.kind() {
                Kind::String => value.as_str().is_some_and(|text| text == capture),
                Kind::Number => value.raw() == capture && value.raw().parse::<i64>().is_ok(),
                _ => false,
            };
            for at in (0..captures.len()).filter(|at| same(captures[*at])) {
                if let Some(key) = key.as_str()
                    && self.equal.len() < EQUAL_MAX
                {
                    *self.equal.entry((at, key.into())).or_default() += 1;
                }
            }
        }
    }
}

/// The objects in a file, with their places in it.
pub(crate) fn for_each_document(
    bytes: &[u8],
    reading: Reading,
    json: &mut Tree,
    each: &mut dyn FnMut(u32, Value<'_>),
) {
    match reading {
        Reading::Body(_) => {}
        Reading::Lines => {
            for (place, line) in (0_u32..).zip(lines(bytes)) {
                if json.scan(line, Limits::default()).is_ok()
                    && let Some(root) = json.root(line).filter(|root| root.kind() == Kind::Object)
                {
                    each(place, root);
                }
            }
        }
        Reading::Objects | Reading::List => {
            if json.scan(bytes, Limits::default()).is_err() {
                return;
            }
            let Some(root) = json.root(bytes) else { return };
            if reading == Reading::Objects && root.kind() == Kind::Object {
                each(0, root);
            } else if reading == Reading::List {
                for (place, item) in (0_u32..).zip(root.elements()) {
                    each(place, item);
                }
            }
        }
    }
}
