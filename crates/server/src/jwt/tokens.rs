//! Whose a token is, and what they may.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use repot_core::{Clock, Error, Kind, Result};
use repot_engine::ledger::{Principal, Right, Rights, Tenants};
use ring::digest;
use serde_json::{Map, Value};

use super::issuer::Issuer;
use super::keys::KeySet;
use super::options::TokenOptions;
use super::token::Token;

/// Clocks of two machines differ by so much, milliseconds.
const LEEWAY_MS: i64 = 60_000;
/// Characters of the longest name that is written into the record of changes.
const NAME_MOST: usize = 200;

/// Tokens that are known at once.
const KNOWN_MOST: usize = 1_024;

type Claims = Map<String, Value>;

/// Whose tokens are taken.
#[derive(Debug)]
pub(crate) struct Tokens {
    options: TokenOptions,
    issuer: Arc<Issuer>,
    clock: Arc<dyn Clock>,
    /// Tokens that were checked, by their hash: a stream looks every second whether its own still holds.
    known: Mutex<HashMap<Hash, Known>>,
}

type Hash = [u8; digest::SHA256_OUTPUT_LEN];

/// A token that was checked.
#[derive(Debug)]
struct Known {
    /// By these keys. When they were fetched again it is checked again.
    keys: Arc<KeySet>,
    /// When it can be used, milliseconds since 1970.
    times: Range<i64>,
    principal: Principal,
}

impl Tokens {
    /// # Errors
    /// `R0447` when the keys are in a file that has none.
    pub(crate) fn open(options: TokenOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let issuer = Issuer::open(&options.keys, Arc::clone(&clock))?;
        Ok(Self { options, issuer, clock, known: Mutex::default() })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// `R0438` when it cannot be used; `R0439` when that cannot be told, since the issuer's keys cannot be had.
    pub(crate) async fn authenticate(&self, text: &str) -> Result<Principal> {
        let token = Token::read(text).ok_or_else(unusable)?;
        let mut keys = self.issuer.keys().await?;
        let hash = hash([text]);
        if let Some(principal) = self.known(&hash, &keys) {
            return Ok(principal);
        }
        if keys.is_unknown(&token)
            && let Some(newer) = self.issuer.keys_after(&keys).await
        {
            keys = newer;
        }
        if !keys.signed(&token) {
            return Err(unusable());
        }
        let claims = token.claims().ok_or_else(unusable)?;
        let times = self.times(&claims)?;
        let principal = self.holder(&claims)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MOST {
            known.clear();
        }
        known.insert(hash, Known { keys, times, principal: principal.clone() });
        Ok(principal)
    }

    fn known(&self, hash: &Hash, keys: &Arc<KeySet>) -> Option<Principal> {
        let now_ms = self.clock.now_ms();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found =
            known.get(hash).filter(|known| Arc::ptr_eq(&known.keys, keys) && known.times.contains(&now_ms));
        found.map(|known| known.principal.clone())
    }

    /// Whose they are: the issuer signed these claims.
    fn holder(&self, claims: &Claims) -> Result<Principal> {
        let TokenOptions { issuer, audience, tenant_claim, .. } = &self.options;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if issuer.as_deref().is_some_and(|issuer| text("iss") != Some(issuer)) {
            return Err(refused("the token is of another issuer"));
        }
        if audience
            .as_ref()
            .is_some_and(|audience| !words(claims.get("aud"), false).contains(&audience.as_str()))
        {
            return Err(refused("the token is meant for another service"));
        }
        let subject = text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| refused("the token does not say whose it is (sub)"))?;
        let tenants = match claims.get(tenant_claim) {
            None | Some(Value::Null) => Tenants::None,
            Some(Value::String(tenant)) if !tenant.is_empty() => Tenants::One(tenant.clone()),
            Some(_) => return Err(refused("the token's tenant is no text")),
        };
        let name = subject.chars().filter(|char| !char.is_control()).take(NAME_MOST).collect();
        let id = id([text("iss").unwrap_or_default(), subject]);
        Ok(Principal { id, name, rights: self.rights(claims), tenants })
    }

    /// When it can be used, which is now: a little earlier than it says, and a little longer.
    fn times(&self, claims: &Claims) -> Result<Range<i64>> {
        let now_ms = self.clock.now_ms();
        let time = |name: &str| claims.get(name).map(|value| ms(value).ok_or_else(unusable)).transpose();
        let ends_ms = time("exp")?.ok_or_else(|| refused("the token does not say when it ends (exp)"))?;
        let ends_ms = ends_ms.saturating_add(LEEWAY_MS);
        if now_ms >= ends_ms {
            return Err(refused("the token has ended"));
        }
        let begins_ms = time("nbf")?.max(time("iat")?).unwrap_or(i64::MIN).saturating_sub(LEEWAY_MS);
        if now_ms < begins_ms {
            return Err(refused("the token is not valid yet"));
        }
        Ok(begins_ms..ends_ms)
    }

    fn rights(&self, claims: &Claims) -> Rights {
        let most = &self.options.rights;
        let Some(claim) = &self.options.rights_claim else { return Rights::of(most, &[]) };
        let said = words(claims.get(claim), true);
        let rights: Vec<Right> = said.iter().filter_map(|word| word.parse().ok()).collect();
        let rights: Vec<Right> = rights.into_iter().filter(|right| most.contains(right)).collect();
        Rights::of(&rights, &[])
    }
}

/// A text, or the texts of a list; where they are `many`, a text may hold several with spaces between.
fn words(value: Option<&Value>, many: bool) -> Vec<&str> {
    match value {
        Some(Value::String(text)) if many => text.split_whitespace().collect(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Seconds since 1970, with a fraction or without, as milliseconds.
fn ms(value: &Value) -> Option<i64> {
    if let Some(seconds) = value.as_i64() {
        return Some(seconds.saturating_mul(1_000));
    }
    let time = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// What tells holders apart from each other and from keys, in a form that may be kept.
fn id(parts: [&str; 2]) -> String {
    let hash = hash(parts);
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("jwt-{digits}")
}

/// Of these texts, told apart also where they meet.
fn hash<const N: usize>(parts: [&str; N]) -> Hash {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut found = Hash::default();
    found.copy_from_slice(hash.finish().as_ref());
    found
}

/// One message for everything that is wrong before the signature was checked.
fn unusable() -> Error {
    refused("the token cannot be used")
}

fn refused(message: &str) -> Error {
    Error::new(Kind::Denied, "R0438", message).hint("Get a new one from the issuer.")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use repot_testkit::{HandClock, TempTree};
    use ring::hmac;

    use super::super::options::KeysAt;
    use super::{Claims, Principal, TokenOptions, Tokens};

    /// `{"alg":"HS256"}`, and `{"keys":[...]}` with a secret of 32 letters.
    const HEAD: &str = "eyJhbGciOiJIUzI1NiJ9";
    const SECRET: &str = "abcdefghijklmnopqrstuvwxyzabcdef";
    const SET: &str = r#"{"keys":[{"kty":"oct","k":"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY"}]}"#;

    /// Whose token it is, and until when it is believed.
    async fn holder(claims: &str) -> repot_core::Result<(Principal, i64)> {
        use base64::Engine as _;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD as TEXT;
        let folder = TempTree::new();
        folder.write("keys.json", SET);
        let keys = KeysAt::parse("keys.json", folder.path())?;
        let tokens = Tokens::open(TokenOptions::new(keys, None), Arc::new(HandClock::at(1_000_000)))?;
        let signed = format!("{HEAD}.{}", TEXT.encode(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let token = format!("{signed}.{}", TEXT.encode(hmac::sign(&key, signed.as_bytes())));
        let found = tokens.authenticate(&token).await?;
        let ends_ms = tokens.known.lock().unwrap().values().next().unwrap().times.end;
        Ok((found, ends_ms))
    }

    #[tokio::test]
    async fn a_holder_ends_with_the_token() {
        let (found, ends_ms) = holder(r#"{"sub":"u1","exp":1000}"#).await.unwrap();
        assert_eq!((ends_ms, found.name.as_str()), (1_060_000, "u1"));
        let (far, ends_ms) = holder(r#"{"sub":"u1","exp":9223372036854775807}"#).await.unwrap();
        assert_eq!(ends_ms, i64::MAX);
        let (odd, ends_ms) =
            holder(&format!(r#"{{"sub":"a\u0000{}","exp":1000.25}}"#, "x".repeat(300))).await.unwrap();
        assert_eq!((ends_ms, odd.name.len()), (1_060_250, 200));
        assert!(odd.id != found.id && found.id == far.id && odd.id.starts_with("jwt-"));
        for claims in [r#"{"sub":"u1","exp":-9223372036854775808}"#, r#"{"sub":"u1","exp":1e400}"#, "[]", ""]
        {
            assert_eq!(holder(claims).await.unwrap_err().code(), "R0438", "{claims}");
        }
    }

    /// Who is another issuer's is somebody else, however the two are put together.
    #[test]
    fn ids_tell_holders_apart() {
        let ids = [super::id(["a", "bc"]), super::id(["ab", "c"]), super::id(["", "abc"])];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(super::words(Claims::new().get("x"), true), Vec::<&str>::new());
    }
}
