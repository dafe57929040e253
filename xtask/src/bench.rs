//! `cargo xtask bench`: the benchmarks are a crate of their own, built for release.

use crate::command::{self, cargo, root};

/// Runs the benchmark program with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    if !root().join("benches/Cargo.toml").is_file() {
        return Err(
            "there is no crate repot-bench (benches/Cargo.toml), so there is nothing to measure".to_owned()
        );
    }
    command::run(cargo(&["run", "--release", "--package", "repot-bench", "--"]).args(arguments))
}
