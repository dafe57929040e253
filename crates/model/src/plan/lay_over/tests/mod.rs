//! Laying over: written-out cases, and random edits of random documents.

mod desk;
mod golden;
mod property;
