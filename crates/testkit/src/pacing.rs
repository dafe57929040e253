//! Waiting without time, for tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use repot_core::Pacing;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Pauses end when others had their turn; what was waited is counted. Random numbers are the same in each run of one
/// process, and differ between processes.
#[derive(Debug, Default)]
pub struct QuickPacing {
    waited_ms: AtomicU64,
}

impl QuickPacing {
    /// All pauses so far.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Pacing for QuickPacing {
    async fn pause(&self, ms: u64) {
        self.waited_ms.fetch_add(ms, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    fn random(&self) -> u64 {
        // splitmix64
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let seed = count.wrapping_add(u64::from(std::process::id()) << 32);
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
