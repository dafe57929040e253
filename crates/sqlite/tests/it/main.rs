//! SQLite as a target, from outside: what goes in comes out, what is refused leaves the rest, and what ends
//! midway is taken up again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod ends;
mod kit;
mod loads;
mod locks;
mod reads;
mod references;
mod values;
