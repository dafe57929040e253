//! One document that moves: everything that is stored, and where each process stands.

use std::array;
use std::hash::{Hash as _, Hasher};

use repot_core::moving::{Lead, Phase};

use crate::register::{Action, Register, Text};

pub(crate) const SERVERS: usize = 2;
pub(crate) const WORKERS: usize = 2;
pub(crate) const DRIVERS: usize = 2;

/// How often what may happen still may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Appends that apps ask for, 7 at the most.
    pub appends: u8,
    /// Times that apps empty the document.
    pub clears: u8,
    /// Reads.
    pub reads: u8,
    /// Times that somebody wants the lead to change.
    pub switches: u8,
    /// Times that somebody wants reads to be served from the copy, or no more.
    pub shares: u8,
    /// Times that a change is given up.
    pub aborts: u8,
    /// Servers that are killed.
    pub crashes: u8,
    /// Times that a server is cut off from the new store.
    pub cuts: u8,
    /// Leases, claims and intents that end because time went by.
    pub lapses: u8,
    /// Times that an operator lets outsiders in.
    pub entries: u8,
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Turn {
    Lead,
    /// Whether reads are served from the copy.
    Reads,
}

/// The row of the new store that says who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Control {
    pub lead: Lead,
    /// While the old store leads, reads are served from the new one, where its copy is known to be the same.
    pub reads: bool,
    pub phase: Phase,
    /// Of the change on its way; the lead where there is none.
    pub turn: Turn,
    pub epoch: u8,
    /// The epoch whose notes were all taken up, beside the old store.
    pub listed: u8,
}

impl Control {
    /// One step on, which has an epoch of its own.
    pub(crate) const fn stepped(self, phase: Phase) -> Self {
        Self { phase, epoch: self.epoch + 1, ..self }
    }

    /// When the change is done.
    pub(crate) fn turned(self) -> Self {
        let open = Self { turn: Turn::Lead, ..self.stepped(Phase::Open) };
        match self.turn {
            Turn::Lead => Self { lead: self.lead.other(), ..open },
            Turn::Reads => Self { reads: !self.reads, ..open },
        }
    }

    /// Reads go to the copy.
    pub(crate) fn reads_copy(self) -> bool {
        self.reads && self.lead == Lead::Old
    }

    /// No write begins and the notes are taken up: log and marks are looked at next.
    pub(crate) fn is_turning(self) -> bool {
        self.phase == Phase::Draining && self.listed == self.epoch
    }
}

/// The object beside the old store that says who leads, for those who do not reach the new store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fence {
    pub lead: Lead,
    /// The old store leads, and is written by note.
    pub notes: bool,
    pub epoch: u8,
}

/// The lease of a server: until it ends, the server may trust what it knows of the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub valid: bool,
    pub acknowledged: u8,
    /// What the server knows; a server that was started anew knows nothing.
    pub view: Option<Control>,
}

/// An operation that an app waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub number: u8,
    pub action: Action,
}

/// What lets a server write to the old store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pass {
    /// A row in the new store.
    Intent,
    /// An object beside the old store, where the new one is out of reach.
    Note,
}

/// Where a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Server {
    Idle,
    Write(Operation),
    /// Kept out of the old database; it asks who leads.
    Refused(Operation),
    /// The note is made; the fence is looked at next.
    Noted(Operation),
    /// The fence is looked at (only where a mutant does so before the note).
    Checked(Operation),
    Look(Operation, Pass),
    /// `orphan`: the process is gone, its request is still on its way.
    Put {
        operation: Operation,
        pass: Pass,
        seen: Text,
        orphan: bool,
        answered: bool,
    },
    /// The old store has answered; the intent is to be taken back.
    Landed,
    Read(Operation),
    ReadAt(Operation, Lead),
    /// Reads go to the copy: what is looked at next; `held`: the copy, where a mutant looks at it before.
    Glance {
        operation: Operation,
        next: Seen,
        held: Option<Text>,
    },
}

/// What tells whether a copy is known to be the same, and the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Seen {
    Intents,
    Mark,
    Copy,
}

/// A worker, and its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Worker {
    pub at: Copying,
    /// Its claim stands.
    pub claims: bool,
    /// The mark has the version it had when the worker claimed it.
    pub newest: bool,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Copying {
    Idle,
    /// It has the claim and the mark is there; the old store is looked at next.
    Claimed,
    /// What the old store held; who leads is asked next.
    Seen(Text),
    /// The state of the control row that it was told.
    Led {
        control: Control,
        seen: Text,
    },
    Holding {
        control: Control,
        seen: Text,
        text: Text,
    },
    Copied,
}

/// Where a driver stands, and the state of the control row that it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Driver {
    Idle,
    /// It sets the fence, which it has not looked at yet (only where a mutant looks
    /// later), or has.
    Fencing {
        control: Control,
        seen: Option<Fence>,
    },
    /// No write is on its way and the fence is there.
    Turning {
        control: Control,
        next: Look,
    },
}

/// What a driver looks at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Look {
    Notes,
    Log,
    Marks,
    /// Nothing more: it changes the lead.
    Flip,
}

/// Where the reader of the new store's log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tail {
    Idle,
    /// It asked who leads: the state of the control row that it was told.
    Asked(Control),
    /// It holds so many entries.
    Read {
        control: Control,
        entries: u8,
    },
}

/// Where who keeps outsiders out stands, for the change of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keeper {
    Idle,
    /// They are refused.
    Kept(u8),
    /// And what they wrote is marked.
    Looked(u8),
}

/// Where who lets outsiders in stands: what it saw keep them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LettingIn {
    Idle,
    Seen(u8),
    Asked(u8),
}

/// An old store that is a database, which is written past the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outside {
    /// What keeps outsiders out, another number each time.
    pub door: Option<u8>,
    /// Entries of its log that were not followed, and how many of them the follower has read.
    pub unseen: u8,
    pub found: u8,
    pub keeper: Keeper,
    pub letting: LettingIn,
}

/// Everything that is stored, and where each process stands.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) old: Text,
    pub(crate) fence: Fence,
    pub(crate) notes: [bool; SERVERS],
    pub(crate) new: Text,
    pub(crate) control: Control,
    /// The document is marked in the journal.
    pub(crate) dirty: bool,
    /// Writes of apps in the new store's log that were not read yet.
    pub(crate) unread: u8,
    pub(crate) tail: Tail,
    pub(crate) intents: [bool; SERVERS],
    pub(crate) leases: [Lease; SERVERS],
    pub(crate) cut: [bool; SERVERS],
    pub(crate) servers: [Server; SERVERS],
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) drivers: [Driver; DRIVERS],
    /// `None`: the old store is no database.
    pub(crate) outside: Option<Outside>,
    pub(crate) begun: u8,
    pub(crate) appended: u8,
    pub(crate) told: Register,
    pub(crate) budget: Budget,
}

/// Who did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// `server 0`, `worker 1`, ...
    pub who: (&'static str, usize),
    /// What it did.
    pub what: &'static str,
}

impl State {
    /// An empty document in both stores, one of them leading; `reads`: where that is the old one, reads are served from the new one.
    #[must_use]
    pub fn new(lead: Lead, reads: bool, budget: Budget) -> Self {
        let control = Control { lead, reads, phase: Phase::Open, turn: Turn::Lead, epoch: 1, listed: 0 };
        let lease = Lease { valid: true, acknowledged: 1, view: Some(control) };
        Self {
            old: 0,
            fence: Fence { lead, notes: lead == Lead::Old && !reads, epoch: 1 },
            notes: [false; SERVERS],
            new: 0,
            control,
            dirty: false,
            unread: 0,
            tail: Tail::Idle,
            intents: [false; SERVERS],
            leases: [lease; SERVERS],
            cut: [false; SERVERS],
            servers: [Server::Idle; SERVERS],
            workers: [Worker { at: Copying::Idle, claims: false, newest: false }; WORKERS],
            drivers: [Driver::Idle; DRIVERS],
            outside: None,
            begun: 0,
            appended: 0,
            told: Register::default(),
            budget,
        }
    }

    /// The same where the old store is a database, which nobody is kept out of while it leads alone.
    #[must_use]
    pub fn between_databases(self) -> Self {
        let is_alone = self.control.lead == Lead::Old && !self.control.reads;
        let door = if is_alone { None } else { Some(0) };
        let (keeper, letting) = (Keeper::Idle, LettingIn::Idle);
        Self { outside: Some(Outside { door, unseen: 0, found: 0, keeper, letting }), ..self }
    }

    /// What of the invariants does not hold.
    ///
    /// # Errors
    /// The invariant, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        if !self.told.is_possible() {
            return Err("the answers are those of no single register");
        }
        let leading = match self.control.lead {
            Lead::Old => self.old,
            Lead::New => self.new,
        };
        if !self.told.may_hold(leading) {
            return Err("the store that leads holds what no order of the operations gives");
        }
        if self.fence.lead == Lead::Old && self.control.lead == Lead::New {
            return Err("the fence lets writers pass to a store that does not lead");
        }
        let settled = !self.dirty
            && self.unread == 0
            && self.outside.is_none_or(|outside| outside.unseen == 0)
            && !self.is_claimed()
            && self.intents.iter().chain(&self.notes).all(|there| !there);
        if settled && self.old != self.new {
            return Err("nothing is marked, and the copy is not the primary");
        }
        Ok(())
    }

    /// The document is marked; what workers hold is no longer the newest.
    pub(crate) fn touch(&mut self) {
        self.dirty = true;
        for worker in &mut self.workers {
            worker.newest = false;
        }
    }

    /// The mark goes; its version never comes back.
    pub(crate) fn clear(&mut self) {
        self.touch();
        self.dirty = false;
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.workers.iter().any(|worker| worker.claims)
    }

    /// Hashes the state as if servers, workers and drivers had no numbers: they are all alike.
    pub(crate) fn hash_unnumbered(&self, hasher: &mut impl Hasher) {
        let mut servers: [_; SERVERS] = array::from_fn(|at| {
            (self.servers[at], self.leases[at], self.cut[at], self.intents[at], self.notes[at])
        });
        servers.sort_unstable();
        let mut workers = self.workers;
        workers.sort_unstable();
        let mut drivers = self.drivers;
        drivers.sort_unstable();
        (servers, workers, drivers).hash(hasher);
        (self.old, self.fence, self.new, self.control, self.dirty, self.unread, self.tail).hash(hasher);
        (self.outside, self.begun, self.appended, &self.told, self.budget).hash(hasher);
    }
}
