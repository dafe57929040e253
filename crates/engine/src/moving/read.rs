//! Reads while documents change store: from the store that leads, decided once after the read began.

use std::time::Instant;

use repot_core::moving::{Lead, Phase};
use repot_core::store::{Cursor, Document, DocumentKey, Page, Query, QueryPage, Scope};
use repot_core::{Error, Kind, Result, Retry};

use super::beside::{Note, out_of_reach};
use super::member::{Moving, View, is_unreachable, standing};
use super::names::{canonical, name, of_tenant};
use super::watching::Act;

/// How long a question waits before it looks again whether the copies are there, milliseconds.
const PAUSE_MS: u64 = 3;
/// And whether notes beside the old store are taken up.
const NOTED_MS: u64 = 100;

impl Moving {
    /// Who leads a document, for a read.
    async fn reader_lead(&self, key: &DocumentKey) -> Result<Lead> {
        if let Some(view) = self.trusted() {
            match view {
                View::Over => return Ok(Lead::New),
                View::Goes(control, _) => {
                    if let (lead, Phase::Open) = standing(&control, key) {
                        return Ok(lead);
                    }
                }
            }
        }
        match self.ask().await {
            Ok(View::Over) => Ok(Lead::New),
            Ok(View::Goes(control, _)) => Ok(control.leads.of(key)),
            Err(error) if is_unreachable(&error) => {
                let (fence, _) = self.sides.beside.fence().await?;
                match fence.map_or(Lead::Old, |fence| fence.lead(key)) {
                    Lead::Old => Ok(Lead::Old),
                    Lead::New => Err(out_of_reach(key, error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read(&self, key: &DocumentKey) -> Result<Option<Document>> {
        let own = canonical(&self.sides.layout, key)?;
        let begun = Instant::now();
        let lead = self.reader_lead(&own).await;
        let found = match &lead {
            Ok(Lead::Old) => self.sides.old.get(&own).await,
            Ok(Lead::New) => self.sides.new.get(&own).await,
            Err(error) => Err(error.clone()),
        };
        let lead = lead.unwrap_or(Lead::Old);
        self.watch.note(self.clock.now_ms(), (lead, Act::Read), begun, found.as_ref().err());
        let found = found?;
        self.sample(&own, lead, found.as_ref());
        Ok(found.map(|document| Document { key: key.clone(), ..document }))
    }

    pub(super) async fn is_there(&self, key: &DocumentKey) -> Result<bool> {
        let own = canonical(&self.sides.layout, key)?;
        match self.reader_lead(&own).await? {
            Lead::Old => self.sides.old.exists(&own).await,
            Lead::New => self.sides.new.exists(&own).await,
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
            self.sides.old.list(scope, own.as_ref(), most).await?
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
        self.caught_up(&query.scope).await?;
        self.sides.new.query(query).await
    }

    pub(super) async fn number(&self, query: &Query) -> Result<u64> {
        self.caught_up(&query.scope).await?;
        self.sides.new.count(query).await
    }
}

fn another_cursor() -> Error {
    Error::new(Kind::Conflict, "R0714", "the documents of this listing changed store meanwhile")
        .hint("Begin the listing anew, without a cursor.")
}
