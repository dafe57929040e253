//! Who leads: the one fact that every write asks, and that changes step by step.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::Result;
use repot_core::moving::{Lead, Phase};
use repot_core::store::{DocumentKey, Scope};
use xxhash_rust::xxh3::xxh3_64;

use super::guard::Guard;
use crate::packed::{Packer, Unpacker, damaged};

/// Shares of the keys. A document's slot never changes, so a share that grows keeps what it had.
pub const SLOTS: u16 = 1_000;

const FORM: u8 = 1;

/// The slot of a document: by its tenant, or by collection and key where it has none.
#[must_use]
pub fn slot_of(key: &DocumentKey) -> u16 {
    let hash = match key.tenant() {
        Some(tenant) => xxh3_64(tenant.as_bytes()),
        None => xxh3_64(format!("{}\0{}", key.collection(), key.text()).as_bytes()),
    };
    u16::try_from(hash % u64::from(SLOTS)).unwrap_or_default()
}

/// Which documents the new store leads; the old one leads the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leads {
    /// Those in slots below this one.
    pub share: u16,
    /// And those of these tenants.
    pub tenants: BTreeSet<String>,
    /// Collections with a share of their own, instead of `share`.
    pub collections: BTreeMap<String, u16>,
}

impl Leads {
    /// This many of a thousand slots, and nothing else.
    #[must_use]
    pub fn share(share: u16) -> Self {
        Self { share: share.min(SLOTS), ..Self::default() }
    }

    /// Who leads this document.
    #[must_use]
    pub fn of(&self, key: &DocumentKey) -> Lead {
        let share = self.collections.get(key.collection()).copied().unwrap_or(self.share);
        let is_new = key.tenant().is_some_and(|tenant| self.tenants.contains(tenant)) || slot_of(key) < share;
        if is_new { Lead::New } else { Lead::Old }
    }

    /// Who leads all documents of a scope; `None`: each store leads some, or may.
    #[must_use]
    pub fn of_scope(&self, scope: &Scope) -> Option<Lead> {
        if let Some(tenant) = &scope.tenant {
            return Some(self.of(&DocumentKey::new(&scope.collection, "").in_tenant(tenant)));
        }
        match self.collections.get(&scope.collection).copied().unwrap_or(self.share) {
            0 if self.tenants.is_empty() => Some(Lead::Old),
            SLOTS.. => Some(Lead::New),
            _ => None,
        }
    }

    /// The one store that leads everything; `None`: each leads some.
    #[must_use]
    pub fn everything(&self) -> Option<Lead> {
        let all = |share: u16| self.share == share && self.collections.values().all(|own| *own == share);
        if all(SLOTS) {
            Some(Lead::New)
        } else if all(0) && self.tenants.is_empty() {
            Some(Lead::Old)
        } else {
            None
        }
    }

    fn pack(&self, mut packer: Packer) -> Packer {
        packer = packer.number(self.share.into()).number(self.tenants.len().try_into().unwrap_or(i64::MAX));
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
        let share = |read: &mut Unpacker<'_>| {
            u16::try_from(read.number()?)
                .ok()
                .filter(|share| *share <= SLOTS)
                .ok_or_else(|| damaged("the leads"))
        };
        let mut leads = Self::share(share(read)?);
        for _ in 0..read.count()? {
            leads.tenants.insert(read.text()?);
        }
        for _ in 0..read.count()? {
            let collection = read.text()?;
            leads.collections.insert(collection, share(read)?);
        }
        Ok(leads)
    }
}

/// Where a move stands. One fact of the new store; each change of it raises its version, and writers demand the version
/// that they decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Who leads.
    pub leads: Leads,
    /// Who is to lead, while a change is on its way.
    pub wanted: Option<Leads>,
    /// How far that change is.
    pub phase: Phase,
    /// One more with each step; each fence beside the old store is of one epoch.
    pub epoch: i64,
    /// The epoch whose notes beside the old store were all taken up.
    pub listed: i64,
    /// Of a thousand reads so many are compared with the other store.
    pub compared: u16,
    /// What makes a rollout go back by itself, and whether it did.
    pub guard: Guard,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// Why, for people.
    pub why: String,
}

impl Control {
    /// The beginning of a move: the old store leads everything.
    #[must_use]
    pub fn begin(now_ms: i64, why: &str) -> Self {
        Self {
            leads: Leads::default(),
            wanted: None,
            phase: Phase::Open,
            epoch: 1,
            listed: 0,
            compared: 0,
            guard: Guard::default(),
            since_ms: now_ms,
            why: why.to_owned(),
        }
    }

    /// How far a change of this document's lead is.
    #[must_use]
    pub fn phase_of(&self, key: &DocumentKey) -> Phase {
        match &self.wanted {
            Some(wanted) if wanted.of(key) != self.leads.of(key) => self.phase,
            _ => Phase::Open,
        }
    }

    /// How far a change of the lead of some document of this scope is.
    #[must_use]
    pub fn phase_of_scope(&self, scope: &Scope) -> Phase {
        match &self.wanted {
            Some(wanted)
                if wanted.of_scope(scope).is_none()
                    || wanted.of_scope(scope) != self.leads.of_scope(scope) =>
            {
                self.phase
            }
            _ => Phase::Open,
        }
    }

    /// The next step of the same change.
    #[must_use]
    pub fn stepped(&self, phase: Phase) -> Self {
        Self { phase, epoch: self.epoch + 1, ..self.clone() }
    }

    /// As it is stored.
    #[must_use]
    pub(super) fn pack(&self) -> Vec<u8> {
        let phase = match self.phase {
            Phase::Open => 0,
            Phase::Announced => 1,
            Phase::Draining => 2,
        };
        let mut packer = self.leads.pack(Packer::new(FORM)).number(self.wanted.is_some().into());
        if let Some(wanted) = &self.wanted {
            packer = wanted.pack(packer);
        }
        packer = packer.number(phase).number(self.epoch).number(self.listed).number(self.compared.into());
        packer = self.guard.pack(packer);
        packer.number(self.since_ms).bytes(self.why.as_bytes()).finish()
    }

    pub(super) fn unpack(value: &[u8]) -> Result<Self> {
        let mut read = Unpacker::new("the state of a move", FORM, value)?;
        let leads = Leads::unpack(&mut read)?;
        let wanted = if read.number()? == 0 { None } else { Some(Leads::unpack(&mut read)?) };
        let phase = match read.number()? {
            0 => Phase::Open,
            1 => Phase::Announced,
            2 => Phase::Draining,
            _ => return Err(damaged("the state of a move")),
        };
        Ok(Self {
            leads,
            wanted,
            phase,
            epoch: read.number()?,
            listed: read.number()?,
            compared: read.number()?.try_into().unwrap_or_default(),
            guard: Guard::unpack(&mut read)?,
            since_ms: read.number()?,
            why: read.text()?,
        })
    }
}

/// What servers go by that do not reach the new store: one object beside the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Of this epoch.
    pub epoch: i64,
    /// Who leads, or led when the fence was written.
    pub leads: Leads,
    /// Who is to lead; a document that either says the new store leads is not written by note.
    pub wanted: Leads,
}

impl Fence {
    /// The fence that goes with this state.
    #[must_use]
    pub fn of(control: &Control) -> Self {
        let wanted = control.wanted.clone().unwrap_or_else(|| control.leads.clone());
        Self { epoch: control.epoch, leads: control.leads.clone(), wanted }
    }

    /// Who leads, as far as it may be gone by.
    #[must_use]
    pub fn lead(&self, key: &DocumentKey) -> Lead {
        if self.leads.of(key) == Lead::Old { self.wanted.of(key) } else { Lead::New }
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        self.wanted.pack(self.leads.pack(Packer::new(FORM).number(self.epoch))).finish()
    }

    pub(super) fn unpack(value: &[u8]) -> Result<Self> {
        let mut read = Unpacker::new("the fence of a move", FORM, value)?;
        let epoch = read.number()?;
        Ok(Self { epoch, leads: Leads::unpack(&mut read)?, wanted: Leads::unpack(&mut read)? })
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::{Lead, Phase};
    use repot_core::store::{DocumentKey, Scope};

    use super::{Control, Fence, Leads, SLOTS, slot_of};

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
            let grown = keys.iter().filter(|key| {
                Leads::share(share / 2).of(key) == Lead::New && Leads::share(share).of(key) == Lead::Old
            });
            assert_eq!(grown.count(), 0);
            assert!(led >= before, "{share}");
            before = led;
        }
        assert_eq!(before, keys.len());
    }

    const SLOTS_OF: (u16, u16) = (385, 158);

    #[test]
    fn leads_are_of_documents_and_of_scopes() {
        let mut leads = Leads::default();
        leads.tenants.insert("u1".into());
        assert_eq!((leads.of(&tenant("u1")), leads.of(&tenant("u2"))), (Lead::New, Lead::Old));
        assert_eq!(leads.of_scope(&Scope::of("notes").in_tenant("u1")), Some(Lead::New));
        assert_eq!((leads.of_scope(&Scope::of("notes")), leads.everything()), (None, None));
        leads.collections.insert("notes".into(), SLOTS);
        assert_eq!(leads.of_scope(&Scope::of("notes")), Some(Lead::New));
        assert_eq!(Leads::share(SLOTS).everything(), Some(Lead::New));
        assert_eq!(Leads::default().everything(), Some(Lead::Old));
        assert_eq!(Leads::default().of_scope(&Scope::of("notes")), Some(Lead::Old));
    }

    #[test]
    fn a_state_comes_back_and_a_fence_lets_pass_who_led_and_will() {
        let mut control = Control::begin(7, "because");
        control.wanted = Some(Leads::share(SLOTS));
        let control = control.stepped(Phase::Draining);
        assert_eq!(Control::unpack(&control.pack()).unwrap(), control);
        assert_eq!((control.phase_of(&tenant("u1")), control.epoch), (Phase::Draining, 2));
        assert_eq!(control.phase_of_scope(&Scope::of("notes")), Phase::Draining);
        let fence = Fence::of(&control);
        assert_eq!(Fence::unpack(&fence.pack()).unwrap(), fence);
        assert_eq!(fence.lead(&tenant("u1")), Lead::New);
        assert_eq!(Fence::of(&Control::begin(7, "")).lead(&tenant("u1")), Lead::Old);
        for cut in 0..control.pack().len() {
            assert!(Control::unpack(&control.pack()[..cut]).is_err(), "{cut}");
        }
    }
}
