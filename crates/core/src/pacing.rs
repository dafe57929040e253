//! Waiting and chance come in through the door: what must wait a while, or be unlike everything else, is handed a
//! [`Pacing`].

use std::fmt::Debug;

use async_trait::async_trait;

/// Waits and throws dice.
#[async_trait]
pub trait Pacing: Debug + Send + Sync + 'static {
    /// Comes back after about this time.
    async fn pause(&self, ms: u64);

    /// Any number, as likely as every other; no two processes get the same ones.
    fn random(&self) -> u64;
}
