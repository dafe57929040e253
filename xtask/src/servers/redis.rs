//! A throw-away Redis that keeps nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use super::account::Account;
use super::folder::Folder;
use super::process::{Server, free_port};
use crate::command::on_path;

/// Redis, or Valkey, which speaks the same protocol.
pub(super) fn program() -> Option<PathBuf> {
    on_path("redis-server").or_else(|| on_path("valkey-server"))
}

/// Starts a server; gives its URL too.
pub(super) fn start(folder: &Folder, account: &Account) -> Result<(Server, String), String> {
    let program = program().ok_or("redis-server is not installed")?;
    let home = folder.path().join("redis");
    account.make_folder(&home)?;
    let port = free_port()?;
    let mut command = account.command(&program, "SIGTERM");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(&home).current_dir(&home);
    let mut server =
        Server::spawn("Redis", &mut command, &folder.path().join("redis.log"), &["TERM", "KILL"])?;
    server.await_ready(|| answers(port))?;
    Ok((server, format!("redis://127.0.0.1:{port}/0")))
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let limited = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut answer = [0; 5];
    limited.is_ok()
        && stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"+PONG"
}
