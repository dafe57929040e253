//! A throw-away pgbouncer in transaction mode before the PostgreSQL of the run: every database of it by its name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::folder::Folder;
use super::postgres::Binaries;
use super::process::{Server, free_port};
use crate::command::on_path;

/// Where Debian puts it, which is not on everybody's path.
const PACKAGED: &str = "/usr/sbin/pgbouncer";

/// The program.
pub(super) fn program() -> Option<PathBuf> {
    on_path("pgbouncer").or_else(|| Some(PathBuf::from(PACKAGED)).filter(|path| path.is_file()))
}

/// Starts a pooler before the server on `postgres_port`; gives its URL too.
pub(super) fn start(
    binaries: &Binaries,
    postgres_port: u16,
    folder: &Folder,
    account: &Account,
) -> Result<(Server, String), String> {
    let program = program().ok_or("pgbouncer is not installed")?;
    let home = folder.path().join("pgbouncer");
    account.make_folder(&home)?;
    let port = free_port()?;
    let file = home.join("pgbouncer.ini");
    // Readable to the account, whatever mask this process has; there is no secret in it.
    let written = fs::write(&file, settings(postgres_port, port))
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o644)));
    written.map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    let mut command = account.command(&program, "SIGTERM");
    command.arg(&file).current_dir(&home);
    let log = folder.path().join("pgbouncer.log");
    let mut server = Server::spawn("pgbouncer", &mut command, &log, &["TERM", "KILL"])?;
    let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
    server.await_ready(|| answers(&binaries.folder().join("psql"), &url))?;
    Ok((server, url))
}

/// Nobody is asked who he is: the server behind it trusts everybody too.
fn settings(postgres_port: u16, port: u16) -> String {
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={postgres_port} user=postgres\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 4\n\
         max_client_conn = 100\n"
    )
}

/// Whether a query gets through it to the server and back.
fn answers(psql: &Path, url: &str) -> bool {
    let mut asked = Command::new(psql);
    asked.args(["-X", "-q", "-d", url, "-c", "select 1"]);
    asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_database_is_let_through_a_transaction_at_a_time() {
        let settings = settings(5001, 5002);
        let lines: Vec<&str> = settings.lines().collect();
        for line in [
            "* = host=127.0.0.1 port=5001 user=postgres",
            "listen_port = 5002",
            "pool_mode = transaction",
            "unix_socket_dir =",
        ] {
            assert!(lines.contains(&line), "{line} in {settings}");
        }
    }
}
