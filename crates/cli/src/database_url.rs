//! `DATABASE_URL` in all its spellings.

use std::path::{Path, PathBuf};

use repot_core::{Error, Kind, Result};

/// What a database URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Reads `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:file.db`, `postgres://...`, `postgresql://...`
/// and SQLAlchemy's `postgresql+driver://...`. Relative files are relative to `directory`.
pub(crate) fn parse(url: &str, directory: &Path) -> Result<Database> {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let file = rest.strip_prefix("///").unwrap_or(rest);
        if file.is_empty() || file == ":memory:" || file.starts_with("//") {
            return Err(Error::new(Kind::Invalid, "R0105", "the SQLite URL names no file")
                .hint("Write sqlite:///repot.db."));
        }
        if file.contains('{') {
            return Err(Error::new(Kind::Unsupported, "R0152", "one SQLite file per tenant is not done yet")
                .hint("Name one file, such as sqlite:///repot.db."));
        }
        return Ok(Database::Sqlite(directory.join(file)));
    }
    let scheme = url.split("://").next().unwrap_or_default();
    if matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) && url.contains("://") {
        return Ok(Database::Postgres(url.to_owned()));
    }
    Err(Error::new(Kind::Invalid, "R0105", format!("`{scheme}` is no database that Repot knows"))
        .hint("Write sqlite:///file.db or postgresql://user@host/database."))
}

#[cfg(test)]
mod tests {
    use super::{Database, parse};
    use std::path::Path;

    #[test]
    fn spellings() {
        let parse = |url| parse(url, Path::new("/app"));
        let file = |path: &str| Database::Sqlite(path.into());
        assert_eq!(parse("sqlite:///repot.db").unwrap(), file("/app/repot.db"));
        assert_eq!(parse("sqlite:repot.db").unwrap(), file("/app/repot.db"));
        assert_eq!(parse("sqlite:////var/repot.db").unwrap(), file("/var/repot.db"));
        for url in [
            "postgres://u:p@h/d",
            "postgresql://h/d",
            "postgresql+psycopg2://h/d",
            "postgresql+asyncpg://h/d",
        ] {
            assert_eq!(parse(url).unwrap(), Database::Postgres(url.to_owned()));
        }
        for bad in ["mysql://h/d", "sqlite:", "postgres", "/a/b.db", "sqlite:///:memory:"] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code(), "R0105", "{bad}");
        }
        assert_eq!(parse("sqlite:///users/{user_id}.db").unwrap_err().code(), "R0152");
    }
}
