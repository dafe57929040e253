//! What a server cannot do by itself, because it takes the project around the store: the model's file, source and database.

use std::fmt::{self, Debug};

use repot_core::Result;
use repot_engine::Progress;
use serde_json::{Map, Value};

/// Work that takes long. One at a time is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// What a copy would do.
    Plan,
    /// The proof that every document can be rebuilt from the database.
    Verify,
    /// From the source into the database.
    Copy,
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Plan, Self::Verify, Self::Copy];

    /// Its name in paths.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Verify => "verify",
            Self::Copy => "copy",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Does what the command line does with the project that a server belongs to. Its calls block.
pub trait Operator: Debug + Send + Sync {
    /// The project: source, database, last copy, last proof.
    ///
    /// # Errors
    /// When the database is out of reach.
    fn status(&self) -> Result<Map<String, Value>>;

    /// Says what would surely keep it from being done, before it begins.
    ///
    /// # Errors
    /// What that is.
    fn check(&self, _work: Work) -> Result<()> {
        Ok(())
    }

    /// Does it; gives the JSON result of the command of that name.
    ///
    /// # Errors
    /// As the command.
    fn run(&self, work: Work, progress: &dyn Progress) -> Result<Value>;
}
