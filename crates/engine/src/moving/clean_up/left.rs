//! What the database knows of the old store after the end of a move.

use repot_core::store::{FactChange, FactValue, FactWhen};
use repot_core::{Error, Kind, Result};

use super::super::journal::{Journal, done};
use crate::packed::{Packer, Unpacker, damaged};

/// Kind and name of the one fact.
const LEFT: &str = "move_left";
const NAME: &str = "source";
const FORM: u8 = 1;

/// How far its removal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is as it was left.
    Kept,
    /// Its removal has begun; some of it may be gone.
    Removing {
        /// When, milliseconds since 1970.
        since_ms: i64,
    },
    /// What was to be removed is gone.
    Removed {
        /// When, milliseconds since 1970.
        at_ms: i64,
        /// Objects that were left, each for a reason.
        left: u64,
    },
}

/// The old store after the end of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftSource {
    /// Where its receipt is, beside it: a path ending in `/`.
    pub folder: String,
    /// SHA-256 of the list of the receipt's parts.
    pub sha256: [u8; 32],
    /// When the database was proved, milliseconds since 1970.
    pub at_ms: i64,
    /// Until when it is kept, milliseconds since 1970.
    pub kept_until_ms: i64,
    /// Objects that the receipt names.
    pub objects: u64,
    /// And their bytes.
    pub bytes: u64,
    /// How far its removal is.
    pub state: Left,
}

impl LeftSource {
    pub(super) fn new(
        (folder, sha256): (String, [u8; 32]),
        (at_ms, kept_until_ms): (i64, i64),
        (objects, bytes): (u64, u64),
    ) -> Self {
        Self { folder, sha256, at_ms, kept_until_ms, objects, bytes, state: Left::Kept }
    }

    /// Whether it is no longer needed, and still there.
    #[must_use]
    pub const fn is_removable(&self, now_ms: i64) -> bool {
        now_ms >= self.kept_until_ms && !matches!(self.state, Left::Removed { .. })
    }

    fn pack(&self) -> Vec<u8> {
        let Self { folder, sha256, at_ms, kept_until_ms, objects, bytes, state } = self;
        let (number, ms, left) = match state {
            Left::Kept => (1, 0, 0),
            Left::Removing { since_ms } => (2, *since_ms, 0),
            Left::Removed { at_ms, left } => (3, *at_ms, *left),
        };
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let packer = Packer::new(FORM).number(number).bytes(folder.as_bytes()).bytes(sha256);
        let packer =
            packer.number(*at_ms).number(*kept_until_ms).number(count(*objects)).number(count(*bytes));
        packer.number(ms).number(count(left)).finish()
    }

    /// `None`: a move is on its way again, and the old store in use.
    fn unpack(value: &[u8]) -> Result<Option<Self>> {
        let mut read = Unpacker::new("the end of a move", FORM, value)?;
        let wrong = || damaged("the end of a move");
        let number = read.number()?;
        if number == 0 {
            return Ok(None);
        }
        let (folder, sha256) = (read.text()?, read.bytes()?.try_into().map_err(|_length| wrong())?);
        let (at_ms, kept_until_ms) = (read.number()?, read.number()?);
        let count = |read: &mut Unpacker<'_>| u64::try_from(read.number()?).map_err(|_negative| wrong());
        let (objects, bytes) = (count(&mut read)?, count(&mut read)?);
        let (ms, left) = (read.number()?, count(&mut read)?);
        let state = match number {
            1 => Left::Kept,
            2 => Left::Removing { since_ms: ms },
            3 => Left::Removed { at_ms: ms, left },
            _ => return Err(wrong()),
        };
        Ok(Some(Self { folder, sha256, at_ms, kept_until_ms, objects, bytes, state }))
    }

    /// The fact of it, to be noted in the transaction that ends the move.
    pub(in super::super) fn noting(&self) -> FactChange {
        FactChange::put(LEFT, NAME, FactValue::lasting(self.pack()))
    }
}

/// The fact for a move that ends without a receipt.
pub(in super::super) fn without() -> FactChange {
    FactChange::remove(LEFT, NAME)
}

/// The old store was removed, or is about to be.
fn removed() -> Error {
    Error::new(Kind::Refused, "R0743", "the source of this database was removed after its move was finished")
        .hint("To move again, copy the source into a fresh database: repot export DIR writes it.")
}

/// What is known of the old store changes when a move begins: it is in use again, and what was written of it before counts no
/// more. Under the condition that nobody began to remove it meanwhile.
///
/// # Errors
/// `R0743` when somebody did before.
pub(in super::super) async fn in_use(journal: &Journal) -> Result<FactChange> {
    let change = FactChange::put(LEFT, NAME, FactValue::lasting(Packer::new(FORM).number(0).finish()));
    Ok(match journal.left_at().await? {
        None => change.when(FactWhen::Absent),
        Some((None, version)) => change.when(FactWhen::Version(version)),
        Some((Some(left), version)) if left.state == Left::Kept => change.when(FactWhen::Version(version)),
        Some(_) => return Err(removed()),
    })
}

impl Journal {
    /// The old store, after the end of the move; `None`: it is in use, or its move ended without a receipt.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn left(&self) -> Result<Option<LeftSource>> {
        Ok(self.left_at().await?.and_then(|(left, _)| left))
    }

    /// The same with the version to demand, also where it is in use.
    pub(super) async fn left_at(&self) -> Result<Option<(Option<LeftSource>, i64)>> {
        let found = self.ledger()?.fact(LEFT, NAME).await?;
        found.map(|fact| Ok((LeftSource::unpack(&fact.value)?, fact.version))).transpose()
    }

    /// Goes on from the state with this version; `false`: it is another by now.
    pub(super) async fn leave_as(&self, version: i64, to: &LeftSource) -> Result<bool> {
        done(self.ledger()?.note(to.noting().when(FactWhen::Version(version))).await)
    }
}

#[cfg(test)]
mod tests {
    use super::{Left, LeftSource};

    #[test]
    fn it_comes_back_and_is_removable_after_its_time() {
        let mut left = LeftSource::new(("f/".to_owned(), [9; 32]), (1_000, 2_000), (3, 4));
        for state in [Left::Kept, Left::Removing { since_ms: 5 }, Left::Removed { at_ms: 6, left: 7 }] {
            left.state = state;
            assert_eq!(LeftSource::unpack(&left.pack()).unwrap(), Some(left.clone()));
            for cut in 0..left.pack().len() {
                assert!(LeftSource::unpack(&left.pack()[..cut]).is_err(), "{cut}");
            }
            let is_there = !matches!(state, Left::Removed { .. });
            assert_eq!((left.is_removable(1_999), left.is_removable(2_000)), (false, is_there));
        }
    }
}
