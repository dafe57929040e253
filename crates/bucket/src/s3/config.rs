//! Where a bucket is and how to reach it, checked before the first request.

use std::fmt;

use repot_core::{Error, Kind, Result};
use reqwest::Url;

const RETRY_SECONDS: u64 = 60;

/// Where the bucket is and how to reach it.
#[derive(Clone, Default)]
pub struct S3Config {
    /// Name of the bucket.
    pub bucket: String,
    /// Only keys under this prefix (a folder); paths are relative to it. Empty: all.
    pub prefix: String,
    /// The endpoint; `None`: AWS. Plain `http` only on this machine.
    pub endpoint: Option<String>,
    /// Region, `auto` for R2; empty: `us-east-1`.
    pub region: String,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    /// Session token.
    pub session_token: Option<String>,
    /// How long one request is tried again, seconds; 0: a minute.
    pub retry_seconds: u64,
    /// The bucket is part of the host's name, not of the path (AWS without an endpoint does so by itself).
    pub virtual_host: bool,
    /// Plain `http` to other machines too: keys of documents and documents travel readable.
    pub allow_http: bool,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint.as_deref().map(without_login))
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl S3Config {
    /// The address of the bucket, without a slash at the end.
    pub(crate) fn base(&self) -> Result<String> {
        if self.bucket.is_empty()
            || !self.bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        {
            return Err(wrong("the bucket's name is empty or has characters that no bucket's name has"));
        }
        for (what, value) in
            [("access key", &self.access_key), ("secret key", &self.secret_key), ("region", &self.region)]
        {
            let must = what != "region";
            if (must && value.is_empty()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong(format!("the {what} is empty or has a space or line break in it")));
            }
        }
        if self.session_token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(wrong("the session token has a space or line break in it"));
        }
        let Some(endpoint) = &self.endpoint else { return self.aws() };
        let url = self.endpoint_url(endpoint)?;
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let (scheme, host, folder) =
            (url.scheme(), url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
        Ok(if self.virtual_host {
            format!("{scheme}://{}.{host}{port}{folder}", self.bucket)
        } else {
            format!("{scheme}://{host}{port}{folder}/{}", self.bucket)
        })
    }

    fn aws(&self) -> Result<String> {
        if self.region == "auto" {
            return Err(wrong("the region is auto, which AWS does not have, and no endpoint is set"));
        }
        let host = format!("s3.{}.amazonaws.com", self.region());
        // a certificate for *.s3... does not cover a dot in the bucket's name
        Ok(if self.bucket.contains('.') {
            format!("https://{host}/{}", self.bucket)
        } else {
            format!("https://{}.{host}", self.bucket)
        })
    }

    fn endpoint_url(&self, endpoint: &str) -> Result<Url> {
        let url = Url::parse(endpoint).map_err(|error| wrong("the endpoint is no URL").cause(error))?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(wrong("the endpoint has a login, a query or a fragment in it"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_http || is_loopback(&url) => Ok(url),
            "http" => Err(wrong(format!("the endpoint {endpoint} uses http:// and is not on this machine"))),
            _ => Err(wrong("the endpoint begins neither with https:// nor with http://")),
        }
    }

    /// The region to sign for.
    pub(crate) fn region(&self) -> &str {
        if self.region.is_empty() { "us-east-1" } else { &self.region }
    }

    /// How long one request is tried again.
    pub(crate) const fn retry_seconds(&self) -> u64 {
        if self.retry_seconds == 0 { RETRY_SECONDS } else { self.retry_seconds }
    }

    /// Such as `s3://bucket/prefix at https://...`.
    pub(crate) fn shown(&self) -> String {
        let prefix = self.prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let at = self.endpoint.as_deref().map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
        format!("s3://{}{slash}{prefix}{at}", self.bucket)
    }
}

/// Is the server on this machine?
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A login in the URL is refused by `base`, but may be shown before.
fn without_login(endpoint: &str) -> String {
    endpoint.rsplit_once('@').map_or_else(|| endpoint.to_owned(), |(_, host)| format!("***@{host}"))
}

/// Settings that cannot be used.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "R0103", message)
        .hint("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and R2_ACCOUNT_ID or REPOT_SOURCE_ENDPOINT.")
}

#[cfg(test)]
mod tests {
    use super::S3Config;

    fn config(endpoint: Option<&str>) -> S3Config {
        S3Config {
            bucket: "papers".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            access_key: "key".to_owned(),
            secret_key: "canary-secret".to_owned(),
            session_token: Some("canary-token".to_owned()),
            ..S3Config::default()
        }
    }

    #[test]
    fn addresses() {
        let base = |config: S3Config| config.base().expect("good settings");
        assert_eq!(base(config(None)), "https://papers.s3.us-east-1.amazonaws.com");
        assert_eq!(
            base(S3Config { bucket: "a.b".to_owned(), ..config(None) }),
            "https://s3.us-east-1.amazonaws.com/a.b"
        );
        assert_eq!(base(config(Some("http://127.0.0.1:9000/"))), "http://127.0.0.1:9000/papers");
        assert_eq!(base(config(Some("http://[::1]:9000"))), "http://[::1]:9000/papers");
        let hosted = S3Config { virtual_host: true, ..config(Some("https://fra1.example.com")) };
        assert_eq!(base(hosted), "https://papers.fra1.example.com");
        assert!(S3Config { allow_http: true, ..config(Some("http://minio:9000")) }.base().is_ok());
    }

    #[test]
    fn wrong_settings_are_refused() {
        let line_break = S3Config { access_key: "key\n".to_owned(), ..config(None) };
        let empty = S3Config { secret_key: String::new(), ..config(None) };
        let slash = S3Config { bucket: "a/b".to_owned(), ..config(None) };
        let auto = S3Config { region: "auto".to_owned(), ..config(None) };
        let endpoints =
            ["http://minio:9000", "http://127.0.0.1.example.com", "ftp://x", "x", "https://u:canary-login@x"];
        for wrong in endpoints
            .map(|endpoint| config(Some(endpoint)))
            .into_iter()
            .chain([line_break, empty, slash, auto])
        {
            let error = wrong.base().expect_err("wrong settings");
            assert_eq!(error.code(), "R0103");
            assert!(!format!("{error:?} {error} {wrong:?}").contains("canary"), "{error:?} {wrong:?}");
        }
    }
}
