//! A PostgreSQL server of a test's own, which it may stop and start again.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::TempTree;
use crate::postgres::{PgServer, find_psql, folders, postgres};

/// What is needed of a PostgreSQL installation.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_isready"];

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, what was committed is written down, and it goes.
    Fast,
    /// It drops everything where it stands, and recovers when it starts again.
    Immediate,
    /// kill -9 of all of it.
    Killed,
}

/// A throw-away server that no other test uses. It ends with the value.
#[derive(Debug)]
pub struct OwnPostgres {
    folder: TempTree,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl OwnPostgres {
    /// Makes a cluster and starts it, or `None` after a printed skip where there is no PostgreSQL for tests.
    ///
    /// # Panics
    /// As [`postgres`], and if the server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        postgres()?;
        let complete = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
        let programs = folders().find(complete);
        let programs = programs.expect("initdb is installed wherever a PostgreSQL server for tests is");
        let folder = TempTree::new();
        let owner = owner();
        std::fs::create_dir(folder.join("pg")).expect("a folder for the server can be made");
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
            chown(folder.join("pg"), Some(user), Some(group)).expect("root may give a folder away");
        }
        // whoever asks the operating system for a port next is given another one
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = port.expect("there is a free port").port();
        let mut own = Self { folder, programs, owner, port, server: None };
        let mut initdb = own.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        let made = initdb.arg(own.home().join("data")).output().expect("initdb can be started");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        own.start_again();
        Some(own)
    }

    /// The server as tests use the shared one.
    ///
    /// # Panics
    /// If psql is not there.
    #[must_use]
    pub fn server(&self) -> PgServer {
        let psql = find_psql().expect("psql is installed wherever a PostgreSQL server for tests is");
        PgServer { url: format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port), psql }
    }

    /// Stops the server; gives control back when it is gone with all its sessions.
    ///
    /// # Panics
    /// If it does not run or cannot be stopped.
    pub fn stop(&mut self, how: Stop) {
        let mut server = self.server.take().expect("the server runs");
        let signal = match how {
            Stop::Fast => "-INT",
            Stop::Immediate => "-QUIT",
            // so that it starts nobody else
            Stop::Killed => "-STOP",
        };
        // the child is not yet waited for, so its number cannot have gone to another process
        let sent = Command::new("kill").arg(signal).arg(server.id().to_string()).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "the server can be told to stop");
        if how == Stop::Killed {
            let sessions = children(server.id());
            server.kill().expect("the server can be killed");
            for session in &sessions {
                // one that ended by itself is gone already
                let _gone = Command::new("kill").args(["-KILL", session]).stderr(Stdio::null()).status();
            }
            while sessions.iter().any(|session| is_alive(session)) {
                std::thread::yield_now();
            }
        }
        server.wait().expect("the server can be waited for");
    }

    /// Starts the server again, under the same address; gives control back when it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = File::options().append(true).create(true).open(self.folder.join("log"));
        let log = log.expect("the server's log can be written");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.home().join("data")).arg("-k").arg(self.home());
        command.arg("-p").arg(self.port.to_string());
        // a process that ends loses nothing that the operating system was given, so no power cut has to be survived
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=32MB",
            // whoever is cut off leaves its sessions behind for a while
            "max_connections=300",
        ] {
            command.args(["-c", setting]);
        }
        let err = log.try_clone().expect("a file can be shared");
        let mut server = command.stdout(log).stderr(err).spawn().expect("the server can be started");
        loop {
            let ended = server.try_wait().expect("the server can be looked at");
            let said = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "the server ended at once: {}", said());
            let mut asked = Command::new(self.programs.join("pg_isready"));
            asked.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if asked.status().expect("pg_isready can be started").success() {
                break;
            }
        }
        self.server = Some(server);
    }

    fn home(&self) -> PathBuf {
        self.folder.join("pg")
    }

    /// A command as whom the server runs: PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.owner {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
                // a test that is killed takes its server along
                command.args(["--pdeathsig", "SIGINT", "--"]).arg(program);
                command
            }
        };
        command.current_dir(self.home()).stdin(Stdio::null());
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop(Stop::Immediate);
        }
    }
}

/// What `/proc/PROCESS/stat` says after the name: state, parent, ...
fn stat(process: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn children(parent: u32) -> Vec<String> {
    let parent = parent.to_string();
    let processes = std::fs::read_dir("/proc").expect("the processes can be listed").flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| stat(name).is_some_and(|stat| stat.get(1) == Some(&parent))).collect()
}

fn is_alive(process: &str) -> bool {
    stat(process).is_some_and(|stat| stat.first().is_some_and(|state| state != "Z"))
}

/// User and group that the server runs as, where this process runs as root.
fn owner() -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").expect("the system says who runs this");
    if own.uid() != 0 {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("the accounts can be read");
    let find = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("there is an account that may run a server"))
}

#[cfg(test)]
mod tests {
    use super::{OwnPostgres, Stop};

    #[test]
    fn what_was_committed_is_there_after_each_way_to_stop() {
        let Some(mut own) = OwnPostgres::start() else { return };
        let server = own.server();
        let url = server.fresh_database();
        assert_eq!(server.query(&url, "create table t(i int)"), "");
        for (round, how) in [Stop::Fast, Stop::Immediate, Stop::Killed].into_iter().enumerate() {
            assert_eq!(server.query(&url, "insert into t values (7)"), "");
            own.stop(how);
            assert!(server.try_query(&url, "select 1").is_err(), "it is gone");
            own.start_again();
            assert_eq!(server.query(&url, "select count(*) from t"), format!("{}\n", round + 1));
        }
    }
}
