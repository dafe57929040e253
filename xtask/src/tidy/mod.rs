//! `cargo xtask tidy`: rules that no compiler checks. Each rule is one file and one function from the repository to the
//! faults it finds.

mod fault;
mod lock;
mod markdown;
mod repository;
mod sizes;
mod test_modules;
mod words;

pub(crate) use fault::run;
