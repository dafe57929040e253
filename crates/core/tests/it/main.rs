//! Integration tests of the contract.

mod gate;
mod memory;
mod together;
