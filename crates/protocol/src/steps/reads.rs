//! A read, from a store that led when the read had begun. No look afterwards is needed: a store that led at one instant
//! of the read and is a copy by now still holds a state from within the read.

use repot_core::moving::{Lead, Phase};

use super::Ahead;
use crate::model::{Operation, Server};
use crate::mutant::Mutant;

pub(super) fn steps(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    let who = ("server", server);
    match state.servers[server] {
        Server::Read(operation) if state.cut[server] => {
            let leads = (state.fence.lead == Lead::Old).then_some(Lead::Old);
            ahead.step(who, "looks at the fence", |after| after.decide(server, operation, leads));
        }
        Server::Read(operation) => {
            let lead = known(ahead, server).unwrap_or(state.control.lead);
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
        _ => {}
    }
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
fn known(ahead: &Ahead<'_>, server: usize) -> Option<Lead> {
    let lease = ahead.state.leases[server];
    let trusts = lease.valid || !ahead.keeps(Mutant::TrustsOldLease);
    lease.view.filter(|view| trusts && view.phase == Phase::Open).map(|view| view.lead)
}
