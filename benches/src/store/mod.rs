//! `store`: documents read and written one by one, through Repot's stores and by hand on the same tables.

mod by_hand;
mod check;
mod place;
mod report;
mod repot;
mod work;

pub(crate) use place::{Place, run};
