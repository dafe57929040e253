//! Who leads: the one fact that every write asks, and that changes step by step.

use repot_core::Result;
use repot_core::moving::{Lead, Phase};
use repot_core::store::{DocumentKey, Scope};

use super::guard::Guard;
use super::leads::{Leads, SLOTS, Share};
use crate::packed::{Packer, Unpacker, damaged};

/// With the reads of the copy; what has none of these is written as it was before there were any, so that servers of the build
/// before go on. They refuse what is of a newer form.
const FORM: u8 = 2;
const FORM_BEFORE: u8 = 1;

const WHAT: &str = "the state of a move";

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

    /// How far a change of this document's lead is, or of where it is read.
    #[must_use]
    pub fn phase_of(&self, key: &DocumentKey) -> Phase {
        let stands = |leads: &Leads| (leads.of(key), leads.reads_copy(key));
        match &self.wanted {
            Some(wanted) if stands(wanted) != stands(&self.leads) => self.phase,
            _ => Phase::Open,
        }
    }

    /// How far a change of the lead of some document of this scope is. Where single documents are read makes no difference for
    /// listings and questions.
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
        let (form, with_reads) = form_of([Some(&self.leads), self.wanted.as_ref()]);
        let packer = self.leads.pack(Packer::new(form), with_reads);
        let mut packer = packer.number(self.wanted.is_some().into());
        if let Some(wanted) = &self.wanted {
            packer = wanted.pack(packer, with_reads);
        }
        packer = packer.number(phase).number(self.epoch).number(self.listed).number(self.compared.into());
        packer = self.guard.pack(packer);
        packer.number(self.since_ms).bytes(self.why.as_bytes()).finish()
    }

    pub(super) fn unpack(value: &[u8]) -> Result<Self> {
        let read = || Unpacker::since(WHAT, (FORM_BEFORE, FORM), value);
        match (Self::read(read()?, true), read()?.0) {
            // the guard came without a form of its own
            (Err(damage), FORM_BEFORE) => Self::read(read()?, false).map_err(|_neither| damage),
            (read, _) => read,
        }
    }

    fn read((form, mut read): (u8, Unpacker<'_>), is_guarded: bool) -> Result<Self> {
        let with_reads = form == FORM;
        let leads = Leads::unpack(&mut read, with_reads)?;
        let wanted = if read.number()? == 0 { None } else { Some(Leads::unpack(&mut read, with_reads)?) };
        let phase = match read.number()? {
            0 => Phase::Open,
            1 => Phase::Announced,
            2 => Phase::Draining,
            _ => return Err(damaged(WHAT)),
        };
        let (epoch, listed) = (read.number()?, read.number()?);
        let (compared, guard) = if is_guarded {
            (read.number()?.try_into().unwrap_or_default(), Guard::unpack(&mut read)?)
        } else {
            (0, Guard::default())
        };
        let (since_ms, why) = (read.number()?, read.text()?);
        read.end()?;
        if !is_guarded && since_ms <= SLOTS.into() {
            // this is no time but a share of reads: a value that is cut off
            return Err(damaged(WHAT));
        }
        Ok(Self { leads, wanted, phase, epoch, listed, compared, guard, since_ms, why })
    }
}

/// The form of a value with these leads, and whether it says whose reads the new store answers.
fn form_of<'l>(leads: impl IntoIterator<Item = Option<&'l Leads>>) -> (u8, bool) {
    let with_reads = leads.into_iter().flatten().any(|leads| leads.reads != Share::default());
    (if with_reads { FORM } else { FORM_BEFORE }, with_reads)
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

    /// Whether a document may be written by note: the old store leads it, and nobody reads its copy, as a copy does not show that
    /// a note is there.
    #[must_use]
    pub fn takes_notes(&self, key: &DocumentKey) -> bool {
        let is_read = self.leads.reads_copy(key) || self.wanted.reads_copy(key);
        self.lead(key) == Lead::Old && !is_read
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let (form, with_reads) = form_of([Some(&self.leads), Some(&self.wanted)]);
        let packer = self.leads.pack(Packer::new(form).number(self.epoch), with_reads);
        self.wanted.pack(packer, with_reads).finish()
    }

    pub(super) fn unpack(value: &[u8]) -> Result<Self> {
        let (form, mut read) = Unpacker::since("the fence of a move", (FORM_BEFORE, FORM), value)?;
        let (epoch, with_reads) = (read.number()?, form == FORM);
        let leads = Leads::unpack(&mut read, with_reads)?;
        Ok(Self { epoch, leads, wanted: Leads::unpack(&mut read, with_reads)? })
    }
}

#[cfg(test)]
mod tests {
    use repot_core::moving::{Lead, Phase};
    use repot_core::store::{DocumentKey, Scope};

    use super::{Control, FORM, FORM_BEFORE, Fence};
    use crate::moving::{Guard, Leads, SLOTS};
    use crate::packed::Packer;

    fn tenant(name: &str) -> DocumentKey {
        DocumentKey::new("notes", "a").in_tenant(name)
    }

    fn draining(wanted: Leads) -> Control {
        Control { wanted: Some(wanted), ..Control::begin(7, "because") }.stepped(Phase::Draining)
    }

    #[test]
    fn a_state_comes_back_and_a_fence_lets_pass_who_led_and_will() {
        let mut some = Leads::reads(5);
        some.led.tenants.insert("u1".into());
        some.reads.set_collection("notes", 7);
        for (wanted, form) in [(Leads::share(SLOTS), FORM_BEFORE), (Leads::reads(SLOTS), FORM), (some, FORM)]
        {
            let control = draining(wanted);
            assert_eq!(
                (Control::unpack(&control.pack()).unwrap(), control.pack()[0]),
                (control.clone(), form)
            );
            assert_eq!((control.phase_of(&tenant("u1")), control.epoch), (Phase::Draining, 2));
            let fence = Fence::of(&control);
            assert_eq!((Fence::unpack(&fence.pack()).unwrap(), fence.pack()[0]), (fence.clone(), form));
            for cut in 0..control.pack().len() {
                assert!(Control::unpack(&control.pack()[..cut]).is_err(), "{cut}");
            }
        }
        assert_eq!(draining(Leads::share(SLOTS)).phase_of_scope(&Scope::of("notes")), Phase::Draining);
        assert_eq!(draining(Leads::reads(SLOTS)).phase_of_scope(&Scope::of("notes")), Phase::Open);
    }

    #[test]
    fn a_fence_takes_notes_where_nobody_leads_or_reads_the_copy() {
        let fence = |control: &Control| {
            let fence = Fence::of(control);
            (fence.lead(&tenant("u1")), fence.takes_notes(&tenant("u1")))
        };
        let begun = Control::begin(7, "");
        assert_eq!(fence(&begun), (Lead::Old, true));
        assert_eq!(fence(&draining(Leads::share(SLOTS))), (Lead::New, false));
        assert_eq!(fence(&draining(Leads::reads(SLOTS))), (Lead::Old, false));
        let read = Control { leads: Leads::reads(SLOTS), ..begun };
        assert_eq!(fence(&read), (Lead::Old, false));
        let back = Control { wanted: Some(Leads::default()), ..read };
        assert_eq!(fence(&back.stepped(Phase::Draining)), (Lead::Old, false));
    }

    /// What builds before this one wrote.
    #[test]
    fn older_forms_are_read() {
        let share =
            |packer: Packer| packer.number(100).number(1).bytes(b"u1").number(1).bytes(b"notes").number(5);
        let mut leads = Leads::share(100);
        leads.led.tenants.insert("u1".into());
        leads.led.collections.insert("notes".into(), 5);
        let begun = || share(Packer::new(1)).number(0).number(0).number(9).number(3);
        let expected =
            Control { leads: leads.clone(), epoch: 9, listed: 3, ..Control::begin(1_700_000_000_000, "why") };
        let unguarded = begun().number(1_700_000_000_000).bytes(b"why").finish();
        assert_eq!(Control::unpack(&unguarded).unwrap(), expected);
        let guarded =
            Guard::default().pack(begun().number(10)).number(1_700_000_000_000).bytes(b"why").finish();
        assert_eq!(Control::unpack(&guarded).unwrap(), Control { compared: 10, ..expected });
        let fence = share(share(Packer::new(1).number(9))).finish();
        assert_eq!(Fence::unpack(&fence).unwrap(), Fence { epoch: 9, leads: leads.clone(), wanted: leads });
        let newer = Packer::new(FORM + 1).finish();
        assert_eq!(Control::unpack(&newer).unwrap_err().code(), "R0108");
        assert_eq!(Fence::unpack(&newer).unwrap_err().code(), "R0108");
    }
}
