//! A change of the lead: a row of steps, each one transaction that any process may do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use repot_core::moving::{Lead, Phase};
use repot_core::store::DocumentKey;
use repot_core::{Error, Kind, Result, Retry};

use super::clean_up::Receipt;
use super::control::{Control, Fence};
use super::intent::Intent;
use super::leads::Leads;
use super::member::{Moving, View};

/// Marks of the documents whose lead is to change, from which on no write begins.
const NEAR: usize = 64;
/// Marks and intents looked at, at once.
const LOOKED_AT: usize = 1_000;
/// How long a driver waits between two looks, milliseconds.
const PAUSE_MS: u64 = 5;
/// How long writes may wait for a change before it is given up, milliseconds.
const DRAIN_MS: i64 = 3_000;
/// After so long others go on with a change that its driver should have begun, milliseconds.
const LEFT_MS: i64 = 60_000;

/// How a change goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There is none.
    Nothing,
    /// It is over: the lead is what was wanted.
    Done,
    /// A step was done.
    Stepped,
    /// What it waits for, for people.
    Waits(String),
}

/// Who asks for a change of the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// An operator: whatever is on its way gives way.
    Operator,
    /// A rollout, which the guard may stop.
    Rollout,
    /// The guard, until the next rollout.
    Guard,
}

impl Moving {
    /// Begins a move, unless one is on its way: the old store leads everything.
    ///
    /// # Errors
    /// When a store is out of reach.
    pub async fn begin(&self, why: &str) -> Result<()> {
        // a fence that an earlier move left is followed by one of a later epoch
        let (fence, _) = self.sides.beside.fence().await?;
        if let Some(outsiders) = &self.sides.outsiders {
            self.carry_over(outsiders.ledger()).await?;
        }
        if self.journal.control().await?.is_none() {
            self.note_origin().await?;
        }
        self.journal.begin(why, fence.map_or(1, |fence| fence.epoch + 1)).await?;
        self.read_log().await.map(drop)
    }

    /// Wants other leads: announces the change. Where another change is on its way, that one is given up first.
    ///
    /// # Errors
    /// `R0715` when there is no move; when the new store is out of reach.
    pub async fn want(&self, wanted: &Leads, why: &str) -> Result<()> {
        self.want_for(Asker::Operator, wanted, why).await.map(drop)
    }

    /// As [`Moving::want`]; `false`: who asks wants it no more.
    async fn want_for(&self, asker: Asker, wanted: &Leads, why: &str) -> Result<bool> {
        loop {
            let View::Goes(control, version) = self.ask().await? else { return Err(no_move()) };
            match (asker, &control.guard.stopped) {
                (Asker::Guard, None) => return Ok(false),
                (Asker::Rollout, Some(by)) => return Err(by.error()),
                _ => {}
            }
            if control.wanted.as_ref() == Some(wanted) {
                return Ok(true);
            }
            let to = if control.wanted.is_some() {
                given_up(&control, self.clock.now_ms(), why)
            } else if control.leads == *wanted {
                return Ok(true);
            } else {
                let control = control.stepped(Phase::Announced);
                let (since_ms, why) = (self.clock.now_ms(), why.to_owned());
                Control { wanted: Some(wanted.clone()), since_ms, why, ..control }
            };
            self.journal.step(version, &to).await?;
        }
    }

    /// Gives the change on its way up: the leads stay as they are.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn give_up(&self, why: &str) -> Result<()> {
        self.give_up_where(why, |_| true).await
    }

    /// The same, where the leads that are wanted are such.
    async fn give_up_where(&self, why: &str, such: impl Fn(&Leads) -> bool) -> Result<()> {
        loop {
            let View::Goes(control, version) = self.ask().await? else { return Ok(()) };
            if !control.wanted.as_ref().is_some_and(&such) {
                return Ok(());
            }
            let open = given_up(&control, self.clock.now_ms(), why);
            if self.journal.step(version, &open).await? {
                self.set_fence(&open).await?;
                return self.journal.tell(&format!("given up: {why}")).await;
            }
        }
    }

    /// Does the next step of the change on its way, whoever began it.
    ///
    /// # Errors
    /// When a store is out of reach.
    pub async fn step(&self) -> Result<Progress> {
        self.step_by(true).await
    }

    /// The same; who does not drive the change leaves it to its driver to look through the old store.
    pub(super) async fn step_by(&self, drives: bool) -> Result<Progress> {
        let View::Goes(control, version) = self.ask().await? else { return Ok(Progress::Nothing) };
        match (&control.wanted, control.phase) {
            (None, _) => {
                if self.fenced.load(Ordering::Relaxed) < control.epoch && self.set_fence(&control).await? {
                    self.fenced.store(control.epoch, Ordering::Relaxed);
                }
                Ok(Progress::Nothing)
            }
            (Some(wanted), Phase::Announced) => self.drain(&control, version, (wanted, drives)).await,
            // its driver died, or it cannot come to its end: writes do not wait for it for ever
            (Some(_), _) if self.clock.now_ms() - control.since_ms > 2 * DRAIN_MS => {
                self.give_up("writes waited for too long").await?;
                Ok(Progress::Stepped)
            }
            (Some(wanted), _) => self.turn(&control, version, wanted).await,
        }
    }

    /// Lets no write begin, when each server knows of the change.
    async fn drain(
        &self,
        control: &Control,
        version: i64,
        (wanted, drives): (&Leads, bool),
    ) -> Result<Progress> {
        let members = self.journal.members().await?;
        if let Some((late, _)) = members.iter().find(|(_, epoch)| *epoch < control.epoch) {
            return Ok(Progress::Waits(format!("server {late} has not heard of the change yet")));
        }
        if !wanted.is_old_alone()
            && let Some(why) = self.keep_outsiders_out(control, drives).await?
        {
            return Ok(Progress::Waits(why.to_owned()));
        }
        if let Some(key) = self.intended_among(control, true).await? {
            return Ok(Progress::Waits(format!("a write to {key} was left by a server that is gone")));
        }
        let behind = self.marked_among(control, NEAR).await?;
        if behind > NEAR {
            return self.behind(behind).await;
        }
        let to = Control { since_ms: self.clock.now_ms(), ..control.stepped(Phase::Draining) };
        self.journal.step(version, &to).await?;
        Ok(Progress::Stepped)
    }

    /// Before documents are led or read elsewhere, nobody writes the old store who knows nothing of that, where this can be helped; what
    /// they wrote before is marked. Done once in each change, before writes wait for it. Gives what it waits for, for people.
    async fn keep_outsiders_out(&self, control: &Control, drives: bool) -> Result<Option<&'static str>> {
        let Some(outsiders) = &self.sides.outsiders else { return Ok(None) };
        if self.kept_out.load(Ordering::Relaxed) == control.epoch {
            return Ok(None);
        }
        if !drives && self.clock.now_ms() - control.since_ms < LEFT_MS {
            return Ok(Some("another process looks through the old store"));
        }
        match outsiders.keep_out(&self.sides.new.to_string()).await {
            Err(error) if error.code() == "R0453" => {
                return Ok(Some("a write of a server that takes no part is not over"));
            }
            done => done?,
        }
        self.carry_over(outsiders.ledger()).await?;
        self.follower().scan().await?;
        self.kept_out.store(control.epoch, Ordering::Relaxed);
        // copied while writes still go on
        Ok(Some("what was written past the journal is not copied yet"))
    }

    /// Lets those write the old store again who take no part, where it leads alone; gives whether they were kept out. A change that
    /// somebody wants meanwhile keeps them out anew, and then they stay out.
    ///
    /// # Errors
    /// `R0715` when there is no move; when a store is out of reach.
    pub async fn let_outsiders_in(&self) -> Result<bool> {
        let Some(outsiders) = &self.sides.outsiders else { return Ok(false) };
        // seen before it is asked who leads: what a later change leaves is another thing
        let Some(seen) = outsiders.kept_out().await? else { return Ok(false) };
        let View::Goes(control, _) = self.ask().await? else { return Err(no_move()) };
        if control.wanted.is_some() || !control.leads.is_old_alone() {
            return Ok(false);
        }
        outsiders.let_in(&seen).await?;
        Ok(true)
    }

    /// Changes the lead, when nothing is on its way between the stores. No write begins any more, so what is found to be
    /// empty stays so.
    async fn turn(&self, control: &Control, version: i64, wanted: &Leads) -> Result<Progress> {
        if let Some(key) = self.intended_among(control, false).await? {
            return Ok(Progress::Waits(format!("a write to {key} is on its way")));
        }
        if !self.set_fence(control).await? {
            return Ok(Progress::Waits("another process is at it".to_owned()));
        }
        if control.listed != control.epoch {
            if let Some(note) = self.sides.beside.notes().await?.into_iter().next() {
                return Ok(Progress::Waits(format!("a write to {} was made without the database", note.key)));
            }
            let to = Control { listed: control.epoch, ..control.clone() };
            self.journal.step(version, &to).await?;
            return Ok(Progress::Stepped);
        }
        if let Some(feed) = self.sides.new.change_feed() {
            // what was written before this draining; what others write meanwhile is no part of it
            let known = self.log_end().filter(|(epoch, _)| *epoch == control.epoch);
            let end = match known {
                Some((_, end)) => end,
                None => self.set_log_end(control.epoch, feed.position().await?.number()),
            };
            if self.journal.position().await?.is_none_or(|(position, _)| position < end) {
                self.read_log().await?;
                return Ok(Progress::Stepped);
            }
        }
        match self.marked_among(control, 0).await? {
            0 => {}
            count => return self.behind(count).await,
        }
        let open = control.stepped(Phase::Open);
        let to = Control { leads: wanted.clone(), wanted: None, since_ms: self.clock.now_ms(), ..open };
        if !self.journal.step(version, &to).await? {
            return Ok(Progress::Waits("another process is at it".to_owned()));
        }
        self.set_fence(&to).await?;
        Ok(Progress::Done)
    }

    /// So many documents, or more, are not copied yet.
    async fn behind(&self, count: usize) -> Result<Progress> {
        let why = self.journal.stuck(1).await?.pop();
        let why =
            why.map_or_else(String::new, |stuck| format!("; {} cannot be copied: {}", stuck.key, stuck.why));
        let or_more = if count > NEAR { " or more" } else { "" };
        Ok(Progress::Waits(format!("{count} documents{or_more} are not copied yet{why}")))
    }

    /// How many documents are marked whose lead is to change; counts to one above `most`.
    async fn marked_among(&self, control: &Control, most: usize) -> Result<usize> {
        let (mut count, mut after) = (0, None);
        loop {
            let marks = self.journal.marks(after.as_deref(), LOOKED_AT).await?;
            let Some(last) = marks.last() else { return Ok(count) };
            after = Some(last.name.clone());
            count += marks.iter().filter(|mark| control.phase_of(&mark.key) != Phase::Open).count();
            if count > most {
                return Ok(count);
            }
        }
    }

    /// A document whose lead is to change, and which is being written; `late`: by now it should have been.
    async fn intended_among(&self, control: &Control, late: bool) -> Result<Option<DocumentKey>> {
        let mut after = None;
        loop {
            let intents = self.journal.intents(after.as_deref(), LOOKED_AT).await?;
            let Some(last) = intents.last() else { return Ok(None) };
            after = Some(last.name.clone());
            let changes = |intent: &Intent| {
                control.phase_of(&intent.key) != Phase::Open && (!late || self.is_over(intent.deadline_ms))
            };
            let found = intents.into_iter().find(changes);
            if let Some(found) = found {
                return Ok(Some(found.key));
            }
        }
    }

    /// Writes the fence that goes with this state, unless it is there, or one of a later state; `false`: somebody else wrote
    /// it meanwhile.
    async fn set_fence(&self, control: &Control) -> Result<bool> {
        let (found, seen) = self.sides.beside.fence().await?;
        let fence = Fence::of(control);
        match found {
            Some(found) if found == fence => return Ok(true),
            Some(found) if found.epoch >= fence.epoch => return Ok(false),
            // without one the old store leads everything, and takes notes
            None if fence.leads.is_old_alone() && fence.wanted == fence.leads => {
                return Ok(true);
            }
            _ => {}
        }
        match self.sides.beside.write_fence(&fence, seen).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes the leads, and copies meanwhile what has to be copied for it; gives up when writes would wait for too long,
    /// and tries again until `bound_ms` are over.
    ///
    /// # Errors
    /// `R0716` when it was given up: the leads are what they were; `R0715` when there is no move; when a store is out of
    /// reach: the change goes on when it is back.
    pub async fn change(self: &Arc<Self>, wanted: &Leads, why: &str, bound_ms: i64) -> Result<()> {
        self.change_for(Asker::Operator, wanted, why, bound_ms).await
    }

    pub(super) async fn change_for(
        self: &Arc<Self>,
        asker: Asker,
        wanted: &Leads,
        why: &str,
        bound_ms: i64,
    ) -> Result<()> {
        let begun_ms = self.clock.now_ms();
        let mut waits = String::new();
        let give_up = |waits: String| async move { self.give_up_where(&waits, |own| own == wanted).await };
        loop {
            if !self.want_for(asker, wanted, why).await? {
                return Ok(());
            }
            loop {
                match self.step().await? {
                    Progress::Done | Progress::Nothing => break,
                    Progress::Stepped => continue,
                    Progress::Waits(why) => waits = why,
                }
                self.mend().await?;
                self.read_log().await?;
                let copied = self.copy_marked().await?;
                let now_ms = self.clock.now_ms();
                let View::Goes(control, _) = self.ask().await? else { return Err(no_move()) };
                if control.phase == Phase::Draining && now_ms - control.since_ms > DRAIN_MS {
                    break;
                }
                if now_ms - begun_ms > bound_ms {
                    give_up(waits.clone()).await?;
                    return Err(too_long(&waits));
                }
                if copied.copied + copied.same == 0 {
                    self.pacing.pause(PAUSE_MS).await;
                }
            }
            let View::Goes(control, _) = self.ask().await? else { return Err(no_move()) };
            if control.leads == *wanted && control.wanted.is_none() {
                return self.journal.tell(why).await;
            }
            give_up(waits.clone()).await?;
            if self.clock.now_ms() - begun_ms > bound_ms {
                return Err(too_long(&waits));
            }
            self.pacing.pause(100).await;
        }
    }

    /// Ends the move where the new store leads everything; from then on there is no way back but an export. The receipt says
    /// what of the old store may be removed some day; without one, nothing.
    ///
    /// # Errors
    /// `R0717` when the new store does not lead everything; `R0715` when there is no move; when a store is out of reach.
    pub async fn finish(&self, why: &str, receipt: Option<&Receipt>) -> Result<()> {
        let View::Goes(control, version) = self.ask().await? else { return Err(no_move()) };
        if control.wanted.is_some() || control.leads.everything() != Some(Lead::New) {
            return Err(Error::new(Kind::Refused, "R0717", "the database does not lead everything yet")
                .hint("repot rollout 100% first."));
        }
        self.journal.tell(why).await?;
        // the fence stays: a server that was cut off all the time must not take the old store for the lead
        self.set_fence(&control).await?;
        self.journal.end(version, receipt).await
    }
}

fn given_up(control: &Control, now_ms: i64, why: &str) -> Control {
    Control { wanted: None, since_ms: now_ms, why: why.to_owned(), ..control.stepped(Phase::Open) }
}

pub(super) fn no_move() -> Error {
    Error::new(Kind::Refused, "R0715", "no move is on its way in this database")
        .hint("Begin with repot copy --follow.")
}

fn too_long(waits: &str) -> Error {
    Error::new(Kind::Unavailable, "R0716", format!("the change took too long and was given up: {waits}"))
        .retry(Retry::Safe)
        .hint("The leads are what they were. Try again when what it waited for is over; `repot status` says more.")
}
