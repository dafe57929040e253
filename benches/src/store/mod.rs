//! `store`: documents read and written one by one, through Repot's stores and by hand on the same tables.

pub(crate) mod by_hand;
mod check;
mod place;
mod report;
mod repot;
pub(crate) mod work;

pub(crate) use place::{PER_USER, Place, chat_model, fill, run};
