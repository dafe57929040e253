//! Programs that tests run: schemathesis, generators of clients, OpenSSL.

use std::path::PathBuf;
use std::process::Command;

use crate::requirement::{missing, variable};

/// The Python that `REPOT_TEST_PYTHON` names (`cargo xtask test` installs one), which has what
/// `crates/cli/tests/http/requirements.txt` lists; `None` after a printed skip.
///
/// # Panics
/// If there is none and `CI` or `REPOT_REQUIRE_SERVERS=1` demands it.
#[must_use]
pub fn python() -> Option<PathBuf> {
    tool("REPOT_TEST_PYTHON", "Python with schemathesis")
}

/// The folder that `REPOT_TEST_NODE_MODULES` names (`cargo xtask test` fills one), with what
/// `crates/cli/tests/http/package.json` lists; `None` after a printed skip.
///
/// # Panics
/// As [`python`].
#[must_use]
pub fn node_modules() -> Option<PathBuf> {
    tool("REPOT_TEST_NODE_MODULES", "Node.js with openapi-typescript")
}

/// A new RSA key of 2048 bits, in DER, made by OpenSSL: PKCS #8, or PKCS #1 from some versions; `None` after a printed skip.
///
/// # Panics
/// As [`python`].
#[must_use]
pub fn rsa_key() -> Option<Vec<u8>> {
    let words =
        ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"];
    let made = Command::new("openssl").args(words).output().ok().filter(|made| made.status.success());
    if made.is_none() {
        missing("OpenSSL", "install openssl", &["REPOT_REQUIRE_SERVERS", "CI"]);
    }
    made.map(|made| made.stdout)
}

fn tool(name: &str, what: &str) -> Option<PathBuf> {
    let found = variable(name).map(PathBuf::from);
    if found.is_none() {
        missing(what, "run cargo xtask test", &["REPOT_REQUIRE_SERVERS", "CI"]);
    }
    found
}
