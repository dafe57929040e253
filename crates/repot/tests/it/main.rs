//! The library over every store, and the examples.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod blocking;
mod collections;
mod council;
mod dramas;
mod media;
mod opening;
mod stores;
mod texts;

// The examples' own code, as it stands there.
#[path = "../../examples/council/storage.rs"]
mod council_storage;
#[path = "../../examples/dramas/storage.rs"]
mod dramas_storage;
#[path = "../../examples/media/repositories.rs"]
mod media_repositories;
