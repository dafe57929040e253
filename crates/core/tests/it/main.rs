//! Integration tests of the contract.

mod memory;
