//! What can happen next.

mod lead;
mod outsiders;
mod reads;
mod tail;
mod workers;
mod writes;

use crate::model::{Control, DRIVERS, SERVERS, Server, State, Step, WORKERS};
use crate::mutant::Mutant;
use crate::register::Action;

/// What can happen next, gathered.
pub(crate) struct Ahead<'a> {
    pub state: &'a State,
    pub mutant: Option<Mutant>,
    found: Vec<(Step, State)>,
}

impl Ahead<'_> {
    /// Whether the protocol is followed where `mutant` would not.
    pub(crate) fn keeps(&self, mutant: Mutant) -> bool {
        self.mutant != Some(mutant)
    }

    /// One step: `change` is made to a copy of the state.
    pub(crate) fn step(
        &mut self,
        who: (&'static str, usize),
        what: &'static str,
        change: impl FnOnce(&mut State),
    ) {
        let mut after = self.state.clone();
        change(&mut after);
        if self.keeps(Mutant::FlipsBlindly) {
            after.forget_stale_drivers();
        }
        if self.keeps(Mutant::NoToken) && self.keeps(Mutant::NoDeadlineOnCopies) {
            after.forget_late_workers();
        }
        if self.keeps(Mutant::CopiesUnderAnyLead) {
            after.forget_stale_workers();
        }
        if self.keeps(Mutant::ReadsLogUnderAnyLead) {
            after.forget_stale_reader();
        }
        self.found.push((Step { who, what }, after));
    }
}

/// Everything that can happen next in `state`.
pub(crate) fn successors(state: &State, mutant: Option<Mutant>) -> Vec<(Step, State)> {
    let mut ahead = Ahead { state, mutant, found: Vec::new() };
    for server in 0..SERVERS {
        begins(&mut ahead, server);
        writes::steps(&mut ahead, server);
        reads::steps(&mut ahead, server);
        fates(&mut ahead, server);
    }
    for worker in 0..WORKERS {
        workers::steps(&mut ahead, worker);
        workers::lapse(&mut ahead, worker);
    }
    lead::steps(&mut ahead);
    for driver in 0..DRIVERS {
        lead::drive(&mut ahead, driver);
    }
    tail::steps(&mut ahead);
    outsiders::steps(&mut ahead);
    ahead.found
}

/// An app asks a server that has nothing to do.
fn begins(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    if state.servers[server] != Server::Idle {
        return;
    }
    let who = ("server", server);
    let number = state.begun;
    if state.budget.appends > 0 {
        let action = Action::Append(state.appended + 1);
        ahead.step(who, "is asked to append", |after| {
            after.budget.appends -= 1;
            after.appended += 1;
            after.begin(server, number, action);
        });
    }
    if state.budget.clears > 0 {
        ahead.step(who, "is asked to empty the document", |after| {
            after.budget.clears -= 1;
            after.begin(server, number, Action::Clear);
        });
    }
    if state.budget.reads > 0 {
        ahead.step(who, "is asked to read", |after| {
            after.budget.reads -= 1;
            after.begin(server, number, Action::Read);
        });
    }
}

/// What happens to servers: leases are renewed and end, processes die, networks fail.
fn fates(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    let who = ("server", server);
    let lease = state.leases[server];
    // one step, as the lease is noted on condition of the row that was read; whether notes are listed is nothing that servers go by
    let view = Some(Control { listed: 0, ..state.control });
    if !state.cut[server] && (!lease.valid || lease.view != view) {
        ahead.step(who, "renews its lease", |after| {
            let lease = &mut after.leases[server];
            lease.valid = true;
            lease.acknowledged = after.control.epoch;
            lease.view = view;
        });
    }
    if lease.valid && state.budget.lapses > 0 {
        ahead.step(who, "lets its lease end", |after| {
            after.budget.lapses -= 1;
            after.leases[server].valid = false;
        });
    }
    if state.cut[server] {
        ahead.step(who, "reaches the new store again", |after| after.cut[server] = false);
    } else if state.budget.cuts > 0 {
        ahead.step(who, "does not reach the new store any more", |after| {
            after.budget.cuts -= 1;
            after.cut[server] = true;
        });
    }
    if state.budget.crashes > 0 && state.servers[server] != Server::Idle {
        ahead.step(who, "is killed", |after| {
            after.budget.crashes -= 1;
            after.kill(server);
        });
    }
}
