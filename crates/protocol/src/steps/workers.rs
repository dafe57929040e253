//! Workers bring the copy to the state of the primary.

use repot_core::moving::Lead;

use super::Ahead;
use crate::model::{Control, Copying, State, WORKERS, Worker};
use crate::mutant::Mutant;
use crate::register::Text;

pub(super) fn steps(ahead: &mut Ahead<'_>, worker: usize) {
    let state = ahead.state;
    let who = ("worker", worker);
    let from_copy = !ahead.keeps(Mutant::CopiesFromCopy);
    match state.workers[worker].at {
        Copying::Idle if state.dirty => claim(ahead, worker),
        Copying::Idle => {}
        Copying::Claimed if !ahead.keeps(Mutant::LooksAfterLead) => {
            ahead.step(who, "asks who leads", |after| {
                after.workers[worker].at = Copying::Led { control: after.control, seen: 0 };
            });
        }
        Copying::Claimed => {
            ahead.step(who, "looks at the old store", |after| {
                after.workers[worker].at = Copying::Seen(after.old);
            });
        }
        Copying::Seen(seen) => {
            ahead.step(who, "asks who leads", |after| {
                let control = after.control;
                let is_text = control.lead == Lead::Old && !from_copy;
                after.workers[worker].at = if is_text {
                    Copying::Holding { control, seen, text: seen }
                } else {
                    Copying::Led { control, seen }
                };
            });
        }
        Copying::Led { control, seen } => {
            let leads = if from_copy { control.lead.other() } else { control.lead };
            let (what, text) = match leads {
                Lead::Old => ("reads the old store", state.old),
                Lead::New => ("reads the new store", state.new),
            };
            let seen = if ahead.keeps(Mutant::LooksAfterLead) { seen } else { state.old };
            ahead.step(who, what, |after| {
                after.workers[worker].at = Copying::Holding { control, seen, text };
            });
        }
        Copying::Holding { control, seen, text } => match control.lead {
            Lead::Old => into_new(ahead, worker, control, text),
            Lead::New => into_old(ahead, worker, seen, text),
        },
        Copying::Copied => {
            let looks = ahead.keeps(Mutant::ClearsWithoutLook);
            ahead.step(who, "clears the mark, if nothing newer came", |after| {
                let Worker { claims, newest, .. } = after.workers[worker];
                if claims && (newest || !looks) {
                    after.clear();
                }
                after.rest(worker);
            });
        }
    }
}

/// The claim, and the second look at the mark, are one step: a claim without a mark is let go of, and until then only
/// keeps others from claiming.
fn claim(ahead: &mut Ahead<'_>, worker: usize) {
    if !ahead.state.is_claimed() {
        ahead.step(("worker", worker), "claims the document and finds it marked", |after| {
            after.workers[worker] = Worker { at: Copying::Claimed, claims: true, newest: true };
        });
    }
}

impl State {
    /// What a worker without its claim still does is refused: it is taken to begin anew at once.
    pub(super) fn forget_late_workers(&mut self) {
        for worker in 0..WORKERS {
            if !self.workers[worker].claims && self.workers[worker].at != Copying::Idle {
                self.rest(worker);
            }
        }
    }

    /// So is what a worker writes into the new store that goes by another state of the control row.
    pub(super) fn forget_stale_workers(&mut self) {
        for worker in 0..WORKERS {
            if let Copying::Led { control, .. } | Copying::Holding { control, .. } = self.workers[worker].at
                && control.lead == Lead::Old
                && control != self.control
            {
                self.rest(worker);
            }
        }
    }

    fn rest(&mut self, worker: usize) {
        self.workers[worker] = Worker { at: Copying::Idle, claims: false, newest: false };
    }
}

/// One transaction: the copy, while the control row is in the state that was gone by, and the mark if nothing newer came. A
/// write that is on its way has its intent.
fn into_new(ahead: &mut Ahead<'_>, worker: usize, control: Control, text: Text) {
    let state = ahead.state;
    let Worker { claims, newest, .. } = state.workers[worker];
    let leads = control == state.control || !ahead.keeps(Mutant::CopiesUnderAnyLead);
    let applies = leads && (claims || !ahead.keeps(Mutant::NoToken));
    let same = newest || !ahead.keeps(Mutant::ClearsWithoutLook);
    let what = if applies { "writes the copy to the new store" } else { "is refused by the new store" };
    ahead.step(("worker", worker), what, |after| {
        if applies {
            after.new = text;
        }
        if applies && claims && same {
            after.clear();
        }
        after.rest(worker);
    });
}

/// The old store takes the copy if the claim's time has not run out and it holds what was looked at.
fn into_old(ahead: &mut Ahead<'_>, worker: usize, seen: Text, text: Text) {
    let state = ahead.state;
    let in_time = state.workers[worker].claims || !ahead.keeps(Mutant::NoDeadlineOnCopies);
    let takes = in_time && state.old == seen;
    let what = if takes { "writes the copy to the old store" } else { "is refused by the old store" };
    ahead.step(("worker", worker), what, |after| {
        if takes {
            after.old = text;
            after.workers[worker].at = Copying::Copied;
        } else {
            after.rest(worker);
        }
    });
}

/// The time of a claim runs out.
pub(super) fn lapse(ahead: &mut Ahead<'_>, worker: usize) {
    if ahead.state.workers[worker].claims && ahead.state.budget.lapses > 0 {
        ahead.step(("worker", worker), "lets its claim run out", |after| {
            after.budget.lapses -= 1;
            after.workers[worker].claims = false;
        });
    }
}
