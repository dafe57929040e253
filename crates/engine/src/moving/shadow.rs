//! Reads in the shadow: some of what apps were told is compared with the other store, afterwards and out of their way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use repot_core::Result;
use repot_core::moving::{Lead, Phase};
use repot_core::store::{Document, DocumentKey};
use xxhash_rust::xxh3::xxh3_128;

use super::difference::{Cause, Difference};
use super::follow::ObjectState;
use super::leads::SLOTS;
use super::member::{Moving, View, standing};
use super::names::name;
use super::watching::{FirstLook, Sampled};

/// Reads compared in one round,
const ROUND: usize = 16;
/// and at once: each takes a connection that apps may want.
const AT_ONCE: usize = 2;
/// When a document is looked at again, milliseconds, and how often at the most: where its copy was stale,
const AGAIN_MS: i64 = 300;
const STALE_TRIES: u32 = 30;
/// and where it was on its way, as what an app reads right after it wrote it always is.
const MOTION_TRIES: u32 = 3;
/// Rounds in which the log must have been read to its end.
const LOG_ROUNDS: usize = 100;

/// What became of a sampled read.
enum Outcome {
    Same,
    InMotion,
    Stale(FirstLook),
    Different(Difference),
}

/// What was found under a claim.
enum Found {
    Same,
    InMotion,
    Stale(FirstLook),
    Different(Difference),
}

impl Moving {
    /// An app was told this by a store, while that one or the other led. Some of these answers are to be compared.
    pub(super) fn sample(&self, key: &DocumentKey, (lead, teller): (Lead, Lead), answer: Option<&Document>) {
        if !self.compares.load(Ordering::Relaxed) {
            return;
        }
        let compared = self.last_control().map_or(0, |control| control.compared);
        if compared == 0 || self.pacing.random() % u64::from(SLOTS) >= compared.into() {
            return;
        }
        let answer = answer.map(|document| Bytes::clone(&document.body));
        let (first, ripe_ms, tries) = (None, i64::MIN, 0);
        self.watch.put(Sampled { key: key.clone(), lead, teller, answer, first, ripe_ms, tries });
        self.sampled.notify_one();
    }

    /// From now on this process samples reads, because somebody compares them ([`Moving::compare_sampled`]), or no more.
    pub fn sample_reads(&self, does: bool) {
        self.compares.store(does, Ordering::Relaxed);
    }

    /// Compares some of the sampled reads whose time has come; gives how many.
    ///
    /// # Errors
    /// When a store is out of reach; what was not compared is counted.
    pub async fn compare_sampled(self: &Arc<Self>) -> Result<usize> {
        let ripe = self.watch.take(self.clock.now_ms(), ROUND);
        let count = ripe.len();
        let mut comparing = stream::iter(ripe)
            .map(|sampled| async move { (self.compare(&sampled).await, sampled) })
            .buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some((compared, sampled)) = comparing.next().await {
            match compared {
                Ok(outcome) => self.became(sampled, outcome).await,
                Err(error) => {
                    self.watch.count(|compared| compared.dropped += 1);
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// How many sampled reads wait.
    #[must_use]
    pub fn sampled_waiting(&self) -> usize {
        self.watch.waiting()
    }

    async fn became(&self, sampled: Sampled, outcome: Outcome) {
        let again_ms = self.clock.now_ms() + AGAIN_MS;
        let put_off = |most, first, sampled: Sampled| {
            if sampled.tries < most {
                self.watch.put(Sampled { first, ripe_ms: again_ms, tries: sampled.tries + 1, ..sampled });
            }
        };
        match outcome {
            Outcome::Same => self.watch.count(|compared| compared.same += 1),
            Outcome::InMotion => {
                if sampled.tries == 0 {
                    self.watch.count(|compared| compared.in_motion += 1);
                }
                let most = if sampled.first.is_some() { STALE_TRIES } else { MOTION_TRIES };
                put_off(most, sampled.first.clone(), sampled);
            }
            Outcome::Stale(first) => {
                self.wake.notify_one();
                if sampled.first.is_none() {
                    self.watch.count(|compared| compared.stale += 1);
                }
                put_off(STALE_TRIES, Some(first), sampled);
            }
            Outcome::Different(difference) => self.differs(&difference).await,
        }
    }

    async fn differs(&self, difference: &Difference) {
        self.wake.notify_one();
        if difference.cause == Cause::TextOnly {
            return self.watch.count(|compared| compared.text_only += 1);
        }
        self.watch.count(|compared| compared.different += 1);
        if difference.ignored.is_some() {
            return;
        }
        let Some(control) = self.last_control() else { return };
        if control.guard.limits.is_some() && control.guard.stopped.is_none() {
            let why = format!("{} differs: {}", difference.key, difference.cause.word());
            self.watch.want_back(control.guard.armed_ms, &why);
            // where the new store is away, the guard tries again
            let _away = self.stop_rollout().await;
        }
    }

    async fn side(&self, lead: Lead, key: &DocumentKey) -> Result<Option<Document>> {
        match lead {
            Lead::Old => self.in_time(self.sides.old.get(key)).await,
            Lead::New => self.in_time(self.sides.new.get(key)).await,
        }
    }

    async fn compare(&self, sampled: &Sampled) -> Result<Outcome> {
        let other = self.side(sampled.teller.other(), &sampled.key).await?;
        if other.as_ref().map(|document| &document.body) == sampled.answer.as_ref() {
            return Ok(Outcome::Same);
        }
        if self.in_time(self.journal.is_in_motion(&sampled.key)).await? {
            return Ok(Outcome::InMotion);
        }
        // while it is ours, no worker copies the document: what is on its way is seen to be
        let until_ms = self.clock.now_ms() + self.options.claim_ms + self.options.skew_ms;
        let claimed = self.in_time(self.journal.claim(&name(&sampled.key), &self.id, until_ms)).await?;
        let Some(claim) = claimed else { return Ok(Outcome::InMotion) };
        let found = self.look_closely(sampled, claim).await;
        let let_go = |marks| self.in_time(self.journal.let_go(&sampled.key, claim, marks));
        let outcome = match found {
            // with the difference the claim ended
            Ok(Found::Different(difference)) => return Ok(Outcome::Different(difference)),
            // only what is marked is copied
            Ok(Found::Stale(first)) => {
                return Ok(if let_go(true).await? { Outcome::Stale(first) } else { Outcome::InMotion });
            }
            Ok(Found::Same) => Ok(Outcome::Same),
            Ok(Found::InMotion) => Ok(Outcome::InMotion),
            Err(error) => Err(error),
        };
        // where it is not let go, it runs out
        let _runs_out = let_go(false).await;
        outcome
    }

    /// Whether the stores differ though nothing of the document is on its way: docs/protocol.md, Comparing.
    async fn look_closely(&self, sampled: &Sampled, claim: i64) -> Result<Found> {
        let View::Goes(control, version) = self.ask().await? else { return Ok(Found::InMotion) };
        if standing(&control, &sampled.key) != (sampled.lead, Phase::Open) {
            return Ok(Found::InMotion);
        }
        let key = &sampled.key;
        let states = self.states(key).await?;
        let (old, new) = (self.side(Lead::Old, key).await?, self.side(Lead::New, key).await?);
        let (old, new) = (old.map(|old| old.body), new.map(|new| new.body));
        let cause = Cause::of(old.as_deref(), new.as_deref(), self.sides.layout.limits());
        let Some(cause) = cause else { return Ok(Found::Same) };
        if self.states(key).await? != states || !self.is_log_read().await? {
            return Ok(Found::InMotion);
        }
        // who follows marks first, and notes that after it: so the marks are looked at last
        let is_followed = self.is_followed(key, &states).await?;
        if self.in_time(self.journal.is_in_motion(key)).await? {
            return Ok(Found::InMotion);
        }
        let led = match sampled.lead {
            Lead::Old => &old,
            Lead::New => &new,
        };
        let text = led.as_ref().map_or(0, |text| xxh3_128(text));
        let now_ms = self.clock.now_ms();
        let mut look = FirstLook { text, states, stood: 0, at_ms: now_ms };
        if let Some(before) = sampled.first.as_ref().filter(|before| look.is_as(before) && !before.is_young())
        {
            look.stood = before.stood + 1;
        }
        if !is_followed && !look.is_proof() {
            return Ok(Found::Stale(look));
        }
        let lead = (sampled.lead, control.epoch);
        let found = Difference::found(key, lead, (cause, now_ms), (old.as_deref(), new.as_deref()));
        let kept = self.in_time(self.journal.differ(found, (claim, version))).await?;
        Ok(kept.map_or(Found::InMotion, Found::Different))
    }

    /// The states of the document's objects in the old store.
    async fn states(&self, key: &DocumentKey) -> Result<Vec<Option<ObjectState>>> {
        let mut states = Vec::new();
        for path in self.sides.layout.paths(key)? {
            let head = self.in_time(self.sides.beside.objects().head(&path)).await?;
            states.push(head.as_ref().map(ObjectState::from));
        }
        Ok(states)
    }

    /// Whether what other programs wrote into the document's object was followed to the end.
    async fn is_followed(&self, key: &DocumentKey, states: &[Option<ObjectState>]) -> Result<bool> {
        for (path, state) in self.sides.layout.paths(key)?.iter().zip(states) {
            if state.is_some() && self.in_time(self.sides.known.followed(path)).await? != *state {
                return Ok(false);
            }
        }
        // what is not there cannot have been followed
        Ok(states.iter().any(Option::is_some))
    }

    /// Reads the new store's log up to where it ends now, so that what was written there is marked.
    async fn is_log_read(&self) -> Result<bool> {
        let Some(feed) = self.sides.new.change_feed() else { return Ok(true) };
        let end = self.in_time(feed.position()).await?.number();
        for _ in 0..LOG_ROUNDS {
            let position = self.in_time(self.journal.position()).await?;
            if position.is_some_and(|(position, _)| position >= end) {
                return Ok(true);
            }
            self.read_log().await?;
        }
        Ok(false)
    }
}
