//! When nothing comes any more: a deadline is looked at within a transaction, which may commit a moment later. So it counts as passed
//! once every transaction has ended that was writing after it.

use repot_core::store::unsettled;
use repot_core::{Result, Retry};
use tokio::sync::oneshot;

use super::row_objects::RowObjects;
use crate::store::queue::Task;
use crate::store::writing::lost;

/// How long the time, and then those who are writing, are waited for, milliseconds.
const WAIT_MS: i64 = 5_000;
/// How long between looks at those who are writing.
const LOOK_MS: u64 = 5;

impl RowObjects {
    pub(super) async fn settled(&self, path: &str, until_ms: i64) -> Result<()> {
        let early_ms = until_ms.saturating_sub(self.rows.now_ms());
        if early_ms > WAIT_MS {
            return Err(unsettled(self, path, "it is not the time yet"));
        }
        if early_ms > 0 {
            self.pacing.pause(u64::try_from(early_ms).unwrap_or(0)).await;
            if self.rows.now_ms() < until_ms {
                return Err(unsettled(self, path, "it is not the time yet"));
            }
        }
        self.ended(path).await
    }

    /// Comes back when every transaction is over that is writing now.
    pub(super) async fn ended(&self, path: &str) -> Result<()> {
        let began_ms = self.rows.now_ms();
        let mut open = self.writers().await?;
        // a clock may stand still, and a look may take long
        let mut looks = WAIT_MS.unsigned_abs() / LOOK_MS;
        while !open.is_empty() {
            if looks == 0 || self.rows.now_ms() - began_ms >= WAIT_MS {
                return Err(unsettled(self, path, "a transaction that began before is not over"));
            }
            looks -= 1;
            self.pacing.pause(LOOK_MS).await;
            let now = self.writers().await?;
            open.retain(|one| now.contains(one));
        }
        Ok(())
    }

    /// The transactions that are writing now.
    async fn writers(&self) -> Result<Vec<String>> {
        let (to, from) = oneshot::channel();
        self.rows.write(Task::Writers(to)).await.map(drop)?;
        from.await.map_err(|_gone| lost("who writes").retry(Retry::Safe))?
    }
}
