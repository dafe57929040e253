//! The change feed over real stores, and over real sockets where it streams.

mod clients;
mod keys;
mod kit;
mod pages;
mod run;
mod slow;
mod streams;
