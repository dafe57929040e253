//! Real time and real chance, for what is handed a [`Pacing`].

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use repot_core::Pacing;

/// Waits on the runtime of its caller, which must be one of tokio with time enabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioPacing;

#[async_trait]
impl Pacing for TokioPacing {
    async fn pause(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn random(&self) -> u64 {
        // each state has keys of its own, the first of a thread from the system
        RandomState::new().hash_one(std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Pacing as _, TokioPacing};

    #[test]
    fn chance_is_unlike_itself() {
        let numbers: HashSet<u64> = (0..1_000).map(|_| TokioPacing.random()).collect();
        assert_eq!(numbers.len(), 1_000);
        let bits = numbers.iter().fold(0, |bits, number| bits | number);
        assert_eq!(bits, u64::MAX);
    }
}
