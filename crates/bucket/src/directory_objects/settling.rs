//! When no write of a file with a deadline can happen any more: the time is over, and the lock of its folder was ours once after
//! that. A writer looks at the time under this lock, and holds it until the file is in its place; so whoever looked before the
//! deadline has written, and whoever looks later is refused.

use std::thread;
use std::time::{Duration, Instant};

use repot_core::Result;
use repot_core::store::unsettled;
use rustix::io::Errno;

use super::{Folder, is_nothing, name};
use crate::path_rules::split;

/// How long somebody may hold the lock after the deadline until we give up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

impl Folder {
    pub(super) fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.settle_within(path, until_ms, PATIENCE)
    }

    pub(super) fn settle_within(&self, path: &str, until_ms: i64, patience: Duration) -> Result<()> {
        // nothing can be written there
        let Ok(whole) = name(path) else { return Ok(()) };
        let (parent, _) = split(&whole);
        let left_ms = until_ms.saturating_sub(self.clock.now_ms());
        let wait = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)).saturating_add(patience);
        let since = Instant::now();
        loop {
            let mut why = "it is not the time yet";
            if self.clock.now_ms() >= until_ms {
                match self.lock_at_once(parent) {
                    // where there is no folder nobody writes in it
                    Ok(Some(_ours)) => return Ok(()),
                    Err(error) if is_nothing(error) => return self.is_there(),
                    Err(Errno::WOULDBLOCK) => why = "a process holds the lock of its folder",
                    Ok(None) | Err(Errno::INTR) => why = "its folder comes and goes",
                    Err(error) => return Err(self.trouble(path, error)),
                }
            }
            if since.elapsed() >= wait {
                return Err(unsettled(&self.shown, path, why));
            }
            thread::sleep(PAUSE);
        }
    }
}
