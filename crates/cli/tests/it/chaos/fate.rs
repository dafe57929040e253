//! What goes wrong, and is mended again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use repot_testkit::{OwnPostgres, Stop, Traffic};

use super::board::Board;
use super::cast::Cast;
use super::world::{Lines, Side};
use super::{Bounds, Dice};

/// Faults at once.
const AT_ONCE: usize = 3;
/// What must have happened, however slow the machine is.
const ACKNOWLEDGED: usize = 50;
const CHANGES: usize = 1;
/// A world that comes to nothing in this time hangs.
const HANGS: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The process at this place is dead.
    Dead(usize),
    Paused(usize),
    /// One process's line.
    Broken(usize, Side),
    /// Everybody's lines to the database.
    AllBroken,
    Stopped,
}

pub(super) struct Fate<'a, 'w> {
    pub dice: Dice,
    pub board: &'a Board,
    pub cast: &'a mut Cast<'w>,
    pub postgres: &'a mut Option<OwnPostgres>,
    pub lines: &'a [Arc<Lines>],
}

impl Fate<'_, '_> {
    /// Breaks and mends, until it was enough; in the end nothing is broken any more.
    pub(super) fn strike(&mut self, bounds: Bounds, failed: impl Fn() -> bool) {
        let begun = Instant::now();
        let (mut broken, mut count): (Vec<(Instant, Fault)>, usize) = (Vec::new(), 0);
        let mut next = begun;
        loop {
            let enough = self.board.acknowledged() >= ACKNOWLEDGED
                && self.board.changes.load(Ordering::SeqCst) >= CHANGES;
            if failed() || (enough && (begun.elapsed() >= bounds.lasts || count >= bounds.faults)) {
                break;
            }
            assert!(enough || begun.elapsed() < HANGS, "nothing gets done: {}", self.board.tally());
            let now = Instant::now();
            broken.retain(|&(until, fault)| {
                if until <= now {
                    self.mend(fault);
                }
                until > now
            });
            // a machine that is slow gets on only while nothing is broken
            let is_slow = begun.elapsed() >= bounds.lasts;
            if next <= now && broken.len() < AT_ONCE && !is_slow && count < bounds.faults {
                next = now + self.dice.ms(50, 600);
                if let Some((fault, lasts)) = self.hit(&broken) {
                    count += 1;
                    broken.push((now + lasts, fault));
                }
            }
            self.cast.tend();
            std::thread::sleep(Duration::from_millis(10));
        }
        for (_, fault) in broken {
            self.mend(fault);
        }
        self.cast.all();
    }

    /// Breaks something that is whole.
    fn hit(&mut self, broken: &[(Instant, Fault)]) -> Option<(Fault, Duration)> {
        let at = self.dice.at(self.cast.len());
        let side = if self.dice.roll(2) == 0 { Side::Source } else { Side::Database };
        let (fault, lasts) = match self.dice.roll(12) {
            0..3 => (Fault::Dead(at), self.dice.ms(1, 1_500)),
            3 | 4 => (Fault::Paused(at), self.dice.ms(1_000, 4_000)),
            5 => (Fault::Paused(at), self.dice.ms(4_000, 15_000)),
            6..10 => (Fault::Broken(self.dice.at(self.lines.len()), side), self.dice.ms(50, 3_000)),
            10 => (Fault::AllBroken, self.dice.ms(500, 5_000)),
            _ => (Fault::Stopped, self.dice.ms(100, 2_000)),
        };
        let concerns = |other: Fault| match (fault, other) {
            (Fault::Dead(one) | Fault::Paused(one), Fault::Dead(other) | Fault::Paused(other)) => {
                one == other
            }
            (Fault::Broken(..) | Fault::AllBroken, Fault::Broken(..) | Fault::AllBroken) => {
                fault == other || [fault, other].contains(&Fault::AllBroken)
            }
            _ => fault == other,
        };
        if broken.iter().any(|&(_, other)| concerns(other)) || !self.begin(fault) {
            return None;
        }
        self.board.count(&format!("{:?}", std::mem::discriminant(&fault)).replace("Discriminant", "fault"));
        Some((fault, lasts))
    }

    /// `false`: there is nothing of that kind to be broken.
    fn begin(&mut self, fault: Fault) -> bool {
        let traffic = [Traffic::Cut, Traffic::Silent, Traffic::LosesAnswers][self.dice.at(3)];
        match fault {
            Fault::Dead(at) => self.cast.kill(at),
            Fault::Paused(at) => self.cast.signal(at, "-STOP"),
            Fault::Broken(..) | Fault::AllBroken => return self.set(fault, traffic),
            Fault::Stopped => {
                let Some(postgres) = self.postgres else { return false };
                let how = [Stop::Immediate, Stop::Killed][self.dice.at(2)];
                postgres.stop(how);
            }
        }
        true
    }

    fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Dead(at) => self.cast.start(at),
            Fault::Paused(at) => self.cast.signal(at, "-CONT"),
            Fault::Broken(..) | Fault::AllBroken => drop(self.set(fault, Traffic::Flows)),
            Fault::Stopped => {
                if let Some(postgres) = self.postgres {
                    postgres.start_again();
                }
            }
        }
    }

    /// `false`: there is no such line.
    fn set(&self, fault: Fault, traffic: Traffic) -> bool {
        let lines: Vec<_> = match fault {
            Fault::Broken(at, side) => self.lines[at].of(side).into_iter().collect(),
            _ => self.lines.iter().filter_map(|lines| lines.of(Side::Database)).collect(),
        };
        lines.iter().for_each(|line| line.set(traffic));
        !lines.is_empty()
    }
}
