//! Reads while documents change store: from the store that leads, decided once after the read began; or from the copy, where it is
//! asked for and known to be what that store holds.

use std::time::Instant;

use repot_core::moving::{Lead, Phase};
use repot_core::store::{
    Cursor, Document, DocumentKey, Page, Query, QueryPage, Queryable, Scope, Store, text_etag,
};
use repot_core::{Error, Kind, Result, Retry};

use super::beside::{Note, out_of_reach};
use super::control::{Control, Fence};
use super::member::{Moving, View, is_unreachable};
use super::names::{canonical, name, of_tenant};
use super::watching::Act;

/// How long a question waits before it looks again whether the copies are there, milliseconds.
const PAUSE_MS: u64 = 3;
/// And whether notes beside the old store are taken up.
const NOTED_MS: u64 = 100;

/// Where a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To the old store, which leads.
    Old,
    /// To the copy in the new store, where it is known to be what the old one holds.
    Copy,
    /// To the new store, which leads.
    New,
}

impl Way {
    /// By a state of the move that stood after the read began. While a change is near the store that leads is right.
    fn of(control: &Control, key: &DocumentKey) -> Self {
        match control.leads.of(key) {
            Lead::New => Self::New,
            Lead::Old if control.leads.reads_copy(key) && control.phase_of(key) == Phase::Open => Self::Copy,
            Lead::Old => Self::Old,
        }
    }
}

impl Moving {
    /// The old store for those who read: what it answers is the same, but a database need not make files of it first.
    fn old(&self) -> &dyn Store {
        self.sides.old_database.as_ref().map_or(&*self.sides.old, |database| &**database as &dyn Store)
    }

    /// The old store, where it is a database that leads alone: then it answers questions.
    ///
    /// # Errors
    /// When the new store is out of reach, and the fence does not say either that the old one leads.
    pub(super) async fn asked_of_old(&self) -> Result<Option<&dyn Queryable>> {
        let Some(database) = self.sides.old_database.as_deref() else { return Ok(None) };
        let is_alone = match self.ask().await {
            Ok(View::Goes(control, _)) => control.leads.is_old_alone(),
            Ok(View::Over) => false,
            Err(error) if is_unreachable(&error) => {
                let (fence, _) = self.sides.beside.fence().await?;
                let is_alone = |fence: Fence| fence.leads.is_old_alone() && fence.wanted.is_old_alone();
                if !fence.is_none_or(is_alone) {
                    return Err(error);
                }
                true
            }
            Err(error) => return Err(error),
        };
        Ok(is_alone.then_some(database))
    }

    /// Where a read of a document goes.
    async fn way(&self, key: &DocumentKey, begun: Instant) -> Result<Way> {
        if let Some(view) = self.trusted() {
            match view {
                View::Over => return Ok(Way::New),
                View::Goes(control, _) if control.phase_of(key) == Phase::Open => {
                    return Ok(Way::of(&control, key));
                }
                View::Goes(..) => {}
            }
        }
        match self.ask().await {
            Ok(View::Over) => Ok(Way::New),
            Ok(View::Goes(control, _)) => Ok(Way::of(&control, key)),
            Err(error) if is_unreachable(&error) => {
                let (fence, _) = self.sides.beside.fence().await?;
                match fence.as_ref().map_or(Lead::Old, |fence| fence.lead(key)) {
                    Lead::Old => {
                        if fence.is_some_and(|fence| fence.leads.reads_copy(key)) {
                            // the guard is to know that it would have been asked
                            let now_ms = self.clock.now_ms();
                            self.watch.note(now_ms, (Lead::New, Act::Read), begun, Some(&error));
                        }
                        Ok(Way::Old)
                    }
                    Lead::New => Err(out_of_reach(key, error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What the new store answers of a document that the old one leads, if its copy is known to be what the old one holds. Where
    /// that is not known, or the new store does not say, the old one answers, which is always right.
    async fn of_copy<T>(&self, key: &DocumentKey, asked: impl Future<Output = Result<T>>) -> Option<T> {
        let begun = Instant::now();
        // first intents, then the mark, then the copy: an intent marks when it goes, a mark goes with the copy
        let answered = self.in_time(async {
            let is_stale = self.journal.is_in_motion(key).await?;
            Ok(if is_stale { None } else { Some(asked.await?) })
        });
        let answered = answered.await;
        self.watch.note(self.clock.now_ms(), (Lead::New, Act::Read), begun, answered.as_ref().err());
        answered.ok().flatten()
    }

    /// Reads a document. What comes from a copy has an `ETag` made from its text, by which writes find it in the old store.
    pub(super) async fn read(&self, key: &DocumentKey) -> Result<Option<Document>> {
        let own = canonical(&self.sides.layout, key)?;
        let mut begun = Instant::now();
        let way = self.way(&own, begun).await;
        if let Ok(Way::Copy) = way {
            if let Some(found) = self.of_copy(&own, self.sides.new.get(&own)).await {
                self.sample(&own, (Lead::Old, Lead::New), found.as_ref());
                return Ok(found.map(|found| {
                    let etag = text_etag(&found.body);
                    Document { key: key.clone(), etag, ..found }
                }));
            }
            begun = Instant::now();
        }
        let (lead, found) = match way {
            Ok(Way::Old | Way::Copy) => (Lead::Old, self.old().get(&own).await),
            Ok(Way::New) => (Lead::New, self.sides.new.get(&own).await),
            Err(error) => (Lead::Old, Err(error)),
        };
        self.watch.note(self.clock.now_ms(), (lead, Act::Read), begun, found.as_ref().err());
        let found = found?;
        self.sample(&own, (lead, lead), found.as_ref());
        Ok(found.map(|document| Document { key: key.clone(), ..document }))
    }

    pub(super) async fn is_there(&self, key: &DocumentKey) -> Result<bool> {
        let own = canonical(&self.sides.layout, key)?;
        let way = self.way(&own, Instant::now()).await?;
        if way == Way::Copy
            && let Some(is_there) = self.of_copy(&own, self.sides.new.exists(&own)).await
        {
            return Ok(is_there);
        }
        match way {
            Way::Old | Way::Copy => self.old().exists(&own).await,
            Way::New => self.sides.new.exists(&own).await,
        }
    }

    /// Comes back when the new store has every write to documents of this scope that was acknowledged before the call.
    ///
    /// # Errors
    /// `R0711` when that takes too long; when the new store is out of reach.
    async fn caught_up(&self, scope: &Scope) -> Result<()> {
        let View::Goes(control, _) = self.ask().await? else { return Ok(()) };
        let led = control.leads.of_scope(scope) == Some(Lead::New);
        if led && control.phase_of_scope(scope) == Phase::Open {
            return Ok(());
        }
        let prefix = scope.tenant.as_ref().map_or_else(String::new, |tenant| of_tenant(tenant));
        self.copied(&prefix).await
    }

    /// As [`Moving::caught_up`], of all documents.
    pub(super) async fn all_caught_up(&self) -> Result<()> {
        match self.ask().await? {
            View::Over => Ok(()),
            View::Goes(control, _)
                if control.wanted.is_none() && control.leads.everything() == Some(Lead::New) =>
            {
                Ok(())
            }
            View::Goes(..) => self.copied("").await,
        }
    }

    /// Comes back when no document whose name begins so is marked, or being written.
    async fn copied(&self, prefix: &str) -> Result<()> {
        let begun_ms = self.clock.now_ms();
        let mut notes_are_gone = false;
        loop {
            // a note is marked before it goes, so notes are looked at before marks
            let noted = if notes_are_gone { None } else { self.noted(prefix).await? };
            notes_are_gone = noted.is_none();
            let pause_ms = if notes_are_gone { PAUSE_MS } else { NOTED_MS };
            let waits = match noted {
                None => self.waited_for(prefix).await?,
                noted => noted,
            };
            let Some(key) = waits else { return Ok(()) };
            if self.clock.now_ms() - begun_ms > self.options.wait_ms {
                let message = format!("the copy of {key} is not in the database yet");
                return Err(Error::new(Kind::Unavailable, "R0711", message)
                    .retry(Retry::Safe)
                    .hint("Send it again; `repot status` says what the copying waits for."));
            }
            self.pacing.pause(pause_ms).await;
        }
    }

    /// A document whose name begins so, and which a server wrote that did not reach the new store: also one that is cut off
    /// just now, so this is looked at each time. What can be taken up is.
    async fn noted(&self, prefix: &str) -> Result<Option<DocumentKey>> {
        let is_asked_for = |note: &Note| name(&note.key).starts_with(prefix);
        if !self.sides.beside.notes().await?.iter().any(is_asked_for) {
            return Ok(None);
        }
        self.mend_notes().await?;
        Ok(self.sides.beside.notes().await?.into_iter().find(is_asked_for).map(|note| note.key))
    }

    /// A document whose name begins so and whose copy may be stale, or that is being written.
    async fn waited_for(&self, prefix: &str) -> Result<Option<DocumentKey>> {
        let after = Some(prefix).filter(|prefix| !prefix.is_empty());
        // an intent marks its document when it goes, so intents are looked at first
        let intents = self.journal.intents(after, 1).await?;
        if let Some(found) = intents.into_iter().find(|found| found.name.starts_with(prefix)) {
            return Ok(Some(found.key));
        }
        let marks = self.journal.marks(after, 1).await?;
        Ok(marks.into_iter().find(|found| found.name.starts_with(prefix)).map(|found| found.key))
    }

    pub(super) async fn page(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        let (side, own) = match after.map(|cursor| cursor.as_str().split_at_checked(2)) {
            None => (None, None),
            Some(Some((side @ ("o:" | "n:"), own))) => (Some(side), Some(Cursor::new(own.to_owned()))),
            Some(_) => return Err(another_cursor()),
        };
        let old_leads = match self.ask().await {
            Ok(View::Goes(control, _)) => {
                control.leads.of_scope(scope) == Some(Lead::Old)
                    && control.phase_of_scope(scope) != Phase::Draining
            }
            Ok(View::Over) => false,
            Err(error) if is_unreachable(&error) => self.fence_says_old(scope, error).await?,
            Err(error) => return Err(error),
        };
        let begun = if old_leads { "o:" } else { "n:" };
        if side.is_some_and(|side| side != begun) {
            return Err(another_cursor());
        }
        let page = if old_leads {
            self.old().list(scope, own.as_ref(), most).await?
        } else {
            self.caught_up(scope).await?;
            self.sides.new.list(scope, own.as_ref(), most).await?
        };
        Ok(Page { next: page.next.map(|next| Cursor::new(format!("{begun}{}", next.as_str()))), ..page })
    }

    async fn fence_says_old(&self, scope: &Scope, cause: Error) -> Result<bool> {
        let (fence, _) = self.sides.beside.fence().await?;
        let old = Some(Lead::Old);
        let says = fence
            .is_none_or(|fence| fence.leads.of_scope(scope) == old && fence.wanted.of_scope(scope) == old);
        if says { Ok(true) } else { Err(cause) }
    }

    pub(super) async fn question(&self, query: &Query) -> Result<QueryPage> {
        if let Some(database) = self.asked_of_old().await? {
            return database.query(query).await;
        }
        self.caught_up(&query.scope).await?;
        self.sides.new.query(query).await
    }

    pub(super) async fn number(&self, query: &Query) -> Result<u64> {
        if let Some(database) = self.asked_of_old().await? {
            return database.count(query).await;
        }
        self.caught_up(&query.scope).await?;
        self.sides.new.count(query).await
    }
}

fn another_cursor() -> Error {
    Error::new(Kind::Conflict, "R0714", "the documents of this listing changed store meanwhile")
        .hint("Begin the listing anew, without a cursor.")
}
