//! SQL text for both databases, made from the plan: identifiers quoted in one place, types, DDL.

mod ddl;
pub mod query;

pub use ddl::{Dialect, create_index, create_table, foreign_key, primary_key, quote, text_literal};
