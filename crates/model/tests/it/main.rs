//! Tests of the model language and of places through the public interface.

#![expect(clippy::panic, reason = "a test fails by panicking, also in its helpers")]

mod apps;
mod audit;
mod mistakes;
mod places;
mod queries;
mod revise;
mod round_trip;
mod schema;
mod transitions;
