//! The removal of the old store after the end of a move: object by object, each only while it is what was proved.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use repot_core::store::{ObjectMeta, Objects, Precondition};
use repot_core::{Clock, Error, Kind, Result};
use repot_model::plan::time::utc_text;
use sha2::{Digest as _, Sha256};

use super::super::follow::Known;
use super::super::journal::Journal;
use super::left::{Left, LeftSource};
use super::lines::{Line, damaged, read};
use super::receipt::LIST;
use crate::verify::Proof;

/// Objects listed at once, and paths of the database.
const LISTED: usize = 1_000;
/// Objects that are read at the same time.
const AT_ONCE: usize = 8;
/// The largest object of a receipt, and its largest list, bytes.
const PART_BYTES_MAX: u64 = 64 << 20;
/// The end of the names of parts with hashes.
const PART: &str = ".sha256";

/// What it works with.
#[derive(Debug)]
pub struct CleanUp {
    /// The old store, which was probed.
    pub objects: Arc<dyn Objects>,
    /// Paths of the old store that are ours begin so.
    pub beside: String,
    /// The facts of the database.
    pub journal: Journal,
    /// The documents of the database.
    pub known: Arc<dyn Known>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Larger objects are not looked at, and stay.
    pub bytes_max: u64,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is removed, or would be.
    Removed,
    /// It stays: it has not the bytes that were proved.
    Changed,
    /// It stays: the database has nothing at its path any more.
    Gone,
    /// It stays: the receipt does not name it.
    Unnamed,
    /// It stays: it is too large to be looked at.
    TooLarge,
}

impl Fate {
    /// One word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Gone => "gone_from_database",
            Self::Unnamed => "unnamed",
            Self::TooLarge => "too_large",
        }
    }
}

/// What a removal did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects of the receipt that were not there.
    pub missing: u64,
    /// As [`Fate::Changed`].
    pub changed: u64,
    /// As [`Fate::Gone`].
    pub gone: u64,
    /// As [`Fate::Unnamed`].
    pub unnamed: u64,
    /// As [`Fate::TooLarge`].
    pub too_large: u64,
}

impl Removed {
    /// Objects that stay, each for a reason.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.changed + self.gone + self.unnamed + self.too_large
    }
}

/// A removal that nothing stands against: its time has come, and the receipt is the one that the database names.
#[derive(Debug)]
pub struct Cleared {
    left: LeftSource,
    /// The parts of the receipt that have hashes, in order.
    parts: Vec<Line>,
    is_dry: bool,
}

impl Cleared {
    /// What is to be removed, as it was left.
    #[must_use]
    pub const fn left(&self) -> &LeftSource {
        &self.left
    }
}

impl CleanUp {
    /// Looks whether the old store may be removed; `is_dry`: only to say what would be done, which may be asked at any time.
    ///
    /// # Errors
    /// `R0741` when no move was finished here, or one is on its way; `R0740` before its time; `R0742` when the receipt is not the
    /// one of this database; `R0744` when objects cannot be removed on a condition; when a store is out of reach.
    pub async fn clear(&self, is_dry: bool) -> Result<Cleared> {
        let left = self.left().await?;
        if !is_dry && self.clock.now_ms() < left.kept_until_ms {
            let until = utc_text(left.kept_until_ms);
            return Err(Error::new(Kind::Refused, "R0740", format!("the source is kept until {until}"))
                .hint("Nothing was removed. repot finish --remove-source --dry-run says what would be."));
        }
        if !self.objects.powers().conditional_delete {
            let message =
                format!("{} does not remove objects on condition that they are unchanged", self.objects);
            return Err(Error::new(Kind::Unsupported, "R0744", message)
                .hint("Nothing was removed. Remove what the receipt names by other means."));
        }
        let mut parts = self.list(&left).await?;
        // all of it is looked at before anything is removed
        for part in &parts {
            self.part(&left, part).await?;
        }
        parts.retain(|part| part.path.ends_with(PART));
        Ok(Cleared { left, parts, is_dry })
    }

    /// Removes what the receipt names, where it is unchanged and the database has something at its path. The database must have been
    /// proved after it was cleared. May be done again after it was ended in the middle, and after its end.
    ///
    /// # Errors
    /// `R0718` when the proof does not hold; as [`CleanUp::clear`]. What was removed until then is.
    pub async fn run(
        &self,
        cleared: &Cleared,
        proof: &Proof,
        each: &mut (dyn FnMut(&str, Fate) + Send),
    ) -> Result<Removed> {
        if !proof.holds() {
            return Err(Error::new(Kind::Refused, "R0718", "the database could not be proved")
                .hint("Nothing was removed. repot verify shows each difference."));
        }
        if !cleared.is_dry {
            let since_ms = self.clock.now_ms();
            self.turn(&cleared.left, Left::Removing { since_ms }).await?;
        }
        let removed = self.sweep(cleared, each).await?;
        if !cleared.is_dry {
            let at_ms = self.clock.now_ms();
            self.turn(&cleared.left, Left::Removed { at_ms, left: removed.left() }).await?;
        }
        Ok(removed)
    }

    /// Goes through the old store, the receipt and the database side by side, in byte order of the path.
    async fn sweep(&self, cleared: &Cleared, each: &mut (dyn FnMut(&str, Fate) + Send)) -> Result<Removed> {
        let mut removed = Removed::default();
        let mut named =
            Named { clean_up: self, cleared, lines: VecDeque::new(), next: 0, last: String::new() };
        let mut held = Held { known: self.known.as_ref(), page: VecDeque::new(), after: None, ended: false };
        let mut after: Option<String> = None;
        loop {
            let page = self.objects.list("", after.as_deref(), LISTED).await?;
            let is_last = page.len() < LISTED;
            after = page.last().map(|meta| meta.path.clone());
            let mut wanted = Vec::with_capacity(page.len());
            for meta in page {
                let line = named.find(&meta.path, &mut removed.missing).await?;
                let is_held = held.find(&meta.path).await?;
                // the fence stays for ever, and so does the receipt
                if !meta.path.starts_with(&self.beside) {
                    wanted.push((meta, line, is_held));
                }
            }
            let fates = futures_util::stream::iter(wanted)
                .map(|(meta, line, is_held)| self.one(cleared, meta, (line, is_held)))
                .buffered(AT_ONCE);
            futures_util::pin_mut!(fates);
            while let Some(fate) = fates.next().await {
                let (path, size_bytes, fate) = fate?;
                removed.count(fate, size_bytes);
                if let Some(fate) = fate {
                    each(&path, fate);
                }
            }
            if is_last {
                break;
            }
        }
        named.rest(&mut removed.missing).await?;
        Ok(removed)
    }

    /// The old store as it was left.
    async fn left(&self) -> Result<LeftSource> {
        let left = self.journal.left().await?;
        if self.journal.control().await?.is_none()
            && let Some(left) = left
        {
            return Ok(left);
        }
        Err(Error::new(Kind::Refused, "R0741", "no move was finished here whose source could be removed")
            .hint("repot status says how far a move is; repot finish ends one, and keeps a receipt of what it proved."))
    }

    /// The parts of the receipt.
    async fn list(&self, left: &LeftSource) -> Result<Vec<Line>> {
        let list = Line { sha256: left.sha256, path: LIST.to_owned() };
        read(&self.part(left, &list).await?)
    }

    /// A part of the receipt, which is what was written.
    async fn part(&self, left: &LeftSource, part: &Line) -> Result<Vec<u8>> {
        let path = format!("{}{}", left.folder, part.path);
        let found = self.objects.get(&path, PART_BYTES_MAX).await?;
        let found = found.ok_or_else(|| damaged(&format!("{path} is not there")))?;
        if Sha256::digest(&found.bytes).as_slice() != part.sha256 {
            return Err(damaged(&format!("{path} was changed")));
        }
        Ok(found.bytes.to_vec())
    }

    /// Notes how far the removal is, whatever another one of the same noted meanwhile. No move begins from then on.
    async fn turn(&self, cleared: &LeftSource, state: Left) -> Result<()> {
        loop {
            let found = self.journal.left_at().await?;
            let Some((Some(left), version)) = found.filter(|(left, _)| {
                left.as_ref()
                    .is_some_and(|left| left.folder == cleared.folder && left.sha256 == cleared.sha256)
            }) else {
                // somebody began to move again
                return self
                    .left()
                    .await
                    .and_then(|_other| Err(damaged("another move was finished meanwhile")));
            };
            if self.journal.leave_as(version, &LeftSource { state, ..left }).await? {
                return Ok(());
            }
        }
    }

    /// Looks at one object, and removes it where it is what was proved. No fate: it is not there any more.
    async fn one(
        &self,
        cleared: &Cleared,
        meta: ObjectMeta,
        (line, is_held): (Option<Line>, bool),
    ) -> Result<(String, u64, Option<Fate>)> {
        let size_bytes = meta.size_bytes;
        let fate = match line {
            None => Some(Fate::Unnamed),
            Some(_) if !is_held => Some(Fate::Gone),
            Some(line) => self.matching(&line, cleared.is_dry).await?,
        };
        Ok((meta.path, size_bytes, fate))
    }

    async fn matching(&self, line: &Line, is_dry: bool) -> Result<Option<Fate>> {
        let found = match self.objects.get(&line.path, self.bytes_max).await {
            Err(error) if error.code() == "R0213" => return Ok(Some(Fate::TooLarge)),
            found => found?,
        };
        let Some(found) = found else { return Ok(None) };
        if Sha256::digest(&found.bytes).as_slice() != line.sha256 {
            return Ok(Some(Fate::Changed));
        }
        if is_dry {
            return Ok(Some(Fate::Removed));
        }
        // the state that was hashed, and no other
        match self.objects.delete(&line.path, &Precondition::Matches(found.etag), None).await {
            Ok(was_there) => Ok(was_there.then_some(Fate::Removed)),
            Err(error) if error.kind() == Kind::Conflict => Ok(Some(Fate::Changed)),
            Err(error) => Err(error),
        }
    }
}

impl Removed {
    const fn count(&mut self, fate: Option<Fate>, size_bytes: u64) {
        match fate {
            None => self.missing += 1,
            Some(Fate::Removed) => {
                self.removed += 1;
                self.bytes += size_bytes;
            }
            Some(Fate::Changed) => self.changed += 1,
            Some(Fate::Gone) => self.gone += 1,
            Some(Fate::Unnamed) => self.unnamed += 1,
            Some(Fate::TooLarge) => self.too_large += 1,
        }
    }
}

/// The lines of a receipt, one part at a time.
struct Named<'a> {
    clean_up: &'a CleanUp,
    cleared: &'a Cleared,
    lines: VecDeque<Line>,
    /// The part that is read next.
    next: usize,
    /// The last line that was read.
    last: String,
}

impl Named<'_> {
    /// The line of this path, which comes after those that were asked for; lines before it are of what is missing.
    async fn find(&mut self, path: &str, missing: &mut u64) -> Result<Option<Line>> {
        loop {
            match self.lines.front() {
                Some(line) if line.path.as_str() < path => *missing += 1,
                Some(line) if line.path == path => return Ok(self.lines.pop_front()),
                Some(_) => return Ok(None),
                None => {
                    if !self.fill().await? {
                        return Ok(None);
                    }
                    continue;
                }
            }
            self.lines.pop_front();
        }
    }

    /// Counts what is left.
    async fn rest(&mut self, missing: &mut u64) -> Result<()> {
        loop {
            *missing += self.lines.len() as u64;
            self.lines.clear();
            if !self.fill().await? {
                return Ok(());
            }
        }
    }

    /// Reads the next part; `false`: there is none.
    async fn fill(&mut self) -> Result<bool> {
        let Some(part) = self.cleared.parts.get(self.next) else { return Ok(false) };
        self.next += 1;
        let lines = read(&self.clean_up.part(&self.cleared.left, part).await?)?;
        for line in &lines {
            if line.path <= self.last {
                return Err(damaged("its lines are in no order"));
            }
            self.last.clone_from(&line.path);
        }
        self.lines = lines.into();
        Ok(true)
    }
}

/// The paths at which the database has something, one page at a time.
struct Held<'a> {
    known: &'a dyn Known,
    page: VecDeque<String>,
    after: Option<String>,
    ended: bool,
}

impl Held<'_> {
    /// Whether it has something at this path, which comes after those that were asked for.
    async fn find(&mut self, path: &str) -> Result<bool> {
        loop {
            match self.page.front() {
                Some(own) if own.as_str() < path => {
                    self.page.pop_front();
                }
                Some(own) => return Ok(own == path),
                None if self.ended => return Ok(false),
                None => {
                    let page = self.known.recorded(self.after.as_deref(), LISTED).await?;
                    self.ended = page.len() < LISTED;
                    self.after = page.last().map(|(path, _)| path.clone());
                    self.page = page.into_iter().map(|(path, _)| path).collect();
                }
            }
        }
    }
}
