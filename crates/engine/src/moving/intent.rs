//! A write to the old store on its way, as it is stored, and what is noted when it is known whether it was done.

use repot_core::Result;
use repot_core::moving::Announced;
use repot_core::store::{
    DocumentKey, ETag, Fact, FactChange, FactDoubt, FactValue, ObjectBody, Precondition,
};

use super::names::{name, pack_key, read_key};
use crate::packed::{Packer, Unpacker, damaged};

const FORM: u8 = 1;
const WHAT: &str = "an intent";

/// A write to the old store on its way, or one whose server did not live to take it back.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub name: String,
    /// Of the fact; not known before it was read.
    pub version: i64,
    pub key: DocumentKey,
    /// The old store refuses the write after it, milliseconds since 1970.
    pub deadline_ms: i64,
    /// What is to be noted when it is known whether the write was done. Each has its doubt.
    pub doubted: Vec<FactChange>,
    /// What was about to be written; `None`: nothing yet.
    pub announced: Option<Announced>,
}

impl Intent {
    /// To write a document, with what is to be noted with it.
    pub(super) fn new(key: &DocumentKey, (deadline_ms, nonce): (i64, u64), facts: &[FactChange]) -> Self {
        let doubted = facts.iter().filter(|fact| fact.doubt.is_some()).cloned().collect();
        let name = format!("{}#{nonce:016x}", name(key));
        Self { name, version: i64::MIN, key: key.clone(), deadline_ms, doubted, announced: None }
    }

    /// What is to be noted, where the write was done or never will be.
    pub(super) fn known(&self, is_done: bool) -> Vec<FactChange> {
        let to = |fact: &FactChange| match (&fact.doubt, is_done) {
            (Some(doubt), false) => Some(doubt.undone.clone()),
            _ => fact.to.clone(),
        };
        self.doubted
            .iter()
            .filter_map(|fact| Some(FactChange::put(&fact.kind, &fact.name, to(fact)?)))
            .collect()
    }

    /// Whether the write was done, by what is there now that it cannot happen any more; `None`: nothing tells.
    pub(super) fn is_done(&self, there: Option<&ObjectBody>) -> Option<bool> {
        self.announced.as_ref().map_or(Some(false), |announced| announced.is_done(there))
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let count = i64::try_from(self.doubted.len()).unwrap_or(i64::MAX);
        let mut packer = Packer::new(FORM).number(self.deadline_ms).bytes(&pack_key(&self.key)).number(count);
        for fact in &self.doubted {
            packer = packer.bytes(fact.kind.as_bytes()).bytes(fact.name.as_bytes());
            for value in [fact.to.as_ref(), fact.doubt.as_ref().map(|doubt| &doubt.undone)] {
                let (bytes, expires_ms) =
                    value.map_or((&[][..], None), |value| (&value.value, value.expires_ms));
                packer = packer.bytes(bytes).maybe(expires_ms);
            }
        }
        let Some(Announced { path, before, after }) = &self.announced else {
            return packer.number(0).finish();
        };
        let (kind, etag) = match before {
            Precondition::Any => (0, ""),
            Precondition::Absent => (1, ""),
            Precondition::Matches(etag) => (2, etag.as_str()),
        };
        let after = after.as_ref().map_or(&[][..], |after| after);
        packer.number(1).bytes(path.as_bytes()).number(kind).bytes(etag.as_bytes()).bytes(after).finish()
    }

    pub(super) fn read(fact: &Fact) -> Result<Self> {
        let mut read = Unpacker::new(WHAT, FORM, &fact.value)?;
        let deadline_ms = read.number()?;
        let key = read_key(read.bytes()?)?;
        let mut doubted = Vec::new();
        for _ in 0..read.count()? {
            let (kind, name) = (read.text()?, read.text()?);
            let mut value = || {
                let value = read.bytes()?.to_vec();
                Ok(FactValue { value: value.into(), expires_ms: read.maybe()? })
            };
            let (to, undone) = (value()?, value()?);
            // what it is meanwhile stands there
            let doubt = FactDoubt { open: undone.clone(), undone };
            doubted.push(FactChange::put(&kind, &name, to).doubted(doubt));
        }
        let announced = if read.number()? == 0 { None } else { Some(read_announced(&mut read)?) };
        Ok(Self { name: fact.name.clone(), version: fact.version, key, deadline_ms, doubted, announced })
    }
}

fn read_announced(read: &mut Unpacker<'_>) -> Result<Announced> {
    let (path, kind, etag) = (read.text()?, read.number()?, read.text()?);
    let before = match kind {
        0 => Precondition::Any,
        1 => Precondition::Absent,
        2 => Precondition::Matches(ETag::new(&etag)),
        _ => return Err(damaged(WHAT)),
    };
    let after = match read.bytes()? {
        [] => None,
        after => Some(after.try_into().map_err(|_length| damaged(WHAT))?),
    };
    Ok(Announced { path, before, after })
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Announced;
    use repot_core::store::{
        DocumentKey, ETag, Fact, FactChange, FactDoubt, FactValue, ObjectBody, Precondition,
    };

    use super::Intent;

    #[test]
    fn an_intent_comes_back_with_what_it_is_to_note() {
        let value = |text: &'static str| FactValue::until(text, 7);
        let doubt = FactDoubt { open: value("open"), undone: value("undone") };
        let facts = [
            FactChange::put("k", "done", value("done")).doubted(doubt),
            FactChange::put("k", "plain", value("plain")),
        ];
        let mut intent = Intent::new(&DocumentKey::new("notes", "a"), (5, 9), &facts);
        for before in [Precondition::Any, Precondition::Absent, Precondition::Matches(ETag::new("e"))] {
            for after in [None, Some([3; 32])] {
                intent.announced = Some(Announced { path: "a/b".into(), before: before.clone(), after });
                let fact = Fact {
                    kind: "move_intent".into(),
                    name: intent.name.clone(),
                    version: 4,
                    value: intent.pack().into(),
                    expires_ms: None,
                };
                let read = Intent::read(&fact).unwrap();
                assert_eq!(
                    (&read.announced, read.version, read.pack()),
                    (&intent.announced, 4, intent.pack())
                );
                assert_eq!(read.known(true), [FactChange::put("k", "done", value("done"))]);
                assert_eq!(read.known(false), [FactChange::put("k", "done", value("undone"))]);
            }
        }
    }

    #[test]
    fn what_is_there_tells_whether_a_write_was_done_unless_somebody_else_wrote() {
        let object = |text: &'static str, etag: &str| ObjectBody {
            bytes: text.into(),
            etag: ETag::new(etag),
            modified_ns: 0,
        };
        let hash = |text: &str| <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(text));
        let mut intent = Intent::new(&DocumentKey::new("notes", "a"), (5, 9), &[]);
        assert_eq!(intent.is_done(None), Some(false), "nothing was sent");
        let mut says = |before: Precondition, after: Option<&str>, there: Option<ObjectBody>| {
            intent.announced = Some(Announced { path: "a".into(), before, after: after.map(hash) });
            intent.is_done(there.as_ref())
        };
        let was = || Precondition::Matches(ETag::new("1"));
        assert_eq!(says(was(), Some("new"), Some(object("new", "2"))), Some(true));
        assert_eq!(says(was(), Some("new"), Some(object("old", "1"))), Some(false));
        assert_eq!(says(was(), Some("new"), Some(object("other", "3"))), None);
        assert_eq!(says(was(), Some("new"), None), None);
        assert_eq!(says(was(), None, None), Some(true));
        assert_eq!(says(Precondition::Absent, Some("new"), None), Some(false));
        assert_eq!(says(Precondition::Any, Some("new"), Some(object("old", "1"))), None);
    }
}
