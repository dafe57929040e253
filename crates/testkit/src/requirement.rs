//! What a test does when something it needs is not there: skip aloud, or fail where that is demanded.

use std::fs::OpenOptions;
use std::io::Write;

/// Reads a variable of the environment; an empty one counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the test kit is told where the test servers are by the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the long form of tests is asked for: `REPOT_FULL=1`.
#[must_use]
pub fn full() -> bool {
    variable("REPOT_FULL").is_some_and(|value| value == "1")
}

/// What a test by chance begins with: `REPOT_TEST_SEED` to do one again, else another in each process.
#[must_use]
pub fn seed() -> u64 {
    let said = variable("REPOT_TEST_SEED").and_then(|seed| seed.parse().ok());
    said.unwrap_or_else(|| u64::from(std::process::id()) << 20)
}

/// Reports that `what` is missing: panics if one of `demands` is set, else prints a skip.
///
/// `cargo xtask test` names a file in `REPOT_SKIP_LOG`; skips are appended to it, because a test runner hides what a
/// passing test prints and the closing line must still count them.
pub(crate) fn missing(what: &str, remedy: &str, demands: &[&str]) {
    let demanded =
        demands.iter().find(|name| variable(name).is_some_and(|value| value != "0" && value != "false"));
    if let Some(name) = demanded {
        fail(what, remedy, name);
    }
    print_skip(what, remedy);
    if let Some(path) = variable("REPOT_SKIP_LOG") {
        let logged = OpenOptions::new().append(true).create(true).open(&path);
        let logged = logged.and_then(|mut file| file.write_all(format!("{what}\n").as_bytes()));
        logged.expect("the file named by REPOT_SKIP_LOG can be written");
    }
}

#[expect(clippy::panic, reason = "a demanded check that cannot run is a failed check")]
fn fail(what: &str, remedy: &str, demand: &str) -> ! {
    panic!("no {what}, and {demand} demands it ({remedy})");
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn print_skip(what: &str, remedy: &str) {
    eprintln!("skipped: no {what} ({remedy})");
}
