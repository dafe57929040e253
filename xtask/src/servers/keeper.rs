//! The keeper: a process of its own that starts the servers, waits for the end of the run, and cleans up.

use std::io::{self, Write};

use super::account::Account;
use super::folder::Folder;
use super::postgres::{self, Binaries};
use super::{pgbouncer, redis};

/// The hidden command by which this program starts itself as the keeper.
pub(crate) const KEEP: &str = "keep-servers";

/// Starts the servers, prints the variables that name them and `ready`, and stops them when its input ends.
pub(crate) fn keep() -> Result<(), String> {
    let account = Account::current()?;
    let folder = Folder::create()?;
    let binaries = Binaries::find().ok_or("PostgreSQL's server programs are not installed")?;
    // Declared after the folder, so that they are stopped before it is removed, also when a later one does not start.
    let (postgres, postgres_url, port) = postgres::start(&binaries, &folder, &account)?;
    let (pgbouncer, pgbouncer_url) = pgbouncer::start(&binaries, port, &folder, &account)?;
    let (redis, redis_url) = redis::start(&folder, &account)?;
    let bin = binaries.folder().display();
    let log = folder.path().join("skipped");
    let mut out = io::stdout().lock();
    let told = write!(
        out,
        "REPOT_TEST_POSTGRES={postgres_url}\nREPOT_TEST_POSTGRES_BIN={bin}\nREPOT_TEST_PGBOUNCER={pgbouncer_url}\nREPOT_TEST_REDIS={redis_url}\nREPOT_SKIP_LOG={}\nready\n",
        log.display()
    );
    if told.and_then(|()| out.flush()).is_ok() {
        // Nothing is ever written to this pipe: reading it ends when the other process does.
        io::copy(&mut io::stdin().lock(), &mut io::sink())
            .map_err(|error| format!("the pipe broke: {error}"))?;
    }
    redis.stop()?;
    pgbouncer.stop()?;
    postgres.stop()?;
    folder.remove()
}
