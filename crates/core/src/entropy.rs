//! Secrets come in through the door: what makes keys is handed an [`Entropy`].

use std::fmt::Debug;

use crate::error::Result;

/// Gives bytes that nobody can guess, good for keys. ([`crate::Pacing`] only throws dice.)
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// When the system has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}
