//! Programs in other languages that tests run: schemathesis and generators of clients.

use std::path::PathBuf;

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

fn tool(name: &str, what: &str) -> Option<PathBuf> {
    let found = variable(name).map(PathBuf::from);
    if found.is_none() {
        missing(what, "run cargo xtask test", &["REPOT_REQUIRE_SERVERS", "CI"]);
    }
    found
}
