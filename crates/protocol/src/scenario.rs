//! What is tried: small enough that every order can be looked at, each about one part of the protocol.

use repot_core::moving::Lead;

use crate::model::{Budget, State};

/// A beginning whose every order of steps is tried.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// Who leads.
    pub lead: Lead,
    /// Reads are served from the copy.
    pub reads: bool,
    /// The old store is a database.
    pub is_database: bool,
    /// How often what may happen there may.
    pub budget: Budget,
}

const NONE: Budget = Budget {
    appends: 0,
    clears: 0,
    reads: 0,
    switches: 0,
    shares: 0,
    aborts: 0,
    crashes: 0,
    cuts: 0,
    lapses: 0,
    entries: 0,
};

impl Scenario {
    /// All of them, those with many states last.
    pub const ALL: [Self; 15] = [
        Self {
            name: "two writers while the lead changes",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 2, switches: 1, ..NONE },
        },
        Self {
            name: "a write and a read while the lead goes and comes back",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, switches: 2, ..NONE },
        },
        Self {
            name: "a server that does not reach the new store",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 2, switches: 1, cuts: 1, ..NONE },
        },
        Self {
            name: "changes of the lead that are given up",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, switches: 2, aborts: 1, ..NONE },
        },
        Self {
            name: "a reader that is stopped while the lead changes",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, switches: 1, lapses: 2, ..NONE },
        },
        Self {
            name: "a writer that is killed, leases that end",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 2, switches: 1, crashes: 1, lapses: 1, ..NONE },
        },
        Self {
            name: "a reader that does not reach the new store while the lead goes and comes back",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, switches: 2, cuts: 1, ..NONE },
        },
        Self {
            name: "the lead goes and comes back while claims run out",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, clears: 1, switches: 2, lapses: 1, ..NONE },
        },
        Self {
            name: "the lead comes back while a server does not reach the new store",
            lead: Lead::New,
            reads: false,
            is_database: false,
            budget: Budget { appends: 2, switches: 1, cuts: 1, lapses: 1, ..NONE },
        },
        Self {
            name: "reads from the copy while writers are killed and claims run out",
            lead: Lead::Old,
            reads: true,
            is_database: false,
            budget: Budget { appends: 2, reads: 1, crashes: 1, lapses: 1, ..NONE },
        },
        Self {
            name: "reads go to the copy and come back while a server does not reach the new store",
            lead: Lead::Old,
            reads: false,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, shares: 2, cuts: 1, ..NONE },
        },
        Self {
            name: "the lead goes and comes back while reads are served from the copy",
            lead: Lead::Old,
            reads: true,
            is_database: false,
            budget: Budget { appends: 1, reads: 1, switches: 2, ..NONE },
        },
        Self {
            name: "two writers of an old database while the lead changes",
            lead: Lead::Old,
            reads: false,
            is_database: true,
            budget: Budget { appends: 2, switches: 1, ..NONE },
        },
        Self {
            name: "a write and a read of an old database while reads go to the copy and come back",
            lead: Lead::Old,
            reads: false,
            is_database: true,
            budget: Budget { appends: 1, reads: 1, shares: 2, entries: 1, ..NONE },
        },
        Self {
            name: "outsiders are let in while the lead goes back and comes again",
            lead: Lead::New,
            reads: false,
            is_database: true,
            budget: Budget { appends: 1, switches: 2, entries: 1, ..NONE },
        },
    ];

    /// Whether reads are served from the copy there, at first or later.
    #[must_use]
    pub const fn is_of_reads(self) -> bool {
        self.reads || self.budget.shares > 0
    }

    /// Where it begins.
    #[must_use]
    pub fn start(self) -> State {
        let start = State::new(self.lead, self.reads, self.budget);
        if self.is_database { start.between_databases() } else { start }
    }
}
