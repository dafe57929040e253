//! Why a request gave nothing: what passes and is tried again, what is the object's trouble, what the bucket's.

use std::fmt;

use repot_core::store::deadline_over;
use repot_core::{Error, Kind, Retry};

use super::config::wrong;

/// Codes that say that the keys, the clock or the settings are wrong, whatever object was asked for.
const KEYS_WRONG: [&str; 8] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AccountProblem",
    "NotSignedUp",
];

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server says no.
    Status {
        /// HTTP status.
        status: u16,
        /// S3's own code, empty where the answer has none.
        code: String,
        /// The server's words, shortened, without secrets.
        message: String,
    },
    /// No connection, so nothing was sent.
    Unreached(String),
    /// No answer.
    Network(String),
    /// An answer that is not what it says it is: cut off, another length, another MD5.
    Broken(String),
    /// As broken, and asking again would not help.
    Useless(String),
    /// Larger than the caller allowed.
    TooLarge(u64),
    /// The object is another one than at the beginning.
    Changed,
    /// The deadline of the request is over: it was not sent, or the server refused it.
    Late,
}

/// Does a server say that the time of a request is over? Of a session it may say so too, which is another matter.
pub(super) fn is_late(status: u16, code: &str, message: &str) -> bool {
    let says = matches!(code, "ExpiredRequest" | "RequestExpired")
        || (code == "AccessDenied" && message.to_ascii_lowercase().contains("expired"));
    says && matches!(status, 400 | 401 | 403)
}

impl Failure {
    /// May the same request succeed in a moment?
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Status { status, code, .. } => {
                matches!(status, 408 | 409 | 429 | 500 | 502 | 503 | 504)
                    || matches!(code.as_str(), "RequestTimeout" | "BadDigest" | "IncompleteBody")
            }
            Self::Unreached(_) | Self::Network(_) | Self::Broken(_) => true,
            Self::Useless(_) | Self::TooLarge(_) | Self::Changed | Self::Late => false,
        }
    }

    /// Is it the trouble of the whole bucket, whatever object was asked for?
    pub(crate) fn is_of_bucket(&self) -> bool {
        match self {
            Self::Unreached(_) | Self::Network(_) => true,
            Self::Status { status, code, .. } => match status {
                301 | 302 | 307 | 308 | 401 | 408 | 429 | 503 => true,
                404 => code == "NoSuchBucket",
                400 | 403 => KEYS_WRONG.contains(&code.as_str()) || code == "AuthorizationHeaderMalformed",
                _ => false,
            },
            _ => false,
        }
    }

    /// As the trouble of the whole bucket.
    pub(crate) fn whole(&self, shown: &str) -> Error {
        if let Self::Status { status, code, .. } = self {
            let says = self.says();
            match (status, code.as_str()) {
                (_, "RequestTimeTooSkewed") => {
                    return Error::new(
                        Kind::Denied,
                        "R0104",
                        format!("{shown} refuses the time of the request: {says}"),
                    )
                    .hint("Set this machine's clock, then run the same command again.");
                }
                (404, "NoSuchBucket") => return wrong(format!("there is no such bucket: {shown}")),
                (301 | 302 | 307 | 308, _) | (400, "AuthorizationHeaderMalformed") => {
                    return wrong(format!("{shown} is in another region or behind another endpoint: {says}"))
                        .hint("Set AWS_REGION to the bucket's region, or REPOT_SOURCE_ENDPOINT to its endpoint.");
                }
                (400, code) if KEYS_WRONG.contains(&code) => return denied(shown, &says),
                (401 | 403, _) => return denied(shown, &says),
                _ => {}
            }
        }
        Error::new(Kind::SourceUnavailable, "R0102", format!("{shown} is out of reach: {}", self.says()))
            .hint("Check the network and the endpoint (repot check), then run the same command again: it goes on where it stopped.")
    }

    /// Is a key that never is an object's, whoever asks for it?
    fn is_of_key(&self) -> bool {
        let codes =
            ["KeyTooLongError", "InvalidObjectName", "XMinioInvalidObjectName", "XMinioParentIsObject"];
        matches!(self, Self::Status { code, .. } if codes.contains(&code.as_str()))
    }

    /// As the trouble of one object of a store.
    pub(crate) fn of_object(&self, shown: &str, what: &dyn fmt::Display) -> Error {
        match self {
            Self::TooLarge(size) => Error::new(
                Kind::Unsupported,
                "R0213",
                format!("{what} has {size} bytes, more than are allowed"),
            )
            .hint("Allow larger documents, or keep it out of the collection."),
            Self::Late => deadline_over().detail(format!("{what} in {shown}")),
            _ if self.is_of_key() => unkeepable(what, &self.says()),
            Self::Status { status: 501, .. } => {
                Error::new(Kind::Unsupported, "R0405", format!("{shown} cannot do this: {}", self.says()))
            }
            Self::Status { status: 403, .. } => denied(shown, &format!("{what}: {}", self.says())),
            // who asks may ask again
            _ if self.passes() => Error::new(
                Kind::Unavailable,
                "R0102",
                format!("{shown} is out of reach, asked for {what}: {}", self.says()),
            )
            .retry(Retry::Safe)
            .hint("Check the network and the endpoint, then try again."),
            _ if self.is_of_bucket() => self.whole(shown),
            _ => Error::new(
                Kind::Failed,
                "R0201",
                format!("{shown} does not do what was asked for {what}: {}", self.says()),
            ),
        }
    }

    /// Lower case, no full stop.
    pub(crate) fn says(&self) -> String {
        match self {
            Self::Status { status, code, message } if code.is_empty() => {
                format!("HTTP status {status}{}", after(message))
            }
            Self::Status { code, message, .. } => format!("{code}{}", after(message)),
            Self::Unreached(reason)
            | Self::Network(reason)
            | Self::Broken(reason)
            | Self::Useless(reason) => reason.clone(),
            Self::TooLarge(size) => format!("{size} bytes"),
            Self::Changed => "it changed meanwhile".to_owned(),
            Self::Late => "the deadline of the write is over".to_owned(),
        }
    }
}

fn after(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

/// A path under which nothing can be kept.
pub(crate) fn unkeepable(what: &dyn fmt::Display, why: &str) -> Error {
    Error::new(Kind::Invalid, "R0403", format!("{what} cannot be the key of an object: {why}"))
        .hint("Use another key: at most 1,024 bytes with the prefix, and without . and .. as parts.")
}

fn denied(shown: &str, says: &str) -> Error {
    Error::new(Kind::Denied, "R0104", format!("{shown} refuses: {says}"))
        .hint("Check the keys, and give them the right to list and to read this bucket.")
}
