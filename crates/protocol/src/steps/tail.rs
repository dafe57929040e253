//! Who reads the new store's log turns what apps wrote there into marks, and notes how far it read in the same
//! transaction, while the control row is in the state that it went by. The log holds writes of apps only: what copies leave in
//! it can only make more marks.

use repot_core::moving::Lead;

use super::Ahead;
use crate::model::{State, Tail};
use crate::mutant::Mutant;

const WHO: (&str, usize) = ("reader of the log", 0);

/// One reader stands for all: one that was overtaken by another is refused, as the position is not the one it read.
pub(super) fn steps(ahead: &mut Ahead<'_>) {
    let state = ahead.state;
    let unread = state.unread;
    match state.tail {
        // asked earlier, who reads is refused or was told the same
        Tail::Idle if unread > 0 || !ahead.keeps(Mutant::ReadsLogUnderAnyLead) => {
            ahead.step(WHO, "asks who leads", |after| after.tail = Tail::Asked(after.control));
        }
        Tail::Asked(control) if unread > 0 => {
            ahead.step(WHO, "reads the log", |after| after.tail = Tail::Read { control, entries: unread });
        }
        Tail::Idle | Tail::Asked(_) => {}
        Tail::Read { control, .. }
            if control != state.control && ahead.keeps(Mutant::ReadsLogUnderAnyLead) =>
        {
            ahead.step(WHO, "is told that the control row has changed", |after| after.tail = Tail::Idle);
        }
        Tail::Read { control, entries } => {
            let what = match control.lead {
                Lead::New => "marks what it read, and notes how far that was",
                Lead::Old => "takes what it read for copies, and notes how far that was",
            };
            ahead.step(WHO, what, |after| {
                if control.lead == Lead::New {
                    after.touch();
                }
                after.unread -= entries;
                after.tail = Tail::Idle;
            });
        }
    }
    if let Tail::Read { entries, .. } = state.tail
        && entries < unread
    {
        ahead.step(WHO, "is overtaken by another", |after| after.tail = Tail::Idle);
    }
}

impl State {
    /// What a reader notes that goes by another state of the control row is refused: it is taken to begin anew at once.
    pub(super) fn forget_stale_reader(&mut self) {
        if let Tail::Asked(control) | Tail::Read { control, .. } = self.tail
            && control != self.control
        {
            self.tail = Tail::Idle;
        }
    }
}
