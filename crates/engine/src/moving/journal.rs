//! The journal of a move, as facts of the new store: which copies may be stale, which writes are on their way to the old
//! store, who copies what, who leads. docs/protocol.md says why each of them is there.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use repot_core::moving::Marks;
use repot_core::store::{
    DocumentKey, Fact, FactChange, FactDemand, FactValue, FactWhen, Layout, Ledger, Queryable,
    UNIT_FACTS_MAX, UnitOfWork, no_ledger,
};
use repot_core::{Clock, Error, Kind, Result};

use super::clean_up::{self, Receipt};
use super::control::Control;
use super::intent::Intent;
use super::names::{name, named, pack_key, read_key};
use super::origin::ORIGIN;
use super::watching::Figures;
use crate::packed::{Packer, Unpacker};

/// Kinds of our facts.
const CONTROL: &str = "move";
const CONTROL_NAME: &str = "control";
const MARK: &str = "move_mark";
const INTENT: &str = "move_intent";
pub(super) const CLAIM: &str = "move_claim";
const MEMBER: &str = "move_member";
const POSITION: &str = "move_position";
const STUCK: &str = "move_stuck";
const EVENT: &str = "move_event";
pub(super) const DIFFERENCE: &str = "move_difference";
const FIGURES: &str = "move_figures";
const FORM: u8 = 1;

/// A document whose copy may be stale.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub name: String,
    pub version: i64,
    pub key: DocumentKey,
    /// Of the newest change, milliseconds since 1970.
    pub at_ms: i64,
}

/// A marked document that a worker has.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    /// As it was when the claim stood.
    pub mark: Mark,
    /// Of the claim.
    pub version: i64,
    /// It could not be copied before.
    pub stuck: Option<Stuck>,
}

/// A document that cannot be copied as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Which one.
    pub key: DocumentKey,
    /// Why, for people.
    pub why: String,
    /// How often it was tried.
    pub tries: i64,
    /// When it is tried again, milliseconds since 1970.
    pub again_ms: i64,
}

/// Something that happened to a move, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub what: String,
}

/// The facts of a move.
#[derive(Debug, Clone)]
pub struct Journal {
    new: Arc<dyn Queryable>,
    clock: Arc<dyn Clock>,
}

impl Journal {
    /// In this store.
    #[must_use]
    pub fn new(new: Arc<dyn Queryable>, clock: Arc<dyn Clock>) -> Self {
        Self { new, clock }
    }

    pub(super) fn ledger(&self) -> Result<&dyn Ledger> {
        self.new.ledger().ok_or_else(|| no_ledger(&self.new))
    }

    /// Where the move stands, with the version to demand; `None`: there is none.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn control(&self) -> Result<Option<(Control, i64)>> {
        let found = self.ledger()?.fact(CONTROL, CONTROL_NAME).await?;
        found.map(|fact| Ok((Control::unpack(&fact.value)?, fact.version))).transpose()
    }

    /// Begins a move with this epoch, unless there is one. The old store is in use from then on.
    ///
    /// # Errors
    /// `R0743` when it was removed after an earlier move; when the store is out of reach.
    pub(super) async fn begin(&self, why: &str, epoch: i64) -> Result<()> {
        let control = Control { epoch, ..Control::begin(self.clock.now_ms(), why) }.pack();
        while self.control().await?.is_none() {
            let begun = FactChange::put(CONTROL, CONTROL_NAME, FactValue::lasting(control.clone()));
            let facts = vec![begun.when(FactWhen::Absent), clean_up::in_use(self).await?];
            if done(self.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await)? {
                break;
            }
        }
        self.tell(why).await
    }

    /// Goes on to another state from the one with this version; `false`: somebody else did meanwhile.
    pub(super) async fn step(&self, version: i64, to: &Control) -> Result<bool> {
        let change = FactChange::put(CONTROL, CONTROL_NAME, FactValue::lasting(to.pack()));
        let tried = self.ledger()?.note(change.when(FactWhen::Version(version))).await;
        done(tried)
    }

    /// The move is over; every fact of it but the events goes, and what is known of the old store is noted.
    ///
    /// # Errors
    /// When the store is out of reach; [`Kind::Fenced`] when it is not in the state with this version.
    pub(super) async fn end(&self, version: i64, receipt: Option<&Receipt>) -> Result<()> {
        let over = FactChange::remove(CONTROL, CONTROL_NAME).when(FactWhen::Version(version));
        let left = receipt.map_or_else(clean_up::without, |receipt| receipt.left.noting());
        self.apply(UnitOfWork { facts: vec![over, left], ..UnitOfWork::default() }).await?;
        let own = [MARK, INTENT, CLAIM, MEMBER, POSITION, STUCK, DIFFERENCE, FIGURES, ORIGIN];
        for kind in own.into_iter().chain(super::carried::kinds()) {
            self.remove_all(kind).await?;
        }
        Ok(())
    }

    /// Removes every fact of a kind; gives how many that were.
    pub(super) async fn remove_all(&self, kind: &str) -> Result<u64> {
        let mut removed = 0;
        loop {
            let facts = self.ledger()?.facts(kind, None, UNIT_FACTS_MAX).await?;
            if facts.is_empty() {
                return Ok(removed);
            }
            removed += facts.len() as u64;
            let changes = facts.iter().map(|fact| FactChange::remove(kind, &fact.name));
            self.apply(UnitOfWork { facts: changes.collect(), ..UnitOfWork::default() }).await?;
        }
    }

    pub(super) async fn apply(&self, work: UnitOfWork) -> Result<()> {
        self.new.apply(work).await.map(drop)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// What a unit of work demands, so that it happens under this state of the move only.
    pub(super) fn under(version: i64) -> FactDemand {
        FactDemand { kind: CONTROL.to_owned(), name: CONTROL_NAME.to_owned(), version }
    }

    /// The change that marks a document.
    pub(super) fn marking(&self, key: &DocumentKey) -> FactChange {
        marking(key, self.clock.now_ms())
    }

    /// The changes that mark these documents, each once.
    fn all_marking(&self, keys: &[DocumentKey]) -> Vec<FactChange> {
        let mut facts: Vec<FactChange> = keys.iter().map(|key| self.marking(key)).collect();
        facts.sort_by(|one, other| one.name.cmp(&other.name));
        facts.dedup_by(|one, other| one.name == other.name);
        facts
    }

    /// How old the oldest of the first thousand marks is, milliseconds; `None`: nothing is marked.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn lag_ms(&self) -> Result<Option<i64>> {
        let now_ms = self.clock.now_ms();
        let marks = self.marks(None, 1_000).await?;
        Ok(marks.iter().map(|mark| now_ms.saturating_sub(mark.at_ms)).max())
    }

    /// Leaves this intent, under this state of the move; what the write is to note is doubtful from then on. The document is marked when
    /// the intent goes.
    ///
    /// # Errors
    /// One that [`is_lost`] where the state is another by now, or a condition of the caller's does not hold.
    pub(super) async fn intend(&self, intent: &Intent, version: i64) -> Result<()> {
        let mut work = UnitOfWork::default()
            .noting(FactChange::put(INTENT, &intent.name, FactValue::lasting(intent.pack())))
            .demanding(Self::under(version));
        for fact in &intent.doubted {
            work = self.doubtful(fact).await?.into_iter().fold(work, UnitOfWork::noting);
        }
        self.new.apply(work).await.map(drop)
    }

    /// The change that makes a fact doubtful; also where it was so before, and then was found not to be done.
    async fn doubtful(&self, fact: &FactChange) -> Result<Option<FactChange>> {
        let Some(doubt) = &fact.doubt else { return Ok(None) };
        let there = self.ledger()?.fact(&fact.kind, &fact.name).await?;
        let again = there.filter(|there| there.value == doubt.undone.value);
        let when = again.map_or(fact.when, |there| FactWhen::Version(there.version));
        Ok(Some(FactChange::put(&fact.kind, &fact.name, doubt.open.clone()).when(when)))
    }

    /// Says what is about to be written, in an intent that is still what it was.
    pub(super) async fn announce(&self, intent: &mut Intent) -> Result<()> {
        let change = FactChange::put(INTENT, &intent.name, FactValue::lasting(intent.pack()));
        self.ledger()?.note(change.when(FactWhen::Version(intent.version))).await?;
        self.versioned(intent).await
    }

    /// Reads the version of an intent that was just left; another than it if it is gone.
    pub(super) async fn versioned(&self, intent: &mut Intent) -> Result<()> {
        let found = self.ledger()?.fact(INTENT, &intent.name).await?;
        intent.version =
            found.filter(|fact| fact.value == intent.pack()).map_or(i64::MIN, |fact| fact.version);
        Ok(())
    }

    /// Takes intents back of which nobody waits for anything, and marks their documents.
    pub(super) async fn take_all_back(&self, intents: &[Intent]) -> Result<()> {
        for some in intents.chunks(UNIT_FACTS_MAX / 2) {
            let keys: Vec<DocumentKey> = some.iter().map(|intent| intent.key.clone()).collect();
            let gone = some.iter().map(|intent| FactChange::remove(INTENT, &intent.name));
            let facts = self.all_marking(&keys).into_iter().chain(gone).collect();
            self.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await?;
        }
        Ok(())
    }

    /// Takes an intent back, and marks the document: it may have changed.
    pub(super) async fn take_back(&self, intent: &Intent, facts: Vec<FactChange>) -> Result<()> {
        let mut gone = FactChange::remove(INTENT, &intent.name);
        if !intent.doubted.is_empty() {
            // whoever found it run out has decided
            gone = gone.when(FactWhen::Version(intent.version));
        }
        let work = UnitOfWork { facts, ..UnitOfWork::default() };
        self.new.apply(work.noting(self.marking(&intent.key)).noting(gone)).await.map(drop)
    }

    /// At most `most` marks after a name.
    pub(super) async fn marks(&self, after: Option<&str>, most: usize) -> Result<Vec<Mark>> {
        let facts = self.ledger()?.facts(MARK, after, most).await?;
        facts.into_iter().map(|fact| read_mark(&fact)).collect()
    }

    /// At most `most` intents after a name.
    pub(super) async fn intents(&self, after: Option<&str>, most: usize) -> Result<Vec<Intent>> {
        let facts = self.ledger()?.facts(INTENT, after, most).await?;
        facts.iter().map(Intent::read).collect()
    }

    /// Removes an intent that ran out, and marks its document; `is_done` says what is known of the write, and is noted. `false`:
    /// it was taken back meanwhile.
    pub(super) async fn run_out(&self, intent: &Intent, is_done: Option<bool>) -> Result<bool> {
        let gone = FactChange::remove(INTENT, &intent.name).when(FactWhen::Version(intent.version));
        let facts = is_done.map_or_else(Vec::new, |is_done| intent.known(is_done));
        let work = UnitOfWork { facts, ..UnitOfWork::default() };
        done(self.new.apply(work.noting(gone).noting(self.marking(&intent.key))).await.map(drop))
    }

    /// Claims the document with this name until then; gives the version of the claim. `None`: somebody else has it.
    pub(super) async fn claim(&self, name: &str, who: &str, until_ms: i64) -> Result<Option<i64>> {
        let value = FactValue::until(who.as_bytes().to_vec(), until_ms);
        let change = FactChange::put(CLAIM, name, value).when(FactWhen::Absent);
        if !done(self.ledger()?.note(change).await)? {
            return Ok(None);
        }
        let found = self.ledger()?.fact(CLAIM, name).await?;
        Ok(found.filter(|fact| fact.value.as_ref() == who.as_bytes()).map(|fact| fact.version))
    }

    /// Claims those of these documents that nobody has and that do not rest, until then, and looks at their marks once more. What is no
    /// longer marked is let go of.
    pub(super) async fn claim_marked(
        &self,
        marks: &[Mark],
        who: &str,
        until_ms: i64,
    ) -> Result<Vec<Claimed>> {
        let names: Vec<&str> = marks.iter().map(|mark| mark.name.as_str()).collect();
        let mut stuck = HashMap::new();
        for fact in self.named(&[STUCK], &names).await? {
            stuck.insert(fact.name.clone(), read_stuck(&fact)?);
        }
        let now_ms = self.clock.now_ms();
        let rests = |name: &str| stuck.get(name).is_some_and(|stuck| now_ms < stuck.again_ms);
        let names = names.into_iter().filter(|name| !rests(name)).collect();
        let names = self.claim_all(names, who, until_ms).await?;
        let (mut marks, mut claims) = (HashMap::new(), Vec::new());
        for fact in self.named(&[MARK, CLAIM], &names).await? {
            if fact.kind == MARK {
                marks.insert(fact.name.clone(), read_mark(&fact)?);
            } else if fact.value.as_ref() == who.as_bytes() {
                claims.push(fact);
            }
        }
        let mut claimed = Vec::new();
        for Fact { name, version, .. } in claims {
            match marks.remove(&name) {
                Some(mark) => claimed.push(Claimed { mark, version, stuck: stuck.remove(&name) }),
                None => self.release(&name, version).await?,
            }
        }
        Ok(claimed)
    }

    /// Claims documents in one transaction; those that nobody has where somebody has some of them.
    async fn claim_all<'n>(&self, names: Vec<&'n str>, who: &str, until_ms: i64) -> Result<Vec<&'n str>> {
        let value = FactValue::until(who.as_bytes().to_vec(), until_ms);
        let claim = |name: &&str| FactChange::put(CLAIM, name, value.clone()).when(FactWhen::Absent);
        let facts = names.iter().map(claim).collect();
        if names.is_empty() || done(self.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await)? {
            return Ok(names);
        }
        let mut claimed = Vec::new();
        for name in names {
            if done(self.apply(UnitOfWork::default().noting(claim(&name))).await)? {
                claimed.push(name);
            }
        }
        Ok(claimed)
    }

    /// Facts of these kinds and names, as they are at one time.
    async fn named(&self, kinds: &[&str], names: &[&str]) -> Result<Vec<Fact>> {
        let of = |kind| names.iter().map(move |name| (kind, *name));
        let wanted: Vec<(&str, &str)> = kinds.iter().flat_map(|&kind| of(kind)).collect();
        if wanted.is_empty() { Ok(Vec::new()) } else { self.ledger()?.named(&wanted).await }
    }

    /// `work`, which also ends the claims, if they still stand. A mark goes too, unless the document was marked again since; what was
    /// stuck is not any more.
    pub(super) fn finishing<'c>(
        claimed: impl IntoIterator<Item = &'c Claimed>,
        work: UnitOfWork,
    ) -> UnitOfWork {
        claimed.into_iter().fold(work, |work, Claimed { mark, version, stuck }| {
            let over = FactChange::remove(CLAIM, &mark.name).when(FactWhen::Version(*version));
            let clear = FactChange::remove(MARK, &mark.name).when(FactWhen::Still(mark.version));
            let unstuck = stuck.is_some().then(|| FactChange::remove(STUCK, &mark.name));
            unstuck.into_iter().fold(work.noting(over).noting(clear), UnitOfWork::noting)
        })
    }

    /// Ends a claim; the mark stays.
    pub(super) async fn release(&self, name: &str, claim: i64) -> Result<()> {
        let over = FactChange::remove(CLAIM, name).when(FactWhen::Version(claim));
        done(self.apply(UnitOfWork::default().noting(over)).await).map(drop)
    }

    /// Ends a claim of a document that was only looked at; with `marks` it is marked, if the claim still stands. `false`: it
    /// was over.
    pub(super) async fn let_go(&self, key: &DocumentKey, claim: i64, marks: bool) -> Result<bool> {
        let gone = FactChange::remove(CLAIM, &name(key)).when(FactWhen::Version(claim));
        let work = UnitOfWork::default().noting(gone);
        let work = if marks { work.noting(self.marking(key)) } else { work };
        done(self.apply(work).await)
    }

    /// Whether a copy of this document may be on its way: it is marked, or a write to it has not been taken back.
    pub(super) async fn is_in_motion(&self, key: &DocumentKey) -> Result<bool> {
        let name = name(key);
        // an intent marks its document when it goes, so it is looked at first
        let own = format!("{name}#");
        let intents = self.ledger()?.facts(INTENT, Some(&own), 1).await?;
        if intents.iter().any(|intent| intent.name.starts_with(&own)) {
            return Ok(true);
        }
        Ok(self.ledger()?.fact(MARK, &name).await?.is_some())
    }

    /// Tells the others what a process saw, until this time and under this state of the move; what is told after the end
    /// would stay.
    pub(super) async fn publish(
        &self,
        member: &str,
        figures: &Figures,
        (until_ms, state): (i64, i64),
    ) -> Result<()> {
        let change = FactChange::put(FIGURES, member, FactValue::until(figures.pack(), until_ms));
        let work = UnitOfWork::default().noting(change).demanding(Self::under(state));
        done(self.apply(work).await).map(drop)
    }

    /// What all processes saw together.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn figures(&self) -> Result<Figures> {
        let (mut all, mut after) = (Figures::default(), None::<String>);
        loop {
            let facts = self.ledger()?.facts(FIGURES, after.as_deref(), 100).await?;
            let Some(last) = facts.last() else { return Ok(all) };
            after = Some(last.name.clone());
            for fact in &facts {
                all.add(&Figures::unpack(&fact.value)?);
            }
        }
    }

    /// Says that a server knows this state of the move, until then; `false`: the state is another by now.
    pub(super) async fn join(
        &self,
        member: &str,
        (epoch, version): (i64, i64),
        until_ms: i64,
    ) -> Result<bool> {
        let value = FactValue::until(Packer::new(FORM).number(epoch).finish(), until_ms);
        let work = UnitOfWork::default()
            .noting(FactChange::put(MEMBER, member, value))
            .demanding(Self::under(version));
        done(self.new.apply(work).await.map(drop))
    }

    /// A server goes.
    pub(super) async fn leave(&self, member: &str) -> Result<()> {
        let gone = [MEMBER, FIGURES].map(|kind| FactChange::remove(kind, member));
        self.apply(UnitOfWork { facts: gone.into(), ..UnitOfWork::default() }).await
    }

    /// The servers whose lease stands, with the epoch that each knows.
    pub(super) async fn members(&self) -> Result<Vec<(String, i64)>> {
        let mut members = Vec::new();
        loop {
            let after = members.last().map(|(name, _): &(String, i64)| name.clone());
            let facts = self.ledger()?.facts(MEMBER, after.as_deref(), 1_000).await?;
            if facts.is_empty() {
                return Ok(members);
            }
            for fact in facts {
                let epoch = Unpacker::new("a server of a move", FORM, &fact.value)?.number()?;
                members.push((fact.name, epoch));
            }
        }
    }

    /// Up to where the new store's log was turned into marks, with its version.
    pub(super) async fn position(&self) -> Result<Option<(u64, i64)>> {
        let Some(fact) = self.ledger()?.fact(POSITION, CONTROL_NAME).await? else { return Ok(None) };
        let number = Unpacker::new("a position", FORM, &fact.value)?.number()?;
        Ok(Some((u64::try_from(number).unwrap_or_default(), fact.version)))
    }

    /// Marks documents, and the log was read up to there, from the position with this version on; `false`: somebody else read
    /// on meanwhile, or the state of the move is another than the one that says which entries count.
    pub(super) async fn read_on(
        &self,
        keys: &[DocumentKey],
        (to, was): (u64, Option<i64>),
        state: i64,
    ) -> Result<bool> {
        let value = Packer::new(FORM).number(i64::try_from(to).unwrap_or(i64::MAX)).finish();
        let when = was.map_or(FactWhen::Absent, FactWhen::Version);
        let facts = self.all_marking(keys);
        let work = UnitOfWork { facts, ..UnitOfWork::default() }
            .demanding(Self::under(state))
            .noting(FactChange::put(POSITION, CONTROL_NAME, FactValue::lasting(value)).when(when));
        done(self.new.apply(work).await.map(drop))
    }

    /// How many copies may be stale: of documents that are marked, and of writes that are on their way.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn pending(&self) -> Result<u64> {
        // an intent marks its document when it goes, so intents are counted first
        let intents = self.ledger()?.count_facts(INTENT).await?;
        Ok(intents + self.ledger()?.count_facts(MARK).await?)
    }

    /// A claimed document could not be copied; ends the claim. Nothing is noted where that was over: whoever has the document now
    /// says how it went.
    pub(super) async fn stick(&self, claimed: &Claimed, stuck: &Stuck) -> Result<()> {
        let value = Packer::new(FORM)
            .bytes(&pack_key(&stuck.key))
            .bytes(stuck.why.as_bytes())
            .number(stuck.tries)
            .number(stuck.again_ms)
            .finish();
        let Claimed { mark, version, .. } = claimed;
        let over = FactChange::remove(CLAIM, &mark.name).when(FactWhen::Version(*version));
        let change = FactChange::put(STUCK, &mark.name, FactValue::lasting(value));
        done(self.apply(UnitOfWork::default().noting(over).noting(change)).await).map(drop)
    }

    /// At most `most` documents that cannot be copied as they are.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn stuck(&self, most: usize) -> Result<Vec<Stuck>> {
        let facts = self.ledger()?.facts(STUCK, None, most).await?;
        facts.iter().map(read_stuck).collect()
    }

    /// Keeps what happened, for `status --why`.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn tell(&self, what: &str) -> Result<()> {
        let at_ms = self.clock.now_ms();
        let value = Packer::new(FORM).number(at_ms).bytes(what.as_bytes()).finish();
        // the newest come last; two of one millisecond are told apart by what they say
        let name = format!("{at_ms:020}/{:016x}", xxhash_rust::xxh3::xxh3_64(what.as_bytes()));
        self.ledger()?.note(FactChange::put(EVENT, &name, FactValue::lasting(value))).await
    }

    /// What happened, oldest first; at most `most` of the newest.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn events(&self, most: usize) -> Result<Vec<Event>> {
        let (mut events, mut after) = (Vec::new(), None);
        loop {
            let facts = self.ledger()?.facts(EVENT, after.as_deref(), 1_000).await?;
            let Some(last) = facts.last() else { break };
            after = Some(last.name.clone());
            for fact in &facts {
                let mut read = Unpacker::new("an event of a move", FORM, &fact.value)?;
                events.push(Event { at_ms: read.number()?, what: read.text()? });
            }
            let more = events.len().saturating_sub(most);
            events.drain(..more);
        }
        Ok(events)
    }
}

fn marking(key: &DocumentKey, now_ms: i64) -> FactChange {
    let value = Packer::new(FORM).number(now_ms).bytes(&pack_key(key)).finish();
    FactChange::put(MARK, &name(key), FactValue::lasting(value))
}

/// The change that marks a document which the copy of another one changed, as references in the new store say: nothing follows from
/// a write in the old store, so that document is no copy any more. `None`: it is in no collection of the old store.
pub(crate) fn marking_along(
    layout: &Layout,
    (key, path): (&DocumentKey, &str),
    now_ms: i64,
) -> Option<FactChange> {
    named(layout, key, Some(path)).map(|own| marking(&own, now_ms))
}

/// The documents must be named as [`super::canonical`] does.
#[async_trait]
impl Marks for Journal {
    async fn mark(&self, keys: &[DocumentKey]) -> Result<()> {
        for keys in keys.chunks(UNIT_FACTS_MAX) {
            let facts = self.all_marking(keys);
            self.new.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await?;
        }
        Ok(())
    }
}

fn read_mark(fact: &Fact) -> Result<Mark> {
    let mut read = Unpacker::new("a mark", FORM, &fact.value)?;
    let at_ms = read.number()?;
    let key = read_key(read.bytes()?)?;
    Ok(Mark { name: fact.name.clone(), version: fact.version, key, at_ms })
}

fn read_stuck(fact: &Fact) -> Result<Stuck> {
    let mut read = Unpacker::new("a document that is stuck", FORM, &fact.value)?;
    let key = read_key(read.bytes()?)?;
    Ok(Stuck { key, why: read.text()?, tries: read.number()?, again_ms: read.number()? })
}

/// Whether it was done; not so where a condition on a fact did not hold.
pub(super) fn done(tried: Result<()>) -> Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(error) if is_lost(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A condition on a fact did not hold.
pub(super) fn is_lost(error: &Error) -> bool {
    error.kind() == Kind::Fenced && error.code() == "R0401"
}
