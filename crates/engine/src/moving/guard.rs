//! The guard of a rollout: each process that serves watches what it serves, and goes back to the old store by itself when a
//! limit is crossed.

use std::collections::BTreeSet;
use std::sync::Arc;

use repot_core::moving::Phase;
use repot_core::store::DocumentKey;
use repot_core::{Error, Kind, Result};

use super::change::Asker;
use super::control::Control;
use super::leads::Leads;
use super::member::{Moving, View};
use super::watching::{Before, Behind, Limits};
use crate::packed::{Packer, Unpacker};

/// How long what a process tells the others is good, milliseconds.
const TOLD_MS: i64 = 5_000;
/// How long a try to go back may take, milliseconds.
const BACK_MS: i64 = 10_000;
/// How long the process that stopped a rollout has for bringing it back, before others do, milliseconds.
const OTHERS_MS: i64 = 2_000;
/// Marks whose age is looked at, and documents that are stuck.
const MARKS: usize = 1_000;

/// A rollout that the guard took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Which limit was crossed, with the figure, for people.
    pub why: String,
    /// Of how many of a thousand slots the new store led or answered the reads, or was to.
    pub share: u16,
    /// The process that stopped it.
    pub by: String,
}

/// What makes a rollout go back by itself, and whether it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// The limits; `None`: nothing makes it go back.
    pub limits: Option<Limits>,
    /// What the old store took before.
    pub before: Before,
    /// When the rollout was asked for: another time is another rollout. Milliseconds since 1970.
    pub armed_ms: i64,
    /// It did. Nothing is watched from then on, until the next rollout.
    pub stopped: Option<Stopped>,
}

impl Guard {
    pub(super) fn pack(&self, mut packer: Packer) -> Packer {
        packer = packer.number(self.limits.is_some().into());
        if let Some(limits) = self.limits {
            packer = packer.number(limits.errors.into()).number(limits.slower_percent.into());
            packer = packer.number(limits.lag_ms);
        }
        let us = |us: Option<u64>| us.map(|us| i64::try_from(us).unwrap_or(i64::MAX));
        packer = packer.maybe(us(self.before.read_us)).maybe(us(self.before.write_us));
        packer = packer.number(self.armed_ms).number(self.stopped.is_some().into());
        if let Some(stopped) = &self.stopped {
            packer = packer.number(stopped.at_ms).bytes(stopped.why.as_bytes());
            packer = packer.number(stopped.share.into()).bytes(stopped.by.as_bytes());
        }
        packer
    }

    pub(super) fn unpack(read: &mut Unpacker<'_>) -> Result<Self> {
        let limits = match read.number()? {
            0 => None,
            _ => Some(Limits {
                errors: read.number()?.try_into().unwrap_or_default(),
                slower_percent: read.number()?.try_into().unwrap_or(u32::MAX),
                lag_ms: read.number()?,
            }),
        };
        let us = |us: Option<i64>| us.and_then(|us| u64::try_from(us).ok());
        let before = Before { read_us: us(read.maybe()?), write_us: us(read.maybe()?) };
        let armed_ms = read.number()?;
        let stopped = match read.number()? {
            0 => None,
            _ => Some(Stopped {
                at_ms: read.number()?,
                why: read.text()?,
                share: read.number()?.try_into().unwrap_or_default(),
                by: read.text()?,
            }),
        };
        Ok(Self { limits, before, armed_ms, stopped })
    }
}

/// On what terms a rollout is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Of a thousand reads so many are compared; `None`: as before.
    pub compared: Option<u16>,
    /// What makes it go back by itself; `None`: nothing.
    pub limits: Option<Limits>,
}

/// The rollout may be taken back: the new store leads something or answers reads, or is about to.
fn is_under_way(control: &Control) -> bool {
    !control.leads.is_old_alone() || control.wanted.as_ref().is_some_and(|wanted| !wanted.is_old_alone())
}

impl Stopped {
    /// For whoever waits for the rollout: `R0721`.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::new(Kind::Refused, "R0721", format!("the guard stopped the rollout: {}", self.why)).hint(
            "The old store leads again, or is about to: `repot status`. Mend what it names, then roll out again.",
        )
    }
}

impl Moving {
    /// Looks for what others wrote into the old store until now, then changes the leads as [`Moving::change`] does, on these terms:
    /// the guard watches from now on, whatever it stopped before.
    ///
    /// # Errors
    /// `R0721` when the guard stopped it before it was done; else as [`Moving::change`].
    pub async fn roll_out(
        self: &Arc<Self>,
        leads: &Leads,
        terms: Terms,
        why: &str,
        bound_ms: i64,
    ) -> Result<()> {
        // where they can be kept out of it, the change does so, and looks afterwards
        if self.sides.outsiders.is_none() {
            self.follower().scan().await?;
        }
        self.arm(terms).await?;
        self.change_for(Asker::Rollout, leads, why, bound_ms).await
    }

    /// Only the terms, which is one change of the control row. It raises no epoch: who leads stays as it is, so nobody
    /// needs to have heard of it.
    ///
    /// # Errors
    /// `R0715` when there is no move; when the new store is out of reach.
    pub async fn arm(&self, terms: Terms) -> Result<()> {
        let figures = self.journal.figures().await?;
        loop {
            let View::Goes(control, version) = self.ask().await? else {
                return Err(super::change::no_move());
            };
            let guard = Guard {
                limits: terms.limits,
                before: Before::of(&figures.watched, control.guard.before),
                armed_ms: self.clock.now_ms().max(control.guard.armed_ms + 1),
                stopped: None,
            };
            let compared = terms.compared.unwrap_or(control.compared);
            let to = Control { compared, guard, ..control.as_ref().clone() };
            if self.journal.step(version, &to).await? {
                self.ask().await?;
                return Ok(());
            }
        }
    }

    /// From now on so many of a thousand reads are compared; the guard stays as it is.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn compare_share(&self, compared: u16) -> Result<()> {
        while let View::Goes(control, version) = self.ask().await? {
            let to = Control { compared, ..control.as_ref().clone() };
            if control.compared == compared || self.journal.step(version, &to).await? {
                break;
            }
        }
        Ok(())
    }

    /// Looks whether a limit is crossed, and goes back if so. What was found is kept until it could be done, also while the new
    /// store is out of reach.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn watch_over(&self) -> Result<()> {
        let Some(control) = self.last_control() else { return Ok(()) };
        let guard = &control.guard;
        self.watch.arm(guard.armed_ms);
        let watches = guard.stopped.is_none() && is_under_way(&control);
        if let (Some(limits), true) = (guard.limits, watches) {
            let watched = self.watch.watched(self.clock.now_ms());
            let lag_ms = self.watch.behind().lag_ms;
            if let Some(why) = limits.crossed(&watched, guard.before, lag_ms) {
                self.watch.want_back(guard.armed_ms, &why);
            }
        }
        self.stop_rollout().await
    }

    /// Stops the rollout, where this process wants that: one change of the control row, which one process makes. A change of
    /// the lead on its way is given up with it.
    pub(super) async fn stop_rollout(&self) -> Result<()> {
        while let Some((armed_ms, why)) = self.watch.wants_back() {
            let View::Goes(control, version) = self.ask().await? else { return Ok(()) };
            let guard = &control.guard;
            let is_this = guard.armed_ms == armed_ms && guard.stopped.is_none() && guard.limits.is_some();
            if !is_this || !is_under_way(&control) {
                // another process was first, or somebody went on
                self.watch.want_nothing();
                return Ok(());
            }
            let now_ms = self.clock.now_ms();
            let leads = control.wanted.as_ref().unwrap_or(&control.leads);
            let share = leads.led.slots.max(leads.reads.slots);
            let stopped = Stopped { at_ms: now_ms, why: why.clone(), share, by: self.id.clone() };
            let open = match control.wanted {
                Some(_) => Control { wanted: None, ..control.stepped(Phase::Open) },
                None => control.as_ref().clone(),
            };
            let guard = Guard { stopped: Some(stopped), ..guard.clone() };
            let told = format!("stopped by the guard: {why}");
            let to = Control { guard, since_ms: now_ms, why: told.clone(), ..open };
            if self.journal.step(version, &to).await? {
                self.watch.want_nothing();
                self.ask().await?;
                return self.journal.tell(&told).await;
            }
        }
        Ok(())
    }

    /// Brings a rollout back that the guard stopped: its own at once, one of another process when that takes too long; `false`:
    /// there is nothing to bring back.
    ///
    /// # Errors
    /// `R0716` when it took too long: it is to be tried again; when a store is out of reach.
    pub async fn bring_back(self: &Arc<Self>) -> Result<bool> {
        let now_ms = self.clock.now_ms();
        let needs = self.last_control().is_some_and(|control| {
            let stopped = control.guard.stopped.as_ref();
            let ours = |stopped: &Stopped| stopped.by == self.id || now_ms - stopped.at_ms > OTHERS_MS;
            stopped.is_some_and(ours) && !control.leads.is_old_alone()
        });
        if needs {
            self.change_for(Asker::Guard, &Leads::default(), "back to the old store by the guard", BACK_MS)
                .await?;
        }
        Ok(needs)
    }

    /// Why this process wants to go back and could not yet, because the new store is out of reach.
    #[must_use]
    pub fn wants_back(&self) -> Option<String> {
        self.watch.wants_back().map(|(_, why)| why)
    }

    /// Tells the others what this process saw, and looks how far the copies are behind.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn publish(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let figures = self.watch.figures(now_ms);
        let View::Goes(_, state) = self.ask().await? else { return Ok(()) };
        let until_ms = now_ms + TOLD_MS + self.options.skew_ms;
        let told = self.journal.publish(&self.id, &figures, (until_ms, state));
        self.in_time(told).await?;
        let documents = self.in_time(self.journal.pending()).await?;
        let lag_ms = if documents == 0 { None } else { self.in_time(self.lag_ms()).await? };
        self.watch.set_behind(Behind { documents, lag_ms });
        Ok(())
    }

    /// For how long the oldest of the first thousand marks is there, but for documents that cannot be copied as they are: those
    /// would stop every rollout, and going back needs them just as much.
    async fn lag_ms(&self) -> Result<Option<i64>> {
        let stuck = self.journal.stuck(MARKS).await?;
        let stuck: BTreeSet<DocumentKey> = stuck.into_iter().map(|stuck| stuck.key).collect();
        let now_ms = self.clock.now_ms();
        let marks = self.journal.marks(None, MARKS).await?;
        let waits = marks.iter().filter(|mark| !stuck.contains(&mark.key));
        Ok(waits.map(|mark| now_ms.saturating_sub(mark.at_ms)).max())
    }
}

#[cfg(test)]
mod tests {
    use super::super::watching::{Before, Limits};
    use super::{Guard, Stopped};
    use crate::packed::{Packer, Unpacker};

    #[test]
    fn a_guard_comes_back() {
        let before = Before { read_us: Some(5), write_us: None };
        let stopped = Some(Stopped { at_ms: 3, why: "because".to_owned(), share: 100, by: "one".to_owned() });
        for guard in
            [Guard::default(), Guard { limits: Some(Limits::default()), before, armed_ms: 7, stopped }]
        {
            let packed = guard.pack(Packer::new(1)).finish();
            let mut read = Unpacker::new("a guard", 1, &packed).unwrap();
            assert_eq!(Guard::unpack(&mut read).unwrap(), guard);
        }
    }
}
