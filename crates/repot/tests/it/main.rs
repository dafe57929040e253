//! The library over every store, and the examples.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod blocking;
mod collections;
mod council;
mod dramas;
mod echo;
mod history;
mod media;
mod opening;
mod stores;
mod texts;
mod translation;

// The examples, as they stand there.
#[expect(dead_code, reason = "the tests call `run`, not `main`")]
#[path = "../../examples/council/main.rs"]
mod council_example;
#[expect(dead_code, reason = "the tests call `run`, not `main`")]
#[path = "../../examples/dramas/main.rs"]
mod dramas_example;
#[expect(dead_code, reason = "the tests call `run`, not `main`")]
#[path = "../../examples/media/main.rs"]
mod media_example;
#[expect(dead_code, reason = "the tests call `run`, not `main`")]
#[path = "../../examples/translation/main.rs"]
mod translation_example;
