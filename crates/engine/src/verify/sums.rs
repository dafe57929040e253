//! Are two sets of rows equal, whatever their order? Each row's 128-bit hash (XXH3, seeded anew in each run) is
//! added up per table and bucket of its identity; equal sums mean equal multisets of rows. Where a bucket
//! differs, only its rows are looked at again.

use repot_model::plan::Plan;
use repot_model::row::Cells;
use xxhash_rust::xxh3;

const BUCKETS: usize = 2_048;

/// A bucket of a table.
pub(crate) type Bucket = (usize, usize);

/// Sums of row hashes.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    seed: u64,
    /// For each table, for each bucket: sum of hashes, rows.
    tables: Vec<Vec<(u128, u64)>>,
}

impl Sums {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Self {
        Self { seed, tables: vec![vec![(0, 0); BUCKETS]; plan.tables.len()] }
    }

    pub(crate) fn add(&mut self, plan: &Plan, table: usize, cells: &[u8]) {
        let bucket = &mut self.tables[table][bucket(plan, table, cells, self.seed)];
        bucket.0 = bucket.0.wrapping_add(hash(cells, self.seed));
        bucket.1 += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.tables.iter_mut().flatten().zip(other.tables.iter().flatten()) {
            mine.0 = mine.0.wrapping_add(theirs.0);
            mine.1 += theirs.1;
        }
    }

    pub(crate) fn rows(&self, table: usize) -> u64 {
        self.tables[table].iter().map(|bucket| bucket.1).sum()
    }

    /// Buckets in which the two differ, with the rows in them.
    pub(crate) fn differing(&self, other: &Self) -> Vec<(Bucket, u64)> {
        let mut found = Vec::new();
        for (table, (mine, theirs)) in self.tables.iter().zip(&other.tables).enumerate() {
            for (bucket, (one, two)) in mine.iter().zip(theirs).enumerate() {
                if one != two {
                    found.push(((table, bucket), one.1.max(two.1)));
                }
            }
        }
        found
    }
}

/// The hash of a row.
pub(crate) fn hash(cells: &[u8], seed: u64) -> u128 {
    xxh3::xxh3_128_with_seed(cells, seed)
}

/// The bucket of a row's identity.
pub(crate) fn bucket(plan: &Plan, table: usize, cells: &[u8], seed: u64) -> usize {
    let identity = &plan.tables[table].identity;
    let mut reader = Cells::new(cells);
    let mut at = 0;
    let mut mixed = seed;
    let last = identity.iter().copied().max().unwrap_or(0);
    while at <= last {
        let Some(raw) = reader.next_raw() else { break };
        if identity.contains(&at) {
            mixed = xxh3::xxh3_64_with_seed(raw, mixed);
        }
        at += 1;
    }
    usize::try_from(mixed % BUCKETS as u64).unwrap_or(0)
}
