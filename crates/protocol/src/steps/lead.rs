//! A change of the lead: announced, drained, done; each one transaction of the new store, by whichever driver.

use repot_core::moving::{Lead, Phase};

use super::Ahead;
use crate::model::{Driver, Fence};
use crate::mutant::Mutant;

const WHO: (&str, usize) = ("driver", 0);

pub(super) fn steps(ahead: &mut Ahead<'_>) {
    let state = ahead.state;
    let control = state.control;
    match control.phase {
        Phase::Open if state.budget.switches > 0 => {
            ahead.step(WHO, "announces a change of the lead", |after| {
                after.budget.switches -= 1;
                after.control.phase = Phase::Announced;
                after.control.epoch += 1;
            });
        }
        Phase::Open => {}
        Phase::Announced => {
            let all_know =
                state.leases.iter().all(|lease| !lease.valid || lease.acknowledged == control.epoch);
            if all_know || !ahead.keeps(Mutant::NoLeaseWait) {
                ahead.step(WHO, "lets no more writes begin", |after| after.control.phase = Phase::Draining);
            }
        }
        Phase::Draining => drain(ahead),
    }
    if control.phase != Phase::Open && state.budget.aborts > 0 {
        ahead.step(WHO, "gives the change up", |after| {
            after.budget.aborts -= 1;
            after.control.phase = Phase::Open;
            after.control.epoch += 1;
        });
    }
}

fn drain(ahead: &mut Ahead<'_>) {
    let state = ahead.state;
    let control = state.control;
    let fenced = state.fence.lead == Lead::New
        && (state.fence.epoch == control.epoch || !ahead.keeps(Mutant::FenceOfAnyEpoch));
    let no_notes = state.notes.iter().all(|there| !there);
    if control.lead == Lead::Old && fenced && no_notes && control.listed != control.epoch {
        ahead.step(WHO, "finds no notes beside the old store", |after| {
            after.control.listed = after.control.epoch;
        });
    }
    let listed = control.listed == control.epoch
        || !ahead.keeps(Mutant::NoFence)
        || (fenced && !ahead.keeps(Mutant::FlipsWithNotes));
    let clean = !state.dirty || !ahead.keeps(Mutant::FlipsMarked);
    let quiet = state.intents.iter().all(|there| !there) || !ahead.keeps(Mutant::FlipsInFlight);
    if clean && quiet && (control.lead == Lead::New || listed) {
        ahead.step(WHO, "changes the lead", |after| {
            after.control.lead = after.control.lead.other();
            after.control.phase = Phase::Open;
            after.control.epoch += 1;
        });
    }
}

/// The fence says the new store leads before it does, and the old one only after it does.
pub(super) fn fence(ahead: &mut Ahead<'_>, driver: usize) {
    let state = ahead.state;
    let control = state.control;
    let who = ("driver", driver);
    match state.drivers[driver] {
        Driver::Idle => {
            let wanted = match (control.phase, control.lead) {
                (Phase::Draining, Lead::Old) => Some(Lead::New),
                (Phase::Open, Lead::Old) => Some(Lead::Old),
                (Phase::Draining, Lead::New) if !ahead.keeps(Mutant::OpensFenceEarly) => Some(Lead::Old),
                _ => None,
            };
            let skips = !ahead.keeps(Mutant::FenceOfAnyEpoch) || control.phase == Phase::Open;
            if let Some(lead) = wanted
                && !(state.fence.lead == lead && (skips || state.fence.epoch == control.epoch))
            {
                let want = Fence { lead, epoch: control.epoch };
                ahead.step(who, "looks at the fence", |after| {
                    after.drivers[driver] = Driver::Fencing { seen: after.fence, want };
                });
            }
        }
        Driver::Fencing { seen, want } => {
            let takes = state.fence == seen || !ahead.keeps(Mutant::FencesBlindly);
            let what = if takes { "writes the fence" } else { "is told that the fence has changed" };
            ahead.step(who, what, |after| {
                if takes {
                    after.fence = want;
                }
                after.drivers[driver] = Driver::Idle;
            });
        }
    }
}
