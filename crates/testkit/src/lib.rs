//! Test kit of the workspace, a dev-dependency only: real servers, real data, and trees of files.
//!
//! Whatever is missing on the machine is a printed skip on a laptop and a failure where the environment demands it
//! (`CI`, `REPOT_REQUIRE_SERVERS=1`, `REPOT_REQUIRE_DATA=1`), so that no check passes by not running.

pub mod conformance;
mod data;
mod pacing;
pub mod postgres;
mod requirement;
pub mod tools;
mod tree;

pub use data::shared_data;
pub use pacing::QuickPacing;
pub use requirement::full;
pub use tree::{TempTree, Tree, assert_same_trees, copy_tree, difference, read_tree, write_tree};
