//! Path templates found in a listing: level by level, which path parts are words and which are data. One
//! walk of the listing for each level, so that only names of one level are in memory at a time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::corpus::Corpus;
use crate::look;

/// Names kept of one folder before all are taken for data.
const NAMES_MAX: usize = 4_096;
/// Folders that may keep their names side by side.
const LITERALS_MAX: usize = 24;
/// Files that may keep their names side by side.
const COMMON_MAX: usize = 12;
/// Deepest folder looked into; deeper ones are taken as a whole.
const DEPTH_MAX: usize = 24;
/// Most folders told apart.
const FOLDERS_MAX: usize = 2_000;

/// One part of a template, before its captures have names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// As it stands.
    Literal(String),
    /// A capture, and what follows it within the part (`.json`).
    Capture(String),
    /// The rest of the path.
    Rest,
}

/// What the names at one place look like, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    pub(crate) names: u64,
    pub(crate) years: u64,
    pub(crate) dates: u64,
    pub(crate) locales: u64,
    pub(crate) ids: u64,
    pub(crate) data: u64,
}

impl Look {
    fn add(&mut self, name: &str) {
        self.names += 1;
        self.years += u64::from(look::is_year(name));
        self.dates += u64::from(look::is_date(name));
        self.locales += u64::from(look::is_locale(name));
        self.ids += u64::from(look::is_certain_id(name));
        self.data += u64::from(look::is_data(name));
    }
}

/// Files that share a template.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) parts: Vec<Part>,
    /// One for each capture, in order.
    pub(crate) looks: Vec<Look>,
    pub(crate) extension: Option<String>,
}

/// A folder of the tree, or all folders a capture stands for.
#[derive(Debug, Default)]
pub(crate) struct Dir {
    pub(crate) parts: Vec<Part>,
    looks: Vec<Look>,
    pub(crate) literal_dirs: BTreeMap<String, usize>,
    capture_dir: Option<usize>,
    pub(crate) literal_files: BTreeMap<String, usize>,
    pub(crate) by_extension: BTreeMap<String, usize>,
    any_file: Option<usize>,
    rest: Option<usize>,
}

/// All templates, as a tree to find a path's in.
#[derive(Debug, Default)]
pub(crate) struct PathTree {
    pub(crate) dirs: Vec<Dir>,
    pub(crate) leaves: Vec<Leaf>,
    /// Files that are not like the others of their template.
    odd: BTreeMap<String, usize>,
    /// Where paths go that no capture of one part can hold.
    strays: Option<usize>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// What is seen of an undecided folder.
#[derive(Debug)]
struct Seen {
    instances: HashSet<u64>,
    dirs: Option<BTreeMap<String, BTreeSet<u64>>>,
    dir_look: Look,
    files: Option<BTreeMap<String, u64>>,
    data_files: Option<BTreeMap<String, u64>>,
    extensions: BTreeMap<String, (u64, Look)>,
    json_beneath: bool,
    depth: Option<(usize, usize)>,
}

impl PathTree {
    /// Finds the templates; `forced` names folders whose folders are data although they do not look it.
    pub(crate) fn discover<C: Corpus>(corpus: &C, forced: &BTreeSet<Vec<Part>>) -> Result<Self, C::Error> {
        let mut tree = Self { dirs: vec![Dir::default()], ..Self::default() };
        let mut open = BTreeSet::from([0]);
        let mut strays = false;
        while !open.is_empty() {
            let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
            let (mut files, mut bytes) = (0, 0);
            corpus.paths(&mut |path, size| {
                files += 1;
                bytes += size;
                strays |= is_stray(path);
                if is_stray(path) {
                    return;
                }
                if let Some((dir, prefix, rest)) = tree.undecided(path, &open) {
                    seen.entry(dir).or_default().add(prefix, rest);
                }
            })?;
            tree.files = files;
            tree.bytes = bytes;
            let mut next = BTreeSet::new();
            for (dir, seen) in seen {
                tree.decide(dir, &seen, forced, &mut next);
            }
            open = next;
        }
        if strays {
            tree.strays = tree.dirs[0].rest.or_else(|| Some(tree.leaf(0, Part::Rest, Look::default(), None)));
        }
        Ok(tree)
    }

    /// The undecided folder a path leads to, the hash of the way there, and what follows.
    fn undecided<'p>(&self, path: &'p str, open: &BTreeSet<usize>) -> Option<(usize, u64, &'p str)> {
        let mut dir = 0;
        let mut rest = path;
        loop {
            if open.contains(&dir) {
                let mut hasher = DefaultHasher::new();
                path.strip_suffix(rest).hash(&mut hasher);
                return Some((dir, hasher.finish(), rest));
            }
            let (name, tail) = rest.split_once('/')?;
            let here = &self.dirs[dir];
            dir = here.literal_dirs.get(name).copied().or(here.capture_dir)?;
            rest = tail;
        }
    }

    /// The template of a path, and what its captures hold.
    pub(crate) fn find<'p>(&self, path: &'p str, captures: &mut Vec<&'p str>) -> Option<usize> {
        captures.clear();
        if let Some(&leaf) = self.odd.get(path) {
            return Some(leaf);
        }
        if is_stray(path) {
            captures.push(path);
            return self.strays;
        }
        let mut dir = &self.dirs[0];
        let mut rest = path;
        loop {
            if let Some(leaf) = dir.rest {
                captures.push(rest);
                return Some(leaf);
            }
            let Some((name, tail)) = rest.split_once('/') else {
                return dir.find_file(rest, captures);
            };
            if let Some(&next) = dir.literal_dirs.get(name) {
                dir = &self.dirs[next];
            } else {
                captures.push(name);
                dir = &self.dirs[dir.capture_dir?];
            }
            rest = tail;
        }
    }

    fn decide(&mut self, at: usize, seen: &Seen, forced: &BTreeSet<Vec<Part>>, next: &mut BTreeSet<usize>) {
        let depth = self.dirs[at].parts.len();
        let too_much = depth >= DEPTH_MAX || self.dirs.len() >= FOLDERS_MAX;
        let has_dirs = seen.dir_look.names > 0;
        let data = seen.dirs_are_data() || forced.contains(&self.dirs[at].parts);
        let uneven = seen.depth.is_some_and(|(least, most)| least != most);
        if has_dirs && (too_much || (!seen.json_beneath && (uneven || !data))) {
            let leaf = self.leaf(at, Part::Rest, Look::default(), None);
            self.dirs[at].rest = Some(leaf);
            return;
        }
        if has_dirs && data {
            let id = self.folder(at, Part::Capture(String::new()), Some(seen.dir_look));
            self.dirs[at].capture_dir = Some(id);
            next.insert(id);
        } else if let Some(names) = &seen.dirs {
            for name in names.keys() {
                let id = self.folder(at, Part::Literal(name.clone()), None);
                self.dirs[at].literal_dirs.insert(name.clone(), id);
                next.insert(id);
            }
        }
        self.decide_files(at, seen);
    }

    fn decide_files(&mut self, at: usize, seen: &Seen) {
        let literal = seen.literal_files();
        for name in &literal {
            self.literal_file(at, name);
        }
        let mut literal_of: BTreeMap<&str, u64> = BTreeMap::new();
        for name in &literal {
            let extension = look::split_name(name).1.unwrap_or_default();
            let mut names = seen.files.iter().chain(&seen.data_files);
            *literal_of.entry(extension).or_default() +=
                names.find_map(|files| files.get(name)).copied().unwrap_or(0);
        }
        let left: Vec<(&String, &(u64, Look))> = seen
            .extensions
            .iter()
            .filter(|(extension, (count, _))| {
                literal_of.get(extension.as_str()).copied().unwrap_or(0) < *count
            })
            .collect();
        let bodies = left.iter().filter(|(extension, _)| !is_json_extension(extension)).count();
        for (extension, (_, look)) in left {
            if extension.is_empty() || (bodies > 1 && !is_json_extension(extension)) {
                if self.dirs[at].any_file.is_none() {
                    let leaf = self.leaf(at, Part::Capture(String::new()), *look, None);
                    self.dirs[at].any_file = Some(leaf);
                }
            } else {
                self.file_capture(at, extension, *look);
            }
        }
    }

    /// Makes `name` a template of its own.
    pub(crate) fn literal_file(&mut self, at: usize, name: &str) -> usize {
        let extension = look::split_name(name).1.map(str::to_owned);
        let leaf = self.leaf(at, Part::Literal(name.to_owned()), Look::default(), extension);
        self.dirs[at].literal_files.insert(name.to_owned(), leaf);
        leaf
    }

    /// Makes all files with this extension one template.
    pub(crate) fn file_capture(&mut self, at: usize, extension: &str, look: Look) -> usize {
        let leaf = self.leaf(at, Part::Capture(format!(".{extension}")), look, Some(extension.to_owned()));
        self.dirs[at].by_extension.insert(extension.to_owned(), leaf);
        leaf
    }

    /// Gives one path a template of its own, literal in every part. `false` when it has one, or cannot.
    pub(crate) fn odd_file(&mut self, path: &str) -> bool {
        if path.contains(['{', '}']) || self.leaves.len() >= FOLDERS_MAX || self.odd.contains_key(path) {
            return false;
        }
        let parts = path.split('/').map(|part| Part::Literal(part.to_owned())).collect();
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = look::split_name(name).1.map(str::to_owned);
        self.leaves.push(Leaf { parts, looks: Vec::new(), extension });
        self.odd.insert(path.to_owned(), self.leaves.len() - 1);
        true
    }

    fn leaf(&mut self, at: usize, part: Part, look: Look, extension: Option<String>) -> usize {
        let mut parts = self.dirs[at].parts.clone();
        let mut looks = self.dirs[at].looks.clone();
        if !matches!(part, Part::Literal(_)) {
            looks.push(look);
        }
        parts.push(part);
        self.leaves.push(Leaf { parts, looks, extension });
        self.leaves.len() - 1
    }

    fn folder(&mut self, at: usize, part: Part, look: Option<Look>) -> usize {
        let mut parts = self.dirs[at].parts.clone();
        let mut looks = self.dirs[at].looks.clone();
        looks.extend(look);
        parts.push(part);
        self.dirs.push(Dir { parts, looks, ..Dir::default() });
        self.dirs.len() - 1
    }
}

impl Dir {
    fn find_file<'p>(&self, name: &'p str, captures: &mut Vec<&'p str>) -> Option<usize> {
        if let Some(&leaf) = self.literal_files.get(name) {
            return Some(leaf);
        }
        if let (stem, Some(extension)) = look::split_name(name)
            && let Some(&leaf) = self.by_extension.get(extension)
        {
            captures.push(stem);
            return Some(leaf);
        }
        captures.push(name);
        self.any_file
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            instances: HashSet::new(),
            dirs: Some(BTreeMap::new()),
            dir_look: Look::default(),
            files: Some(BTreeMap::new()),
            data_files: Some(BTreeMap::new()),
            extensions: BTreeMap::new(),
            json_beneath: false,
            depth: None,
        }
    }
}

impl Seen {
    fn add(&mut self, prefix: u64, rest: &str) {
        if self.instances.len() < 1 << 20 {
            self.instances.insert(prefix);
        }
        let last = rest.rsplit('/').next().unwrap_or(rest);
        self.json_beneath |= look::split_name(last).1.is_some_and(is_json_extension);
        let depth = rest.matches('/').count();
        let (least, most) = self.depth.unwrap_or((depth, depth));
        self.depth = Some((least.min(depth), most.max(depth)));
        match rest.split_once('/') {
            Some((name, tail)) => self.add_dir(name, tail),
            None => self.add_file(rest),
        }
    }

    fn add_dir(&mut self, name: &str, tail: &str) {
        self.dir_look.add(name);
        let Some(dirs) = &mut self.dirs else { return };
        let inside = dirs.entry(name.to_owned()).or_default();
        let child = tail.split('/').next().unwrap_or(tail);
        if !look::is_data(look::split_name(child).0) {
            let mut hasher = DefaultHasher::new();
            (child, tail.len() == child.len()).hash(&mut hasher);
            inside.insert(hasher.finish());
            if inside.len() > 64 {
                inside.pop_last();
            }
        }
        if dirs.len() > NAMES_MAX {
            self.dirs = None;
        }
    }

    fn add_file(&mut self, name: &str) {
        let (stem, extension) = look::split_name(name);
        let (count, look) = self.extensions.entry(extension.unwrap_or_default().to_owned()).or_default();
        *count += 1;
        look.add(stem);
        let data = look::is_data(stem);
        let (names, most) =
            if data { (&mut self.data_files, LITERALS_MAX) } else { (&mut self.files, NAMES_MAX) };
        if let Some(files) = names {
            *files.entry(name.to_owned()).or_default() += 1;
            if files.len() > most {
                *names = None;
            }
        }
    }

    /// Whether the folders' names are data.
    fn dirs_are_data(&self) -> bool {
        let Some(dirs) = &self.dirs else { return true };
        let count = dirs.len();
        if count > LITERALS_MAX || dirs.keys().any(|name| name.contains(['{', '}'])) {
            return true;
        }
        let data = dirs.keys().filter(|name| look::is_data(name)).count();
        match count {
            0 => false,
            1 => self.dir_look.ids > 0,
            2 => data == 2 || alike(dirs),
            _ => data * 10 >= count * 8 || self.dir_look.locales == self.dir_look.names || alike(dirs),
        }
    }

    /// Files that keep their names.
    fn literal_files(&self) -> Vec<String> {
        let plain = |name: &str| !name.contains(['{', '}']);
        if self.instances.len() > 1 {
            let Some(files) = &self.files else { return Vec::new() };
            let instances = self.instances.len() as u64;
            let least = (instances * 3).div_ceil(10).max(2);
            let alone = |name: &str| {
                let extension = look::split_name(name).1.unwrap_or_default();
                self.extensions.get(extension).is_some_and(|(count, _)| *count == 1)
            };
            let common: Vec<String> = files
                .iter()
                .filter(|(name, count)| (**count >= least || alone(name)) && plain(name))
                .map(|(name, _)| name.clone())
                .collect();
            return if common.len() > COMMON_MAX { Vec::new() } else { common };
        }
        let mut out = Vec::new();
        for (extension, (count, look)) in &self.extensions {
            let names = self.files.iter().chain(&self.data_files).flat_map(BTreeMap::keys);
            let here = names.filter(|name| look::split_name(name).1.unwrap_or_default() == extension);
            let certain = if *count == 1 { look.ids == 1 } else { look.data * 10 >= look.names * 8 };
            if *count <= COMMON_MAX as u64 && !certain {
                out.extend(here.filter(|name| plain(name)).cloned());
            }
        }
        out
    }
}

/// Whether each folder shares at least half of its names with another one.
fn alike(dirs: &BTreeMap<String, BTreeSet<u64>>) -> bool {
    dirs.values().enumerate().all(|(at, names)| {
        dirs.values().enumerate().any(|(other, others)| {
            let common = names.intersection(others).count();
            other != at && common > 0 && common * 2 >= names.len().min(others.len())
        })
    })
}

/// Whether a part of the path is empty, so that no capture of one part can hold it.
fn is_stray(path: &str) -> bool {
    path.starts_with('/') || path.ends_with('/') || path.contains("//")
}

/// Whether files with this extension should hold JSON, or a JSON document a line.
pub(crate) fn is_json_extension(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("json") || is_lines_extension(extension)
}

/// Whether files with this extension should hold a JSON document a line.
pub(crate) fn is_lines_extension(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("jsonl") || extension.eq_ignore_ascii_case("ndjson")
}
