//! Where an export goes.

use std::fmt::Debug;

use crate::error::Result;

/// Gives the pieces of an object, one after the other, to the function it is handed.
pub type Pieces<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

/// Takes objects. Each object appears whole or not at all.
pub trait Sink: Debug + Sync {
    /// Writes an object. May be called from several threads at once.
    ///
    /// # Errors
    /// `R0804` when the path cannot be an object here (the export goes on); others end the export.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Writes an object that comes in pieces.
    ///
    /// # Errors
    /// As [`Sink::write`], or what `pieces` fails with.
    fn write_pieces(&self, path: &str, pieces: Pieces<'_>) -> Result<()>;

    /// Makes everything written durable.
    ///
    /// # Errors
    /// When it cannot.
    fn finish(&self) -> Result<()>;
}
