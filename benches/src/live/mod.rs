//! `live`: what a move costs while an app goes on: how far copies are behind, what writing both sides and comparing reads
//! add to the app's calls, how long a change of the lead holds writes up, and how fast a follower catches up.

mod eyes;
mod foreign;
mod paced;
mod project;
mod report;
mod run;

pub(crate) use project::Origin;
pub(crate) use run::run;
