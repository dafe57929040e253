//! What a process tells the others of what it saw: figures of the last half minute, and counts since it began.

use repot_core::Result;

use super::window::Watched;
use crate::packed::{Packer, Unpacker};

const FORM: u8 = 1;

/// What became of the reads that were sampled, since the processes began that are there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Both stores gave the same text.
    pub same: u64,
    /// The stores differ in the value, or one has the document and the other not.
    pub different: u64,
    /// The text differs, the value is the same.
    pub text_only: u64,
    /// The copy was on its way when it was looked at first: marked, claimed, being written, or its lead was changing. Such a read is looked
    /// at again, up to three times, and counted among the others too when that came to an end.
    pub in_motion: u64,
    /// The copy was older than its document, and nobody had marked it yet; it is marked since. So it is with what other
    /// programs write until it is found.
    pub stale: u64,
    /// Not compared: too many waited, or a store did not answer.
    pub dropped: u64,
}

impl Compared {
    /// Reads that were compared to the end.
    #[must_use]
    pub const fn compared(&self) -> u64 {
        self.same + self.different + self.text_only
    }

    fn fields(&self) -> [u64; 6] {
        [self.same, self.different, self.text_only, self.in_motion, self.stale, self.dropped]
    }

    const fn of([same, different, text_only, in_motion, stale, dropped]: [u64; 6]) -> Self {
        Self { same, different, text_only, in_motion, stale, dropped }
    }
}

/// What one process, or all of them, saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The reads that were compared.
    pub compared: Compared,
    /// The calls of apps in the last half minute.
    pub watched: Watched,
}

impl Figures {
    /// Counts what another process saw too.
    pub fn add(&mut self, other: &Self) {
        let mut fields = self.compared.fields();
        for (count, more) in fields.iter_mut().zip(other.compared.fields()) {
            *count = count.saturating_add(more);
        }
        self.compared = Compared::of(fields);
        self.watched.add(&other.watched);
    }

    pub(in crate::moving) fn pack(&self) -> Vec<u8> {
        let packer =
            self.compared.fields().into_iter().fold(Packer::new(FORM), |packer, count| {
                packer.number(i64::try_from(count).unwrap_or(i64::MAX))
            });
        self.watched.pack(packer).finish()
    }

    pub(in crate::moving) fn unpack(value: &[u8]) -> Result<Self> {
        let mut read = Unpacker::new("the figures of a server", FORM, value)?;
        let mut fields = [0; 6];
        for field in &mut fields {
            *field = u64::try_from(read.number()?).unwrap_or_default();
        }
        Ok(Self { compared: Compared::of(fields), watched: Watched::unpack(&mut read)? })
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Lead;

    use super::{Compared, Figures};
    use crate::moving::watching::Act;

    #[test]
    fn figures_come_back_and_are_added() {
        let compared = Compared { same: 1, different: 2, text_only: 3, in_motion: 4, stale: 5, dropped: 6 };
        let mut figures = Figures { compared, ..Figures::default() };
        figures.watched.note(Lead::New, Act::Read, Some(1_000));
        figures.watched.note(Lead::Old, Act::Write, None);
        assert_eq!(Figures::unpack(&figures.pack()).unwrap(), figures);
        let mut both = figures.clone();
        both.add(&figures);
        assert_eq!((both.compared.compared(), both.compared.dropped), (12, 12));
        assert_eq!(both.watched.all(Lead::Old).failed(), 2);
        let packed = figures.pack();
        for cut in 0..packed.len() {
            assert!(Figures::unpack(&packed[..cut]).is_err(), "{cut}");
        }
    }
}
