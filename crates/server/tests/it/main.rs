//! The HTTP API over real stores: requests in, status, headers and bodies out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod broken;
mod connections;
mod documented;
mod documents;
mod kit;
mod listings;
mod openapi;
mod parts;
