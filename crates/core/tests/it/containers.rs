//! Files with several documents: what becomes of their bytes, and of writes that others come between.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    BucketStore, DocumentKey, ETag, MemoryObjects, ObjectBody, ObjectMeta, ObjectPowers, Objects,
    Precondition, Store as _, StoreExt as _,
};
use repot_core::{Kind, Result, Retry};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout};

fn event(id: &str) -> DocumentKey {
    DocumentKey::at("events", &[("day", "d"), ("id", id)])
}

fn card(id: &str) -> DocumentKey {
    DocumentKey::of_parts("cards", &["b", id])
}

fn setting(name: &str) -> DocumentKey {
    DocumentKey::new("settings", name)
}

fn path(key: &DocumentKey) -> String {
    layout().whereabouts(key).unwrap().paths.remove(0)
}

fn shared<O: Objects>(objects: &Arc<O>) -> Arc<dyn Objects> {
    Arc::<O>::clone(objects) as Arc<dyn Objects>
}

/// The file after a document was put (`Some`) or deleted.
async fn after(before: Option<&str>, key: &DocumentKey, body: Option<&str>) -> Result<String> {
    let objects = Arc::new(MemoryObjects::new());
    if let Some(before) = before {
        objects.put(&path(key), before.to_owned().into(), &Precondition::Absent, None).await?;
    }
    let store = BucketStore::new(shared(&objects), layout(), DOCUMENT_BYTES_MAX);
    match body {
        Some(body) => drop(store.put(key, body.to_owned()).await?),
        None => assert!(store.delete(key, Precondition::Any).await?),
    }
    let bytes = objects.get(&path(key), u64::MAX).await?.unwrap().bytes;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// A line comes with a line break like the others', and a last line without one stays without.
#[tokio::test]
async fn lines_come_and_go_in_the_style_of_the_file() {
    const NEW: &str = "{\"id\":\"n\"}";
    let n = event("n");
    for (before, wanted) in [
        (None, "N\n"),
        (Some(""), "N\n"),
        (Some("\u{feff}"), "\u{feff}N\n"),
        (Some("\n"), "\nN\n"),
        (Some("A\n"), "A\nN\n"),
        (Some("A"), "A\nN"),
        (Some("A\r\nB\r\n"), "A\r\nB\r\nN\r\n"),
        (Some("A\r\nB"), "A\r\nB\r\nN"),
        (Some("A\n\n"), "A\nN\n\n"),
        (Some(" A \nnot json\n"), " A \nnot json\nN\n"),
    ] {
        let spelled =
            |text: &str| text.replace('A', "{\"id\":\"a\"}").replace('B', "{\"id\":\"b\"}").replace('N', NEW);
        let before = before.map(spelled);
        let after = after(before.as_deref(), &n, Some(NEW)).await.unwrap();
        assert_eq!(after, spelled(wanted), "{before:?}");
    }
    for (before, wanted) in [
        ("A\n", ""),
        ("A", ""),
        ("A\nB\n", "B\n"),
        ("B\nA\n", "B\n"),
        ("B\nA", "B"),
        ("B\r\nA", "B"),
        ("\u{feff}A\r\nB\r\n", "\u{feff}B\r\n"),
        ("B\n\n  A \nnot json", "B\n\nnot json"),
    ] {
        let spelled = |text: &str| text.replace('A', "{\"id\":\"a\"}").replace('B', "{\"id\":\"b\"}");
        let after = after(Some(&spelled(before)), &event("a"), None).await.unwrap();
        assert_eq!(after, spelled(wanted), "{before:?}");
    }
}

/// Elements and entries come and go with their separators, in the formatting of the file; all other bytes stay.
#[tokio::test]
async fn elements_and_entries_come_and_go_in_the_style_of_the_file() {
    let new = "{\"id\":\"n\"}";
    for (before, wanted) in [
        (None, "{\n  \"cards\": [\n    {\"id\":\"n\"}\n  ]\n}\n"),
        (Some("{\"cards\":[]}"), "{\"cards\":[{\"id\":\"n\"}]}"),
        (
            Some("{\"cards\": [{\"id\":\"a\"}],\"v\":1}"),
            "{\"cards\": [{\"id\":\"a\"},{\"id\":\"n\"}],\"v\":1}",
        ),
        (
            Some("{\"cards\":[\n\t{\"id\":\"a\"},\n\t{\"id\":\"b\"}\n]}\n"),
            "{\"cards\":[\n\t{\"id\":\"a\"},\n\t{\"id\":\"b\"},\n\t{\"id\":\"n\"}\n]}\n",
        ),
        (Some("{\"v\":1}"), "{\"v\":1,\"cards\":[{\"id\":\"n\"}]}"),
    ] {
        assert_eq!(after(before, &card("n"), Some(new)).await.unwrap(), wanted, "{before:?}");
    }
    for (before, wanted) in [
        ("{\"cards\":[{\"id\":\"a\"}]}", "{\"cards\":[]}"),
        ("{\"cards\":[\n\t{\"id\":\"a\"},\n\t5\n]}\n", "{\"cards\":[\n\t5\n]}\n"),
        ("{\"cards\":[ 5 , {\"id\":\"a\"} ]}", "{\"cards\":[ 5 ]}"),
    ] {
        assert_eq!(after(Some(before), &card("a"), None).await.unwrap(), wanted, "{before:?}");
    }
    let maps = "{\"settings\" : {\n \"a\" : {},\n \"b\" : {}\n}}";
    assert_eq!(
        after(Some(maps), &setting("x \"y\""), Some("{}")).await.unwrap(),
        "{\"settings\" : {\n \"a\" : {},\n \"b\" : {},\n \"x \\\"y\\\"\" : {}\n}}"
    );
    assert_eq!(after(Some(maps), &setting("a"), None).await.unwrap(), "{\"settings\" : {\n \"b\" : {}\n}}");
    let one = after(Some(maps), &setting("b"), Some("{\"count\":1}")).await.unwrap();
    assert_eq!(one, maps.replace("\"b\" : {}", "\"b\" : {\"count\":1}"));
}

/// A file that is none of the model's, or has something else where the document would go, is not written.
#[tokio::test]
async fn files_that_are_not_what_the_model_says_are_left_alone() {
    for before in ["{\"cards\":", "[]", "{\"cards\":{}}"] {
        let error = after(Some(before), &card("n"), Some("{\"id\":\"n\"}")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0426"), "{before}: {error}");
    }
    let error = after(Some("{\"settings\":{\"a\":5}}"), &setting("a"), Some("{}")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0426"), "{error}");
    // the bound of a document is one of its file, too
    let long = format!("{{\"id\":\"n\",\"x\":\"{}\"}}", "x".repeat(4 << 20));
    let before = format!("{}\n", long.replace("\"n\"", "\"a\""));
    let error = after(Some(&before), &event("n"), Some(&long)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unsupported, "R0213"), "{error}");
}

/// Objects into which somebody else writes a line before each of the next writes.
#[derive(Debug)]
struct Interleaved {
    inner: MemoryObjects,
    left: AtomicUsize,
    lines: Mutex<String>,
}

impl fmt::Display for Interleaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interleaved")
    }
}

#[async_trait]
impl Objects for Interleaved {
    fn powers(&self) -> ObjectPowers {
        self.inner.powers()
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        self.inner.get(path, bytes_max).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.inner.head(path).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        let left = self.left.load(Ordering::SeqCst);
        if left > 0 {
            self.left.store(left - 1, Ordering::SeqCst);
            let line = format!("{{\"id\":\"other{left}\"}}\n");
            let there = self.inner.get(path, u64::MAX).await?.map(|object| object.bytes).unwrap_or_default();
            // a file that grows for ever would take its time
            let there = if there.len() > 500 { Bytes::new() } else { there };
            self.lines.lock().unwrap().push_str(&line);
            self.inner
                .put(path, [&there[..], line.as_bytes()].concat().into(), &Precondition::Any, None)
                .await?;
        }
        self.inner.put(path, bytes, when, until_ms).await
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        self.inner.delete(path, when, until_ms).await
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.inner.settle(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.inner.list(prefix, after, most).await
    }
}

fn interleaved(times: usize) -> (Arc<Interleaved>, BucketStore) {
    let lines = Mutex::default();
    let objects = Arc::new(Interleaved { inner: MemoryObjects::new(), left: AtomicUsize::new(times), lines });
    let store = BucketStore::new(shared(&objects), layout(), DOCUMENT_BYTES_MAX);
    (objects, store)
}

/// Whoever writes the file between the reading and the writing loses nothing, and is no conflict with a precondition of
/// another document.
#[tokio::test]
async fn a_write_between_reading_and_writing_is_not_lost() {
    let (objects, store) = interleaved(3);
    let etag = store.create(&event("a"), "{\"id\":\"a\"}").await.unwrap();
    objects.left.store(2, Ordering::SeqCst);
    store.replace(&event("a"), "{\"id\":\"a\",\"count\":1}", &etag).await.unwrap();
    objects.left.store(1, Ordering::SeqCst);
    store.create(&event("b"), "{\"id\":\"b\"}").await.unwrap();
    let text = objects.get("events/d.jsonl", u64::MAX).await.unwrap().unwrap().bytes;
    let mut ours: Vec<String> =
        String::from_utf8(text.to_vec()).unwrap().lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> = objects.lines.lock().unwrap().lines().map(str::to_owned).collect();
    wanted.extend(["{\"id\":\"a\",\"count\":1}".to_owned(), "{\"id\":\"b\"}".to_owned()]);
    ours.sort();
    wanted.sort();
    assert_eq!(ours, wanted);
}

/// Trying ends.
#[tokio::test]
async fn a_file_that_others_always_write_is_given_up() {
    let (_, store) = interleaved(usize::MAX);
    let error = store.create(&event("a"), "{\"id\":\"a\"}").await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.may_retry()), (Kind::Unavailable, "R0411", Retry::Safe));
    assert_eq!(store.capabilities().atomic_writes_max, 1);
}
