//! Documents in a directory and in a bucket: the conformance suite.

use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Objects};
use repot_core::store::BucketStore;
use repot_s3lab::{Condition, S3Lab};
use repot_testkit::TempTree;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

use crate::s3_objects::config;

fn directory() -> Subject {
    let folder = TempTree::new();
    let objects = DirectoryObjects::open(folder.path()).expect("the folder is there");
    let store = BucketStore::new(Arc::new(objects), layout(), DOCUMENT_BYTES_MAX);
    Subject { store: Arc::new(store), keep: Box::new(folder) }
}

/// `plain_deletes`: the server takes conditions of deletes and ignores them.
fn bucket(plain_deletes: bool) -> Subject {
    let lab = S3Lab::start();
    if plain_deletes {
        lab.ignore(Condition::DeleteIfMatch);
    }
    let objects = S3Objects::open(config(&lab)).expect("good settings");
    let store = BucketStore::new(Arc::new(objects), layout(), DOCUMENT_BYTES_MAX);
    Subject { store: Arc::new(store), keep: Box::new(lab) }
}

repot_testkit::conformance!(directory, super::directory());
repot_testkit::conformance!(s3, super::bucket(false));
repot_testkit::conformance!(s3_without_conditional_delete, super::bucket(true));
