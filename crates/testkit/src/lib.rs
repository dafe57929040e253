//! Test kit of the workspace, a dev-dependency only: real servers, real data, and trees of files.
//!
//! Whatever is missing on the machine is a printed skip on a laptop and a failure where the environment demands it
//! (`CI`, `REPOT_REQUIRE_SERVERS=1`, `REPOT_REQUIRE_DATA=1`), so that no check passes by not running.

mod compiled;
pub mod conformance;
mod data;
mod hand_clock;
mod own_postgres;
mod pacing;
pub mod postgres;
mod requirement;
pub mod tools;
mod tree;

pub use compiled::compiled;
pub use data::shared_data;
pub use hand_clock::HandClock;
pub use own_postgres::{OwnPostgres, Stop};
pub use pacing::QuickPacing;
pub use requirement::full;
pub use tree::{TempTree, Tree, assert_same_trees, copy_tree, difference, read_tree, write_tree};
