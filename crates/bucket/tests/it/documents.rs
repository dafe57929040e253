//! Documents in a directory: the conformance suite.

use std::sync::Arc;

use repot_bucket::DirectoryObjects;
use repot_core::store::BucketStore;
use repot_testkit::TempTree;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

fn directory() -> Subject {
    let folder = TempTree::new();
    let objects = DirectoryObjects::open(folder.path()).expect("the folder is there");
    let store = BucketStore::new(Arc::new(objects), layout(), DOCUMENT_BYTES_MAX);
    Subject { store: Arc::new(store), keep: Box::new(folder) }
}

repot_testkit::conformance!(directory, super::directory());
