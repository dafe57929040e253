//! A change of the lead: announced, drained, turned. Any driver may do each step; what a driver looked at is one
//! transaction after the other, and only its last one, on condition of the control row, changes the lead.

use repot_core::moving::{Lead, Phase};

use super::{Ahead, outsiders};
use crate::model::{Control, Driver, Fence, Look, State, Turn};
use crate::mutant::Mutant;

/// Steps that look at one state and change it on condition of the control row; whoever does them.
pub(super) fn steps(ahead: &mut Ahead<'_>) {
    let state = ahead.state;
    let control = state.control;
    let who = ("driver", 0);
    match control.phase {
        Phase::Open => announce(ahead, control),
        Phase::Announced => {
            let all_know =
                state.leases.iter().all(|lease| !lease.valid || lease.acknowledged == control.epoch);
            let may = all_know || !ahead.keeps(Mutant::NoLeaseWait);
            if may && outsiders::are_out(ahead) {
                ahead.step(who, "lets no more writes begin", |after| {
                    after.control = control.stepped(Phase::Draining);
                });
            }
        }
        Phase::Draining => {}
    }
    if control.phase != Phase::Open && state.budget.aborts > 0 {
        ahead.step(who, "gives the change up", |after| {
            after.budget.aborts -= 1;
            after.control = Control { turn: Turn::Lead, ..control.stepped(Phase::Open) };
        });
    }
}

fn announce(ahead: &mut Ahead<'_>, control: Control) {
    let (budget, who) = (ahead.state.budget, ("driver", 0));
    if budget.switches > 0 {
        ahead.step(who, "announces a change of the lead", |after| {
            after.budget.switches -= 1;
            after.control = control.stepped(Phase::Announced);
        });
    }
    // under the new store's lead it changes nothing that is there
    if budget.shares > 0 && control.lead == Lead::Old {
        ahead.step(who, "announces a change of where is read", |after| {
            after.budget.shares -= 1;
            after.control = Control { turn: Turn::Reads, ..control.stepped(Phase::Announced) };
        });
    }
}

/// What one driver does between a look and what follows from it.
pub(super) fn drive(ahead: &mut Ahead<'_>, driver: usize) {
    let who = ("driver", driver);
    match ahead.state.drivers[driver] {
        Driver::Idle => begin(ahead, driver),
        Driver::Fencing { control, seen: None } => look_at_fence(ahead, driver, control),
        Driver::Fencing { control, seen: Some(seen) } => {
            let takes = ahead.state.fence == seen || !ahead.keeps(Mutant::FencesBlindly);
            let what = if takes { "writes the fence" } else { "is told that the fence has changed" };
            let (want, next) = (fence_of(ahead, control), fenced(ahead, control));
            ahead.step(who, what, |after| {
                if takes {
                    after.fence = want;
                }
                after.drivers[driver] = if takes { next } else { Driver::Idle };
            });
        }
        Driver::Turning { control, next } => turn(ahead, driver, control, next),
    }
}

/// Who leads, the intents and the fence are looked at in one step: no intent comes while draining, and a fence that is
/// looked at later is either this one or of a later epoch, which is left as it is.
fn begin(ahead: &mut Ahead<'_>, driver: usize) {
    let state = ahead.state;
    let (who, control) = (("driver", driver), state.control);
    let wants = match control.phase {
        Phase::Draining => {
            let quiet = state.intents.iter().all(|there| !there) || !ahead.keeps(Mutant::FlipsInFlight);
            quiet && (!is_turned(state) || !ahead.keeps(Mutant::FlipsBlindly))
        }
        Phase::Open => state.fence.epoch < control.epoch,
        Phase::Announced => false,
    };
    if !wants {
        return;
    }
    let late = control.turn == Turn::Reads && !ahead.keeps(Mutant::FencesReadsLate);
    if !ahead.keeps(Mutant::NoFence) || late {
        let next = fenced(ahead, control);
        ahead.step(who, "finds no write on its way", |after| after.drivers[driver] = next);
    } else if !ahead.keeps(Mutant::FencesBackwards) {
        ahead.step(who, "finds no write on its way", |after| {
            after.drivers[driver] = Driver::Fencing { control, seen: None };
        });
    } else {
        look_at_fence(ahead, driver, control);
    }
}

/// One driver that turns stands for all: looks change nothing, and of two changes the second is refused.
fn is_turned(state: &State) -> bool {
    state.drivers.iter().any(|driver| matches!(driver, Driver::Turning { .. }))
}

/// While draining, whichever way, nobody may pass; else the fence says who leads. Where reads go to the copy, or are about to or no
/// longer to, nobody leaves a note, which a copy does not show.
fn fence_of(ahead: &Ahead<'_>, control: Control) -> Fence {
    let early = !ahead.keeps(Mutant::OpensFenceEarly);
    let lead = match (control.phase, control.turn, control.lead) {
        (Phase::Draining, Turn::Lead, Lead::New) if early => Lead::Old,
        (Phase::Draining, Turn::Lead, _) => Lead::New,
        (_, _, lead) => lead,
    };
    let turns = control.phase == Phase::Draining && control.turn == Turn::Reads && !early;
    let is_read = (control.reads_copy() || turns) && ahead.keeps(Mutant::NotesUnderReads);
    Fence { lead, notes: lead == Lead::Old && !is_read, epoch: control.epoch }
}

fn look_at_fence(ahead: &mut Ahead<'_>, driver: usize, control: Control) {
    let seen = ahead.state.fence;
    let want = fence_of(ahead, control);
    let is_there = seen == want || (seen.lead == want.lead && !ahead.keeps(Mutant::FenceOfAnyEpoch));
    let is_later = seen.epoch >= want.epoch && ahead.keeps(Mutant::FencesBackwards);
    let next = if is_there {
        fenced(ahead, control)
    } else if is_later {
        Driver::Idle
    } else {
        Driver::Fencing { control, seen: Some(seen) }
    };
    ahead.step(("driver", driver), "looks at the fence", |after| after.drivers[driver] = next);
}

/// The fence of this state is there.
fn fenced(ahead: &Ahead<'_>, control: Control) -> Driver {
    let next = match control.phase {
        Phase::Draining if !control.is_turning() => Look::Notes,
        Phase::Draining if !ahead.keeps(Mutant::MarksBeforeLog) => Look::Marks,
        Phase::Draining => Look::Log,
        Phase::Open | Phase::Announced => return Driver::Idle,
    };
    Driver::Turning { control, next }
}

/// The looks, and at last the change. A look that finds something ends the round; the next one begins anew.
fn turn(ahead: &mut Ahead<'_>, driver: usize, control: Control, next: Look) {
    let state = ahead.state;
    let backwards = !ahead.keeps(Mutant::MarksBeforeLog);
    let (what, finds_none, then) = match next {
        Look::Notes => return list(ahead, driver, control),
        Look::Log => {
            let none = state.unread == 0 || !ahead.keeps(Mutant::FlipsUnread);
            ("looks whether the log is read", none, if backwards { Look::Flip } else { Look::Marks })
        }
        Look::Marks => {
            let none = !state.dirty || !ahead.keeps(Mutant::FlipsMarked);
            ("looks for a mark", none, if backwards { Look::Log } else { Look::Flip })
        }
        Look::Flip => {
            let takes = state.control == control || !ahead.keeps(Mutant::FlipsBlindly);
            let who = ("driver", driver);
            ahead.step(who, "changes the lead", |after| {
                if takes {
                    after.control = control.turned();
                }
                after.drivers[driver] = Driver::Idle;
            });
            return;
        }
    };
    ahead.step(("driver", driver), what, |after| {
        after.drivers[driver] =
            if finds_none { Driver::Turning { control, next: then } } else { Driver::Idle };
    });
}

/// One step with its note in the control row: a note that comes in between finds the fence.
fn list(ahead: &mut Ahead<'_>, driver: usize, control: Control) {
    let state = ahead.state;
    let over = control.turn == Turn::Reads && !ahead.keeps(Mutant::ReadsOverNotes);
    let none = state.notes.iter().all(|there| !there) || !ahead.keeps(Mutant::FlipsWithNotes) || over;
    let what = if none { "finds no notes beside the old store" } else { "finds notes beside the old store" };
    ahead.step(("driver", driver), what, |after| {
        if none && after.control == control {
            after.control.listed = control.epoch;
        }
        after.drivers[driver] = Driver::Idle;
    });
}

impl State {
    /// Drivers that go by another state of the control row than the one that is there can only be refused in the end,
    /// as its version never comes back: they are taken to begin anew at once, which leaves fewer states to try.
    pub(super) fn forget_stale_drivers(&mut self) {
        for driver in &mut self.drivers {
            if matches!(driver, Driver::Turning { control, .. } if *control != self.control) {
                *driver = Driver::Idle;
            }
        }
    }
}
