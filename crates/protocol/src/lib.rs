//! The protocol of a live move (docs/protocol.md) as a model: two servers, two workers, two drivers, one old store
//! and one new one, each able to stop between any two steps. [`explore()`] tries every order of their steps,
//! [`Register`] holds the answers that apps got against what one register could have answered, and each [`Mutant`]
//! leaves out one rule of the protocol, which must be noticed.

mod explore;
mod model;
mod mutant;
mod register;
mod scenario;
mod steps;

pub use explore::{Outcome, Violation, explore, wander};
pub use model::{Budget, State, Step};
pub use mutant::Mutant;
pub use register::{Action, Register, Text};
pub use scenario::Scenario;
