//! Database URLs in the spellings people have, and how to connect. Passwords stay inside and are never shown.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use repot_core::{Echo, Error, Kind, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How to behave towards the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a lock that another session holds on a table or row.
    pub lock_timeout: Duration,
    /// Longest run of a statement given to `query`.
    pub query_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(30),
            query_timeout: Duration::from_secs(30),
        }
    }
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Plain.
    None,
    /// Encrypted; as with libpq's `require`, whose certificate it is does not matter.
    Encrypted,
    /// Encrypted, and the certificate must be one that this machine trusts, for this host.
    Verified,
}

/// A server, a database on it, and whom to be there.
#[derive(Clone)]
pub(crate) struct Address {
    pub config: Config,
    pub protection: Protection,
    pub options: PostgresOptions,
    /// The URL says that it leads to a pooler that shares sessions (`pgbouncer=true`, as other clients write it).
    pub pooled: bool,
    /// Who is told the statements.
    pub echo: Option<Echo>,
}

/// Parameters of other clients' URLs that mean nothing here and do no harm when left out.
const IGNORED: [&str; 8] = [
    "gssencmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcompression",
    "client_encoding",
    "pool_timeout",
    "connection_limit",
];

impl Address {
    /// Reads a URL.
    pub(crate) fn parse(url: &str, options: PostgresOptions) -> Result<Self> {
        let rest = [
            "postgres://",
            "postgresql://",
            "postgresql+psycopg2://",
            "postgresql+asyncpg://",
            "postgresql+psycopg://",
        ]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or_else(|| invalid("the database URL does not begin with `postgresql://`"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut mode, mut pooled) = (None, false);
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" | "ssl" => mode = Some(value),
                "pgbouncer" => pooled = value == "true",
                name if IGNORED.contains(&name) => {}
                _ => kept.push(pair),
            }
        }
        let mut config: Config = format!("postgresql://{place}?{}", kept.join("&"))
            .parse()
            // the parser's own message may quote a part of the URL
            .map_err(|_unsafe_to_show: tokio_postgres::Error| invalid("the database URL cannot be read"))?;
        let loopback = is_loopback(&config);
        let protection = match mode {
            Some("disable" | "false") => Protection::None,
            None | Some("prefer" | "allow") if loopback => Protection::None,
            None | Some("prefer" | "allow" | "require" | "true") => Protection::Encrypted,
            Some("verify-ca" | "verify-full") => Protection::Verified,
            Some(_) => {
                return Err(invalid(
                    "the database URL has an `sslmode` that is none of disable, prefer, require, verify-ca, verify-full",
                ));
            }
        };
        config.ssl_mode(match (protection, mode) {
            (Protection::None, _) => SslMode::Disable,
            (Protection::Encrypted, None | Some("prefer" | "allow")) => SslMode::Prefer,
            (Protection::Encrypted | Protection::Verified, _) => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.connect_timeout);
        }
        config.tcp_user_timeout(Duration::from_secs(60));
        config.keepalives(true);
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("repot");
        }
        if config.get_user().is_none() {
            config.user("postgres");
        }
        Ok(Self { config, protection, options, pooled, echo: None })
    }
}

fn invalid(message: &str) -> Error {
    Error::new(Kind::Invalid, "R0101", message)
        .hint("Write it as `postgresql://USER:PASSWORD@HOST:5432/DATABASE`; letters such as `@` or `/` in the password are written `%40`, `%2F`.")
}

fn is_loopback(config: &Config) -> bool {
    let local = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// `127.0.0.1:5432/app`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) if name.contains(':') => write!(f, "[{name}]")?,
            Some(Host::Tcp(name)) => f.write_str(name)?,
            Some(Host::Unix(path)) => write!(f, "{}", path.display())?,
            None => match self.config.get_hostaddrs().first() {
                Some(address) => write!(f, "{address}")?,
                None => f.write_str("localhost")?,
            },
        }
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or("postgres");
        write!(f, ":{port}/{database}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, PostgresOptions, Protection};

    fn parse(url: &str) -> repot_core::Result<Address> {
        Address::parse(url, PostgresOptions::default())
    }

    #[test]
    fn spellings_and_protection() {
        for (url, shown, protection) in [
            ("postgres://app:pw@db.example:6000/app", "db.example:6000/app", Protection::Encrypted),
            ("postgresql+asyncpg://app:pw@127.0.0.1/app", "127.0.0.1:5432/app", Protection::None),
            ("postgresql+psycopg2://app:pw@db/app?sslmode=disable", "db:5432/app", Protection::None),
            (
                "postgresql+psycopg://app:pw@db/app?sslmode=verify-full&pgbouncer=true",
                "db:5432/app",
                Protection::Verified,
            ),
            (
                "postgresql://app:pw@localhost/app?sslmode=require",
                "localhost:5432/app",
                Protection::Encrypted,
            ),
        ] {
            let address = parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.protection, protection, "{url}");
            assert_eq!(address.pooled, url.contains("pgbouncer"), "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "postgresql://app:canary@db/app",
            "mysql://app:canary@db/app",
            "postgresql://app:canary@db/app?sslmode=canary",
            "postgresql://app:canary@db:port/app?x=canary",
            "postgresql://app:canary@db/app?port=canary&password=canary",
        ] {
            let shown = match parse(url) {
                Ok(address) => format!("{address} {address:?} {:?}", address.config),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
