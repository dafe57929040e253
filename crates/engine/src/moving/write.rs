//! Writes while documents change store: to the one that leads, with what the journal must know of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join;
use repot_core::moving::{Announce, Announced, Lead, Phase};
use repot_core::store::{
    Barrier, DocumentKey, Precondition, Queryable, Receipt, UnitOfWork, Write, text_etag,
};
use repot_core::{Error, Kind, Result, Retry};
use tokio::sync::Mutex;

use super::beside::{not_by_note, out_of_reach};
use super::control::Control;
use super::intent::Intent;
use super::journal::{Journal, is_lost};
use super::member::{Moving, View, is_unreachable, standing};
use super::names::canonical;
use super::watching::Act;

/// How long a write waits before it asks again who leads, milliseconds.
const PAUSE_MS: u64 = 5;

/// Where a unit of work goes.
enum Way<'a> {
    New(Option<i64>),
    /// To an old store that leads alone and is a database. It refuses that while outsiders are kept out: a change began that is not
    /// known here, or was taken back a moment ago.
    Database(&'a dyn Queryable),
    /// Under this state of the move; `reads_copy`: its readers may have read the copy.
    Old {
        version: i64,
        reads_copy: bool,
    },
    Waits,
}

impl Moving {
    /// Writes to the store that leads; waits while that changes.
    ///
    /// # Errors
    /// As [`repot_core::store::Store::apply`]; `R0711` when a change of the lead took too long; `R0712` where the documents
    /// are led by different stores; `R0713` when the new store leads and is out of reach.
    pub(super) async fn write(self: &Arc<Self>, work: UnitOfWork) -> Result<Receipt> {
        let work = self.named(work)?;
        let begun_ms = self.clock.now_ms();
        let mut view = self.last_known().await;
        let mut is_kept_out = false;
        loop {
            // the wait for a change of the lead is no time of a store
            let begun = Instant::now();
            let ended = |lead: Lead, done: Result<Receipt>| {
                self.watch.note(self.clock.now_ms(), (lead, Act::Write), begun, done.as_ref().err());
                done
            };
            let way = match &view {
                Ok(view) => match self.database_alone(view, &work).filter(|_| !is_kept_out) {
                    Some(database) => Way::Database(database),
                    None => way(view, &work)?,
                },
                Err(error) if is_unreachable(error) => {
                    return ended(Lead::Old, self.write_by_note(work, error.clone()).await);
                }
                Err(error) => return Err(error.clone()),
            };
            match way {
                Way::New(version) => {
                    let demand = version.map(Journal::under);
                    let unit = demand.into_iter().fold(work.clone(), UnitOfWork::demanding);
                    match self.sides.new.apply(unit).await {
                        Err(error) if is_lost(&error) && version.is_some() => {
                            // ours, or the caller's own condition
                            let now = self.ask().await?;
                            if same(&now, version) {
                                return ended(Lead::New, Err(error));
                            }
                            view = Ok(now);
                            continue;
                        }
                        done => {
                            self.logged.notify_one();
                            return ended(Lead::New, done);
                        }
                    }
                }
                Way::Database(database) => match database.apply(work.clone()).await {
                    Err(error) if error.code() == "R0725" => is_kept_out = true,
                    done => return ended(Lead::Old, done),
                },
                Way::Old { version, reads_copy } => match self.write_old(&work, version, reads_copy).await {
                    Ok(receipt) => return ended(Lead::Old, Ok(receipt)),
                    Err(Stopped::Lost(error)) => {
                        // ours, or the caller's own condition
                        let now = self.ask().await?;
                        if same(&now, Some(version)) {
                            return ended(Lead::Old, Err(error));
                        }
                        view = Ok(now);
                        continue;
                    }
                    Err(Stopped::Unreachable(error)) => {
                        return ended(Lead::Old, self.write_by_note(work, error).await);
                    }
                    Err(Stopped::Failed(error)) => return ended(Lead::Old, Err(error)),
                },
                Way::Waits => {
                    if self.clock.now_ms() - begun_ms > self.options.wait_ms {
                        return Err(changing(&work));
                    }
                    self.pacing.pause(PAUSE_MS).await;
                }
            }
            view = self.ask().await;
        }
    }

    /// The same, with the keys by which both stores know the documents.
    fn named(&self, mut work: UnitOfWork) -> Result<UnitOfWork> {
        for write in &mut work.writes {
            let own = canonical(&self.sides.layout, write.key())?;
            let (Write::Put { key, .. }
            | Write::Patch { key, .. }
            | Write::Update { key, .. }
            | Write::Delete { key, .. }) = write;
            *key = own;
        }
        Ok(work)
    }

    /// The old store where it is a database that leads alone, and the write is one of those that it does by itself. Its log tells
    /// of the write, as of those of servers that take no part, so the journal need not know before.
    fn database_alone(&self, view: &View, work: &UnitOfWork) -> Option<&dyn Queryable> {
        let View::Goes(control, _) = view else { return None };
        let is_one = work.writes.len() == 1;
        let is_plain = work.facts.is_empty() && work.demands.is_empty() && work.holding.is_empty();
        if is_one && is_plain && control.wanted.is_none() && control.leads.is_old_alone() {
            self.sides.old_database.as_deref()
        } else {
            None
        }
    }

    /// Writes to the old store, which leads.
    async fn write_old(
        self: &Arc<Self>,
        work: &UnitOfWork,
        version: i64,
        reads_copy: bool,
    ) -> Result<Receipt, Stopped> {
        if !reads_copy {
            return self.write_by_intent(work, version).await;
        }
        let work = self.as_old_names_it(work.clone()).await.map_err(Stopped::Failed)?;
        self.write_by_intent(&work, version).await
    }

    /// The same with the states that it demands as the old store names them. Who read the copy names a state by its text
    /// ([`Moving::read`]), whatever the old store calls it; so that holds while the old store has that very text.
    async fn as_old_names_it(&self, mut work: UnitOfWork) -> Result<UnitOfWork> {
        for write in &mut work.writes {
            let (Write::Put { key, when, .. }
            | Write::Patch { key, when, .. }
            | Write::Update { key, when, .. }
            | Write::Delete { key, when }) = write;
            let Precondition::Matches(named) = when else { continue };
            if let Some(found) = self.sides.old.get(key).await?
                && found.etag != *named
                && text_etag(&found.body) == *named
            {
                *when = Precondition::Matches(found.etag);
            }
        }
        Ok(work)
    }

    /// Leaves the intent, writes, and takes the intent back, which marks the document.
    async fn write_by_intent(self: &Arc<Self>, work: &UnitOfWork, version: i64) -> Result<Receipt, Stopped> {
        let key = single(work).map_err(Stopped::Failed)?;
        let deadline_ms = self.clock.now_ms() + self.options.write_ms;
        let intent = Intent::new(&key, (deadline_ms, self.pacing.random()), &work.facts);
        let old = old_part(work, deadline_ms);
        let (written, intent) = if intent.doubted.is_empty() {
            (self.write_behind(old, &intent, version).await.map_err(not_intended)?, intent)
        } else {
            self.write_announced(old, intent, version).await.map_err(not_intended)?
        };
        if written.as_ref().is_err_and(|error| error.may_retry() == Retry::Unknown) {
            // it may still happen, until the deadline: the intent says so
            return written.map_err(Stopped::Failed);
        }
        self.end_intent(intent, written.is_ok(), work).await.map_err(Stopped::Failed)?;
        written.map_err(Stopped::Failed)
    }

    /// Leaves the intent while the old store gets ready for the write, which changes nothing before the intent is there.
    ///
    /// # Errors
    /// The intent was not left; then nothing was changed.
    async fn write_behind(
        self: &Arc<Self>,
        old: UnitOfWork,
        intent: &Intent,
        version: i64,
    ) -> Result<Result<Receipt>> {
        let (moving, left) = (Arc::clone(self), intent.clone());
        let intent = Barrier::new(async move { moving.in_time(moving.journal.intend(&left, version)).await });
        let (left, written) =
            join(intent.passed(), self.sides.announcing_old.apply_behind(old, &intent)).await;
        left.map(|()| written)
    }

    /// Leaves an intent that says, before anything is sent, what that is.
    ///
    /// # Errors
    /// The intent was not left; then nothing was changed.
    async fn write_announced(
        self: &Arc<Self>,
        old: UnitOfWork,
        mut intent: Intent,
        version: i64,
    ) -> Result<(Result<Receipt>, Intent)> {
        let left = async {
            self.journal.intend(&intent, version).await?;
            self.journal.versioned(&mut intent).await
        };
        self.in_time(left).await?;
        let announcer = Arc::new(Announcer { moving: Arc::clone(self), intent: Mutex::new(intent) });
        let written = self.sides.announcing_old.apply_announced(old, Arc::clone(&announcer) as _).await;
        let intent = announcer.intent.lock().await.clone();
        Ok((written, intent))
    }

    /// Takes an intent back now that it is known whether the write was done. What the caller notes is there before the answer is.
    async fn end_intent(self: &Arc<Self>, intent: Intent, is_done: bool, work: &UnitOfWork) -> Result<()> {
        let mut facts = intent.known(is_done);
        if is_done {
            facts.extend(work.facts.iter().filter(|fact| fact.doubt.is_none()).cloned());
        }
        if !facts.is_empty() {
            let taken = self.journal.take_back(&intent, facts).await;
            self.wake.notify_one();
            // a write is there, and what was to be noted with it may not be; where there is none, nothing is claimed
            return if is_done { taken.map_err(|error| error.retry(Retry::Unknown)) } else { Ok(()) };
        }
        if self.is_brief {
            // where it fails, the intent runs out
            let _left = self.journal.take_back(&intent, facts).await;
        } else if self.gathered.push(intent) {
            let moving = Arc::clone(self);
            tokio::spawn(async move {
                moving.take_gathered_back().await;
            });
        }
        Ok(())
    }

    /// Takes intents back whose writes ended, until there are none.
    pub(super) async fn take_gathered_back(&self) {
        while let intents = self.gathered.take()
            && !intents.is_empty()
        {
            // where it fails, they run out
            let _left = self.journal.take_all_back(&intents).await;
            self.wake.notify_one();
        }
    }

    /// Writes to the old store while the new one is out of reach: a note is left beside it, and the fence says whether the
    /// old store leads.
    async fn write_by_note(&self, work: UnitOfWork, cause: Error) -> Result<Receipt> {
        let key = single(&work)?;
        if !work.facts.is_empty() {
            return Err(cause);
        }
        let deadline_ms = self.clock.now_ms() + self.options.write_ms;
        self.sides.beside.leave(&key, deadline_ms, self.pacing.random()).await?;
        match self.sides.beside.fence().await?.0 {
            Some(fence) if fence.lead(&key) == Lead::New => Err(out_of_reach(&key, cause)),
            Some(fence) if !fence.takes_notes(&key) => Err(not_by_note(&key, cause)),
            _ => self.sides.old.apply(old_part(&work, deadline_ms)).await,
        }
    }
}

/// Who writes down in an intent what is about to be sent, so that whoever finds it left can tell whether that was done.
#[derive(Debug)]
struct Announcer {
    moving: Arc<Moving>,
    intent: Mutex<Intent>,
}

#[async_trait]
impl Announce for Announcer {
    async fn announce(&self, write: Announced) -> Result<()> {
        let mut intent = self.intent.lock().await;
        intent.announced = Some(write);
        self.moving.in_time(self.moving.journal.announce(&mut intent)).await
    }
}

/// Why a write by intent went no further.
enum Stopped {
    /// The state of the move is another by now, or a condition of the caller's does not hold.
    Lost(Error),
    /// The new store is out of reach: there is another way.
    Unreachable(Error),
    Failed(Error),
}

/// Why a write without an intent went no further; one that was left all the same runs out.
fn not_intended(error: Error) -> Stopped {
    if is_lost(&error) {
        Stopped::Lost(error)
    } else if is_unreachable(&error) {
        Stopped::Unreachable(error)
    } else {
        Stopped::Failed(error)
    }
}

/// The part of a unit of work that the old store does.
fn old_part(work: &UnitOfWork, deadline_ms: i64) -> UnitOfWork {
    let until_ms = work.until_ms.map_or(deadline_ms, |own| own.min(deadline_ms));
    let writes = work.writes.clone();
    let holding = work.holding.clone();
    UnitOfWork { writes, holding, actor: work.actor.clone(), ..UnitOfWork::default() }.until(until_ms)
}

fn way<'a>(view: &View, work: &UnitOfWork) -> Result<Way<'a>> {
    let View::Goes(control, version) = view else { return Ok(Way::New(None)) };
    let mut standings = work.writes.iter().map(|write| standing(control, write.key()));
    // facts alone are the new store's
    let Some((lead, phase)) = standings.next() else { return Ok(Way::New(None)) };
    let mut waits = phase == Phase::Draining;
    for (other, phase) in standings {
        if other != lead {
            return Err(split(control, work));
        }
        waits |= phase == Phase::Draining;
    }
    let reads_copy = || work.writes.iter().any(|write| control.leads.reads_copy(write.key()));
    Ok(match lead {
        _ if waits => Way::Waits,
        Lead::Old => Way::Old { version: *version, reads_copy: reads_copy() },
        Lead::New => Way::New(Some(*version)),
    })
}

fn same(view: &View, version: Option<i64>) -> bool {
    matches!(view, View::Goes(_, now) if Some(*now) == version)
}

/// The one document that a unit of work writes in the old store.
fn single(work: &UnitOfWork) -> Result<DocumentKey> {
    if !work.demands.is_empty() {
        let message = "facts cannot be demanded by a write that the old store leads";
        return Err(Error::new(Kind::Unsupported, "R0405", message)
            .hint("Wait until the new store leads the document."));
    }
    match work.writes.as_slice() {
        [write] => Ok(write.key().clone()),
        writes => {
            let message =
                format!("{} documents in one unit of work, while the old store leads them", writes.len());
            Err(Error::new(Kind::Unsupported, "R0405", message)
                .hint("Write them one by one, or wait until the new store leads them."))
        }
    }
}

fn changing(work: &UnitOfWork) -> Error {
    let first = work.writes.first().map_or_else(String::new, |write| write.key().to_string());
    Error::new(
        Kind::Unavailable,
        "R0711",
        format!("{first} changes store, which takes longer than it should"),
    )
    .retry(Retry::Safe)
    .hint("Send it again; `repot status` says what the change waits for.")
}

fn split(control: &Control, work: &UnitOfWork) -> Error {
    let error = Error::new(
        Kind::Unsupported,
        "R0712",
        "the documents of this unit of work are led by different stores at the moment",
    );
    let detail = |error: Error, write: &Write| {
        let side = match control.leads.of(write.key()) {
            Lead::Old => "the old store",
            Lead::New => "the new store",
        };
        error.detail(format!("{}: {side}", write.key()))
    };
    work.writes.iter().fold(error, detail).hint("Write them one by one, or finish the rollout.")
}
