//! Requests that come with a key of their own, so that sending one again does nothing again.
//!
//! A key is *taken* for as long as a lease; *done* from the very transaction on that does what was asked; *answered* once
//! the answer is kept. Who dies while it is taken leaves it to the next after the lease, and cannot do its work any more
//! once that one has it. Who dies while it is done leaves it done, without an answer.
//!
//! Where the documents are files that the facts do not stand beside, a key is *doubtful* while its request may be written. Whoever
//! finds it left so looks whether it was (`moving`): then it is done, or free; where nothing tells, it stays doubtful.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use repot_core::store::{
    Fact, FactChange, FactDoubt, FactStep, FactValue, FactWhen, Ledger, LedgerExt as _, Store, no_ledger,
};
use repot_core::{Clock, Entropy, Error, Kind, Result, Retry, hex};
use sha2::{Digest as _, Sha256};

use crate::packed::{Packer, Unpacker, damaged};

/// Kind of the facts.
pub(crate) const KIND: &str = "idempotency";
/// How their values are written.
const FORM: u8 = 1;
const WHAT: &str = "an idempotency key";

/// How long keys are held and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyOptions {
    /// How long a key stays taken when nothing is heard of it, milliseconds. (Twice that at the most, where a clock was set
    /// back.)
    pub lease_ms: i64,
    /// How long a key is kept after it was taken, done or answered, milliseconds.
    pub keep_ms: i64,
    /// Bytes of the largest answer that is kept. Where one is larger, its key stays done without one.
    pub answer_bytes_max: usize,
}

/// A minute, 24 hours, 256 KiB.
impl Default for IdempotencyOptions {
    fn default() -> Self {
        Self { lease_ms: 60_000, keep_ms: 24 * 60 * 60 * 1_000, answer_bytes_max: 256 << 10 }
    }
}

/// Whose key it is: two callers may use the same one without knowing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller<'a> {
    /// Who asks.
    pub principal: &'a str,
    /// For which tenant.
    pub tenant: Option<&'a str>,
}

/// What was asked for, told apart from everything else that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these parts in this order, such as what is to be done, on what, and with which text.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(hash(parts))
    }
}

/// The hash of several texts; of no others, however they are cut.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// A number that says how it went.
    pub status: u16,
    /// Names and values that came with it.
    pub headers: Vec<(String, String)>,
    /// Its text.
    pub body: Bytes,
}

/// What a request with a key comes to.
#[derive(Debug)]
pub enum Begin {
    /// It is to be done, by the holder of this ticket.
    New(Ticket),
    /// It was done; this was the answer.
    Replay(Answer),
    /// Somebody is at it; it may be asked for again after so many milliseconds.
    Busy {
        /// Milliseconds until it is free at the latest.
        after_ms: u64,
    },
    /// The key was used for another request.
    Mismatch,
    /// It was done, and its answer is not known: whoever did it was killed before it was kept, or it was too large.
    DoneWithoutAnswer,
    /// Whoever had it was killed while writing, and nothing tells whether it was done: nobody does it again under this key.
    InDoubt,
    /// Nothing may be done: the store went out of reach, and nobody knows whether the key is taken now. Who gives it back once
    /// the store is there again spares the next one the lease.
    Unknown(Hold, Error),
}

impl Begin {
    /// The error to give, where nothing is to be done: `R0430`, `R0431` or `R0730`, or why the store is out of reach.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        match self {
            Self::Mismatch => Some(
                Error::new(Kind::Invalid, "R0430", "the idempotency key was used for another request")
                    .hint("Send another request under a key of its own, or this one as it was sent first."),
            ),
            Self::Busy { after_ms } => Some(busy().detail(format!("free after at most {after_ms} ms"))),
            Self::Unknown(_, error) => Some(error.clone()),
            Self::InDoubt => Some(
                Error::new(
                    Kind::Conflict,
                    "R0730",
                    "the server that worked on the request with this idempotency key ended while it wrote",
                )
                .hint("Read the document; where the change is not in it, send it under a new key."),
            ),
            Self::New(_) | Self::Replay(_) | Self::DoneWithoutAnswer => None,
        }
    }
}

fn busy() -> Error {
    Error::new(Kind::Conflict, "R0431", "a request with this idempotency key is being worked on")
        .retry(Retry::Safe)
        .hint("Wait a moment and send the same request again.")
}

/// Requests with keys, over the facts of a store.
#[derive(Debug, Clone)]
pub struct Idempotency {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: IdempotencyOptions,
}

impl Inner {
    fn ledger(&self) -> Result<&dyn Ledger> {
        self.store.ledger().ok_or_else(|| no_ledger(&self.store))
    }
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    fingerprint: Fingerprint,
    /// Of the ticket that holds it, or held it last.
    token: [u8; 16],
    lease_until_ms: i64,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Taken,
    /// It is being done, or was, or never will be: what it writes is written somewhere else.
    Doubtful,
    Done,
    Answered(Answer),
}

impl Held {
    fn pack(&self) -> Vec<u8> {
        let state = match &self.state {
            State::Taken => 0,
            State::Done => 1,
            State::Answered(_) => 2,
            State::Doubtful => 3,
        };
        let mut packed = Packer::new(FORM)
            .number(state)
            .bytes(&self.fingerprint.0)
            .bytes(&self.token)
            .number(self.lease_until_ms);
        if let State::Answered(Answer { status, headers, body }) = &self.state {
            packed = packed.number(i64::from(*status)).number(signed(headers.len()));
            for (name, value) in headers {
                packed = packed.bytes(name.as_bytes()).bytes(value.as_bytes());
            }
            packed = packed.bytes(body);
        }
        packed.finish()
    }

    fn unpack(value: &[u8]) -> Result<Self> {
        let mut packed = Unpacker::new(WHAT, FORM, value)?;
        let state = packed.number()?;
        let exact = |_length| damaged(WHAT);
        let fingerprint = Fingerprint(packed.bytes()?.try_into().map_err(exact)?);
        let token = packed.bytes()?.try_into().map_err(exact)?;
        let lease_until_ms = packed.number()?;
        let state = match state {
            0 => State::Taken,
            1 => State::Done,
            2 => {
                let status = u16::try_from(packed.number()?).map_err(|_range| damaged(WHAT))?;
                let headers = (0..packed.count()?).map(|_| Ok((packed.text()?, packed.text()?)));
                let headers = headers.collect::<Result<_>>()?;
                State::Answered(Answer { status, headers, body: Bytes::copy_from_slice(packed.bytes()?) })
            }
            3 => State::Doubtful,
            _ => return Err(damaged(WHAT)),
        };
        Ok(Self { fingerprint, token, lease_until_ms, state })
    }

    fn of(fact: Option<&Fact>) -> Result<Option<Self>> {
        fact.map(|fact| Self::unpack(&fact.value)).transpose()
    }

    /// How long its holder may still be at work. A lease that ends further away than any lease can, was given by a clock
    /// that was set back since: nobody waits for that.
    fn busy_ms(&self, now_ms: i64, lease_ms: i64) -> Option<u64> {
        let left = self.lease_until_ms.saturating_sub(now_ms);
        if left > lease_ms.saturating_mul(2) {
            return None;
        }
        u64::try_from(left).ok().filter(|&left| left > 0)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What `begin` found.
enum Found {
    Ours,
    Answered(Answer),
    Busy(u64),
    Mismatch,
    Done,
    Doubtful,
}

impl Idempotency {
    /// Keys among the facts of `store`; `clock` is to be the store's.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: IdempotencyOptions,
    ) -> Self {
        Self { inner: Arc::new(Inner { store, clock, entropy, options }) }
    }

    /// Takes the caller's key for this request, or says what became of the one that has it.
    ///
    /// # Errors
    /// `R0405` when the store keeps no facts. When it is out of reach that is [`Begin::Unknown`].
    pub async fn begin(&self, caller: Caller<'_>, key: &str, fingerprint: Fingerprint) -> Result<Begin> {
        let inner = &self.inner;
        let tenant = caller.tenant.map_or([0].as_slice(), |_| [1].as_slice());
        let name = hex(&hash(&[
            caller.principal.as_bytes(),
            tenant,
            caller.tenant.unwrap_or_default().as_bytes(),
            key.as_bytes(),
        ]));
        let mut token = [0; 16];
        inner.entropy.fill(&mut token)?;
        let ledger = inner.ledger()?;
        let (clock, options) = (Arc::clone(&inner.clock), inner.options);
        let found = ledger.decide(KIND, &name, move |fact| {
            let now_ms = clock.now_ms();
            let held = Held::of(fact)?;
            if let Some(held) = held {
                if held.fingerprint != fingerprint {
                    return Ok((FactStep::Keep, Found::Mismatch));
                }
                let busy = held.busy_ms(now_ms, options.lease_ms);
                match (held.state, busy) {
                    (State::Answered(answer), _) => return Ok((FactStep::Keep, Found::Answered(answer))),
                    (_, Some(after_ms)) => return Ok((FactStep::Keep, Found::Busy(after_ms))),
                    (State::Done, None) => return Ok((FactStep::Keep, Found::Done)),
                    (State::Doubtful, None) => return Ok((FactStep::Keep, Found::Doubtful)),
                    (State::Taken, None) => {}
                }
            }
            let lease_until_ms = now_ms.saturating_add(options.lease_ms);
            let taken = Held { fingerprint, token, lease_until_ms, state: State::Taken };
            Ok((put(&taken, now_ms, options), Found::Ours))
        });
        let found = found.await;
        Ok(match found {
            Ok(Found::Ours) => self.ticket(name, token).await,
            Ok(Found::Answered(answer)) => Begin::Replay(answer),
            Ok(Found::Busy(after_ms)) => Begin::Busy { after_ms },
            Ok(Found::Mismatch) => Begin::Mismatch,
            Ok(Found::Done) => Begin::DoneWithoutAnswer,
            Ok(Found::Doubtful) => Begin::InDoubt,
            Err(error) => self.unknown(name, token, error),
        })
    }

    /// The ticket of a key that was just taken. Its version is known once it is there.
    async fn ticket(&self, name: String, token: [u8; 16]) -> Begin {
        match self.taken(&name, token).await {
            Ok(Some((version, held))) => Begin::New(Ticket { hold: self.hold(name, token), version, held }),
            // the lease was over before this was read, and somebody else took it
            Ok(None) => Begin::Busy { after_ms: u64::try_from(self.inner.options.lease_ms).unwrap_or(0) },
            Err(error) => self.unknown(name, token, error),
        }
    }

    async fn taken(&self, name: &str, token: [u8; 16]) -> Result<Option<(i64, Held)>> {
        let fact = self.inner.ledger()?.fact(KIND, name).await?;
        let held = Held::of(fact.as_ref())?.filter(|held| held.token == token && held.state == State::Taken);
        Ok(fact.zip(held).map(|(fact, held)| (fact.version, held)))
    }

    fn hold(&self, name: String, token: [u8; 16]) -> Hold {
        Hold { inner: Arc::clone(&self.inner), name, token }
    }

    fn unknown(&self, name: String, token: [u8; 16], error: Error) -> Begin {
        Begin::Unknown(self.hold(name, token), error)
    }
}

/// A key that was taken, or may have been.
pub struct Hold {
    inner: Arc<Inner>,
    name: String,
    token: [u8; 16],
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("name", &self.name).finish_non_exhaustive()
    }
}

fn put(held: &Held, now_ms: i64, options: IdempotencyOptions) -> FactStep {
    FactStep::Put(value(held, now_ms, options))
}

fn value(held: &Held, now_ms: i64, options: IdempotencyOptions) -> FactValue {
    FactValue::until(held.pack(), now_ms.saturating_add(options.keep_ms))
}

/// The right to do what was asked for under a key. Dropped, it is as if its holder was killed: the key is free after the
/// lease.
pub struct Ticket {
    hold: Hold,
    version: i64,
    held: Held,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("name", &self.hold.name).finish_non_exhaustive()
    }
}

impl Ticket {
    /// For [`repot_core::store::UnitOfWork::facts`] of the unit that does what was asked: it is done in that very
    /// transaction, or refused ([`Ticket::is_lost`]) because the lease was over and somebody else took the key.
    #[must_use]
    pub fn fact(&self) -> FactChange {
        self.noting(State::Done)
    }

    /// The same with the answer, where it is known before: then no kill can come between. One that is too large is left
    /// out.
    #[must_use]
    pub fn fact_with(&self, answer: Answer) -> FactChange {
        self.noting(State::Answered(answer))
    }

    fn noting(&self, state: State) -> FactChange {
        let (now_ms, options) = (self.hold.inner.clock.now_ms(), self.hold.inner.options);
        let value = |held: Held| value(&self.fitting(held), now_ms, options);
        // once it is known that nothing was done, nobody has to wait
        let undone = Held { lease_until_ms: 0, ..self.held.clone() };
        let doubt = FactDoubt {
            open: value(Held { state: State::Doubtful, ..self.held.clone() }),
            undone: value(undone),
        };
        FactChange::put(KIND, &self.hold.name, value(Held { state, ..self.held.clone() }))
            .when(FactWhen::Version(self.version))
            .doubted(doubt)
    }

    /// Without an answer that is too large.
    fn fitting(&self, held: Held) -> Held {
        let too_large = held.pack().len() > self.hold.inner.options.answer_bytes_max;
        if too_large { Held { state: State::Done, ..held } } else { held }
    }

    /// The error to give in place of this one of a unit of work, when it says that somebody else has the key by now:
    /// `R0431`. Nothing of the unit was done.
    #[must_use]
    pub fn is_lost(&self, error: &Error) -> Option<Error> {
        let fenced = (error.kind(), error.code()) == (Kind::Fenced, "R0401");
        let lost = fenced && error.message().contains(&self.hold.name);
        lost.then(|| busy().detail("its lease was over, and another request took the key"))
    }

    /// Keeps the answer for whoever asks again; gives whether it is kept. It is not where it is too large, or where somebody
    /// else has the key by now.
    ///
    /// # Errors
    /// When the store is out of reach; the key is done without an answer then, if its unit of work was done.
    pub async fn finish(self, answer: Answer) -> Result<bool> {
        // nobody is at work any more, so nobody has to wait
        let ended = Held { state: State::Answered(answer), lease_until_ms: 0, ..self.held.clone() };
        let held = self.fitting(ended);
        let kept = matches!(held.state, State::Answered(_));
        let (clock, options) = (Arc::clone(&self.hold.inner.clock), self.hold.inner.options);
        let ours =
            self.hold.inner.ledger()?.decide(KIND, &self.hold.name, move |fact| match Held::of(fact)? {
                Some(there) if there.token == held.token => match there.state {
                    State::Answered(_) => Ok((FactStep::Keep, true)),
                    State::Taken | State::Doubtful | State::Done => {
                        Ok((put(&held, clock.now_ms(), options), true))
                    }
                },
                _ => Ok((FactStep::Keep, false)),
            });
        Ok(ours.await? && kept)
    }

    /// What gives the key back. The ticket is worth nothing then.
    #[must_use]
    pub fn into_hold(self) -> Hold {
        self.hold
    }
}

impl Hold {
    /// Gives the key back when nobody works under it any more: it is free where nothing was done. What is done stays done, and
    /// nobody waits for its answer. Also for who does not know which of both it is: a transaction that is still under
    /// way is waited for where it has noted that it is done, and refused where it has not.
    ///
    /// # Errors
    /// When the store is out of reach; the key is free after the lease then, unless this is called again.
    pub async fn give_back(&self) -> Result<()> {
        let token = self.token;
        let (clock, options) = (Arc::clone(&self.inner.clock), self.inner.options);
        let given = self.inner.ledger()?.decide(KIND, &self.name, move |fact| {
            let Some(held) = Held::of(fact)?.filter(|held| held.token == token) else {
                return Ok((FactStep::Keep, ()));
            };
            Ok((
                match held.state {
                    State::Taken => FactStep::Remove,
                    State::Done => put(&Held { lease_until_ms: 0, ..held }, clock.now_ms(), options),
                    // who finds out whether it was done notes that
                    State::Doubtful | State::Answered(_) => FactStep::Keep,
                },
                (),
            ))
        });
        given.await
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Fingerprint, Held, State};

    fn held(state: State) -> Held {
        Held { fingerprint: Fingerprint([7; 32]), token: [9; 16], lease_until_ms: 1_000, state }
    }

    #[test]
    fn what_is_known_of_a_key_comes_back() {
        let headers = vec![("a".to_owned(), "ä".to_owned()), (String::new(), String::new())];
        let answer = Answer { status: 201, headers, body: b"{}\0\xff"[..].into() };
        for state in [
            State::Taken,
            State::Doubtful,
            State::Done,
            State::Answered(Answer::default()),
            State::Answered(answer),
        ] {
            let held = held(state);
            assert_eq!(Held::unpack(&held.pack()).unwrap(), held);
        }
        let mut wrong = held(State::Done).pack();
        wrong[1] = 4;
        assert_eq!(Held::unpack(&wrong).unwrap_err().code(), "R0803");
    }

    #[test]
    fn a_lease_ends_also_where_a_clock_was_set_back() {
        let busy = |now_ms| held(State::Taken).busy_ms(now_ms, 100);
        assert_eq!([busy(999), busy(900), busy(800)], [Some(1), Some(100), Some(200)]);
        assert_eq!([busy(1_000), busy(i64::MAX), busy(799), busy(i64::MIN)], [None; 4]);
    }

    #[test]
    fn fingerprints_know_where_a_part_ends() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
        assert_ne!(Fingerprint::of(&[b"a"]), Fingerprint::of(&[b"a", b""]));
        assert_eq!(Fingerprint::of(&[b"a", b"b"]), Fingerprint::of(&[b"a", b"b"]));
    }
}
