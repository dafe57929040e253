//! API keys: made, listed, taken back, and who somebody is that shows one. Of a key's text only its hash is kept.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use repot_core::store::{Fact, FactStep, FactValue, FactWhen, Ledger, LedgerExt as _, Store, no_ledger};
use repot_core::{Clock, Entropy, Error, Kind, Result};
use subtle::ConstantTimeEq as _;

use super::key_text::KeyText;
use crate::packed::{Packer, Unpacker, damaged};

/// Kind of the facts; their name is the key's.
pub(crate) const KIND: &str = "api_key";
/// How their values are written.
const FORM: u8 = 1;
const WHAT: &str = "an API key";

/// For so long a key that was looked up is believed, milliseconds: a key that was taken back elsewhere works no longer than
/// that.
const BELIEVED_MS: i64 = 5_000;
/// And while the store is out of reach, milliseconds.
const BELIEVED_AWAY_MS: i64 = 10 * 60 * 1_000;
/// Keys that are believed at once.
const BELIEVED_MOST: usize = 1_024;
/// When a key was used is written down once in this time, milliseconds.
const USED_EVERY_MS: i64 = 60_000;
/// For so long a key that cannot be used any more is still listed, milliseconds: 30 days.
const LISTED_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Characters of the longest name that people give a key.
const NAME_MOST: usize = 200;
/// Keys listed at once.
const PAGE: usize = 100;

/// What a key lets its holder do. None of them contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// See documents.
    Read,
    /// Change documents.
    Write,
    /// Run the server: keys, copies, SQL.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|right| right.to_string() == word);
        found.ok_or_else(|| format!("`{word}` is no right; they are read, write and admin"))
    }
}

/// How far a right goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// The key does not have it.
    #[default]
    Nothing,
    /// Every collection, and what is about none.
    Everything,
    /// These collections.
    Only(BTreeSet<String>),
}

/// The rights of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Of [`Right::Read`].
    pub read: Reach,
    /// Of [`Right::Write`].
    pub write: Reach,
    /// Of [`Right::Admin`].
    pub admin: Reach,
}

impl Rights {
    /// These rights on everything, or where collections are given, on those only.
    #[must_use]
    pub fn of(rights: &[Right], only: &[String]) -> Self {
        let reach = |right| match (rights.contains(&right), only) {
            (false, _) => Reach::Nothing,
            (true, []) => Reach::Everything,
            (true, only) => Reach::Only(only.iter().cloned().collect()),
        };
        Self { read: reach(Right::Read), write: reach(Right::Write), admin: reach(Right::Admin) }
    }

    /// How far one of them goes.
    #[must_use]
    pub const fn reach(&self, right: Right) -> &Reach {
        match right {
            Right::Read => &self.read,
            Right::Write => &self.write,
            Right::Admin => &self.admin,
        }
    }

    /// Whether it may be done on a collection; `None`: on what is not of one collection, such as all changes or SQL, which
    /// takes the right to everything.
    #[must_use]
    pub fn may(&self, right: Right, collection: Option<&str>) -> bool {
        match (self.reach(right), collection) {
            (Reach::Nothing, _) | (Reach::Only(_), None) => false,
            (Reach::Everything, _) => true,
            (Reach::Only(only), Some(collection)) => only.contains(collection),
        }
    }
}

/// Whose documents a key reaches, where a collection has tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tenants {
    /// Nobody's: only collections without tenants.
    #[default]
    None,
    /// One tenant's, without saying so.
    One(String),
    /// Any tenant's; each call says whose. For services that act for their users.
    Any,
}

impl Tenants {
    /// The tenant that a call is for, which names this one or none. `None`: it may not be.
    #[must_use]
    pub fn acting_for<'t>(&'t self, named: Option<&'t str>) -> Option<Option<&'t str>> {
        match (self, named) {
            (Self::None | Self::Any, None) => Some(None),
            (Self::None, Some(_)) => None,
            (Self::One(own), named) => named.is_none_or(|named| named == own).then_some(Some(own)),
            (Self::Any, named) => Some(named),
        }
    }
}

/// A key to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it lets its holder do.
    pub rights: Rights,
    /// Whose documents it reaches.
    pub tenants: Tenants,
    /// From then on it cannot be used, milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// A key that was made. Its text is not kept: this is the only time that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedKey {
    /// Its public name.
    pub id: String,
    /// Its text.
    pub text: KeyText,
}

/// A key as it is listed. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public name.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it lets its holder do.
    pub rights: Rights,
    /// Whose documents it reaches.
    pub tenants: Tenants,
    /// When it was made.
    pub created_ms: i64,
    /// From when on it cannot be used.
    pub expires_ms: Option<i64>,
    /// When it was used last, to the minute.
    pub used_ms: Option<i64>,
    /// When it was taken back.
    pub revoked_ms: Option<i64>,
}

impl ApiKey {
    /// Whether it can be used at this time.
    #[must_use]
    pub fn is_usable(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// Who somebody is that showed a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Public name of the key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What may be done.
    pub rights: Rights,
    /// Whose documents are reached.
    pub tenants: Tenants,
}

/// What is kept of a key.
#[derive(Debug, Clone)]
struct Kept {
    hash: [u8; 32],
    key: ApiKey,
}

impl Kept {
    fn pack(&self) -> Vec<u8> {
        let ApiKey { id: _, name, rights, tenants, created_ms, expires_ms, used_ms, revoked_ms } = &self.key;
        let (kind, tenant) = match tenants {
            Tenants::None => (0, ""),
            Tenants::One(tenant) => (1, tenant.as_str()),
            Tenants::Any => (2, ""),
        };
        let mut packed = Packer::new(FORM)
            .bytes(&self.hash)
            .bytes(name.as_bytes())
            .number(*created_ms)
            .maybe(*expires_ms)
            .maybe(*used_ms)
            .maybe(*revoked_ms)
            .number(kind)
            .bytes(tenant.as_bytes());
        for right in Right::ALL {
            packed = match rights.reach(right) {
                Reach::Nothing => packed.number(0).number(0),
                Reach::Everything => packed.number(1).number(0),
                Reach::Only(only) => {
                    let packed = packed.number(2).number(i64::try_from(only.len()).unwrap_or(i64::MAX));
                    only.iter().fold(packed, |packed, name| packed.bytes(name.as_bytes()))
                }
            };
        }
        packed.finish()
    }

    fn unpack(id: &str, value: &[u8]) -> Result<Self> {
        let mut packed = Unpacker::new(WHAT, FORM, value)?;
        let hash = packed.bytes()?.try_into().map_err(|_length| damaged(WHAT))?;
        let name = packed.text()?;
        let created_ms = packed.number()?;
        let (expires_ms, used_ms, revoked_ms) = (packed.maybe()?, packed.maybe()?, packed.maybe()?);
        let tenants = match (packed.number()?, packed.text()?) {
            (0, _) => Tenants::None,
            (1, tenant) => Tenants::One(tenant),
            (2, _) => Tenants::Any,
            _ => return Err(damaged(WHAT)),
        };
        let mut reach = || -> Result<Reach> {
            let kind = packed.number()?;
            let only = (0..packed.count()?).map(|_| packed.text()).collect::<Result<_>>()?;
            match kind {
                0 => Ok(Reach::Nothing),
                1 => Ok(Reach::Everything),
                2 => Ok(Reach::Only(only)),
                _ => Err(damaged(WHAT)),
            }
        };
        let rights = Rights { read: reach()?, write: reach()?, admin: reach()? };
        let id = id.to_owned();
        Ok(Self {
            hash,
            key: ApiKey { id, name, rights, tenants, created_ms, expires_ms, used_ms, revoked_ms },
        })
    }

    fn of(fact: &Fact) -> Result<Self> {
        Self::unpack(&fact.name, &fact.value)
    }

    /// It goes by itself some time after it cannot be used any more.
    fn value(&self) -> FactValue {
        let ends_ms = [self.key.expires_ms, self.key.revoked_ms].into_iter().flatten().min();
        FactValue { value: self.pack().into(), expires_ms: ends_ms.map(|ms| ms.saturating_add(LISTED_MS)) }
    }
}

/// A key that was looked up.
#[derive(Debug)]
struct Believed {
    kept: Kept,
    /// When it was looked up.
    since_ms: i64,
}

impl Believed {
    fn holds(&self, now_ms: i64) -> bool {
        (self.since_ms..self.since_ms.saturating_add(BELIEVED_MS)).contains(&now_ms)
    }
}

/// API keys among the facts of a store.
///
/// What was looked up is believed for five seconds: a key that was taken back by another process works for so long at most;
/// one that was taken back here ends at once. While the store is out of reach, it is believed for ten minutes.
#[derive(Debug)]
pub struct ApiKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    memory: Mutex<Memory>,
}

/// What was looked up.
#[derive(Debug, Default)]
struct Memory {
    believed: HashMap<String, Believed>,
    /// How often a key was taken back here: what was read from before is not believed.
    revocations: u64,
}

impl ApiKeys {
    /// Keys among the facts of `store`; `clock` is to be the store's.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy, memory: Mutex::default() }
    }

    fn ledger(&self) -> Result<&dyn Ledger> {
        self.store.ledger().ok_or_else(|| no_ledger(&self.store))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a key. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0100`, for an improper name; `R0405` when the store keeps no facts; when it is out of reach.
    pub async fn create(&self, new: NewKey) -> Result<CreatedKey> {
        let NewKey { name, rights, tenants, expires_ms } = new;
        let proper = !name.trim().is_empty() && !name.chars().any(char::is_control);
        if !proper || name.chars().count() > NAME_MOST {
            let message = format!("a key's name has 1 to {NAME_MOST} characters that can be shown");
            return Err(Error::new(Kind::Invalid, "R0100", message).hint("Name it by who will use it."));
        }
        let text = KeyText::make(&*self.entropy)?;
        let id = text.id().to_owned();
        let key = ApiKey {
            id: id.clone(),
            name,
            rights,
            tenants,
            created_ms: self.clock.now_ms(),
            expires_ms,
            used_ms: None,
            revoked_ms: None,
        };
        let kept = Kept { hash: text.hash(), key };
        let change = repot_core::store::FactChange::put(KIND, &id, kept.value()).when(FactWhen::Absent);
        self.ledger()?.note(change).await?;
        Ok(CreatedKey { id, text })
    }

    /// All keys by their public names, with those that expired or were taken back in the last 30 days.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn list(&self) -> Result<Vec<ApiKey>> {
        let (mut keys, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.ledger()?.facts(KIND, after.as_deref(), PAGE).await?;
            let ends = page.len() < PAGE;
            after = page.last().map(|fact| fact.name.clone());
            for fact in &page {
                keys.push(Kept::of(fact)?.key);
            }
            if ends {
                return Ok(keys);
            }
        }
    }

    /// Takes a key back; gives whether it could be used until now.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub async fn revoke(&self, id: &str) -> Result<bool> {
        let now_ms = self.clock.now_ms();
        let done = self.ledger()?.decide(KIND, id, move |fact| {
            let Some(mut kept) = fact.map(Kept::of).transpose()? else { return Ok((FactStep::Keep, false)) };
            let usable = kept.key.is_usable(now_ms);
            if kept.key.revoked_ms.is_some() {
                return Ok((FactStep::Keep, false));
            }
            kept.key.revoked_ms = Some(now_ms);
            Ok((FactStep::Put(kept.value()), usable))
        });
        let done = done.await;
        // also where the outcome is not known: it is looked up again
        let mut memory = self.memory();
        memory.revocations += 1;
        memory.believed.remove(id);
        drop(memory);
        done
    }

    /// Who shows this text.
    ///
    /// # Errors
    /// [`Kind::Denied`], code `R0432`: with one message for every key that is not known, was taken back or expired, and another
    /// for what is no key at all. When the store is out of reach.
    pub async fn authenticate(&self, text: &str) -> Result<Principal> {
        let shown = KeyText::read(text).ok_or_else(|| {
            Error::new(Kind::Denied, "R0432", "this is no API key: it is cut off or mistyped")
                .hint("Copy the whole key, from rpt_ on.")
        })?;
        let now_ms = self.clock.now_ms();
        let kept = self.look_up(shown.id(), now_ms).await?.ok_or_else(unusable)?;
        if !bool::from(kept.hash.ct_eq(&shown.hash())) || !kept.key.is_usable(now_ms) {
            return Err(unusable());
        }
        self.used(&kept.key, now_ms).await;
        let ApiKey { id, name, rights, tenants, .. } = kept.key;
        Ok(Principal { id, name, rights, tenants })
    }

    /// What was looked up before the store went out of reach: documents that are not there may be served meanwhile.
    fn believed_while_away(&self, id: &str, now_ms: i64) -> Option<Kept> {
        let memory = self.memory();
        let known = memory.believed.get(id)?;
        let until_ms = known.since_ms.saturating_add(BELIEVED_AWAY_MS);
        (known.since_ms..until_ms).contains(&now_ms).then(|| known.kept.clone())
    }

    async fn look_up(&self, id: &str, now_ms: i64) -> Result<Option<Kept>> {
        let revocations = {
            let memory = self.memory();
            if let Some(known) = memory.believed.get(id).filter(|known| known.holds(now_ms)) {
                return Ok(Some(known.kept.clone()));
            }
            memory.revocations
        };
        let fact = match self.ledger()?.fact(KIND, id).await {
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::TargetUnavailable) => {
                return self.believed_while_away(id, now_ms).ok_or(error).map(Some);
            }
            fact => fact?,
        };
        let kept = fact.as_ref().map(Kept::of).transpose()?;
        let mut memory = self.memory();
        memory.believed.remove(id);
        if let Some(kept) = &kept
            && memory.revocations == revocations
        {
            if memory.believed.len() >= BELIEVED_MOST {
                memory.believed.clear();
            }
            memory.believed.insert(id.to_owned(), Believed { kept: kept.clone(), since_ms: now_ms });
        }
        drop(memory);
        Ok(kept)
    }

    /// Writes down that it was used, if that is due. Where that cannot be written, the key works all the same.
    async fn used(&self, key: &ApiKey, now_ms: i64) {
        let due = move |used_ms: Option<i64>| {
            used_ms.is_none_or(|used_ms| now_ms.saturating_sub(used_ms) >= USED_EVERY_MS)
        };
        if !due(key.used_ms) {
            return;
        }
        if let Some(known) = self.memory().believed.get_mut(&key.id) {
            // the next one here need not
            if !due(known.kept.key.used_ms) {
                return;
            }
            known.kept.key.used_ms = Some(now_ms);
        }
        let Ok(ledger) = self.ledger() else { return };
        let _unwritten = ledger
            .decide(KIND, &key.id, move |fact| {
                let Some(mut kept) = fact.map(Kept::of).transpose()? else { return Ok((FactStep::Keep, ())) };
                if !due(kept.key.used_ms) {
                    return Ok((FactStep::Keep, ()));
                }
                kept.key.used_ms = Some(now_ms);
                Ok((FactStep::Put(kept.value()), ()))
            })
            .await;
    }
}

fn unusable() -> Error {
    Error::new(Kind::Denied, "R0432", "the API key cannot be used")
        .hint("See `repot key list`; make another with `repot key create`.")
}
