//! Documents in memory.

use std::sync::Arc;

use repot_core::store::{BucketStore, MemoryObjects};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, layout};

fn subject() -> Subject {
    let store = BucketStore::new(Arc::new(MemoryObjects::new()), layout(), DOCUMENT_BYTES_MAX);
    Subject { store: Arc::new(store), keep: Box::new(()) }
}

repot_testkit::conformance!(memory, super::subject());
