//! Several stores, as several processes have them, write different documents of one file at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Objects};
use repot_core::store::{BucketStore, DocumentKey, Objects, Precondition, Store as _, StoreExt as _};
use repot_s3lab::S3Lab;
use repot_testkit::TempTree;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout};

use crate::s3_objects::config;

const STORES: usize = 3;
const EACH: usize = 6;

fn event(id: &str) -> DocumentKey {
    DocumentKey::at("events", &[("day", "d"), ("id", id)])
}

/// Each store makes lines of its own, changes them, and takes some out again; what stood there before stays.
async fn write_all(make: impl Fn() -> Arc<dyn Objects>) {
    const BEFORE: &str = "{ \"id\" : \"first\" }\r\nnot json\r\n";
    make().put("events/d.jsonl", BEFORE.into(), &Precondition::Any, None).await.expect("it works");
    let writers = (0..STORES).map(|number| {
        let store = BucketStore::new(make(), layout(), DOCUMENT_BYTES_MAX);
        tokio::spawn(async move {
            store.probe().await.expect("it works");
            for at in 0..EACH {
                let key = event(&format!("{number}-{at}"));
                let text = |count: usize| format!("{{\"id\":\"{number}-{at}\",\"count\":{count}}}");
                let etag = store.create(&key, text(0)).await.expect("it works");
                // others write the file all the time, and nobody this document
                let etag = store.replace(&key, text(1), &etag).await.expect("it works");
                if at % 2 == 0 {
                    assert!(store.delete(&key, Precondition::Matches(etag)).await.expect("it works"));
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it works");
    }
    let text = make().get("events/d.jsonl", u64::MAX).await.expect("it works").expect("it works").bytes;
    let text = String::from_utf8(text.to_vec()).expect("it works");
    let lines: BTreeSet<&str> =
        text.strip_prefix(BEFORE).expect("it works").split_terminator("\r\n").collect();
    let odd = |number: usize| (1..EACH).step_by(2).map(move |at| (number, at));
    let wanted: Vec<String> = (0..STORES)
        .flat_map(odd)
        .map(|(number, at)| format!("{{\"id\":\"{number}-{at}\",\"count\":1}}"))
        .collect();
    assert_eq!(lines, wanted.iter().map(String::as_str).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_over_one_directory_lose_nothing() {
    let folder = TempTree::new();
    let path: &Path = folder.path();
    write_all(|| Arc::new(DirectoryObjects::open(path).expect("it works"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_over_one_bucket_lose_nothing() {
    let lab = S3Lab::start();
    write_all(|| Arc::new(S3Objects::open(config(&lab)).expect("it works"))).await;
}
