//! One process's part in a move: both stores, the journal, and what it knows of the leads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use repot_core::moving::{Announcing, CopyInto, Lead, Marks, Outsiders, Phase};
use repot_core::store::{DocumentKey, Layout, Queryable, Store};
use repot_core::{Clock, Error, Kind, Pacing, Result, Retry};
use tokio::sync::Notify;

use super::beside::Beside;
use super::control::Control;
use super::follow::Known;
use super::gathered::Gathered;
use super::journal::Journal;
use super::names::canonical;
use super::trouble::Troubles;
use super::watching::Watch;

/// How often it is looked whether the move is over, milliseconds.
const FINISHED_MS: u64 = 500;

/// Bounds of a move, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovingOptions {
    /// How long a write to the old store may take; that store refuses it afterwards.
    pub write_ms: i64,
    /// By how much the clocks of two machines may differ.
    pub skew_ms: i64,
    /// How long a server trusts what it knows of the leads, without asking.
    pub lease_ms: i64,
    /// How often it asks.
    pub look_ms: u64,
    /// How long the new store may take to answer before it counts as out of reach.
    pub ask_ms: u64,
    /// How long a write waits for a change of the lead, and a question for copies.
    pub wait_ms: i64,
    /// How long the copying of one document may take.
    pub claim_ms: i64,
}

impl Default for MovingOptions {
    fn default() -> Self {
        Self {
            write_ms: 5_000,
            skew_ms: 1_000,
            lease_ms: 10_000,
            look_ms: 100,
            ask_ms: 2_000,
            wait_ms: 10_000,
            claim_ms: 5_000,
        }
    }
}

/// The two stores of a move.
#[derive(Debug, Clone)]
pub struct Sides {
    /// Where the documents come from.
    pub old: Arc<dyn Store>,
    /// What stands beside the old store.
    pub beside: Beside,
    /// The old store again, for copies.
    pub into_old: Arc<dyn CopyInto>,
    /// And for writes that are told of before they are sent.
    pub announcing_old: Arc<dyn Announcing>,
    /// Who writes it beside the move, where they can be kept out.
    pub outsiders: Option<Arc<dyn Outsiders>>,
    /// The old store where it is a database, as they read and write it: its writes are refused while they are kept out.
    pub old_database: Option<Arc<dyn Queryable>>,
    /// Where they go.
    pub new: Arc<dyn Queryable>,
    /// The new store again, for copies.
    pub into_new: Arc<dyn CopyInto>,
    /// What the new store knows of the objects of the old one.
    pub known: Arc<dyn Known>,
    /// Where they lie in the old store.
    pub layout: Arc<Layout>,
}

/// What a process knows of the leads.
#[derive(Debug, Clone)]
struct Knowledge {
    /// `None`: nothing yet, or the move is over.
    control: Option<(Arc<Control>, i64)>,
    asked: bool,
    /// Until then it may be trusted without asking, milliseconds since 1970.
    until_ms: i64,
    /// The epoch that its lease was noted with; what calls were told since is not known to others.
    noted: Option<i64>,
}

/// Who leads a document, as a process may go by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// The move goes on: this is its state, with the version to demand.
    Goes(Arc<Control>, i64),
    /// It is over: the new store leads everything.
    Over,
}

/// One process's part in a move.
pub struct Moving {
    pub(super) sides: Sides,
    pub(super) journal: Journal,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pacing: Arc<dyn Pacing>,
    pub(super) options: MovingOptions,
    pub(super) id: String,
    /// The process ends soon after its calls: nothing is left to be done later.
    pub(super) is_brief: bool,
    /// Wakes who copies.
    pub(super) wake: Notify,
    /// Intents to take back.
    pub(super) gathered: Gathered,
    /// Wakes who reads the log.
    pub(super) logged: Notify,
    /// The fence beside the old store is that of this epoch, or of a later one.
    pub(super) fenced: AtomicI64,
    /// Outsiders were kept out, and what they wrote was marked, in the change of this epoch.
    pub(super) kept_out: AtomicI64,
    /// The end of the new store's log when the draining of this epoch was seen first.
    log_end: Mutex<Option<(i64, u64)>>,
    known: Mutex<Knowledge>,
    pub(super) troubles: Troubles,
    /// What this process saw of the calls that it serves.
    pub(super) watch: Watch,
    /// It stays and compares the reads that it samples.
    pub(super) compares: AtomicBool,
    /// Wakes who compares.
    pub(super) sampled: Notify,
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moving").field("id", &self.id).field("sides", &self.sides).finish_non_exhaustive()
    }
}

/// The new store did not answer in time.
fn slow(store: &dyn fmt::Display, ms: u64) -> Error {
    Error::new(Kind::Unavailable, "R0710", format!("{store} did not answer within {ms} ms"))
        .retry(Retry::Unknown)
        .hint(
            "Look at the database, and at the way to it; while the old store leads, writes go on without it.",
        )
}

/// Whether an error says that the store cannot be reached, rather than that it refuses.
pub(super) fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::TargetUnavailable | Kind::SourceUnavailable | Kind::Failed
    )
}

impl Moving {
    /// Takes part in a move as a process with this name, which no other has.
    #[must_use]
    pub fn new(
        sides: Sides,
        (clock, pacing): (Arc<dyn Clock>, Arc<dyn Pacing>),
        options: MovingOptions,
        id: &str,
    ) -> Self {
        let journal = Journal::new(Arc::clone(&sides.new), Arc::clone(&clock));
        let known = Mutex::new(Knowledge { control: None, asked: false, until_ms: i64::MIN, noted: None });
        Self {
            sides,
            journal,
            clock,
            pacing,
            options,
            id: id.to_owned(),
            is_brief: false,
            wake: Notify::new(),
            gathered: Gathered::default(),
            logged: Notify::new(),
            fenced: AtomicI64::new(i64::MIN),
            kept_out: AtomicI64::new(i64::MIN),
            log_end: Mutex::new(None),
            known,
            troubles: Troubles::default(),
            watch: Watch::default(),
            compares: AtomicBool::new(false),
            sampled: Notify::new(),
        }
    }

    /// For a process that ends soon after its calls: what others leave to be done later is done before the answer.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.is_brief = true;
        self
    }

    /// The journal of the move.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The two stores.
    #[must_use]
    pub const fn sides(&self) -> &Sides {
        &self.sides
    }

    fn known(&self) -> MutexGuard<'_, Knowledge> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the new store says, if it does so in time.
    ///
    /// # Errors
    /// `R0710` when it does not; what it says.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let ms = self.options.ask_ms;
        tokio::select! {
            biased;
            answered = asked => answered,
            () = self.pacing.pause(ms) => Err(slow(&self.sides.new, ms)),
        }
    }

    /// The store that leads everything, as far as this process knows; `None`: each leads some, or may soon.
    pub(super) fn everything(&self) -> Option<Lead> {
        let known = self.known();
        match &known.control {
            None => known.asked.then_some(Lead::New),
            Some((control, _)) if control.wanted.is_some() => None,
            Some((control, _)) => control.leads.everything(),
        }
    }

    pub(super) fn log_end(&self) -> Option<(i64, u64)> {
        *self.log_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_log_end(&self, epoch: i64, end: u64) -> u64 {
        *self.log_end.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, end));
        end
    }

    /// Whether the move is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let known = self.known();
        known.asked && known.control.is_none()
    }

    /// Comes back when the move is over, as far as this process gets to know.
    pub async fn finished(&self) {
        while !self.is_finished() {
            self.pacing.pause(FINISHED_MS).await;
        }
    }

    /// Asks the new store where the move stands.
    ///
    /// # Errors
    /// When it is out of reach.
    pub(super) async fn ask(&self) -> Result<View> {
        if self.is_finished() {
            // it never goes on again
            return Ok(View::Over);
        }
        let found = self.in_time(self.journal.control()).await?;
        let mut known = self.known();
        known.asked = true;
        let newer = match (&known.control, &found) {
            (Some((own, _)), Some((found, _))) => found.epoch >= own.epoch,
            _ => true,
        };
        if newer {
            known.control = found.map(|(control, version)| (Arc::new(control), version));
        }
        Ok(Self::view(&known))
    }

    fn view(known: &Knowledge) -> View {
        known.control.clone().map_or(View::Over, |(control, version)| View::Goes(control, version))
    }

    /// Where the move stands, as far as this process knows; `None`: nothing is known, or it is over.
    #[must_use]
    pub fn last_control(&self) -> Option<Arc<Control>> {
        self.known().control.as_ref().map(|(control, _)| Arc::clone(control))
    }

    /// What is known, however old; asks where nothing is.
    ///
    /// # Errors
    /// When nothing is known, and the new store is out of reach.
    pub(super) async fn last_known(&self) -> Result<View> {
        {
            let known = self.known();
            if known.asked {
                return Ok(Self::view(&known));
            }
        }
        self.ask().await
    }

    /// What is known, while the lease stands.
    pub(super) fn trusted(&self) -> Option<View> {
        let now_ms = self.clock.now_ms();
        let known = self.known();
        (known.asked && now_ms < known.until_ms).then(|| Self::view(&known))
    }

    /// Asks where the move stands, and renews the lease: from before the question on this process trusts the answer until
    /// the lease ends.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn renew(&self) -> Result<()> {
        loop {
            let asked_ms = self.clock.now_ms();
            let View::Goes(control, version) = self.ask().await? else { return Ok(()) };
            let until_ms = asked_ms + self.options.lease_ms;
            let joined =
                self.journal.join(&self.id, (control.epoch, version), until_ms + self.options.skew_ms);
            if self.in_time(joined).await? {
                let mut known = self.known();
                known.until_ms = known.until_ms.max(until_ms);
                known.noted = Some(control.epoch);
                return Ok(());
            }
        }
    }

    /// Looks for a change that is near, and renews the lease where it is half over or the state is another.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn look(&self) -> Result<()> {
        let View::Goes(control, _) = self.ask().await? else { return Ok(()) };
        let (noted, until_ms) = {
            let known = self.known();
            (known.noted, known.until_ms)
        };
        if noted != Some(control.epoch) || self.clock.now_ms() + self.options.lease_ms / 2 > until_ms {
            self.renew().await?;
        }
        Ok(())
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// When the new store is out of reach.
    pub async fn retire(&self) -> Result<()> {
        {
            let mut known = self.known();
            (known.until_ms, known.noted) = (i64::MIN, None);
        }
        self.in_time(self.journal.leave(&self.id)).await
    }
}

/// Who follows the old store tells its changes here.
#[async_trait]
impl Marks for Moving {
    async fn mark(&self, keys: &[DocumentKey]) -> Result<()> {
        let own: Vec<DocumentKey> =
            keys.iter().filter_map(|key| canonical(&self.sides.layout, key).ok()).collect();
        self.journal.mark(&own).await?;
        self.wake.notify_one();
        Ok(())
    }
}

/// Who leads a document, and whether that is about to change.
pub(super) fn standing(control: &Control, key: &DocumentKey) -> (Lead, Phase) {
    (control.leads.of(key), control.phase_of(key))
}
