//! The model language: what `repot.toml` may say, read, checked and printed.

mod ast;
mod check;
mod codes;
mod field;
mod later;
mod locate;
mod names;
mod parse;
mod period;
mod places;
mod print;
mod schema;
mod section;
mod suggest;
mod value;

pub use ast::*;
pub use check::check;
pub use codes::CODES;
pub use later::NotYet;
pub use parse::{parse, parse_files};
pub use period::Period;
pub use print::{print, print_with_header};
pub use schema::json_schema;
pub use suggest::nearest;
pub use value::duration_seconds;
