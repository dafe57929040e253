//! Tokens (JWT) of an issuer elsewhere, such as Firebase: whose they are, and what they may.
//!
//! A token is taken apart ([`token`]), its signature is checked by the issuer's keys ([`keys`], kept by [`issuer`]), and only then
//! is anything of it believed ([`tokens`]).

mod fetch;
mod issuer;
mod keys;
mod options;
mod token;
mod tokens;

pub use options::{KeysAt, TokenOptions};
pub(crate) use tokens::Tokens;
