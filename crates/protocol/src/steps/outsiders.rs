//! An old store that is a database: who takes no part in the move writes it by itself, and so does who takes part and knows of no
//! change. Its log tells of such a write, its transaction looks whether outsiders are kept out.

use repot_core::moving::{Lead, Phase};

use super::Ahead;
use crate::model::{Control, Keeper, LettingIn, Operation, Outside, Server};
use crate::mutant::Mutant;

const FOLLOWER: (&str, usize) = ("follower", 0);
const KEEPER: (&str, usize) = ("keeper", 0);
const OPERATOR: (&str, usize) = ("operator", 0);

/// A write past the journal, whatever the server knows of the leads: it may know nothing of the move.
pub(super) fn write(ahead: &mut Ahead<'_>, server: usize, operation: Operation) {
    let Some(outside) = ahead.state.outside else { return };
    let who = ("server", server);
    if outside.door.is_some() {
        ahead.step(who, "is told by the old database that it is kept out", |after| {
            after.servers[server] = Server::Refused(operation);
        });
        return;
    }
    let logs = ahead.keeps(Mutant::NoOldLog);
    ahead.step(who, "writes to the old database by itself", |after| {
        after.old = operation.action.on(after.old);
        after.told.succeed(operation.number);
        after.servers[server] = Server::Idle;
        after.outside = Some(Outside { unseen: outside.unseen + u8::from(logs), ..outside });
    });
}

/// Whether writes may be stopped for this change, as far as outsiders go.
pub(super) fn are_out(ahead: &Ahead<'_>) -> bool {
    let control = ahead.state.control;
    ahead.state.outside.is_none_or(|outside| {
        outside.keeper == Keeper::Looked(control.epoch)
            || goes_to_old(control)
            || !ahead.keeps(Mutant::DrainsWithOutsiders)
    })
}

/// When the change is done, apps are served by the old store alone.
fn goes_to_old(control: Control) -> bool {
    let after = control.turned();
    after.lead == Lead::Old && !after.reads
}

pub(super) fn steps(ahead: &mut Ahead<'_>) {
    let Some(outside) = ahead.state.outside else { return };
    follow(ahead, outside);
    keep_out(ahead, outside);
    let_in(ahead, outside);
}

/// What the log of the old database tells is marked; what comes meanwhile is told later.
fn follow(ahead: &mut Ahead<'_>, outside: Outside) {
    match outside.found {
        0 if outside.unseen > 0 => ahead.step(FOLLOWER, "reads the log of the old database", |after| {
            after.outside = Some(Outside { found: outside.unseen, ..outside });
        }),
        0 => {}
        found => ahead.step(FOLLOWER, "marks what it read there", |after| {
            after.touch();
            after.outside = Some(Outside { found: 0, unseen: outside.unseen - found, ..outside });
        }),
    }
}

/// First nobody writes there any more, then it is looked through. One keeper stands for all; a change that is no more has none.
fn keep_out(ahead: &mut Ahead<'_>, outside: Outside) {
    let control = ahead.state.control;
    let epoch = control.epoch;
    if control.phase != Phase::Announced || goes_to_old(control) {
        return;
    }
    let is_first = !matches!(outside.keeper, Keeper::Kept(own) | Keeper::Looked(own) if own == epoch);
    let closes = |outside: Outside| Outside { door: Some(epoch), ..outside };
    let backwards = !ahead.keeps(Mutant::LooksBeforeKeepingOut);
    match outside.keeper {
        _ if is_first => ahead.step(KEEPER, "keeps outsiders out", |after| {
            let closed = if backwards { outside } else { closes(outside) };
            after.outside = Some(Outside { keeper: Keeper::Kept(epoch), ..closed });
            if backwards {
                after.look_through();
            }
        }),
        Keeper::Kept(_) => {
            let looks = ahead.keeps(Mutant::NoLookAtOutsiders) && !backwards;
            ahead.step(KEEPER, "looks through the old database", |after| {
                let closed = if backwards { closes(outside) } else { outside };
                after.outside = Some(Outside { keeper: Keeper::Looked(epoch), ..closed });
                if looks {
                    after.look_through();
                }
            });
        }
        Keeper::Idle | Keeper::Looked(_) => {}
    }
}

/// The value is seen, then it is asked who leads, then it goes if it is still the one that was seen.
fn let_in(ahead: &mut Ahead<'_>, outside: Outside) {
    let control = ahead.state.control;
    let is_alone = control.phase == Phase::Open && control.lead == Lead::Old && !control.reads
        || !ahead.keeps(Mutant::LetsInUnasked);
    let to = |letting| Some(Outside { letting, ..outside });
    let asks_first = !ahead.keeps(Mutant::AsksBeforeSeeing);
    match outside.letting {
        LettingIn::Idle if asks_first && ahead.state.budget.entries > 0 && is_alone => {
            ahead.step(OPERATOR, "asks who leads", |after| {
                after.budget.entries -= 1;
                after.outside = to(LettingIn::Seen(0));
            });
        }
        LettingIn::Idle if ahead.state.budget.entries > 0 && !asks_first => {
            let Some(seen) = outside.door else { return };
            ahead.step(OPERATOR, "sees that outsiders are kept out", |after| {
                after.budget.entries -= 1;
                after.outside = to(LettingIn::Seen(seen));
            });
        }
        LettingIn::Idle => {}
        LettingIn::Seen(_) if asks_first => {
            let Some(seen) = outside.door else { return };
            ahead.step(OPERATOR, "sees that outsiders are kept out", |after| {
                after.outside = to(LettingIn::Asked(seen));
            });
        }
        LettingIn::Seen(seen) => {
            let next = if is_alone { LettingIn::Asked(seen) } else { LettingIn::Idle };
            ahead.step(OPERATOR, "asks who leads", |after| after.outside = to(next));
        }
        LettingIn::Asked(seen) => {
            let goes = outside.door == Some(seen) || !ahead.keeps(Mutant::LetsInBlindly);
            ahead.step(OPERATOR, "lets outsiders in, if they are kept out as it saw", |after| {
                let door = if goes { None } else { outside.door };
                after.outside = Some(Outside { door, letting: LettingIn::Idle, ..outside });
            });
        }
    }
}

impl crate::model::State {
    /// Whatever was written past the journal is marked.
    fn look_through(&mut self) {
        if let Some(outside) = &mut self.outside
            && outside.unseen > 0
        {
            (outside.unseen, outside.found) = (0, 0);
            self.touch();
        }
    }
}
