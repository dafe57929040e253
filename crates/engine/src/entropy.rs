//! The system's secrets, for what is handed an [`Entropy`].

use repot_core::{Entropy, Error, Kind, Result};

/// The operating system's own generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|error| {
            Error::new(Kind::Failed, "R0901", "the operating system gives no random bytes")
                .detail(error.to_string())
                .hint("Nothing secret can be made on this machine; see what is wrong with /dev/urandom.")
        })
    }
}
