//! Differences between the two stores, as facts of the new one: both sides, why, when and how often.

use repot_core::moving::Lead;
use repot_core::store::{
    DocumentKey, Fact, FactChange, FactStep, FactValue, FactWhen, LedgerExt as _, UnitOfWork,
};
use repot_core::{Error, Kind, Result};
use repot_json::patch::same_value;
use repot_json::{Limits, Tree};

use super::journal::{CLAIM, DIFFERENCE, Journal, done};
use super::names::{name, pack_key, read_key};
use crate::packed::{Packer, Unpacker, damaged};
use crate::prepare::sha256;

const FORM: u8 = 1;
/// Differences that are kept; more are only counted.
pub(super) const KEPT: u64 = 1_000;
/// Bytes of a text that are kept.
const TEXT_BYTES: usize = 16 << 10;

/// In what two stores differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The old store does not have the document.
    MissingInOld,
    /// The new store does not have it.
    MissingInNew,
    /// Both have it, with another value.
    Value,
    /// The value is the same, the text is not.
    TextOnly,
}

impl Cause {
    /// What differs between the texts of the old and the new store; `None`: nothing.
    #[must_use]
    pub fn of(old: Option<&[u8]>, new: Option<&[u8]>, limits: Limits) -> Option<Self> {
        match (old, new) {
            (None, None) => None,
            (None, Some(_)) => Some(Self::MissingInOld),
            (Some(_), None) => Some(Self::MissingInNew),
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => {
                let tree = |text| Tree::parse(text, limits).ok();
                let (one, other) = (tree(old), tree(new));
                let values = one.as_ref().and_then(|tree| tree.root(old));
                let values = values.zip(other.as_ref().and_then(|tree| tree.root(new)));
                let is_same = values.is_some_and(|(old, new)| same_value(old, new));
                Some(if is_same { Self::TextOnly } else { Self::Value })
            }
        }
    }

    /// For people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MissingInOld => "not in the old store",
            Self::MissingInNew => "not in the new store",
            Self::Value => "another value",
            Self::TextOnly => "the same value, written otherwise",
        }
    }
}

/// The text of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The first 16 KiB.
    pub text: Vec<u8>,
    /// Bytes of the whole.
    pub size_bytes: u64,
    /// SHA-256 of the whole.
    pub sha256: Vec<u8>,
}

impl Side {
    fn of(text: &[u8]) -> Self {
        let begin = text.get(..TEXT_BYTES).unwrap_or(text).to_vec();
        Self { text: begin, size_bytes: text.len() as u64, sha256: sha256(text) }
    }
}

/// A difference is known, and counts no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Since when, milliseconds since 1970.
    pub at_ms: i64,
    /// Why, for people.
    pub reason: String,
}

/// A document that is not the same in both stores, though nothing of it was on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which one.
    pub key: DocumentKey,
    /// In what.
    pub cause: Cause,
    /// What the old store has.
    pub old: Option<Side>,
    /// What the new store has.
    pub new: Option<Side>,
    /// Who led it.
    pub lead: Lead,
    /// In which epoch of the move.
    pub epoch: i64,
    /// When it was found first, milliseconds since 1970.
    pub first_ms: i64,
    /// When it was found last, milliseconds since 1970.
    pub last_ms: i64,
    /// How often it was found.
    pub times: i64,
    /// It is known and counts no more.
    pub ignored: Option<Ignored>,
}

impl Difference {
    /// As it was found now.
    pub(super) fn found(
        key: &DocumentKey,
        (lead, epoch): (Lead, i64),
        (cause, now_ms): (Cause, i64),
        (old, new): (Option<&[u8]>, Option<&[u8]>),
    ) -> Self {
        Self {
            key: key.clone(),
            cause,
            old: old.map(Side::of),
            new: new.map(Side::of),
            lead,
            epoch,
            first_ms: now_ms,
            last_ms: now_ms,
            times: 1,
            ignored: None,
        }
    }

    fn again(self, before: &Self) -> Self {
        let ignored = before.ignored.clone();
        Self { first_ms: before.first_ms, times: before.times.saturating_add(1), ignored, ..self }
    }

    fn pack(&self) -> Vec<u8> {
        let cause = match self.cause {
            Cause::MissingInOld => 0,
            Cause::MissingInNew => 1,
            Cause::Value => 2,
            Cause::TextOnly => 3,
        };
        let mut packer = Packer::new(FORM).bytes(&pack_key(&self.key)).number(cause);
        for side in [&self.old, &self.new] {
            packer = packer.number(side.is_some().into());
            if let Some(side) = side {
                let size = i64::try_from(side.size_bytes).unwrap_or(i64::MAX);
                packer = packer.bytes(&side.text).number(size).bytes(&side.sha256);
            }
        }
        packer = packer.number((self.lead == Lead::New).into()).number(self.epoch);
        packer = packer.number(self.first_ms).number(self.last_ms).number(self.times);
        packer = packer.number(self.ignored.is_some().into());
        if let Some(ignored) = &self.ignored {
            packer = packer.number(ignored.at_ms).bytes(ignored.reason.as_bytes());
        }
        packer.finish()
    }

    fn unpack(value: &[u8]) -> Result<Self> {
        let mut read = Unpacker::new("a difference", FORM, value)?;
        let key = read_key(read.bytes()?)?;
        let cause = match read.number()? {
            0 => Cause::MissingInOld,
            1 => Cause::MissingInNew,
            2 => Cause::Value,
            3 => Cause::TextOnly,
            _ => return Err(damaged("a difference")),
        };
        let side = |read: &mut Unpacker<'_>| -> Result<Option<Side>> {
            if read.number()? == 0 {
                return Ok(None);
            }
            let text = read.bytes()?.to_vec();
            let size_bytes = u64::try_from(read.number()?).unwrap_or_default();
            Ok(Some(Side { text, size_bytes, sha256: read.bytes()?.to_vec() }))
        };
        let (old, new) = (side(&mut read)?, side(&mut read)?);
        let lead = if read.number()? == 0 { Lead::Old } else { Lead::New };
        let (epoch, first_ms) = (read.number()?, read.number()?);
        let (last_ms, times) = (read.number()?, read.number()?);
        let ignored = match read.number()? {
            0 => None,
            _ => Some(Ignored { at_ms: read.number()?, reason: read.text()? }),
        };
        Ok(Self { key, cause, old, new, lead, epoch, first_ms, last_ms, times, ignored })
    }
}

fn read(fact: &Fact) -> Result<Difference> {
    Difference::unpack(&fact.value)
}

impl Journal {
    /// Keeps a difference, marks its document, and ends the claim under which it was found, all at once and under this state
    /// of the move. Gives it as it is kept; `None`: the claim was over, or the state is another by now.
    pub(super) async fn differ(
        &self,
        found: Difference,
        (claim, version): (i64, i64),
    ) -> Result<Option<Difference>> {
        let name = name(&found.key);
        let ledger = self.ledger()?;
        let there = ledger.fact(DIFFERENCE, &name).await?;
        let kept = match &there {
            Some(fact) => found.again(&read(fact)?),
            None => found,
        };
        let work = UnitOfWork::default()
            .demanding(Self::under(version))
            .noting(FactChange::remove(CLAIM, &name).when(FactWhen::Version(claim)))
            .noting(self.marking(&kept.key));
        let is_kept = there.is_some() || self.differing().await? < KEPT;
        let work = if is_kept {
            let when = there.map_or(FactWhen::Absent, |fact| FactWhen::Version(fact.version));
            work.noting(FactChange::put(DIFFERENCE, &name, FactValue::lasting(kept.pack())).when(when))
        } else {
            work
        };
        Ok(done(self.apply(work).await)?.then_some(kept))
    }

    /// At most `most` differences, in the order of slots and tenants.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn differences(&self, most: usize) -> Result<Vec<Difference>> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        while found.len() < most {
            let facts =
                self.ledger()?.facts(DIFFERENCE, after.as_deref(), (most - found.len()).min(100)).await?;
            let Some(last) = facts.last() else { break };
            after = Some(last.name.clone());
            for fact in &facts {
                found.push(read(fact)?);
            }
        }
        Ok(found)
    }

    /// How many differences are kept.
    pub(super) async fn differing(&self) -> Result<u64> {
        self.ledger()?.count_facts(DIFFERENCE).await
    }

    /// From now on this difference is known and counts no more. The document must be named as [`super::canonical`] does.
    ///
    /// # Errors
    /// `R0722` when no difference of this document is kept; when the store is out of reach.
    pub async fn ignore(&self, key: &DocumentKey, reason: &str) -> Result<()> {
        let ignored = Ignored { at_ms: self.now_ms(), reason: reason.to_owned() };
        let name = name(key);
        let known = self.ledger()?.decide(DIFFERENCE, &name, move |there| {
            let Some(fact) = there else { return Ok((FactStep::Keep, false)) };
            let difference = Difference { ignored: Some(ignored.clone()), ..read(fact)? };
            Ok((FactStep::Put(FactValue::lasting(difference.pack())), true))
        });
        if known.await? {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, "R0722", format!("no difference of {key} is known"))
            .hint("repot mismatches lists them, with collection, tenant and key."))
    }

    /// Forgets all differences, also those that are ignored; gives how many that were.
    ///
    /// # Errors
    /// When the store is out of reach; some of them may be forgotten.
    pub async fn forget_differences(&self) -> Result<u64> {
        self.remove_all(DIFFERENCE).await
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Lead;
    use repot_core::store::DocumentKey;
    use repot_json::Limits;

    use super::{Cause, Difference, Ignored, TEXT_BYTES};

    #[test]
    fn values_are_compared_and_texts_told_apart() {
        let cause =
            |old: &str, new: &str| Cause::of(Some(old.as_bytes()), Some(new.as_bytes()), Limits::default());
        assert_eq!(cause("{\"a\": 1}", "{\"a\": 1}"), None);
        assert_eq!(cause("{\"a\": 1, \"b\": 2}", "{\"b\":2,\"a\":1.0}"), Some(Cause::TextOnly));
        assert_eq!(cause("{\"a\": \"\\u0041\"}", "{\"a\": \"A\"}"), Some(Cause::TextOnly));
        assert_eq!(cause("9007199254740993", "9007199254740992"), Some(Cause::Value));
        assert_eq!(cause("[1,2]", "[2,1]"), Some(Cause::Value));
        // what is no JSON has no value
        assert_eq!(cause("{", "{ "), Some(Cause::Value));
        assert_eq!(Cause::of(None, Some(b"1"), Limits::default()), Some(Cause::MissingInOld));
        assert_eq!(Cause::of(Some(b"1"), None, Limits::default()), Some(Cause::MissingInNew));
        assert_eq!(Cause::of(None, None, Limits::default()), None);
    }

    #[test]
    fn a_difference_comes_back_with_bounded_texts() {
        let long = vec![b'x'; TEXT_BYTES + 1];
        let key = DocumentKey::new("notes", "a").in_tenant("u1");
        let found = Difference::found(&key, (Lead::New, 7), (Cause::Value, 5), (Some(&long), None));
        let side = found.old.clone().unwrap();
        assert_eq!((side.text.len(), side.size_bytes), (TEXT_BYTES, long.len() as u64));
        let ignored = Some(Ignored { at_ms: 6, reason: "known".to_owned() });
        let found = Difference { ignored, ..found };
        assert_eq!(Difference::unpack(&found.pack()).unwrap(), found);
        let later = Difference { first_ms: 9, last_ms: 9, ignored: None, ..found.clone() };
        let again = later.again(&found);
        assert_eq!((again.first_ms, again.last_ms, again.times), (5, 9, 2));
        assert_eq!(again.ignored, found.ignored);
        for cut in 0..found.pack().len() {
            assert!(Difference::unpack(&found.pack()[..cut]).is_err(), "{cut}");
        }
    }
}
