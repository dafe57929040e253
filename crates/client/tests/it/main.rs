//! The client against servers of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sending;
