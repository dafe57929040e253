//! Private servers for one run of the tests: PostgreSQL, a pgbouncer before it, and Redis, on random ports of 127.0.0.1.
//!
//! A second process, the keeper, starts and owns them. It stops them and removes their folder when the pipe from this
//! process closes, which the kernel does however this process ends: at its end, by a panic, by Ctrl-C, by kill -9.

mod account;
mod folder;
mod handle;
mod install;
mod keeper;
mod pgbouncer;
mod postgres;
mod process;
mod redis;

pub(crate) use handle::Servers;
pub(crate) use keeper::{KEEP, keep};
