//! The HTTP API over real stores: requests in, status, headers and bodies out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod admin;
mod batch;
mod broken;
mod cache;
mod connections;
mod documented;
mod documents;
mod feed;
mod history;
mod hung_up;
mod kit;
mod listings;
mod messages;
mod openapi;
mod operate;
mod parts;
mod reload;
mod signer;
mod sql;
mod tokens;
mod traces;
