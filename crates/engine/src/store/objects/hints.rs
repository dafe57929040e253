//! [`RowHints`]: the log of a database as what tells those at once who follow its documents.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use repot_core::change_log::ChangeKind;
use repot_core::moving::{Hinted, Hints};
use repot_core::store::{ChangeFeed as _, ChangePosition, ChangeScope, Whereabouts};
use repot_core::{Kind, Pacing, Result};

use crate::store::row_store::RowStore;

/// How long until the log is looked at again, milliseconds; after an error, longer.
const LOOK_MS: u64 = 50;
const AWAY_MS: u64 = 1_000;
/// Entries read at once.
const READ_AT_ONCE: usize = 500;

/// Tells which objects of a database changed, from its log.
pub struct RowHints {
    rows: Arc<RowStore>,
    pacing: Arc<dyn Pacing>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Up to where the log was read; `None`: its end is not known yet.
    read: Option<ChangePosition>,
    found: Hinted,
    is_away: bool,
}

impl RowHints {
    /// From the end of the log on, as it is when it is first waited for.
    #[must_use]
    pub fn new(rows: Arc<RowStore>, pacing: Arc<dyn Pacing>) -> Self {
        Self { rows, pacing, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on. A call that is dropped has read nothing.
    async fn read(&self) -> Result<()> {
        let read = self.state().read;
        let Some(read) = read else {
            let end = self.rows.position().await?;
            // what came before is for scans to find
            self.begin(end);
            return Ok(());
        };
        let page = self.rows.changes(&ChangeScope::Everything, read, READ_AT_ONCE).await;
        let page = match page {
            // the log was cut off before
            Err(error) if error.kind() == Kind::Refused => {
                let end = self.rows.position().await?;
                self.begin(end);
                return Ok(());
            }
            page => page?,
        };
        let mut state = self.state();
        state.read = Some(page.next);
        for entry in page.entries {
            if entry.kind == ChangeKind::Collection {
                state.found.lost = true;
            } else if let Some(path) = entry.path {
                state.found.paths.insert(path);
            } else if let Ok(Whereabouts { paths, elsewhere }) = self.rows.layout().whereabouts(&entry.key) {
                state.found.lost |= elsewhere;
                state.found.paths.extend(paths);
            }
        }
        Ok(())
    }

    fn begin(&self, end: ChangePosition) {
        let mut state = self.state();
        state.read = Some(end);
        state.found.lost = true;
    }
}

impl fmt::Debug for RowHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowHints").field("rows", &self.rows).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hints for RowHints {
    async fn wait(&self) {
        loop {
            let read = self.read().await;
            let (is_found, ms) = {
                let mut state = self.state();
                state.is_away = read.is_err();
                (!state.found.is_empty(), if state.is_away { AWAY_MS } else { LOOK_MS })
            };
            if is_found {
                return;
            }
            self.pacing.pause(ms).await;
        }
    }

    fn take(&self) -> Hinted {
        std::mem::take(&mut self.state().found)
    }

    fn is_whole(&self) -> bool {
        let state = self.state();
        state.read.is_some() && !state.is_away
    }
}
