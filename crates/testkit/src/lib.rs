//! Test kit of the workspace, a dev-dependency only: real servers, real data, and trees of files.
//!
//! Whatever is missing on the machine is a printed skip on a laptop and a failure where the environment demands it
//! (`CI`, `REPOT_REQUIRE_SERVERS=1`, `REPOT_REQUIRE_DATA=1`), so that no check passes by not running.

mod caches;
mod compiled;
pub mod conformance;
mod data;
mod hand_clock;
pub mod history;
mod line;
mod own_postgres;
mod own_redis;
mod pacing;
pub mod postgres;
mod requirement;
pub mod tools;
mod tree;

pub use caches::{
    a_cache_gives_back_what_was_put, a_purge_takes_all_of_its_namespace, cache_name, cache_value,
    nothing_old_comes_back, own_space,
};
pub use compiled::compiled;
pub use data::shared_data;
pub use hand_clock::HandClock;
pub use line::{Line, Traffic};
pub use own_postgres::{OwnPostgres, Stop};
pub use own_redis::{OwnRedis, redis};
pub use pacing::QuickPacing;
pub use requirement::{full, seed};
pub use tree::{TempTree, Tree, assert_same_trees, copy_tree, difference, read_tree, write_tree};
