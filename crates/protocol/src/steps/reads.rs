//! A read, from a store that led when the read had begun. No look afterwards is needed: a store that led at one instant
//! of the read and is a copy by now still holds a state from within the read. Where reads go to the copy, it is read once neither
//! intent nor mark is there; else the store that leads is.

use repot_core::moving::{Lead, Phase};

use super::Ahead;
use crate::model::{Control, Operation, Seen, Server};
use crate::mutant::Mutant;
use crate::register::Text;

pub(super) fn steps(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    let who = ("server", server);
    match state.servers[server] {
        Server::Read(operation) if state.cut[server] => {
            let leads = (state.fence.lead == Lead::Old).then_some(Lead::Old);
            ahead.step(who, "looks at the fence", |after| after.decide(server, operation, leads));
        }
        Server::Read(operation) => {
            let control = known(ahead, server).unwrap_or(state.control);
            if control.reads_copy() && control.phase == Phase::Open {
                let next = first(ahead);
                ahead.step(who, "decides to read the copy", |after| {
                    after.servers[server] = Server::Glance { operation, next, held: None };
                });
                return;
            }
            let lead = control.lead;
            ahead.step(who, "decides where to read", |after| after.decide(server, operation, Some(lead)));
            if !ahead.keeps(Mutant::SharesByRequest) {
                let other = Some(lead.other());
                ahead.step(who, "reads elsewhere", |after| after.decide(server, operation, other));
            }
        }
        Server::ReadAt(operation, lead) => {
            let text = match lead {
                Lead::Old => state.old,
                Lead::New => state.new,
            };
            ahead.step(who, "reads and answers", |after| {
                after.told.answer(operation.number, text);
                after.servers[server] = Server::Idle;
            });
        }
        Server::Glance { operation, next, held } => glance(ahead, server, operation, (next, held)),
        _ => {}
    }
}

/// First intents, then the mark, then the copy.
fn first(ahead: &Ahead<'_>) -> Seen {
    if !ahead.keeps(Mutant::CopyBeforeMark) {
        Seen::Copy
    } else if ahead.keeps(Mutant::MarkBeforeIntents) {
        Seen::Intents
    } else {
        Seen::Mark
    }
}

/// Each look is a step of its own; whoever finds something, or does not reach the new store, reads where the document is led.
fn glance(ahead: &mut Ahead<'_>, server: usize, operation: Operation, (next, held): (Seen, Option<Text>)) {
    let (state, who) = (ahead.state, ("server", server));
    if state.cut[server] {
        ahead.step(who, "turns to the old store", |after| after.decide(server, operation, Some(Lead::Old)));
        return;
    }
    let then = |next| Server::Glance { operation, next, held };
    let (what, finds, then) = match next {
        Seen::Intents => {
            let finds = state.intents.contains(&true) && ahead.keeps(Mutant::ReadsOverIntents);
            let last = !ahead.keeps(Mutant::MarkBeforeIntents);
            ("looks for intents", finds, then(if last { Seen::Copy } else { Seen::Mark }))
        }
        Seen::Mark => {
            let finds = state.dirty && ahead.keeps(Mutant::ReadsOverMark);
            let last = ahead.keeps(Mutant::MarkBeforeIntents);
            ("looks for the mark", finds, then(if last { Seen::Copy } else { Seen::Intents }))
        }
        Seen::Copy if held.is_none() && !ahead.keeps(Mutant::CopyBeforeMark) => {
            let held = Some(state.new);
            ("reads the copy", false, Server::Glance { operation, next: Seen::Intents, held })
        }
        Seen::Copy => {
            let text = held.unwrap_or(state.new);
            ahead.step(who, "reads the copy and answers", |after| {
                after.told.answer(operation.number, text);
                after.servers[server] = Server::Idle;
            });
            return;
        }
    };
    ahead.step(who, what, |after| {
        after.servers[server] = if finds { Server::ReadAt(operation, Lead::Old) } else { then };
    });
}

impl crate::model::State {
    fn decide(&mut self, server: usize, operation: Operation, lead: Option<Lead>) {
        self.servers[server] = if let Some(lead) = lead {
            Server::ReadAt(operation, lead)
        } else {
            self.told.fail(operation.number);
            Server::Idle
        };
    }
}

/// What the server may trust without asking: its lease stands, and no change is about to be made.
fn known(ahead: &Ahead<'_>, server: usize) -> Option<Control> {
    let lease = ahead.state.leases[server];
    let trusts = lease.valid || !ahead.keeps(Mutant::TrustsOldLease);
    lease.view.filter(|view| trusts && view.phase == Phase::Open)
}
