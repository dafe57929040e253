//! What the files of each template hold as a whole: JSON or not, objects or lists, JSON Lines.

use std::collections::{BTreeMap, BTreeSet};

use repot_json::{Kind, Limits, Tree, Value};

use crate::corpus::Corpus;
use crate::paths::PathTree;

/// Top-level names told apart before the documents are taken to have none in common.
const NAMES_MAX: usize = 256;
/// Paths kept of odd files.
pub(crate) const ODD_MAX: usize = 8;

/// Some of the smallest paths, and how many there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Few {
    pub(crate) count: u64,
    pub(crate) paths: BTreeSet<String>,
}

impl Few {
    fn add(&mut self, path: &str) {
        self.count += 1;
        self.paths.insert(path.to_owned());
        if self.paths.len() > ODD_MAX {
            self.paths.pop_last();
        }
    }
}

/// Counts of one template's files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots {
    pub(crate) files: u64,
    pub(crate) unreadable: Few,
    pub(crate) binary: u64,
    pub(crate) invalid: Few,
    pub(crate) objects: Few,
    pub(crate) lists: Few,
    pub(crate) scalars: Few,
    /// Not JSON as a whole, but on every line.
    pub(crate) lines: Few,
    /// Every line is JSON (whether the whole is or not).
    pub(crate) lines_ok: u64,
    pub(crate) line_objects: u64,
    pub(crate) line_others: u64,
    /// Elements of root lists.
    pub(crate) list_objects: u64,
    pub(crate) list_others: u64,
    /// Names at the top level of objects (of elements, of lines); `None` when there are too many.
    pub(crate) names: Option<BTreeMap<String, u64>>,
}

impl Roots {
    fn new() -> Self {
        Self { names: Some(BTreeMap::new()), ..Self::default() }
    }

    fn names_of(&mut self, object: Value<'_>) {
        let Some(names) = &mut self.names else { return };
        for (key, _) in object.entries() {
            if let Some(key) = key.as_str() {
                *names.entry(key.into_owned()).or_default() += 1;
            }
        }
        if names.len() > NAMES_MAX {
            self.names = None;
        }
    }

    fn add(&mut self, path: &str, bytes: &[u8], tree: &mut Tree) {
        self.files += 1;
        self.binary += u64::from(std::str::from_utf8(bytes).is_err() || bytes.contains(&0));
        let whole = tree.scan(bytes, Limits::default()).is_ok();
        if let Some(root) = whole.then(|| tree.root(bytes)).flatten() {
            match root.kind() {
                Kind::Object => {
                    self.objects.add(path);
                    self.names_of(root);
                }
                Kind::Array => {
                    self.lists.add(path);
                    for item in root.elements() {
                        if item.kind() == Kind::Object {
                            self.list_objects += 1;
                            self.names_of(item);
                        } else {
                            self.list_others += 1;
                        }
                    }
                }
                _ => self.scalars.add(path),
            }
            let single = !trim(bytes).contains(&b'\n');
            self.lines_ok += u64::from(single);
            self.line_objects += u64::from(single && root.kind() == Kind::Object);
            self.line_others += u64::from(single && root.kind() != Kind::Object);
        } else {
            self.lines_of(path, bytes, tree);
        }
    }

    fn lines_of(&mut self, path: &str, bytes: &[u8], tree: &mut Tree) {
        let (mut good, mut bad) = (0_u64, 0_u64);
        for line in lines(bytes) {
            // One torn line must not hide what the file is, and a text of many lines must not cost much.
            if bad > good + 2 {
                break;
            }
            match tree.scan(line, Limits::default()).ok().and_then(|()| tree.root(line)) {
                Some(root) if matches!(root.kind(), Kind::Object | Kind::Array) => {
                    good += 1;
                    if root.kind() == Kind::Object {
                        self.line_objects += 1;
                        self.names_of(root);
                    } else {
                        self.line_others += 1;
                    }
                }
                _ => bad += 1,
            }
        }
        if good >= 2 && bad * 10 <= good {
            self.lines.add(path);
            self.lines_ok += 1;
        } else {
            self.invalid.add(path);
        }
    }

    /// Files that were read and are JSON as a whole.
    pub(crate) const fn valid(&self) -> u64 {
        self.objects.count + self.lists.count + self.scalars.count
    }
}

/// The lines that hold something.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.split(|&byte| byte == b'\n').filter(|line| !trim(line).is_empty())
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// One walk over all contents.
pub(crate) fn survey<C: Corpus>(corpus: &C, tree: &PathTree) -> Result<Vec<Roots>, C::Error> {
    let mut roots = vec![Roots::new(); tree.leaves.len()];
    let mut json = Tree::default();
    corpus.contents(&mut |path, bytes| {
        let mut captures = Vec::new();
        let Some(roots) = tree.find(path, &mut captures).and_then(|leaf| roots.get_mut(leaf)) else { return };
        match bytes {
            Ok(bytes) => roots.add(path, bytes, &mut json),
            Err(_) => {
                roots.files += 1;
                roots.unreadable.add(path);
            }
        }
    })?;
    Ok(roots)
}
