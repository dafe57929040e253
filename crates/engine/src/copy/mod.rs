//! `copy`: list, compare with what is stored, read, split, load, finish. Where it stopped is in the target
//! itself: an object's record is written in the transaction of its rows, so the next run goes on from there.

mod lister;
mod moves;
mod retry;
mod run;
mod worker;
mod writer;

use run::FIRST_BY_PATH;
pub use run::{ASIDE_SHOWN, COPIED, Copy, PROOF, Report};
