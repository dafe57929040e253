//! The folder of real data sets, which is not part of the repository.

use std::path::PathBuf;

use crate::requirement::{missing, variable};

/// The folder named by `REPOT_SHARED_DATA`, or `None` after a printed skip.
///
/// # Panics
/// If the folder is missing and `REPOT_REQUIRE_DATA=1` demands it.
#[must_use]
pub fn shared_data() -> Option<PathBuf> {
    let folder = variable("REPOT_SHARED_DATA").map(PathBuf::from).filter(|path| path.is_dir());
    if folder.is_none() {
        missing("real data sets", "name their folder in REPOT_SHARED_DATA", &["REPOT_REQUIRE_DATA"]);
    }
    folder
}
