//! Which documents the new store leads, and of which it answers the reads while the old one leads them.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::Result;
use repot_core::moving::Lead;
use repot_core::store::{DocumentKey, Scope};
use xxhash_rust::xxh3::xxh3_64;

use crate::packed::{Packer, Unpacker, damaged};

/// Shares of the keys. A document's slot never changes, so a share that grows keeps what it had.
pub const SLOTS: u16 = 1_000;

/// The slot of a document: by its tenant, or by collection and key where it has none.
#[must_use]
pub fn slot_of(key: &DocumentKey) -> u16 {
    let hash = match key.tenant() {
        Some(tenant) => xxh3_64(tenant.as_bytes()),
        None => xxh3_64(format!("{}\0{}", key.collection(), key.text()).as_bytes()),
    };
    u16::try_from(hash % u64::from(SLOTS)).unwrap_or_default()
}

/// Some of the documents: a share of the slots, single tenants, shares of collections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// Those in slots below this one.
    pub slots: u16,
    /// And those of these tenants.
    pub tenants: BTreeSet<String>,
    /// Collections with a share of their own, instead of `slots`.
    pub collections: BTreeMap<String, u16>,
}

impl Share {
    /// This many of a thousand slots, and nothing else.
    #[must_use]
    pub fn of_slots(slots: u16) -> Self {
        Self { slots: slots.min(SLOTS), ..Self::default() }
    }

    /// Whether this document is one of them.
    #[must_use]
    pub fn holds(&self, key: &DocumentKey) -> bool {
        key.tenant().is_some_and(|tenant| self.tenants.contains(tenant))
            || slot_of(key) < self.slots_of(key.collection())
    }

    /// Of how many slots the documents of a collection are among them.
    fn slots_of(&self, collection: &str) -> u16 {
        self.collections.get(collection).copied().unwrap_or(self.slots)
    }

    /// Whether no document is one of them.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.is_slots(0) && self.tenants.is_empty()
    }

    /// Whether every document is one of them.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.is_slots(SLOTS)
    }

    fn is_slots(&self, slots: u16) -> bool {
        self.slots == slots && self.collections.values().all(|own| *own == slots)
    }

    /// From now on such a share of a collection; one of its own where the whole has another.
    pub fn set_collection(&mut self, collection: &str, slots: u16) {
        if slots == self.slots {
            self.collections.remove(collection);
        } else {
            self.collections.insert(collection.to_owned(), slots.min(SLOTS));
        }
    }

    fn pack(&self, mut packer: Packer) -> Packer {
        packer = packer.number(self.slots.into()).number(self.tenants.len().try_into().unwrap_or(i64::MAX));
        for tenant in &self.tenants {
            packer = packer.bytes(tenant.as_bytes());
        }
        packer = packer.number(self.collections.len().try_into().unwrap_or(i64::MAX));
        for (collection, share) in &self.collections {
            packer = packer.bytes(collection.as_bytes()).number((*share).into());
        }
        packer
    }

    fn unpack(read: &mut Unpacker<'_>) -> Result<Self> {
        let slots = |read: &mut Unpacker<'_>| {
            u16::try_from(read.number()?)
                .ok()
                .filter(|share| *share <= SLOTS)
                .ok_or_else(|| damaged("the leads"))
        };
        let mut share = Self::of_slots(slots(read)?);
        for _ in 0..read.count()? {
            share.tenants.insert(read.text()?);
        }
        for _ in 0..read.count()? {
            let collection = read.text()?;
            share.collections.insert(collection, slots(read)?);
        }
        Ok(share)
    }
}

/// Which documents the new store leads, and whose reads it answers; the old one leads the others, and answers the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leads {
    /// Those that it leads.
    pub led: Share,
    /// Those whose reads it answers while the old store leads them, where its copy is known to be what the old store holds. Of
    /// those that it leads it answers them anyway.
    pub reads: Share,
}

impl Leads {
    /// This many of a thousand slots, and nothing else.
    #[must_use]
    pub fn share(slots: u16) -> Self {
        Self { led: Share::of_slots(slots), ..Self::default() }
    }

    /// The old store leads everything; the new one answers reads of this many of a thousand slots.
    #[must_use]
    pub fn reads(slots: u16) -> Self {
        Self { reads: Share::of_slots(slots), ..Self::default() }
    }

    /// Who leads this document.
    #[must_use]
    pub fn of(&self, key: &DocumentKey) -> Lead {
        if self.led.holds(key) { Lead::New } else { Lead::Old }
    }

    /// Whether the old store leads this document, and the new one answers its reads.
    #[must_use]
    pub fn reads_copy(&self, key: &DocumentKey) -> bool {
        self.reads.holds(key) && !self.led.holds(key)
    }

    /// Who leads all documents of a scope; `None`: each store leads some, or may.
    #[must_use]
    pub fn of_scope(&self, scope: &Scope) -> Option<Lead> {
        if let Some(tenant) = &scope.tenant {
            return Some(self.of(&DocumentKey::new(&scope.collection, "").in_tenant(tenant)));
        }
        match self.led.slots_of(&scope.collection) {
            0 if self.led.tenants.is_empty() => Some(Lead::Old),
            SLOTS.. => Some(Lead::New),
            _ => None,
        }
    }

    /// The one store that leads everything; `None`: each leads some.
    #[must_use]
    pub fn everything(&self) -> Option<Lead> {
        if self.led.is_all() {
            Some(Lead::New)
        } else if self.led.is_none() {
            Some(Lead::Old)
        } else {
            None
        }
    }

    /// Whether apps are served by the old store alone: it leads everything, and answers every read.
    #[must_use]
    pub fn is_old_alone(&self) -> bool {
        self.led.is_none() && self.reads.is_none()
    }

    /// `reads` are packed where they are asked for: builds that know nothing of them read what has none.
    pub(super) fn pack(&self, packer: Packer, with_reads: bool) -> Packer {
        let packer = self.led.pack(packer);
        if with_reads { self.reads.pack(packer) } else { packer }
    }

    pub(super) fn unpack(read: &mut Unpacker<'_>, with_reads: bool) -> Result<Self> {
        let led = Share::unpack(read)?;
        let reads = if with_reads { Share::unpack(read)? } else { Share::default() };
        Ok(Self { led, reads })
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::Lead;
    use repot_core::store::{DocumentKey, Scope};

    use super::{Leads, SLOTS, Share, slot_of};

    fn tenant(name: &str) -> DocumentKey {
        DocumentKey::new("notes", "a").in_tenant(name)
    }

    #[test]
    fn a_slot_is_of_the_tenant_and_a_growing_share_keeps_what_it_had() {
        assert_eq!(slot_of(&tenant("u1")), slot_of(&DocumentKey::new("usage", "x").in_tenant("u1")));
        assert_ne!(slot_of(&DocumentKey::new("notes", "a")), slot_of(&DocumentKey::new("other", "a")));
        // these never change: what is stored goes by them
        assert_eq!((slot_of(&tenant("u1")), slot_of(&DocumentKey::new("notes", "a"))), SLOTS_OF);
        let keys: Vec<DocumentKey> = (0..2_000).map(|n| tenant(&format!("u{n}"))).collect();
        let mut before = 0;
        for share in [0, 1, 100, 500, SLOTS] {
            let led = keys.iter().filter(|key| Leads::share(share).of(key) == Lead::New).count();
            let read = keys.iter().filter(|key| Leads::reads(share).reads_copy(key)).count();
            let grown = keys.iter().filter(|key| {
                Leads::share(share / 2).of(key) == Lead::New && Leads::share(share).of(key) == Lead::Old
            });
            assert_eq!((grown.count(), read), (0, led));
            assert!(led >= before, "{share}");
            before = led;
        }
        assert_eq!(before, keys.len());
    }

    const SLOTS_OF: (u16, u16) = (385, 158);

    #[test]
    fn leads_are_of_documents_and_of_scopes() {
        let mut leads = Leads::default();
        leads.led.tenants.insert("u1".into());
        assert_eq!((leads.of(&tenant("u1")), leads.of(&tenant("u2"))), (Lead::New, Lead::Old));
        assert_eq!(leads.of_scope(&Scope::of("notes").in_tenant("u1")), Some(Lead::New));
        assert_eq!((leads.of_scope(&Scope::of("notes")), leads.everything()), (None, None));
        leads.led.collections.insert("notes".into(), SLOTS);
        assert_eq!(leads.of_scope(&Scope::of("notes")), Some(Lead::New));
        assert_eq!(Leads::share(SLOTS).everything(), Some(Lead::New));
        assert_eq!(Leads::default().everything(), Some(Lead::Old));
        assert_eq!(Leads::default().of_scope(&Scope::of("notes")), Some(Lead::Old));
    }

    #[test]
    fn reads_of_the_copy_are_of_what_the_old_store_leads() {
        let mut leads = Leads::reads(SLOTS);
        assert_eq!((leads.everything(), leads.is_old_alone()), (Some(Lead::Old), false));
        assert_eq!((leads.of(&tenant("u1")), leads.reads_copy(&tenant("u1"))), (Lead::Old, true));
        leads.led.tenants.insert("u1".into());
        assert_eq!((leads.of(&tenant("u1")), leads.reads_copy(&tenant("u1"))), (Lead::New, false));
        assert!(leads.reads_copy(&tenant("u2")));
        leads.reads.set_collection("notes", 0);
        assert!(!leads.reads_copy(&tenant("u2")));
        assert!(leads.reads_copy(&DocumentKey::new("usage", "a").in_tenant("u2")));
        leads.reads.set_collection("notes", SLOTS);
        assert_eq!(leads.reads, Share::of_slots(SLOTS));
        assert!(Leads::default().is_old_alone());
    }
}
