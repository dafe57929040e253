//! How far a move is, for people.

use std::fmt;
use std::sync::Arc;

use repot_core::Result;
use repot_core::moving::{Lead, Phase};

use super::control::Control;
use super::journal::Stuck;
use super::member::{Moving, View};
use super::watching::{Compared, Figures};

/// Documents that cannot be copied, told at once.
const STUCK_TOLD: usize = 10;

/// How far a move is: one word everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The old store leads; what changes in it is copied.
    Following,
    /// The same, and some reads are compared with the new store.
    Comparing,
    /// The old store leads everything; the new one answers the reads of this many of a thousand slots, or of some tenants or
    /// collections (0).
    RollingOutReads(u16),
    /// The new store leads this many of a thousand slots, or some tenants or collections (0).
    RollingOut(u16),
    /// The new store leads; the old one is kept in step.
    Database,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Following => f.write_str("following"),
            Self::Comparing => f.write_str("comparing"),
            Self::RollingOutReads(share) => write!(f, "rolling out, reads of {}", percent(*share)),
            Self::RollingOut(share) => write!(f, "rolling out, {}", percent(*share)),
            Self::Database => f.write_str("database"),
        }
    }
}

/// So many of a thousand, for people.
#[must_use]
pub fn percent(share: u16) -> String {
    match (share / 10, share % 10) {
        (whole, 0) => format!("{whole} %"),
        (whole, part) => format!("{whole}.{part} %"),
    }
}

impl Control {
    /// How far the move is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.leads.everything() {
            Some(Lead::New) => Stage::Database,
            Some(Lead::Old) if !self.leads.reads.is_none() => Stage::RollingOutReads(self.leads.reads.slots),
            Some(Lead::Old) if self.compared > 0 => Stage::Comparing,
            Some(Lead::Old) => Stage::Following,
            None => Stage::RollingOut(self.leads.led.slots),
        }
    }
}

/// How far a move is, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveStatus {
    /// Who leads, and the change on its way.
    pub control: Control,
    /// Copies that may be stale, as [`Journal::pending`](super::Journal::pending).
    pub marked: u64,
    /// How long the oldest of these has been waiting, milliseconds.
    pub lag_ms: Option<i64>,
    /// Some of those that cannot be copied as they are.
    pub stuck: Vec<Stuck>,
    /// Servers that take part.
    pub servers: usize,
    /// What they saw together.
    pub figures: Figures,
    /// Documents that were found to differ, known ones among them; at most a thousand.
    pub differences: u64,
}

impl MoveStatus {
    /// What the change on its way waits for; `None`: there is none.
    #[must_use]
    pub fn change(&self) -> Option<&'static str> {
        self.control.wanted.as_ref()?;
        Some(match self.control.phase {
            Phase::Open => "about to begin",
            Phase::Announced => "announced to all servers; documents are copied",
            Phase::Draining => "writes wait for the last documents to be copied",
        })
    }
}

/// What one process sees of the move that it takes part in, without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveSeen {
    /// Who leads, as it last heard.
    pub control: Arc<Control>,
    /// The reads that it compared.
    pub compared: Compared,
    /// Documents whose copies may be stale, as it last looked.
    pub behind: u64,
    /// How long the oldest of these waited then, but for those that cannot be copied as they are; milliseconds.
    pub lag_ms: Option<i64>,
    /// Why it wants to stop the rollout and could not yet, because the new store is out of reach.
    pub wants_back: Option<String>,
}

impl Moving {
    /// What this process sees of the move; `None`: nothing yet, or the move is over.
    #[must_use]
    pub fn seen(&self) -> Option<MoveSeen> {
        let (control, behind) = (self.last_control()?, self.watch.behind());
        Some(MoveSeen {
            control,
            compared: self.watch.figures(self.clock.now_ms()).compared,
            behind: behind.documents,
            lag_ms: behind.lag_ms,
            wants_back: self.wants_back(),
        })
    }

    /// How far the move is; `None`: there is none.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn status(&self) -> Result<Option<MoveStatus>> {
        let View::Goes(control, _) = self.ask().await? else { return Ok(None) };
        Ok(Some(MoveStatus {
            control: control.as_ref().clone(),
            marked: self.journal.pending().await?,
            lag_ms: self.journal.lag_ms().await?,
            stuck: self.journal.stuck(STUCK_TOLD).await?,
            servers: self.journal.members().await?.len(),
            figures: self.journal.figures().await?,
            differences: self.journal.differing().await?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Control;
    use super::super::leads::{Leads, SLOTS, Share};
    use super::percent;

    #[test]
    fn stages_have_one_word_each() {
        let stage = |leads: Leads| Control { leads, ..Control::begin(0, "") }.stage().to_string();
        assert_eq!(stage(Leads::default()), "following");
        assert_eq!(stage(Leads::share(105)), "rolling out, 10.5 %");
        assert_eq!(stage(Leads::share(SLOTS)), "database");
        let mut one = Leads::default();
        one.led.tenants.insert("u1".into());
        assert_eq!(stage(one), "rolling out, 0 %");
        assert_eq!(stage(Leads::reads(100)), "rolling out, reads of 10 %");
        let mut led_too = Leads::reads(100);
        led_too.led = Share::of_slots(5);
        assert_eq!(stage(led_too), "rolling out, 0.5 %");
        assert_eq!(Control { compared: 10, ..Control::begin(0, "") }.stage().to_string(), "comparing");
        assert_eq!(percent(1), "0.1 %");
    }
}
