//! An issuer of tokens: its keys, and its address on this machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use repot_server::{KeysAt, TokenOptions};
use repot_testkit::tools;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, rand};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.test/app";
pub(crate) const AUDIENCE: &str = "app";

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Curve(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Secret(Vec<u8>),
}

/// A key with its private half.
pub(crate) struct Signer {
    pub name: String,
    pair: Pair,
}

impl Signer {
    pub(crate) fn curve(name: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { name: name.to_owned(), pair: Pair::Curve(pair) }
    }

    pub(crate) fn edwards(name: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            name: name.to_owned(),
            pair: Pair::Edwards(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()),
        }
    }

    /// `None` where there is no OpenSSL to make one.
    pub(crate) fn rsa(name: &str) -> Option<Self> {
        let der = tools::rsa_key()?;
        let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_other_form| RsaKeyPair::from_der(&der)).unwrap();
        Some(Self { name: name.to_owned(), pair: Pair::Rsa(Box::new(pair)) })
    }

    pub(crate) fn secret(name: &str) -> Self {
        let secret: [u8; 32] = rand::generate(&SystemRandom::new()).unwrap().expose();
        Self::of_secret(name, &secret)
    }

    pub(crate) fn of_secret(name: &str, secret: &[u8]) -> Self {
        Self { name: name.to_owned(), pair: Pair::Secret(secret.to_vec()) }
    }

    pub(crate) const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Curve(_) => "ES256",
            Pair::Edwards(_) => "EdDSA",
            Pair::Secret(_) => "HS256",
        }
    }

    /// What whoever checks its tokens may know, as a JSON Web Key.
    pub(crate) fn public(&self) -> Value {
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
            Pair::Curve(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)})
            }
            Pair::Edwards(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key())}),
            Pair::Secret(secret) => json!({"kty": "oct", "k": encoded(secret)}),
        };
        key["kid"] = json!(self.name);
        key["use"] = json!("sig");
        key
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": self.name, "typ": "JWT"}), claims)
    }

    /// The same with another head than is its own.
    pub(crate) fn token_with(&self, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
        let (random, bytes) = (SystemRandom::new(), signed.as_bytes());
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).unwrap();
                signature
            }
            Pair::Curve(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Pair::Edwards(pair) => pair.sign(bytes).as_ref().to_vec(),
            Pair::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encoded(signature))
    }
}

/// A set of keys.
pub(crate) fn set(keys: &[&Signer]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()})
}

struct Told {
    status: u16,
    set: Value,
    cache: &'static str,
}

/// A server on this machine that gives a set of keys, and counts who asks.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<(Mutex<Told>, AtomicUsize)>, std::net::SocketAddr);

impl Issuer {
    pub(crate) async fn start(keys: &[&Signer]) -> Self {
        let told = Told { status: 200, set: set(keys), cache: "public, max-age=300" };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self(Arc::new((Mutex::new(told), AtomicUsize::new(0))), listener.local_addr().unwrap());
        let routes = Router::new().route("/keys", get(Self::tell)).with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    async fn tell(
        State(issuer): State<Self>,
    ) -> (StatusCode, [(header::HeaderName, &'static str); 1], String) {
        let (told, asked) = &*issuer.0;
        asked.fetch_add(1, Ordering::SeqCst);
        let told = told.lock().unwrap();
        let status = StatusCode::from_u16(told.status).unwrap();
        (status, [(header::CACHE_CONTROL, told.cache)], told.set.to_string())
    }

    pub(crate) fn give(&self, keys: &[&Signer]) {
        self.0.0.lock().unwrap().set = set(keys);
    }

    /// From now on it answers with this status.
    pub(crate) fn is(&self, status: u16) {
        self.0.0.lock().unwrap().status = status;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    /// Tokens of this issuer for the app.
    pub(crate) fn options(&self) -> TokenOptions {
        let keys = KeysAt::parse(&format!("http://{}/keys", self.1), "".as_ref()).unwrap();
        TokenOptions { issuer: Some(ISSUER.to_owned()), ..TokenOptions::new(keys, Some(AUDIENCE.to_owned())) }
    }
}
