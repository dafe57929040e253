//! What every measurement stands on: a scratch folder, a server where one is wanted, and what machine it is.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::args;
use crate::machine::Machine;
use crate::server::{self, Server};

/// A scratch folder and a server, which go when it is dropped.
#[derive(Debug)]
pub(crate) struct Ground {
    /// This program.
    pub(crate) own: PathBuf,
    /// URL of the server, where one is wanted.
    pub(crate) url: Option<String>,
    /// What the report says of the machine.
    pub(crate) machine: Machine,
    // ends before the folder that it lives in
    _server: Option<Server>,
    scratch: TempDir,
}

impl Ground {
    /// As the arguments say; with a server of its own where one is wanted and none is given.
    pub(crate) fn prepare(arguments: &args::Ground, wants_server: bool) -> Result<Self> {
        let own = std::env::current_exe()?;
        let parent = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = tempfile::Builder::new().prefix("repot-bench").tempdir_in(parent)?;
        open_to_all(scratch.path())?;
        let server = match &arguments.url {
            None if wants_server => Some(Server::start(scratch.path())?),
            _ => None,
        };
        let url = arguments.url.clone().or_else(|| server.as_ref().map(|server| server.url.clone()));
        let url = url.filter(|_| wants_server);
        let machine = Machine::look(url.as_deref().map(server::describe).transpose()?);
        Ok(Self { own, url, machine, _server: server, scratch })
    }

    /// The scratch folder.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The program to measure: the one given, or this workspace's, built for release.
    pub(crate) fn program(&self, given: Option<&Path>) -> Result<PathBuf> {
        if let Some(given) = given {
            return given.canonicalize().with_context(|| format!("looking for {}", given.display()));
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = self.own.ancestors().nth(2).context("this program lies in a target directory")?;
        let mut build = std::process::Command::new("cargo");
        build.args(["build", "--release", "--package", "repot-cli", "--target-dir"]).arg(target);
        let status = build.current_dir(workspace).status().context("starting cargo")?;
        ensure!(status.success(), "repot could not be built");
        Ok(target.join("release").join("repot"))
    }
}

/// The server of its own user must be able to reach its directory.
fn open_to_all(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?)
}
