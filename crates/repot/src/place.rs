//! What a URL of documents names.

use std::path::{Path, PathBuf};

use repot_bucket::S3Config;
use repot_core::{Error, Kind, Result};

/// Where documents live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Files in a directory: `./data`, or `file:./data`.
    Directory(PathBuf),
    /// Objects in a bucket, with what stands before their paths: `s3://bucket/prefix`.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Empty: the whole bucket.
        prefix: String,
    },
    /// A SQLite file: `sqlite:///app.db`, `sqlite:app.db`; absolute with four slashes.
    Sqlite(PathBuf),
    /// A PostgreSQL database: `postgres://`, `postgresql://`, `postgresql+driver://`.
    Postgres(String),
    /// The process's memory, gone with it, for tests: `memory:`.
    Memory,
}

impl Place {
    /// Reads a URL or the path of a directory; relative ones are relative to `directory`.
    ///
    /// # Errors
    /// `R0105` when it names nothing that Repot knows, `R0152` for one SQLite file per tenant.
    pub fn parse(url: &str, directory: &Path) -> Result<Self> {
        let wrong = |message: String| {
            Error::new(Kind::Invalid, "R0105", message).hint(
                "Write ./folder, s3://bucket/prefix, sqlite:///file.db or postgresql://user@host/database.",
            )
        };
        if url == "memory:" {
            return Ok(Self::Memory);
        }
        if let Some(rest) = url.strip_prefix("sqlite:") {
            let file = rest.strip_prefix("///").unwrap_or(rest);
            if file.is_empty() || file == ":memory:" || file.starts_with("//") {
                return Err(wrong("the SQLite URL names no file".to_owned()));
            }
            if file.contains('{') {
                return Err(Error::new(
                    Kind::Unsupported,
                    "R0152",
                    "one SQLite file per tenant is not done yet",
                )
                .hint("Name one file, such as sqlite:///repot.db."));
            }
            return Ok(Self::Sqlite(directory.join(file)));
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        if let Some(rest) = url.strip_prefix("file:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return Ok(Self::Directory(directory.join(path)));
        }
        match url.split_once("://") {
            Some((scheme, _)) if matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) => {
                Ok(Self::Postgres(url.to_owned()))
            }
            Some((scheme, _)) => Err(wrong(format!("`{scheme}` is no store that Repot knows"))),
            None if url.is_empty() => Err(wrong("no place of documents is named".to_owned())),
            None => Ok(Self::Directory(directory.join(url))),
        }
    }
}

/// How the bucket is reached, from the variables that apps set for S3 and R2.
pub(crate) fn s3_config(
    bucket: &str,
    prefix: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<S3Config> {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
    let missing = |what: &str| {
        Error::new(Kind::Invalid, "R0103", format!("{what} for the bucket {bucket} is not set"))
            .hint("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and R2_ACCOUNT_ID for Cloudflare R2).")
    };
    let r2 = variable("R2_ACCOUNT_ID").map(|account| format!("https://{account}.r2.cloudflarestorage.com"));
    let region = first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    Ok(S3Config {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: region.unwrap_or_else(|| if r2.is_some() { "auto" } else { "us-east-1" }.to_owned()),
        // not AWS_ENDPOINT_URL_S3: beside an app that talks to Repot it may name Repot itself
        endpoint: variable("REPOT_SOURCE_ENDPOINT").or(r2),
        access_key: first(&["AWS_ACCESS_KEY_ID", "R2_ACCESS_KEY_ID"])
            .ok_or_else(|| missing("the access key"))?,
        secret_key: first(&["AWS_SECRET_ACCESS_KEY", "R2_SECRET_ACCESS_KEY"])
            .ok_or_else(|| missing("the secret key"))?,
        session_token: variable("AWS_SESSION_TOKEN"),
        ..S3Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::Place;
    use std::path::Path;

    #[test]
    fn spellings() {
        let parse = |url| Place::parse(url, Path::new("/app")).expect(url);
        assert_eq!(parse("./data"), Place::Directory("/app/./data".into()));
        assert_eq!(parse("file:///var/data"), Place::Directory("/var/data".into()));
        assert_eq!(parse("file:data"), Place::Directory("/app/data".into()));
        assert_eq!(parse("sqlite:///repot.db"), Place::Sqlite("/app/repot.db".into()));
        assert_eq!(parse("sqlite:////var/repot.db"), Place::Sqlite("/var/repot.db".into()));
        assert_eq!(parse("memory:"), Place::Memory);
        assert_eq!(parse("s3://b/p/q"), Place::Bucket { bucket: "b".into(), prefix: "p/q".into() });
        for url in ["postgres://u:p@h/d", "postgresql://h/d", "postgresql+asyncpg://h/d"] {
            assert_eq!(parse(url), Place::Postgres(url.to_owned()));
        }
        for bad in ["mysql://h/d", "sqlite:", "sqlite:///:memory:", ""] {
            let error = Place::parse(bad, Path::new("/app")).unwrap_err();
            assert_eq!(error.code(), "R0105", "{bad}");
        }
        let error = Place::parse("sqlite:///users/{user_id}.db", Path::new("/app")).unwrap_err();
        assert_eq!(error.code(), "R0152");
    }
}
