//! A set of keys (JWKS, RFC 7517), and whether one of them signed a token.
//!
//! Checked with ring directly, which TLS brings along: four algorithms are four calls of it. A key is for one algorithm, which
//! the key says and not the token: so the public half of an RSA key is never taken for a secret.

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

use super::token::{Algorithm, Token, decoded};

/// Keys of a set at the most.
const KEYS_MAX: usize = 64;
/// Bytes of the shortest secret (RFC 7518, 3.2).
const SECRET_MIN: usize = 32;

enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Curve(UnparsedPublicKey<Vec<u8>>),
    Secret(hmac::Key),
}

struct Key {
    name: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

impl Key {
    /// `None`: it is of another kind, or for something else.
    fn read(key: &Map<String, Value>, with_secrets: bool) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| decoded(text(name)?);
        let coordinate = |name: &str| bytes(name).filter(|bytes| bytes.len() == 32);
        let verifies =
            |uses: &Value| uses.as_array().is_some_and(|uses| uses.iter().any(|word| word == "verify"));
        if text("use").is_some_and(|word| word != "sig") || !key.get("key_ops").is_none_or(verifies) {
            return None;
        }
        let (algorithm, material) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let number =
                    |name| bytes(name).map(|bytes| bytes.into_iter().skip_while(|&byte| byte == 0).collect());
                (Algorithm::Rs256, Material::Rsa(RsaPublicKeyComponents { n: number("n")?, e: number("e")? }))
            }
            ("EC", Some("P-256")) => {
                let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
                (Algorithm::Es256, Material::Curve(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)))
            }
            ("OKP", Some("Ed25519")) => {
                (Algorithm::EdDsa, Material::Curve(UnparsedPublicKey::new(&ED25519, coordinate("x")?)))
            }
            ("oct", _) if with_secrets => {
                let secret = bytes("k").filter(|secret| secret.len() >= SECRET_MIN)?;
                (Algorithm::Hs256, Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
            }
            _ => return None,
        };
        let fits = text("alg").is_none_or(|name| Algorithm::named(name) == Some(algorithm));
        fits.then(|| Self { name: text("kid").map(str::to_owned), algorithm, material })
    }

    fn signed(&self, token: &Token<'_>) -> bool {
        let (signed, signature) = (token.signed, token.signature.as_slice());
        match &self.material {
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok(),
            Material::Curve(key) => key.verify(signed, signature).is_ok(),
            // in constant time
            Material::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
        }
    }
}

/// The keys of an issuer.
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a set; keys that are of no use here are left out. `with_secrets`: whoever could read it may know secrets.
    ///
    /// # Errors
    /// Says what is wrong when no key is left.
    pub(super) fn parse(bytes: &[u8], with_secrets: bool) -> Result<Self, &'static str> {
        let set: Value = serde_json::from_slice(bytes).map_err(|_malformed| "it is no JSON")?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("it has no list `keys`")?;
        if keys.len() > KEYS_MAX {
            return Err("it has too many keys");
        }
        let keys: Vec<Key> =
            keys.iter().filter_map(Value::as_object).filter_map(|key| Key::read(key, with_secrets)).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256, ES256 or EdDSA");
        }
        Ok(Self(keys))
    }

    /// Whether no key has the name that the token says.
    pub(super) fn is_unknown(&self, token: &Token<'_>) -> bool {
        token.key.is_some() && !self.0.iter().any(|key| key.name == token.key)
    }

    /// Whether the key that the token names signed it. Without a name there must be one key of its algorithm.
    pub(super) fn signed(&self, token: &Token<'_>) -> bool {
        let fits =
            |key: &&Key| key.algorithm == token.algorithm && (token.key.is_none() || key.name == token.key);
        let mut fitting = self.0.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => key.signed(token),
            _ => false,
        }
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // some are secrets
        write!(f, "KeySet({})", self.0.len())
    }
}
