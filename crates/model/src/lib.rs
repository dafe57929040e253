//! Repot's model layer: the model language (`repot.toml`), places (path template <-> document identity), and
//! the compiled [`plan`] that splits documents into rows and lays rows over documents. No I/O, no clock.

pub mod language;
pub mod place;
pub mod plan;
pub mod row;
pub mod search;
pub mod sql;
