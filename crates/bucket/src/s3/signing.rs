//! Requests that are signed in their address, so that they are good for a few seconds only. A signature in the headers is believed
//! for 15 minutes, in which a request that was held up could still change something.
//!
//! The server looks when the head of the request has come. Every header that we send is part of the signature, so that nobody on the way
//! can take a condition out.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use object_store::aws::AwsCredential;
use repot_core::hex;
use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;

/// How much our clock and the server's may differ, milliseconds. [`super::probe`] finds out whether they do.
pub(crate) const SKEW_MS: i64 = 5_000;
/// The longest that a server accepts, seconds.
const LONGEST: i64 = 7 * 24 * 3_600;
/// Less than this is not worth sending, milliseconds.
const SHORTEST_MS: i64 = 1_000;

/// When a request is good: seconds since 1970 and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Valid {
    pub(crate) from: i64,
    pub(crate) seconds: i64,
}

impl Valid {
    /// From now to the deadline, in whole seconds and never longer; both milliseconds since 1970.
    ///
    /// # Errors
    /// [`Failure::Late`] when less than a second is left.
    pub(crate) fn until(until_ms: i64, now_ms: i64) -> Result<Self, Failure> {
        let (from, end) = (now_ms.div_euclid(1_000), until_ms.div_euclid(1_000));
        if end.saturating_mul(1_000).saturating_sub(now_ms) < SHORTEST_MS {
            return Err(Failure::Late);
        }
        Ok(Self { from, seconds: end.saturating_sub(from).min(LONGEST) })
    }

    /// How long an answer is waited for: when the time is over for every clock, it tells nothing any more.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs(self.seconds.unsigned_abs()) + Duration::from_millis(SKEW_MS.unsigned_abs())
    }
}

/// The address of this request, signed with all of its headers.
pub(crate) fn signed(
    (credential, region): (&AwsCredential, &str),
    method: &Method,
    url: &str,
    headers: &[(HeaderName, String)],
    valid: Valid,
) -> Result<String, String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    let time = Timestamp::from_second(valid.from).map_err(|error| error.to_string())?;
    let (day, moment) = (time.strftime("%Y%m%d").to_string(), time.strftime("%Y%m%dT%H%M%SZ").to_string());
    let scope = format!("{day}/{region}/s3/aws4_request");
    let host = parsed.host_str().unwrap_or_default();
    let host = parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut named: Vec<(&str, &str)> = vec![("host", &host)];
    named.extend(headers.iter().map(|(name, value)| (name.as_str(), value.trim())));
    named.sort_unstable();
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut query = vec![
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{}/{scope}", credential.key_id)),
        ("X-Amz-Date", moment.clone()),
        ("X-Amz-Expires", valid.seconds.to_string()),
        ("X-Amz-SignedHeaders", names.clone()),
    ];
    query.extend(credential.token.clone().map(|token| ("X-Amz-Security-Token", token)));
    query.sort_unstable();
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", super::client::encoded(value, ""))).collect();
    let query = query.join("&");
    let lines: String = named.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    // the MD5 of the body is among the headers, so the body is signed with them
    let request = format!("{method}\n{}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD", parsed.path());
    let text = format!(
        "AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}",
        hex(Sha256::digest(request.as_bytes()).as_slice())
    );
    let secret = format!("AWS4{}", credential.secret_key);
    let mut key = secret.into_bytes();
    for part in [day.as_str(), region, "s3", "aws4_request", &text] {
        key = keyed(&key, part.as_bytes());
    }
    Ok(format!("{url}?{query}&X-Amz-Signature={}", hex(&key)))
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use object_store::aws::AwsCredential;
    use reqwest::Method;
    use reqwest::header::IF_MATCH;

    use super::{LONGEST, Valid, signed};
    use crate::s3::failure::Failure;

    fn credential(token: Option<&str>) -> AwsCredential {
        AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// The example of the S3 manual.
    #[test]
    fn an_address_is_signed_as_the_manual_does() {
        let valid = Valid { from: 1_369_353_600, seconds: 86_400 };
        let address = "https://examplebucket.s3.amazonaws.com/test.txt";
        let made =
            signed((&credential(None), "us-east-1"), &Method::GET, address, &[], valid).expect("signed");
        let expected = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
                        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(made, expected);
    }

    #[test]
    fn headers_and_tokens_are_part_of_the_signature() {
        let valid = Valid { from: 1_369_353_600, seconds: 5 };
        let made = |condition: &str, token: Option<&str>| {
            let headers = [(IF_MATCH, condition.to_owned())];
            let address = "http://127.0.0.1:9000/lab/a";
            signed((&credential(token), "auto"), &Method::PUT, address, &headers, valid).expect("signed")
        };
        let (one, other) = (made("\"a\"", None), made("\"b\"", None));
        assert!(one.contains("X-Amz-SignedHeaders=host%3Bif-match"), "{one}");
        assert_ne!(one, other);
        assert!(made("\"a\"", Some("t/=")).contains("&X-Amz-Security-Token=t%2F%3D&X-Amz-SignedHeaders="));
    }

    #[test]
    fn a_request_never_outlives_its_deadline() {
        for (until_ms, now_ms, seconds) in [
            (12_000, 10_000, Some(2)),
            (12_999, 10_000, Some(2)),
            (12_999, 10_999, Some(2)),
            (12_999, 11_001, None),
            (11_999, 10_500, None),
            (10_000, 10_000, None),
            (9_000, 10_000, None),
            (i64::MIN, 10_000, None),
            (i64::MAX, 10_000, Some(LONGEST)),
        ] {
            let valid = Valid::until(until_ms, now_ms);
            assert_eq!(valid.as_ref().map(|valid| valid.seconds).ok(), seconds, "{until_ms} {now_ms}");
            match valid {
                Ok(valid) => assert!((valid.from + valid.seconds) * 1_000 <= until_ms, "{valid:?}"),
                Err(failure) => assert_eq!(failure, Failure::Late),
            }
        }
    }
}
