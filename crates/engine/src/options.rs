//! Bounds of the bulk paths, how they report progress, and what they count.

use std::fmt::Debug;

use repot_core::Status;

/// Bounds. Memory grows with these, never with the corpus.
#[derive(Debug, Clone)]
pub struct Options {
    /// Largest object that is split into rows; larger ones are set aside whole, in pieces.
    pub document_bytes_max: u64,
    /// Bytes of objects in flight between listing and loading, counted three times (text, rows, compressed).
    pub in_flight_bytes: u64,
    /// Bytes of objects applied in one transaction.
    pub batch_bytes: u64,
    /// Objects applied in one transaction at the most.
    pub batch_objects: usize,
    /// Threads that read and split.
    pub workers: usize,
    /// Bounds of one JSON text.
    pub json: repot_json::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            document_bytes_max: 16 << 20,
            in_flight_bytes: 72 << 20,
            batch_bytes: 12 << 20,
            batch_objects: 4_096,
            workers: std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8),
            json: repot_json::Limits::default(),
        }
    }
}

/// Hears how far the work is. Called often; must be cheap.
pub trait Progress: Debug + Sync {
    /// A step began, such as `copying` or `building index 1 of 3: idx_...`.
    fn step(&self, what: &str);
    /// How many objects there will be, when they were counted before.
    fn total(&self, objects: u64);
    /// Objects, rows and bytes done so far in this step.
    fn done(&self, objects: u64, rows: u64, bytes: u64);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _: &str) {}
    fn total(&self, _: u64) {}
    fn done(&self, _: u64, _: u64, _: u64) {}
}

/// What became of the objects listed: the four add up to `listed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects in the listing.
    pub listed: u64,
    /// Objects whose documents are rows.
    pub moved: u64,
    /// Objects kept whole, with a reason.
    pub set_aside: u64,
    /// Objects that no place matches (or that cannot be read as a file).
    pub unmatched: u64,
    /// Objects whose collection says `move = false`.
    pub stays: u64,
}

impl Tally {
    /// Counts one object.
    pub const fn count(&mut self, status: Status) {
        self.listed += 1;
        match status {
            Status::Moved => self.moved += 1,
            Status::SetAside => self.set_aside += 1,
            Status::Unmatched => self.unmatched += 1,
            Status::Stays => self.stays += 1,
        }
    }

    /// From counts by status.
    #[must_use]
    pub fn of(counts: &[(Status, u64)]) -> Self {
        let count =
            |wanted| counts.iter().filter(|(status, _)| *status == wanted).map(|(_, count)| count).sum();
        let mut tally = Self {
            listed: 0,
            moved: count(Status::Moved),
            set_aside: count(Status::SetAside),
            unmatched: count(Status::Unmatched),
            stays: count(Status::Stays),
        };
        tally.listed = tally.moved + tally.set_aside + tally.unmatched + tally.stays;
        tally
    }
}
