//! What writes put on record: who changed what, with both texts. The second of the two is kept as what differs from
//! the first, so an entry is self-contained and hardly larger than one text.

use std::collections::BTreeSet;

use bytes::Bytes;
use repot_core::store::{DocumentKey, ETag};
use repot_core::{AuditKind, AuditRecord, DocumentRecord, Error, Kind, PackedText, Result};
use repot_json::edit::quote;
use repot_json::patch::{Difference, differences};
use repot_json::{Limits, Tree};
use repot_model::plan::{Plan, StateChange};

use super::desk::Found;
use super::following::Follower;
use super::hand::Hand;
use crate::prepare::{Before, Preparer, etag, sha256};

/// Differences of one change that are told apart; where there are more, the whole text is the difference.
pub(super) const DIFFERENCES_MAX: usize = 1_000;
/// Bytes of the largest value that is spelled out for people with SQL; of others the size is. The texts have them all.
const SPELLED_MAX: usize = 1_024;
/// How long changes of states are kept where the model does not put the collection on audit, seconds: a year.
const STATES_KEPT: u64 = 31_536_000;
/// Bytes before what is kept of a text that is packed against another: how many are the same at its beginning, and at its end.
const SAME: usize = 16;

/// Keeps the record of one unit of work.
#[derive(Debug, Default)]
pub(super) struct Clerk {
    actor: Option<String>,
    now_ms: i64,
    entries: Vec<AuditRecord>,
}

/// The state before and its `ETag`; the text after and its record. `None`: nothing is there.
pub(super) type Turn<'t> = (Option<(&'t ETag, &'t Before)>, Option<(&'t [u8], &'t DocumentRecord)>);

impl Clerk {
    pub(super) fn new(actor: Option<&str>, now_ms: i64) -> Self {
        Self { actor: actor.map(str::to_owned), now_ms, entries: Vec::new() }
    }

    /// What is to be put on record.
    pub(super) fn leave(&mut self) -> Vec<AuditRecord> {
        std::mem::take(&mut self.entries)
    }

    fn entry(&self, key: &DocumentKey, kind: AuditKind) -> AuditRecord {
        AuditRecord {
            id: 0,
            at_ms: self.now_ms,
            kind,
            actor: self.actor.clone(),
            collection: key.collection().to_owned(),
            tenant: key.tenant().map(str::to_owned),
            key: Some(key.text().to_owned()),
            version: None,
            etag_before: None,
            etag_after: None,
            dictionary: 0,
            before: None,
            after: None,
            table: None,
            row: None,
            field: None,
            was: None,
            became: None,
            changes: None,
        }
    }

    /// States became others.
    pub(super) fn states(&mut self, key: &DocumentKey, changes: Vec<StateChange>) {
        for StateChange { table, row, field, from, to } in changes {
            let entry = self.entry(key, AuditKind::State);
            self.entries.push(AuditRecord {
                table: Some(table),
                row: Some(row),
                field: Some(field),
                was: from,
                became: to,
                ..entry
            });
        }
    }

    /// A document became another one, came or went. What stays the same is no change.
    pub(super) fn wrote(
        &mut self,
        preparer: &mut Preparer<'_>,
        limits: Limits,
        key: &DocumentKey,
        (was, becomes): Turn<'_>,
    ) -> Result<()> {
        let etag_before = was.map(|(etag, _)| etag.as_str().to_owned());
        let etag_after = becomes.map(|(_, record)| record.etag.clone());
        if etag_before == etag_after {
            return Ok(());
        }
        let old = was.map(|(_, before)| before.assembled.bytes.as_slice());
        let new = becomes.map(|(text, _)| text);
        let (mut dictionary, mut before, mut after) = (0, None, None);
        if let (Some((etag, stored)), Some(text)) = (was, old) {
            let bytes = match stored.whole.documents.first() {
                // as it is stored already
                Some(document) if document.record.etag == etag.as_str() && document.kept.is_empty() => {
                    dictionary = document.record.dictionary;
                    document.record.text.clone()
                }
                _ => {
                    let (id, bytes) = preparer.packed(key.collection(), text)?;
                    dictionary = id;
                    bytes
                }
            };
            before = Some(PackedText { size: text.len() as u64, bytes });
        }
        if let Some((text, record)) = becomes {
            let bytes = match old {
                Some(old) => pack_against(preparer, old, text)?,
                None => {
                    dictionary = record.dictionary;
                    record.text.clone()
                }
            };
            after = Some(PackedText { size: text.len() as u64, bytes });
        }
        let kind = if becomes.is_some() { AuditKind::Put } else { AuditKind::Deleted };
        self.entries.push(AuditRecord {
            version: becomes.map(|(_, record)| record.version),
            etag_before,
            etag_after,
            dictionary,
            before,
            after,
            changes: spelled(old, new, limits),
            ..self.entry(key, kind)
        });
        Ok(())
    }
}

/// A text as what differs from another one.
fn pack_against(preparer: &mut Preparer<'_>, old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
    let start = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let room = old.len().min(new.len()) - start;
    let end =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(one, other)| one == other).count();
    let middle = new.get(start..new.len() - end).unwrap_or_default();
    let mut out = Vec::with_capacity(SAME + middle.len() / 2);
    out.extend((start as u64).to_le_bytes());
    out.extend((end as u64).to_le_bytes());
    out.extend(preparer.pack_plain(middle)?);
    Ok(out)
}

/// The inverse of [`pack_against`]; `unpack` gives the middle, whose size it is told.
pub(super) fn unpack_against(
    old: &[u8],
    packed: &PackedText,
    unpack: impl FnOnce(&[u8], u64) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let damaged = || Error::new(Kind::Corrupt, "R0803", "a text on record is damaged");
    let number = |at: usize| -> Option<usize> {
        let bytes = packed.bytes.get(at..at + SAME / 2)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (start, end) = number(0).zip(number(SAME / 2)).ok_or_else(damaged)?;
    let same = start.checked_add(end).filter(|same| *same <= old.len()).ok_or_else(damaged)?;
    let middle = packed.size.checked_sub(same as u64).ok_or_else(damaged)?;
    let middle = unpack(packed.bytes.get(SAME..).unwrap_or_default(), middle)?;
    let (Some(head), Some(tail)) = (old.get(..start), old.get(old.len() - end..)) else {
        return Err(damaged());
    };
    Ok([head, &middle, tail].concat())
}

/// What differs, for people with SQL; `None` where a text is no JSON, or when only white space differs.
fn spelled(old: Option<&[u8]>, new: Option<&[u8]>, limits: Limits) -> Option<String> {
    let mut lines = Vec::new();
    each_difference(old, new, limits, &mut |difference| {
        let mut line = format!("{{\"at\":{}", quote(&difference.at.to_string()));
        for (name, value) in [("old", difference.old), ("new", difference.new)] {
            match value {
                Some(value) if value.len() <= SPELLED_MAX => line.push_str(&format!(",\"{name}\":{value}")),
                Some(value) => line.push_str(&format!(",\"{name}_bytes\":{}", value.len())),
                None => {}
            }
        }
        lines.push(line + "}");
    })?;
    (!lines.is_empty()).then(|| format!("[{}]", lines.join(",\n ")))
}

/// What differs between two texts, of which at least one is there; `None` where one is no JSON.
pub(super) fn each_difference(
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    limits: Limits,
    each: &mut dyn FnMut(Difference<'_>),
) -> Option<()> {
    let tree = |text: Option<&[u8]>| text.map(|text| Tree::parse(text, limits)).transpose().ok();
    let (one, other) = (tree(old)?, tree(new)?);
    let old = one.as_ref().zip(old).and_then(|(tree, text)| tree.root(text));
    let new = other.as_ref().zip(new).and_then(|(tree, text)| tree.root(text));
    match (old, new) {
        (Some(old), Some(new)) => differences(old, new, DIFFERENCES_MAX).into_iter().for_each(each),
        (old, new) => each(Difference {
            at: repot_json::patch::Pointer::default(),
            old: old.map(repot_json::Value::raw),
            new: new.map(repot_json::Value::raw),
        }),
    }
    Some(())
}

/// How far back the record of a collection goes, milliseconds since 1970.
pub(super) fn kept_from(plan: &Plan, root: usize, now_ms: i64) -> i64 {
    let seconds = plan.audit(root).unwrap_or(STATES_KEPT);
    now_ms.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// The collections whose record is cleared of what is too old, and of which time: those of these entries, or all.
pub(super) fn expired(plan: &Plan, of: Option<&[AuditRecord]>, now_ms: i64) -> Vec<(String, i64)> {
    let written: Option<BTreeSet<&str>> =
        of.map(|audit| audit.iter().map(|entry| entry.collection.as_str()).collect());
    let roots = plan.roots.iter().enumerate().filter(|(at, root)| match &written {
        Some(written) => written.contains(root.name.as_str()),
        None => plan.keeps_history(*at),
    });
    roots.map(|(at, root)| (root.name.clone(), kept_from(plan, at, now_ms))).collect()
}

impl Hand<'_, '_, '_> {
    /// Puts on record what became of a document, where the model says so, and of its states.
    pub(super) fn on_record(
        &mut self,
        key: &DocumentKey,
        states: Vec<StateChange>,
        (was, becomes): Turn<'_>,
    ) -> Result<()> {
        let stored = was.and_then(|(_, before)| before.whole.documents.first());
        let record = becomes.map(|(_, record)| record).or(stored.map(|stored| &stored.record));
        let key = named(key, record.and_then(|record| record.key.as_deref()));
        self.clerk.states(&key, states);
        if self.decider.layout.audit(key.collection())?.is_none() {
            return Ok(());
        }
        self.clerk.wrote(self.preparer, self.decider.limits, &key, (was, becomes))
    }

    /// The same for a document that stands with others in one file.
    pub(super) fn shared_on_record(
        &mut self,
        key: &DocumentKey,
        found: Option<&Found>,
        (text, states): (Option<&Bytes>, Vec<StateChange>),
    ) -> Result<()> {
        if states.is_empty() && self.decider.layout.audit(key.collection())?.is_none() {
            return Ok(());
        }
        let stored = found.and_then(Found::document);
        let record = match text {
            None => None,
            Some(text) => {
                let (dictionary, packed) = self.preparer.packed(key.collection(), text)?;
                Some(DocumentRecord {
                    ordinal: 0,
                    collection: key.collection().to_owned(),
                    key: self.decider.layout.within(key)?.map(|within| within.id),
                    etag: etag(&sha256(text)),
                    version: stored.map_or(1, |stored| stored.version + 1),
                    dictionary,
                    size: text.len() as u64,
                    text: packed,
                    reason: None,
                    rows: 0..0,
                    skips: false,
                })
            }
        };
        let was = found.and_then(|found| Some((found.etag.clone()?, found.as_before())));
        let turn =
            (was.as_ref().map(|(etag, before)| (etag, before)), text.map(AsRef::as_ref).zip(record.as_ref()));
        self.on_record(key, states, turn)
    }

    /// The same for a document that follows from the write of another.
    pub(super) fn follower_on_record(&mut self, follower: &Follower) -> Result<()> {
        let was = Some((&follower.etag, &follower.before));
        let text = follower.text.as_ref().zip(follower.item.documents.first());
        let becomes = text.map(|((text, _), document)| (text.as_ref(), document));
        let states = follower.text.as_ref().map(|(_, states)| states.clone()).unwrap_or_default();
        self.on_record(&follower.key, states, (was, becomes))
    }

    /// The same for a document that comes back.
    pub(super) fn restored_on_record(
        &mut self,
        key: &DocumentKey,
        becomes: (&[u8], &DocumentRecord),
    ) -> Result<()> {
        self.as_restored(|hand| hand.on_record(key, Vec::new(), (None, Some(becomes))))
    }

    /// The same for one that comes back among others in one file.
    pub(super) fn restored_within_on_record(
        &mut self,
        key: &DocumentKey,
        found: Option<&Found>,
        text: &Bytes,
    ) -> Result<()> {
        self.as_restored(|hand| hand.shared_on_record(key, found, (Some(text), Vec::new())))
    }

    /// What this puts on record is a document that came back.
    fn as_restored(&mut self, put: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let from = self.clerk.entries.len();
        put(self)?;
        for entry in self.clerk.entries.iter_mut().skip(from) {
            entry.kind = AuditKind::Restored;
        }
        Ok(())
    }

    /// The same for a deleted document that goes for good.
    pub(super) fn purged_on_record(&mut self, key: &DocumentKey) -> Result<()> {
        if self.decider.layout.audit(key.collection())?.is_some() {
            let entry = self.clerk.entry(key, AuditKind::Purged);
            self.clerk.entries.push(entry);
        }
        Ok(())
    }
}

/// The document by its key, where it may be named by its place.
pub(super) fn named(key: &DocumentKey, id: Option<&str>) -> DocumentKey {
    id.map_or_else(|| key.clone(), |id| DocumentKey::of_record((key.collection(), key.tenant()), id))
}
