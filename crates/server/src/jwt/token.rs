//! A token (RFC 7519) in its compact form (RFC 7515), taken apart. Nothing in it is true before its signature was checked.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Bytes of the longest token.
const BYTES_MAX: usize = 8 << 10;

/// How tokens are signed. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
    Hs256,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "ES256" => Self::Es256,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "HS256" => Self::Hs256,
            _ => return None,
        })
    }
}

/// What somebody sent as a token. Its parts are their word only.
pub(super) struct Token<'t> {
    /// What it says it is signed with.
    pub algorithm: Algorithm,
    /// The name of the key.
    pub key: Option<String>,
    /// What was signed.
    pub signed: &'t [u8],
    pub signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'t> Token<'t> {
    /// `None`: it is no token, or one of a kind that is not taken.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header = object(&decoded(header)?)?;
        // extensions that must be understood, and are not
        if header.contains_key("crit") || header.contains_key("b64") {
            return None;
        }
        let algorithm = Algorithm::named(header.get("alg")?.as_str()?)?;
        let key = match header.get("kid") {
            None => None,
            Some(name) => Some(name.as_str()?.to_owned()),
        };
        let (signature, payload) = (decoded(signature)?, decoded(payload)?);
        Some(Self { algorithm, key, signed: signed.as_bytes(), signature, payload })
    }

    /// What it says of its holder.
    pub(super) fn claims(&self) -> Option<Map<String, Value>> {
        object(&self.payload)
    }
}

pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::{Algorithm, Token};

    fn of(header: &str) -> String {
        format!("{}.e30.AAAA", BASE64_URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn what_is_a_token() {
        let text = of(r#"{"alg":"ES256","kid":"a"}"#);
        let token = Token::read(&text).unwrap();
        assert_eq!((token.algorithm, token.key.as_deref()), (Algorithm::Es256, Some("a")));
        assert_eq!((token.signature.as_slice(), token.claims().unwrap().len()), (&[0_u8; 3][..], 0));
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"RS512"}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","crit":["exp"],"exp":1}"#,
            r#"{"alg":"RS256","b64":false}"#,
            r#"{"kid":"a"}"#,
            "[]",
            "",
        ] {
            assert!(Token::read(&of(header)).is_none(), "{header}");
        }
        let header = of(r#"{"alg":"RS256"}"#);
        let header = header.split('.').next().unwrap();
        for text in
            ["", ".", "..", "a.b.c", "e30.e30.", &format!("{header}.e30"), &format!("{header}.e30=.AAAA")]
        {
            assert!(Token::read(text).is_none(), "{text}");
        }
        // four parts are an encrypted token's, or nobody's
        assert!(Token::read(&format!("{header}.e30.e30.AAAA")).is_none());
        let long = format!("{header}.{}.AAAA", "e".repeat(8 << 10));
        assert!(Token::read(&long).is_none());
    }
}
