//! Small durable facts beside the documents: who holds a key, what was answered, how much is left. They share the
//! documents' database, so a fact and the writes that it is about happen together.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};

/// Bytes of the longest name of a fact, and of a kind.
const NAME_BYTES_MAX: usize = 1_000;
/// Bytes of the largest value of a fact.
pub const FACT_BYTES_MAX: usize = 2 << 20;
/// Facts of one unit of work.
pub const UNIT_FACTS_MAX: usize = 100;

/// A fact: a kind, a name in it, and a value that only the kind's own code reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, such as `api_key`.
    pub kind: String,
    /// Which one of the kind.
    pub name: String,
    /// Of this state; no other state of any fact of the database has it, or had it.
    pub version: i64,
    /// Its value.
    pub value: Bytes,
    /// From then on it is as if it were not there; milliseconds since 1970. `None`: it stays.
    pub expires_ms: Option<i64>,
}

impl Fact {
    /// Whether it is still there at this time, milliseconds since 1970.
    #[must_use]
    pub fn is_there(&self, now_ms: i64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// What must hold for a fact to be noted. An expired fact is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FactWhen {
    /// Whatever is there.
    #[default]
    Any,
    /// Nothing is there.
    Absent,
    /// The state with this version is there.
    Version(i64),
    /// The state with this version is there; where another one is, or none, this change is left out, and what it was to happen with
    /// happens without it.
    Still(i64),
}

impl FactWhen {
    /// Whether nothing of a unit of work is done where it does not hold.
    #[must_use]
    pub const fn must_hold(self) -> bool {
        matches!(self, Self::Absent | Self::Version(_))
    }
}

/// The value that a fact gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactValue {
    /// Its bytes; at most [`FACT_BYTES_MAX`].
    pub value: Bytes,
    /// As [`Fact::expires_ms`].
    pub expires_ms: Option<i64>,
}

impl FactValue {
    /// A value that stays.
    #[must_use]
    pub fn lasting(value: impl Into<Bytes>) -> Self {
        Self { value: value.into(), expires_ms: None }
    }

    /// A value that is there until this time, milliseconds since 1970.
    #[must_use]
    pub fn until(value: impl Into<Bytes>, expires_ms: i64) -> Self {
        Self { value: value.into(), expires_ms: Some(expires_ms) }
    }
}

/// A change of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactChange {
    /// As [`Fact::kind`].
    pub kind: String,
    /// As [`Fact::name`].
    pub name: String,
    /// What must hold.
    pub when: FactWhen,
    /// What it is from then on; `None`: it is gone.
    pub to: Option<FactValue>,
    /// What it is meanwhile, where it cannot be noted in the very transaction of the writes that it is about; a database,
    /// which can, has no use for it.
    pub doubt: Option<Box<FactDoubt>>,
}

/// What a fact is before the writes that it is about, which are made somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactDoubt {
    /// While they may have been made or not.
    pub open: FactValue,
    /// Once it is known that they were not made, and never will be.
    pub undone: FactValue,
}

impl FactChange {
    /// The fact is this value from now on, whatever was there.
    #[must_use]
    pub fn put(kind: &str, name: &str, value: FactValue) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            when: FactWhen::Any,
            to: Some(value),
            doubt: None,
        }
    }

    /// The fact is gone, whatever was there.
    #[must_use]
    pub fn remove(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned(), when: FactWhen::Any, to: None, doubt: None }
    }

    /// The same under a condition.
    #[must_use]
    pub fn when(mut self, when: FactWhen) -> Self {
        self.when = when;
        self
    }

    /// With what it is meanwhile.
    #[must_use]
    pub fn doubted(mut self, doubt: FactDoubt) -> Self {
        self.doubt = Some(Box::new(doubt));
        self
    }

    /// Whether it is made, by what is there at this time; `false`: it is left out.
    ///
    /// # Errors
    /// [`FactChange::fenced`] where its condition must hold and does not.
    pub fn applies(&self, there: Option<&Fact>, now_ms: i64) -> Result<bool> {
        let there = there.filter(|fact| fact.is_there(now_ms));
        let met = match self.when {
            FactWhen::Any => true,
            FactWhen::Absent => there.is_none(),
            FactWhen::Version(version) | FactWhen::Still(version) => {
                there.is_some_and(|fact| fact.version == version)
            }
        };
        if met || !self.when.must_hold() { Ok(met) } else { Err(self.fenced()) }
    }

    /// The error of a change whose condition does not hold: [`Kind::Fenced`], so that nobody takes it for a document
    /// in another state.
    #[must_use]
    pub fn fenced(&self) -> Error {
        let message = match self.when {
            FactWhen::Absent => "it is there already",
            _ => "somebody else changed it",
        };
        fenced((&self.kind, &self.name), message)
    }

    fn check_bounds(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(Kind::Invalid, "R0403", message));
        check_names(&self.kind, &self.name)?;
        match &self.to {
            Some(to) if to.value.len() > FACT_BYTES_MAX => {
                wrong(format!("a fact of {} bytes, {FACT_BYTES_MAX} are the most", to.value.len()))
            }
            None if self.when == FactWhen::Absent => {
                wrong(format!("the fact {} {} cannot be removed where it may not be", self.kind, self.name))
            }
            _ => Ok(()),
        }
    }
}

/// A fact that must stay as it is while a unit of work happens.
///
/// The unit is done only if the fact is in this very state, and nobody changes the fact from when that was checked for the
/// last time until the unit has committed: whoever wants to waits, and then every later unit that demands this state fails. Any
/// number of units may demand one fact at the same time, and none waits for another. Whether the fact has expired is decided by
/// the store's clock when the unit is; time alone may end it before the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactDemand {
    /// As [`Fact::kind`].
    pub kind: String,
    /// As [`Fact::name`].
    pub name: String,
    /// As [`Fact::version`].
    pub version: i64,
}

impl FactDemand {
    /// This fact, as it was read.
    #[must_use]
    pub fn of(fact: &Fact) -> Self {
        Self { kind: fact.kind.clone(), name: fact.name.clone(), version: fact.version }
    }

    /// Checks it against what is there at this time, milliseconds since 1970.
    ///
    /// # Errors
    /// [`Kind::Fenced`], code `R0401`, as of a change whose condition does not hold.
    pub fn check(&self, there: Option<&Fact>, now_ms: i64) -> Result<()> {
        let held = there.is_some_and(|fact| fact.is_there(now_ms) && fact.version == self.version);
        if held { Ok(()) } else { Err(fenced((&self.kind, &self.name), "somebody else changed it")) }
    }
}

fn fenced((kind, name): (&str, &str), why: &str) -> Error {
    Error::new(Kind::Fenced, "R0401", format!("the fact {kind} {name}: {why}"))
        .hint("Read it again and decide on what is there now.")
}

fn check_names(kind: &str, name: &str) -> Result<()> {
    for text in [kind, name] {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.contains('\0') {
            let message = format!("a fact's kind and name have 1 to {NAME_BYTES_MAX} bytes without NUL");
            return Err(Error::new(Kind::Invalid, "R0403", message));
        }
    }
    Ok(())
}

/// Checks that facts can be noted together.
///
/// # Errors
/// [`Kind::Invalid`], code `R0403`: too many or too large, an improper name, or one fact twice.
pub fn check_facts(facts: &[FactChange]) -> Result<()> {
    check_demands(facts, &[])
}

/// Checks that facts can be noted together while others are demanded.
///
/// # Errors
/// As [`check_facts`]; a fact that is noted cannot be demanded too.
pub fn check_demands(facts: &[FactChange], demands: &[FactDemand]) -> Result<()> {
    let count = facts.len() + demands.len();
    if count > UNIT_FACTS_MAX {
        let message = format!("{count} facts in one unit of work, {UNIT_FACTS_MAX} are the most");
        return Err(Error::new(Kind::Invalid, "R0403", message));
    }
    facts.iter().try_for_each(FactChange::check_bounds)?;
    demands.iter().try_for_each(|demand| check_names(&demand.kind, &demand.name))?;
    let noted = facts.iter().map(|fact| (&fact.kind, &fact.name));
    let demanded = demands.iter().map(|demand| (&demand.kind, &demand.name));
    let mut names = HashSet::new();
    for (kind, name) in noted.chain(demanded) {
        if !names.insert((kind, name)) {
            let message = format!("the fact {kind} {name} stands twice in one unit of work");
            return Err(Error::new(Kind::Invalid, "R0403", message));
        }
    }
    Ok(())
}

/// What becomes of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactStep {
    /// It stays as it is.
    Keep,
    /// It is this from now on.
    Put(FactValue),
    /// It is gone.
    Remove,
}

/// A decision on a fact, made while nobody else can change it.
///
/// A store may call it several times, each time with what is there then, and keeps the outcome of the last call only.
#[derive(Clone)]
pub struct FactEdit(Arc<FactEditFn>);

type FactEditFn = dyn Fn(Option<&Fact>) -> Result<FactStep> + Send + Sync;

impl FactEdit {
    /// A decision made by this function; `None`: nothing is there.
    pub fn new(edit: impl Fn(Option<&Fact>) -> Result<FactStep> + Send + Sync + 'static) -> Self {
        Self(Arc::new(edit))
    }

    /// What becomes of it.
    ///
    /// # Errors
    /// What the function gives.
    pub fn decide(&self, there: Option<&Fact>) -> Result<FactStep> {
        (self.0)(there)
    }
}

impl fmt::Debug for FactEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactEdit")
    }
}

/// Small durable facts in the documents' own database.
///
/// - A fact that was noted survives the end of every process.
/// - Conditions and decisions hold among all callers, threads and processes on the database.
/// - An expired fact is absent, by the clock of the store that is asked; [`FactWhen::Absent`] may replace it.
/// - A version is of one state only, also after a fact was removed and noted again.
/// - Facts are the server's own. No document, query or tenant reaches them.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// The fact of this kind and name.
    ///
    /// # Errors
    /// `R0403` for an improper name; when the store is out of reach.
    async fn fact(&self, kind: &str, name: &str) -> Result<Option<Fact>>;

    /// The facts of these kinds and names that are there, in no order: all as they were at one time.
    ///
    /// # Errors
    /// As [`Ledger::fact`].
    async fn named(&self, names: &[(&str, &str)]) -> Result<Vec<Fact>>;

    /// At most `most` facts of a kind after this name (bounded by the store too), in byte order of the name.
    ///
    /// # Errors
    /// As [`Ledger::fact`].
    async fn facts(&self, kind: &str, after: Option<&str>, most: usize) -> Result<Vec<Fact>>;

    /// How many facts of a kind there are.
    ///
    /// # Errors
    /// As [`Ledger::fact`].
    async fn count_facts(&self, kind: &str) -> Result<u64>;

    /// Notes one fact; several, and with writes of documents, are noted by [`super::UnitOfWork::facts`].
    ///
    /// # Errors
    /// [`Kind::Fenced`], code `R0401`, when its condition does not hold; `R0403` for an improper one; when the store is
    /// out of reach: [`crate::Retry::Unknown`] where it may have been noted.
    async fn note(&self, change: FactChange) -> Result<()>;

    /// Lets `edit` decide what becomes of a fact, and nobody else changes it from before it is read until that is done.
    ///
    /// # Errors
    /// What `edit` gives; else as [`Ledger::note`].
    async fn update_fact(&self, kind: &str, name: &str, edit: FactEdit) -> Result<()>;

    /// Removes some of the facts that expired by this time, milliseconds since 1970; gives how many. A store does so by
    /// itself now and then.
    ///
    /// # Errors
    /// When the store is out of reach.
    async fn prune_facts(&self, now_ms: i64) -> Result<usize>;
}

/// Shortcuts; nobody implements them.
#[async_trait]
pub trait LedgerExt: Ledger {
    /// As [`Ledger::update_fact`], and gives what the last call of `edit` gave beside its decision.
    ///
    /// # Errors
    /// As [`Ledger::update_fact`].
    async fn decide<T, F>(&self, kind: &str, name: &str, edit: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Option<&Fact>) -> Result<(FactStep, T)> + Send + Sync + 'static,
    {
        let told = Arc::new(Mutex::new(None));
        let tell = Arc::clone(&told);
        let edit = FactEdit::new(move |there| {
            let (step, answer) = edit(there)?;
            *tell.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Ok(step)
        });
        self.update_fact(kind, name, edit).await?;
        let answer = told.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or_else(|| Error::new(Kind::Internal, "R0901", "nothing was decided on a fact"))
    }
}

impl<L: Ledger + ?Sized> LedgerExt for L {}

/// Checks the name of a fact that is asked for.
///
/// # Errors
/// [`Kind::Invalid`], code `R0403`.
pub fn check_fact_name(kind: &str, name: &str) -> Result<()> {
    check_names(kind, name)
}

/// The error of a store without facts.
#[must_use]
pub fn no_ledger(store: &dyn fmt::Display) -> Error {
    Error::new(Kind::Unsupported, "R0405", format!("{store} keeps no facts beside its documents"))
        .hint("Keep the documents in a database.")
}
