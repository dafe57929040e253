//! Which tokens are taken.

use std::path::{Path, PathBuf};

use repot_core::{Error, Kind, Result};
use repot_engine::ledger::Right;
use reqwest::Url;

use crate::outgoing;

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysAt {
    /// A set of public keys (JWKS) that is fetched, and fetched again.
    Url(Url),
    /// The same as a file; the one place that may hold secrets (`HS256`).
    File(PathBuf),
}

impl KeysAt {
    /// `https://...`, `http://` on this machine, else a file in `directory`.
    ///
    /// # Errors
    /// `R0447` when somebody on the way could put their own keys in place of these.
    pub fn parse(text: &str, directory: &Path) -> Result<Self> {
        if !text.contains("://") {
            return Ok(Self::File(directory.join(text)));
        }
        let url = Url::parse(text).ok().filter(|url| match url.scheme() {
            "https" => true,
            "http" => outgoing::is_loopback(url),
            _ => false,
        });
        url.map(Self::Url).ok_or_else(|| {
            wrong("the address of the issuer's keys is no https URL")
                .hint("Say https://...; http only for this machine, or name a file.")
        })
    }
}

/// Which tokens are taken, and what they let their holders do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOptions {
    /// Where the keys are that sign them.
    pub keys: KeysAt,
    /// `iss`; `None`: whoever those keys belong to.
    pub issuer: Option<String>,
    /// `aud`; `None`: tokens for anybody, also those that the issuer made for other services.
    pub audience: Option<String>,
    /// The claim that names the tenant. Who has none reaches only collections without tenants.
    pub tenant_claim: String,
    /// The claim that names the rights, as words or a list; who has none may nothing. `None`: all have the same.
    pub rights_claim: Option<String>,
    /// The most that a token may.
    pub rights: Vec<Right>,
}

impl TokenOptions {
    /// Tokens for this audience, signed by these keys; they read and write, and `sub` is the tenant.
    #[must_use]
    pub fn new(keys: KeysAt, audience: Option<String>) -> Self {
        Self {
            keys,
            issuer: None,
            audience,
            tenant_claim: "sub".to_owned(),
            rights_claim: None,
            rights: vec![Right::Read, Right::Write],
        }
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "R0447", message)
}
