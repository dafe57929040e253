//! A throw-away PostgreSQL cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::folder::Folder;
use super::process::{Server, free_port};
use crate::command::{on_path, output};

/// The folder with PostgreSQL's programs.
#[derive(Debug)]
pub(super) struct Binaries(PathBuf);

impl Binaries {
    /// Debian's folders, newest version first, then the path.
    pub(super) fn find() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut packaged: Vec<(u32, PathBuf)> = versions
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        packaged.sort_by(|left, right| right.cmp(left));
        let on_path =
            on_path("initdb").and_then(|found| Some(fs::canonicalize(found).ok()?.parent()?.to_path_buf()));
        let folders = packaged.into_iter().map(|(_, folder)| folder).chain(on_path);
        folders.into_iter().find(|folder| Self::complete(folder)).map(Self)
    }

    /// Where the programs are.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    fn complete(folder: &Path) -> bool {
        ["postgres", "initdb", "pg_isready", "psql"].iter().all(|program| folder.join(program).is_file())
    }
}

/// Makes a cluster in the folder and starts it; gives its URL and port too.
pub(super) fn start(
    binaries: &Binaries,
    folder: &Folder,
    account: &Account,
) -> Result<(Server, String, u16), String> {
    let home = folder.path().join("pg");
    account.make_folder(&home)?;
    let data = home.join("data");
    let mut initdb = account.command(&binaries.0.join("initdb"), "SIGTERM");
    initdb.args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    output(initdb.arg("-D").arg(&data).current_dir(&home))?;
    let port = free_port()?;
    let mut command = account.command(&binaries.0.join("postgres"), "SIGINT");
    command.arg("-D").arg(&data).arg("-k").arg(&home).arg("-p").arg(port.to_string()).current_dir(&home);
    // Nothing here has to survive a power cut, but a commit must mean what it means to users.
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "full_page_writes=off",
        "synchronous_commit=on",
        "shared_buffers=64MB",
        "max_wal_size=1GB",
        "max_connections=100",
        "logging_collector=off",
    ] {
        command.args(["-c", setting]);
    }
    let mut server =
        Server::spawn("PostgreSQL", &mut command, &folder.path().join("pg.log"), &["INT", "QUIT", "KILL"])?;
    let port_text = port.to_string();
    let isready = binaries.0.join("pg_isready");
    server.await_ready(|| {
        let mut asked = Command::new(&isready);
        asked.args(["-q", "-h", "127.0.0.1", "-p", &port_text]);
        asked.status().is_ok_and(|status| status.success())
    })?;
    Ok((server, format!("postgresql://postgres@127.0.0.1:{port}/postgres"), port))
}
