//! A Redis server of a test's own, which it may stop and start again.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::requirement::{missing, variable};

/// A throw-away server that no other test uses and that keeps nothing. It ends with the value.
#[derive(Debug)]
pub struct OwnRedis {
    program: &'static str,
    port: u16,
    server: Option<Child>,
}

/// The URL of the server that tests share (`REPOT_TEST_REDIS`; `cargo xtask test` starts it), or `None` after a printed skip.
/// Tests use names of their own on it.
///
/// # Panics
/// If there is none and `CI` or `REPOT_REQUIRE_SERVERS=1` demands it.
#[must_use]
pub fn redis() -> Option<String> {
    let found = variable("REPOT_TEST_REDIS");
    if found.is_none() {
        missing("Redis", "run cargo xtask test", &["REPOT_REQUIRE_SERVERS", "CI"]);
    }
    found
}

impl OwnRedis {
    /// Starts one, or `None` after a printed skip where there is no Redis for tests.
    ///
    /// # Panics
    /// As [`redis`], and if the server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        redis()?;
        let program = ["redis-server", "valkey-server"].into_iter().find(|program| {
            let asked = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            asked.is_ok_and(|asked| asked.success())
        });
        let program = program.expect("the program is installed wherever a Redis for tests is");
        // whoever asks the operating system for a port next is given another one
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let mut own = Self { program, port: port.expect("there is a free port").port(), server: None };
        own.start_again();
        Some(own)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Ends the server where it stands; gives control back when it is gone.
    ///
    /// # Panics
    /// If it does not run or cannot be ended.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().expect("the server can be ended");
        server.wait().expect("the server can be waited for");
    }

    /// Starts the server again, empty, under the same address; gives control back when it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let mut command = Command::new(self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--port").arg(self.port.to_string()).current_dir(std::env::temp_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = command.spawn().expect("the server can be started");
        while !self.answers() {
            let ended = server.try_wait().expect("the server can be looked at");
            assert!(ended.is_none(), "the server ended at once");
            std::thread::yield_now();
        }
        self.server = Some(server);
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0; 5];
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"+PONG"
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
    }
}
