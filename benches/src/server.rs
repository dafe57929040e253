//! A throw-away PostgreSQL server, started from what is installed and removed at the end.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::database::Session;

/// The same for every step. Durable, as a server that holds the only copy must be; two sizes are raised so that
/// no step waits for a checkpoint that an earlier one caused.
const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
];
const START_WITHIN: Duration = Duration::from_secs(30);

/// A running server; dropping it stops and removes it.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    binaries: PathBuf,
    directory: TempDir,
    /// Where it is.
    pub(crate) url: String,
}

impl Server {
    /// Starts one below `parent`.
    pub(crate) fn start(parent: &Path) -> Result<Self> {
        let binaries = binaries()?;
        let directory = tempfile::Builder::new().prefix("pg").tempdir_in(parent)?;
        let path = directory.path();
        // the server refuses to run as root, and its own user must reach its directory
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        let data = path.join("data");
        fs::create_dir(&data)?;
        if is_root()? {
            run(Command::new("chown").arg("postgres").arg(&data))?;
        }
        let mut initdb = as_server(&binaries.join("initdb"))?;
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        run(initdb.arg("--no-sync"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = as_server(&binaries.join("postgres"))?;
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        for (name, value) in SETTINGS {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let log = File::create(path.join("log"))?;
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
        let mut server = Self { process, binaries, directory, url };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = Session::open(&self.url) {
            if self.process.try_wait()?.is_some() || start.elapsed() > START_WITHIN {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                return Err(error.context(format!("the throw-away server did not start:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let mut stop = as_server(&self.binaries.join("pg_ctl"))?;
        run(stop.args(["stop", "-m", "immediate", "-D"]).arg(self.directory.path().join("data")))?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop().is_err() {
            // nothing more can be done for a server that is to vanish anyway
            drop(self.process.kill().and_then(|()| self.process.wait()));
        }
    }
}

/// What a server says of itself: version and the settings that matter here.
pub(crate) fn describe(url: &str) -> Result<String> {
    let mut session = Session::open(url)?;
    let mut out = session.text("show server_version")?;
    for name in
        ["fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "max_wal_size"]
    {
        let value = session.text(&format!("show {name}"))?;
        out.push_str(&format!("; {name} {value}"));
    }
    Ok(out)
}

/// The newest installed server's programs.
fn binaries() -> Result<PathBuf> {
    let mut found = Vec::new();
    for place in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt"] {
        for entry in fs::read_dir(place).into_iter().flatten() {
            let path = entry?.path().join("bin");
            if path.join("initdb").is_file() {
                found.push(path);
            }
        }
    }
    let version = |path: &PathBuf| -> u32 {
        let name = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        name.and_then(|name| name.parse().ok()).unwrap_or(0)
    };
    found
        .into_iter()
        .max_by_key(version)
        .context("no PostgreSQL server is installed; install one, give --url, or choose --only sqlite")
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self").or_else(|_missing| fs::metadata("."))?.uid() == 0)
}

/// A command as the user `postgres` when we are root; the server then also ends with us, however we end.
fn as_server(program: &Path) -> Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT", "--"])
        .arg(program);
    command.current_dir("/");
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
