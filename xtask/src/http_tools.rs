//! What tests of the HTTP API need of other languages: schemathesis and generators of clients, in a folder of the build,
//! installed once for each list of them.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{on_path, output, root};

/// Where the lists stand.
const LISTS: &str = "crates/cli/tests/http";

/// Written last, so that a folder without it is begun again.
const COMPLETE: &str = "complete";

/// Makes sure that they are there; gives the variables that name them to tests.
pub(crate) fn ensure() -> Result<Vec<(&'static str, PathBuf)>, String> {
    let python = folder("python", &["requirements.txt"], |folder| {
        let program = on_path("python3").ok_or("the tests of the HTTP API need python3 (with venv)")?;
        output(Command::new(program).args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]);
        output(pip.arg(root().join(LISTS).join("requirements.txt"))).map(drop)
    })?;
    let node = folder("node", &["package.json", "package-lock.json"], |folder| {
        let program = on_path("npm").ok_or("the tests of the HTTP API need node and npm")?;
        for name in ["package.json", "package-lock.json"] {
            let copied = fs::copy(root().join(LISTS).join(name), folder.join(name));
            copied.map_err(|error| format!("{name} cannot be copied: {error}"))?;
        }
        output(Command::new(program).args(["ci", "--no-audit", "--no-fund"]).current_dir(folder)).map(drop)
    })?;
    Ok(vec![
        ("REPOT_TEST_PYTHON", python.join("bin/python")),
        ("REPOT_TEST_NODE_MODULES", node.join("node_modules")),
    ])
}

/// The folder of a kind, filled unless it is complete.
fn folder(
    kind: &str,
    lists: &[&str],
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let mut hash = DefaultHasher::new();
    for name in lists {
        let list = fs::read(root().join(LISTS).join(name));
        list.map_err(|error| format!("{name} cannot be read: {error}"))?.hash(&mut hash);
    }
    let folder = target().join("http-tools").join(format!("{kind}-{:016x}", hash.finish()));
    if folder.join(COMPLETE).is_file() {
        return Ok(folder);
    }
    println!("installing {} for the tests", lists.join(", "));
    let failed = |error: std::io::Error| format!("{} cannot be made: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    fill(&folder)?;
    fs::write(folder.join(COMPLETE), "").map_err(failed)?;
    Ok(folder)
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
