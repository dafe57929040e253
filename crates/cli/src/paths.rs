//! From what the command line names to paths of the HTTP API.

use bytes::Bytes;
use http::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use repot_core::{Error, Kind, Result};

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Of a place (`@name=value&name=value`) what divides it stays.
const OF_PLACE: &AsciiSet = &KEPT.remove(b'@').remove(b'=').remove(b'&');

/// `/v1/{collection}`.
pub(crate) fn of_collection(collection: &str) -> Result<String> {
    Ok(format!("/v1/{}", segment(collection)?))
}

/// `/v1/{collection}/{key...}`: segments of the key are divided by `/`, and say `%2F` for one that belongs to them.
pub(crate) fn of_key(collection: &str, key: &str) -> Result<String> {
    let mut path = of_collection(collection)?;
    for part in key.split('/') {
        path.push('/');
        path.push_str(&segment(part)?);
    }
    Ok(path)
}

/// A request without a body.
pub(crate) fn request(method: Method, path: &str) -> Result<Request<Bytes>> {
    with_body(method, path, Bytes::new())
}

/// A request.
pub(crate) fn with_body(method: Method, path: &str, body: Bytes) -> Result<Request<Bytes>> {
    Request::builder().method(method).uri(path).body(body).map_err(|error| {
        Error::new(Kind::Invalid, "R0100", "what is asked for is too long for an address").cause(error)
    })
}

/// `name=value&...`, encoded.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, KEPT);
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What a path of the API says, for people.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// One segment, in which `%2F` and the like stay what they are.
pub(crate) fn segment(text: &str) -> Result<String> {
    // programs between here and the server would take these for steps in the path, and reach other documents
    if matches!(decoded(text).as_str(), "." | "..") {
        return Err(Error::new(Kind::Invalid, "R0100", format!("`{text}` cannot be a part of a key"))
            .hint("Keys . and .. cannot be named in an address."));
    }
    let kept = if text.starts_with('@') { OF_PLACE } else { KEPT };
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('%').enumerate() {
        let is_code =
            |part: &str| part.get(..2).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match at {
            0 => {}
            _ if is_code(part) => out.push('%'),
            _ => out.push_str("%25"),
        }
        out.extend(utf8_percent_encode(part, kept));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{of_key, query};

    #[test]
    fn keys_become_paths() {
        for (key, path) in [
            ("41", "/v1/c/41"),
            ("u1/41", "/v1/c/u1/41"),
            ("41/messages/@0", "/v1/c/41/messages/@0"),
            ("@day=2025-01-31&id=e 1", "/v1/c/@day=2025-01-31&id=e%201"),
            ("a%2Fb", "/v1/c/a%2Fb"),
            ("100%", "/v1/c/100%25"),
            ("100%é", "/v1/c/100%25%C3%A9"),
            ("a:history", "/v1/c/a%3Ahistory"),
            ("a?b#c", "/v1/c/a%3Fb%23c"),
            ("x@y", "/v1/c/x%40y"),
        ] {
            assert_eq!(of_key("c", key).unwrap(), path, "{key}");
        }
    }

    #[test]
    fn no_key_leads_out_of_its_collection() {
        for key in ["..", "a/../../other/b", "%2e%2E/b", ".%2e", "a/."] {
            assert_eq!(of_key("c", key).unwrap_err().code(), "R0100", "{key}");
        }
        assert_eq!(of_key("..", "a").unwrap_err().code(), "R0100");
    }

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(
            query(&[("created_at[gte]", "2025-01-01"), ("q", "a&b")]),
            "created_at%5Bgte%5D=2025-01-01&q=a%26b"
        );
    }
}
