//! Who may come in: everybody on this machine while there are no keys, holders of keys from the first one on, and holders of
//! tokens where an issuer is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::http::{HeaderMap, header};
use repot_core::{Error, Kind, Result};
use repot_engine::ledger::{ApiKeys, Principal};

use crate::app::App;
use crate::jwt::Tokens;
use crate::problem::{Answered, is_passing};

/// How long it is believed that there are no keys, milliseconds.
const OPEN_BELIEVED_MS: i64 = 5_000;

/// The door of a server.
#[derive(Debug)]
pub(crate) struct Access {
    keys: ApiKeys,
    tokens: Option<Arc<Tokens>>,
    /// There are keys, or there are to be: never taken back while the server runs.
    locked: AtomicBool,
    looked_ms: AtomicI64,
}

impl Access {
    /// With tokens a key or one of them must be shown from the beginning.
    pub(crate) fn new(keys: ApiKeys, tokens: Option<Arc<Tokens>>, locked: bool) -> Self {
        let locked = AtomicBool::new(locked || tokens.is_some());
        Self { keys, tokens, locked, looked_ms: AtomicI64::new(i64::MIN) }
    }

    /// All keys.
    pub(crate) const fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// From now on a key must be shown: one was made here.
    pub(crate) fn lock(&self) {
        self.locked.store(true, Ordering::Release);
    }

    /// Whether it was found out before that a key must be shown.
    pub(crate) fn was_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }

    /// Whether a key must be shown. A server that began without keys looks now and then whether there are any since.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub(crate) async fn is_locked(&self, app: &App) -> Result<bool> {
        if app.options().is_own {
            return Ok(false);
        }
        if self.locked.load(Ordering::Acquire) {
            return Ok(true);
        }
        let now_ms = app.clock().now_ms();
        let looked_ms = self.looked_ms.load(Ordering::Acquire);
        let believed = (looked_ms..looked_ms.saturating_add(OPEN_BELIEVED_MS)).contains(&now_ms);
        if believed || app.store().ledger().is_none() {
            return Ok(false);
        }
        match self.keys.list().await {
            Ok(keys) if keys.is_empty() => {}
            Ok(_) => {
                self.locked.store(true, Ordering::Release);
                return Ok(true);
            }
            // it listens on this machine only, and may serve files meanwhile
            Err(error) if is_passing(&error) && looked_ms != i64::MIN => return Ok(false),
            Err(error) => return Err(error),
        }
        self.looked_ms.store(now_ms, Ordering::Release);
        Ok(false)
    }

    /// Who sent a request; `None`: somebody on this machine, where there are no keys.
    ///
    /// # Errors
    /// 401 when a key is missing, or it or a token cannot be used; 503 when that cannot be told now.
    pub(crate) async fn principal(&self, app: &App, headers: &HeaderMap) -> Answered<Option<Principal>> {
        let Some(shown) = headers.get(header::AUTHORIZATION) else {
            return if self.is_locked(app).await? { Err(missing().into()) } else { Ok(None) };
        };
        let text = shown.to_str().ok().and_then(|shown| {
            let (scheme, key) = shown.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let text = text.ok_or_else(missing)?;
        let principal = match &self.tokens {
            Some(tokens) if !text.starts_with("rpt_") => tokens.authenticate(text).await?,
            _ => self.keys.authenticate(text).await?,
        };
        Ok(Some(principal))
    }
}

fn missing() -> Error {
    Error::new(Kind::Denied, "R0445", "a key is missing")
        .hint("Send it as `Authorization: Bearer rpt_...`; repot key create makes one.")
}
