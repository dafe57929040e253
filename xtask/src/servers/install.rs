//! Installing the servers where that is possible without asking: as root on Debian and its kin.

use std::process::Command;

use super::account::is_root;
use super::postgres::Binaries;
use super::{pgbouncer, redis};
use crate::command::{on_path, output};

/// Makes sure that all servers are installed, and what runs the tests in other languages.
pub(crate) fn ensure() -> Result<(), String> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    if on_path("apt-get").is_none() || !is_root()? {
        return Err(by_hand(&packages));
    }
    println!("installing {}", packages.join(" "));
    output(&mut apt(&["update", "-qq"]))?;
    output(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(&packages))?;
    let still = missing();
    if still.is_empty() { Ok(()) } else { Err(by_hand(&still)) }
}

fn missing() -> Vec<&'static str> {
    let postgres = Binaries::find().is_none().then_some("postgresql");
    let redis = redis::program().is_none().then_some("redis-server");
    let pgbouncer = pgbouncer::program().is_none().then_some("pgbouncer");
    let python = on_path("python3").is_none().then_some("python3-venv");
    let node = on_path("npm").is_none().then_some("npm");
    [postgres, pgbouncer, redis, python, node].into_iter().flatten().collect()
}

fn by_hand(packages: &[&str]) -> String {
    format!(
        "the tests need programs that are not installed: {names}. Install them by hand and run this again:\n  \
         Debian, Ubuntu: sudo apt-get install --no-install-recommends {names}\n  \
         Fedora:         sudo dnf install postgresql-server pgbouncer redis python3 npm\n  \
         macOS:          brew install postgresql pgbouncer redis python node",
        names = packages.join(" ")
    )
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
    command
}
