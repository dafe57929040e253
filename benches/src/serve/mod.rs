//! `serve`: `repot serve` beside a minimal handler written by hand, over the same rows. `peer`: beside Kinto.

mod limit;
mod load;
mod peer;
mod processes;
mod report;
mod run;

pub(crate) use limit::serve as limit;
pub(crate) use load::{Connection, Load, Server as Way};
pub(crate) use peer::run as peer;
pub(crate) use processes::Process;
pub(crate) use run::run;
