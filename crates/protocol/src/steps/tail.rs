//! Who reads the new store's log turns what apps wrote there into marks, and notes how far it read in the same
//! transaction. The log holds writes of apps only: what copies leave in it can only make more marks.

use repot_core::moving::Lead;

use super::Ahead;
use crate::model::Tail;
use crate::mutant::Mutant;

const WHO: (&str, usize) = ("reader of the log", 0);

/// One reader stands for all: one that was overtaken by another is refused, as the position is not the one it read.
pub(super) fn steps(ahead: &mut Ahead<'_>) {
    let state = ahead.state;
    let unread = state.unread;
    match state.tail {
        Tail::Idle if !ahead.keeps(Mutant::AsksBeforeLog) => {
            let lead = state.control.lead;
            ahead.step(WHO, "asks who leads", |after| after.tail = Tail::Asked(lead));
        }
        Tail::Idle if unread > 0 => {
            ahead.step(WHO, "reads the log", |after| after.tail = Tail::Read { entries: unread, lead: None });
        }
        Tail::Asked(lead) if unread > 0 => {
            ahead.step(WHO, "reads the log", |after| {
                after.tail = Tail::Read { entries: unread, lead: Some(lead) };
            });
        }
        Tail::Idle | Tail::Asked(_) => {}
        Tail::Read { lead: None, entries } => {
            let lead = Some(state.control.lead);
            ahead.step(WHO, "asks who leads", |after| after.tail = Tail::Read { entries, lead });
        }
        Tail::Read { lead: Some(lead), entries } => {
            let what = match lead {
                Lead::New => "marks what it read, and notes how far that was",
                Lead::Old => "takes what it read for copies, and notes how far that was",
            };
            ahead.step(WHO, what, |after| {
                if lead == Lead::New {
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
