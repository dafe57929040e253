//! `init` asks a source for everything once, however often inference walks it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use repot_core::{Listed, Object, Read, ReadError, Result, Source, SourceHealth};
use repot_engine::look::SourceCorpus;
use repot_infer::Corpus as _;

use crate::scripted::Scripted;

/// Counts what is asked of another source.
#[derive(Debug)]
struct Counted<'a> {
    source: &'a Scripted,
    lists: AtomicUsize,
    reads: Mutex<BTreeMap<String, usize>>,
}

impl<'a> Counted<'a> {
    fn new(source: &'a Scripted) -> Self {
        Self { source, lists: AtomicUsize::new(0), reads: Mutex::default() }
    }

    /// How often it was listed, and how often its objects were read: the least and the most.
    fn counts(&self) -> (usize, usize, usize) {
        let reads = self.reads.lock().unwrap();
        let (least, most) = (reads.values().min(), reads.values().max());
        (self.lists.load(Ordering::Relaxed), least.copied().unwrap_or(0), most.copied().unwrap_or(0))
    }
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, counted", self.source)
    }
}

impl Source for Counted<'_> {
    fn check(&self) -> Result<SourceHealth> {
        self.source.check()
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.source.list()
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError> {
        *self.reads.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        self.source.read(path, bytes_max)
    }

    fn read_pieces(
        &self,
        path: &str,
        piece_bytes: usize,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError> {
        self.source.read_pieces(path, piece_bytes, each)
    }
}

/// The sample of an app in the repository; `clips` has none of files.
fn sample(app: &str) -> Scripted {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(app).join("data");
    let source = Scripted::default();
    for (path, bytes) in repot_testkit::read_tree(&data).unwrap() {
        source.put(path.to_str().unwrap(), bytes);
    }
    source
}

#[test]
fn the_source_is_listed_once_and_each_object_is_read_once() {
    let mut counts = BTreeMap::new();
    for app in ["council", "dramas", "media", "translation"] {
        let sample = sample(app);
        let source = Counted::new(&sample);
        let corpus = SourceCorpus::new(&source, 16 << 20, &std::env::temp_dir());
        let inferred = repot_infer::infer(&corpus, &repot_infer::Options::new("./data")).unwrap();
        assert!(inferred.objects > 0 && source.reads.lock().unwrap().len() as u64 == inferred.objects);
        counts.insert(app, source.counts());
    }
    assert!(counts.values().all(|counts| *counts == (1, 1, 1)), "listed, read at least, at most: {counts:?}");
}

/// What a walk over the contents is told.
fn walked(corpus: &SourceCorpus<'_>) -> Vec<(String, Result<Vec<u8>, String>)> {
    let mut seen = Vec::new();
    let mut keep = |path: &str, content: Result<&[u8], &str>| {
        seen.push((path.to_owned(), content.map(<[u8]>::to_vec).map_err(str::to_owned)));
    };
    corpus.contents(&mut keep).unwrap();
    seen
}

fn listed(corpus: &SourceCorpus<'_>) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    corpus.paths(&mut |path, size| seen.push((path.to_owned(), size))).unwrap();
    seen
}

#[test]
fn every_walk_sees_the_state_of_the_first() {
    let scripted = Scripted::default();
    for (path, text) in [("a.json", "{}"), ("b.json", "[1]"), ("c.json", "1"), ("d.txt", "d"), ("e", "")] {
        scripted.put(path, text);
    }
    scripted.put("large.json", vec![b' '; 101]);
    scripted.changing.lock().unwrap().insert("c.json".to_owned());
    scripted.vanishing.lock().unwrap().insert("d.txt".to_owned());
    let source = Counted::new(&scripted);
    // The folder is not there: what is this little needs none.
    let corpus = SourceCorpus::new(&source, 100, Path::new("/nowhere/at/all"));
    let contents = walked(&corpus);
    let expected: [(&str, Result<&[u8], &str>); 5] = [
        ("a.json", Ok(b"{}")),
        ("b.json", Ok(b"[1]")),
        ("c.json", Err("kept changing while it was read")),
        ("e", Ok(b"")),
        ("large.json", Err("too large to be a document")),
    ];
    let plain = contents
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_ref().map(Vec::as_slice).map_err(String::as_str)));
    assert!(plain.eq(expected), "{contents:?}");
    scripted.put("a.json", "{\"later\": true}");
    scripted.put("new.json", "{}");
    scripted.changing.lock().unwrap().clear();
    scripted.vanishing.lock().unwrap().clear();
    assert_eq!(walked(&corpus), contents);
    let sizes = [("a.json", 2), ("b.json", 3), ("c.json", 1), ("d.txt", 1), ("e", 0), ("large.json", 101)];
    let sizes: Vec<_> = sizes.into_iter().map(|(path, size)| (path.to_owned(), size)).collect();
    assert_eq!((listed(&corpus), listed(&corpus)), (sizes.clone(), sizes));
    assert_eq!(source.counts(), (1, 1, 1));
}

/// Bytes that do not shrink: no quotes, brackets or ends of lines among them.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        0xa0 | (seed >> 58) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn pictures_take_no_room_and_a_folder_without_room_is_named() {
    let nowhere = Path::new("/nowhere/at/all");
    let source = Scripted::default();
    for number in 0..4 {
        source.put(&format!("pictures/{number}.png"), noise(4 << 20));
    }
    let corpus = SourceCorpus::new(&source, 16 << 20, nowhere);
    let inferred = repot_infer::infer(&corpus, &repot_infer::Options::new("./data")).unwrap();
    assert_eq!((inferred.objects, inferred.found.len()), (4, 1));
    for number in 0..4 {
        source.put(&format!("documents/{number}.json"), [b"{", noise(4 << 20).as_slice()].concat());
    }
    let corpus = SourceCorpus::new(&source, 16 << 20, nowhere);
    let error = repot_infer::infer(&corpus, &repot_infer::Options::new("./data")).unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        ("R0119", "the temporary folder /nowhere/at/all cannot be written")
    );
    assert!(error.next_step().unwrap().contains("TMPDIR"), "{error:?}");
}
