//! Gets a set of keys from where it is.

use std::path::Path;
use std::time::Duration;

use repot_core::Result;
use reqwest::header::CACHE_CONTROL;
use reqwest::{Client, Response};

use super::keys::KeySet;
use super::options::{KeysAt, wrong};
use crate::outgoing;

/// How long an issuer may take for its keys.
const WAIT: Duration = Duration::from_secs(3);
/// Bytes of a set at the most.
const BYTES_MAX: usize = 256 << 10;
/// For how long a set is believed, seconds: the least, where nobody says, and the most.
const FRESH_S: (i64, i64, i64) = (60, 3_600, 86_400);

/// A set that was fetched.
pub(super) struct Fetched {
    pub set: KeySet,
    /// For how long it is believed, milliseconds.
    pub fresh_ms: i64,
}

/// Where a set is, ready to be asked.
#[derive(Debug)]
pub(super) enum Place {
    Url(Client, reqwest::Url),
    File(std::path::PathBuf),
}

impl Place {
    /// # Errors
    /// `R0447` when a file has no keys; a URL is not asked yet, since the server starts without its issuer too.
    pub(super) fn open(at: &KeysAt) -> Result<Self> {
        match at {
            KeysAt::Url(url) => Ok(Self::Url(outgoing::client(url, WAIT)?, url.clone())),
            KeysAt::File(file) => {
                read(file).map_err(|why| {
                    wrong(format!("the keys of tokens in {} cannot be used: {why}", file.display()))
                        .hint("Name a JSON Web Key Set: {\"keys\": [...]}.")
                })?;
                Ok(Self::File(file.clone()))
            }
        }
    }

    /// What is there now, or in a few words why not.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        match self {
            Self::Url(client, url) => get(client, url).await,
            Self::File(file) => {
                let file = file.clone();
                let read = tokio::task::spawn_blocking(move || read(&file)).await;
                let set = read.map_err(|_panicked| "it could not be read".to_owned())??;
                Ok(Fetched { set, fresh_ms: FRESH_S.0 * 1_000 })
            }
        }
    }
}

fn read(file: &Path) -> Result<KeySet, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    Ok(KeySet::parse(&bytes, true)?)
}

async fn get(client: &Client, url: &reqwest::Url) -> Result<Fetched, String> {
    let broken = |error: reqwest::Error| error.without_url().to_string();
    let mut answer = client.get(url.clone()).send().await.map_err(broken)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("the status is {}", answer.status().as_u16()));
    }
    let fresh_ms = fresh_ms(&answer);
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err("it is too large".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched { set: KeySet::parse(&bytes, false)?, fresh_ms })
}

fn fresh_ms(answer: &Response) -> i64 {
    let said = answer.headers().get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut words = said.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase());
    let (least, usual, most) = FRESH_S;
    let seconds = words.find_map(|word| match word.as_str() {
        "no-store" | "no-cache" => Some(least),
        word => word.strip_prefix("max-age=")?.parse().ok(),
    });
    seconds.unwrap_or(usual).clamp(least, most) * 1_000
}
