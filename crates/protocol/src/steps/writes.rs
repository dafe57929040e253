//! A write, by the store that leads.

use repot_core::moving::{Lead, Phase};

use super::{Ahead, outsiders};
use crate::model::{Operation, Pass, SERVERS, Server, State};
use crate::mutant::Mutant;
use crate::register::{Action, Text};

impl State {
    pub(super) fn begin(&mut self, server: usize, number: u8, action: Action) {
        let operation = Operation { number, action };
        self.begun += 1;
        self.told.begin(number, action);
        self.servers[server] =
            if action == Action::Read { Server::Read(operation) } else { Server::Write(operation) };
    }

    /// The process is gone: nobody is told anything. A request that was sent is still on its way.
    pub(super) fn kill(&mut self, server: usize) {
        self.leases[server].view = None;
        self.servers[server] = match self.servers[server] {
            Server::Put { operation, pass, seen, answered, .. } => {
                Server::Put { operation, pass, seen, orphan: true, answered }
            }
            Server::Read(operation) | Server::ReadAt(operation, _) | Server::Glance { operation, .. } => {
                // a read that nobody hears of changes nothing
                self.told.fail(operation.number);
                Server::Idle
            }
            _ => Server::Idle,
        };
    }
}

pub(super) fn steps(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    let who = ("server", server);
    if let Server::Write(operation) = state.servers[server] {
        outsiders::write(ahead, server, operation);
    }
    match state.servers[server] {
        Server::Write(operation) | Server::Refused(operation) if state.cut[server] => {
            note(ahead, server, operation);
        }
        Server::Write(operation) | Server::Refused(operation) => decide(ahead, server, operation),
        Server::Noted(operation) => check_fence(ahead, server, operation),
        Server::Checked(operation) => {
            ahead.step(who, "leaves a note beside the old store", |after| {
                after.notes[server] = true;
                after.servers[server] = Server::Look(operation, Pass::Note);
            });
        }
        Server::Look(operation, pass) => {
            let early = !ahead.keeps(Mutant::AnswersEarly);
            ahead.step(who, "reads the old store", |after| {
                if early {
                    after.told.succeed(operation.number);
                }
                let seen = after.old;
                after.servers[server] = Server::Put { operation, pass, seen, orphan: false, answered: early };
            });
        }
        Server::Put { .. } => put(ahead, server),
        Server::Landed if !state.cut[server] => {
            let counts = ahead.keeps(Mutant::CompletesSilently);
            ahead.step(who, "takes its intent back", |after| after.complete(server, counts));
        }
        _ => {}
    }
    run_out(ahead, server);
}

impl State {
    fn complete(&mut self, server: usize, counts: bool) {
        self.intents[server] = false;
        if counts {
            self.touch();
        }
        self.servers[server] = Server::Idle;
    }
}

/// One transaction of the new store: who leads decides where the write goes.
fn decide(ahead: &mut Ahead<'_>, server: usize, operation: Operation) {
    let state = ahead.state;
    let who = ("server", server);
    if state.control.phase == Phase::Draining {
        return;
    }
    match state.control.lead {
        Lead::New => {
            let logs = ahead.keeps(Mutant::NoLog);
            ahead.step(who, "writes to the new store", |after| {
                after.new = operation.action.on(after.new);
                if logs {
                    after.unread += 1;
                }
                after.told.succeed(operation.number);
                after.servers[server] = Server::Idle;
            });
        }
        Lead::Old if !state.intents[server] => {
            let marks = !ahead.keeps(Mutant::NoIntent);
            let intends = !marks && ahead.keeps(Mutant::NothingBeforeWrite);
            ahead.step(who, "intends to write to the old store", |after| {
                if marks {
                    after.touch();
                }
                after.intents[server] = intends;
                after.servers[server] = Server::Look(operation, Pass::Intent);
            });
        }
        Lead::Old => {}
    }
}

/// The new store is out of reach.
fn note(ahead: &mut Ahead<'_>, server: usize, operation: Operation) {
    if ahead.state.notes[server] {
        return;
    }
    let who = ("server", server);
    if !ahead.keeps(Mutant::FenceBeforeNote) {
        let passes = ahead.state.fence.notes;
        ahead.step(who, "looks at the fence", |after| {
            if passes {
                after.servers[server] = Server::Checked(operation);
            } else {
                after.told.fail(operation.number);
                after.servers[server] = Server::Idle;
            }
        });
        return;
    }
    let leaves = ahead.keeps(Mutant::NoNote);
    ahead.step(who, "leaves a note beside the old store", |after| {
        after.notes[server] = leaves;
        after.servers[server] = Server::Noted(operation);
    });
}

fn check_fence(ahead: &mut Ahead<'_>, server: usize, operation: Operation) {
    let passes = ahead.state.fence.notes || !ahead.keeps(Mutant::IgnoresFence);
    ahead.step(("server", server), "looks at the fence", |after| {
        if passes {
            after.servers[server] = Server::Look(operation, Pass::Note);
        } else {
            after.told.fail(operation.number);
            after.servers[server] = Server::Idle;
        }
    });
}

/// The old store takes the write when its time has not run out and it holds what was read.
fn put(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    let Server::Put { operation, pass, seen, orphan, answered } = state.servers[server] else { return };
    let in_time = is_in_time(ahead, server, pass);
    let matches = state.old == seen || !ahead.keeps(Mutant::WritesBlindly);
    let what = match (in_time, matches) {
        (true, true) => "writes to the old store",
        (true, false) => "is told by the old store that it holds something else",
        (false, _) => "is told by the old store that its time has run out",
    };
    let marks = !ahead.keeps(Mutant::NothingBeforeWrite);
    ahead.step(("server", server), what, |after| {
        let number = operation.number;
        let done: Option<Text> = (in_time && matches).then(|| operation.action.on(seen));
        if let Some(text) = done {
            after.old = text;
        }
        match done {
            _ if orphan || answered => {}
            Some(_) => after.told.succeed(number),
            None => after.told.fail(number),
        }
        let ends = pass == Pass::Note || orphan || !in_time;
        after.servers[server] = if ends { Server::Idle } else { Server::Landed };
        if marks && !ends {
            // the mutant's mark comes with the next step
            after.intents[server] = false;
        }
    });
}

fn is_in_time(ahead: &Ahead<'_>, server: usize, pass: Pass) -> bool {
    let state = ahead.state;
    let held = match pass {
        Pass::Intent => {
            state.intents[server]
                || !ahead.keeps(Mutant::NothingBeforeWrite)
                || !ahead.keeps(Mutant::NoIntent)
        }
        Pass::Note => state.notes[server] || !ahead.keeps(Mutant::NoNote),
    };
    held || !ahead.keeps(Mutant::NoDeadlineOnWrites)
}

/// The time of a write runs out: whether it was done or not, the document is looked at again.
fn run_out(ahead: &mut Ahead<'_>, server: usize) {
    let state = ahead.state;
    debug_assert!(server < SERVERS, "there are {SERVERS} servers");
    if state.intents[server] && state.budget.lapses > 0 {
        let counts = ahead.keeps(Mutant::LapsesSilently);
        ahead.step(("server", server), "lets the time of its intent run out", |after| {
            after.budget.lapses -= 1;
            after.intents[server] = false;
            if counts {
                after.touch();
            }
            if after.servers[server] == Server::Landed {
                after.servers[server] = Server::Idle;
            }
        });
    }
    if state.notes[server] {
        let counts = ahead.keeps(Mutant::DropsNotes);
        ahead.step(("server", server), "lets the time of its note run out, and it is taken up", |after| {
            after.notes[server] = false;
            if counts {
                after.touch();
            }
        });
    }
}
