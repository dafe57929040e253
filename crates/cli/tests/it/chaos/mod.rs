//! Documents change store while everything fails: `repot serve`, `repot copy --follow` and the commands of an operator as
//! processes that are killed, paused and cut off, apps over HTTP that never stop. Afterwards the answers are those of one
//! list or one register for each document, both stores hold the same, and nothing is left over.
//!
//! Each world ends after [`Bounds::faults`] faults or [`Bounds::lasts`], whichever is first; ten minutes with `REPOT_FULL=1`.

mod apps;
mod board;
mod cast;
mod end;
mod fate;
mod operator;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apps::App;
use board::Board;
use cast::Cast;
use fate::Fate;
use operator::Operator;
use world::{Kind, Lines, World};

/// Apps that write and read at once.
const APPS: u64 = 6;
/// Operators that change the leads at once.
const OPERATORS: usize = 2;

/// How long a world goes on.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    lasts: Duration,
    faults: usize,
}

impl Bounds {
    fn said() -> Self {
        if repot_testkit::full() {
            Self { lasts: Duration::from_secs(600), faults: 10_000 }
        } else {
            Self { lasts: Duration::from_secs(12), faults: 40 }
        }
    }
}

/// Numbers by chance that come again with the same seed.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    /// One of several that begin with the same seed.
    fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll(2);
        dice
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn at(&mut self, below: usize) -> usize {
        usize::try_from(self.roll(below as u64)).unwrap()
    }

    fn ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.roll(most - least))
    }
}

/// For whoever looks into a failure, or at a run by hand.
#[expect(clippy::print_stderr, reason = "a test by chance says its seed and how it went")]
fn say(what: &str) {
    eprintln!("{what}");
}

fn chaos(kind: Kind) {
    let Some((world, mut postgres)) = World::new(kind) else { return };
    let seed = repot_testkit::seed();
    say(&format!("seed {seed} (REPOT_TEST_SEED)"));
    let lines: Vec<Arc<Lines>> = (0..4 + OPERATORS).map(|_| Arc::new(world.lines())).collect();
    let board = Board::new();
    let mut cast = Cast::begin(&world, &lines);
    let (ends, begun) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..APPS {
            let app = App { board: &board, seats: cast.seats(), dice: Dice::of(seed, number) };
            threads.push(scope.spawn(|| app.work(&ends)));
        }
        for (number, lines) in lines.iter().rev().take(OPERATORS).enumerate() {
            let dice = Dice::of(seed, 100 + number as u64);
            let operator = Operator { world: &world, lines: Arc::clone(lines), dice };
            threads.push(scope.spawn(|| operator.work(&board, &ends)));
        }
        let dice = Dice::of(seed, 200);
        let mut fate = Fate { dice, board: &board, cast: &mut cast, postgres: &mut postgres, lines: &lines };
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fate.strike(Bounds::said(), || threads.iter().any(|thread| thread.is_finished()));
        }));
        ends.store(true, Ordering::SeqCst);
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        tried.unwrap();
        ended.into_iter().for_each(|thread| thread.unwrap());
    });
    say(&format!("whole again after {} s", begun.elapsed().as_secs()));
    end::check(&world, cast, &board);
}

#[test]
fn chaos_between_a_bucket_and_postgres() {
    chaos(Kind::BucketToPostgres);
}

#[test]
fn chaos_between_a_directory_and_postgres() {
    chaos(Kind::DirectoryToPostgres);
}

#[test]
fn chaos_between_a_directory_and_sqlite() {
    chaos(Kind::DirectoryToSqlite);
}

#[test]
fn chaos_between_two_postgres_databases() {
    chaos(Kind::PostgresToPostgres);
}

#[test]
fn chaos_between_sqlite_and_postgres() {
    chaos(Kind::SqliteToPostgres);
}
