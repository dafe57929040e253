//! What a server cannot do by itself, because it takes the project around the store: the model's file, source and database.

use std::fmt::{self, Debug};
use std::sync::Arc;

use repot_core::Result;
use repot_core::store::Queryable;
use repot_engine::Progress;
use repot_engine::moving::Moving;
use serde_json::{Map, Value};

/// Work that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// What a copy would do.
    Plan,
    /// The proof that every document can be rebuilt from the database.
    Verify,
    /// From the source into the database.
    Copy,
    /// A share of the documents changes its lead.
    Rollout,
    /// The old store leads everything again.
    Rollback,
    /// The end of a move.
    Finish,
}

impl Work {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plan, Self::Verify, Self::Copy, Self::Rollout, Self::Rollback, Self::Finish];

    /// Its name in paths.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Verify => "verify",
            Self::Copy => "copy",
            Self::Rollout => "rollout",
            Self::Rollback => "rollback",
            Self::Finish => "finish",
        }
    }

    /// Whether one of them waits for the end of the other. A way back waits for nothing but another one.
    pub(crate) const fn excludes(self, other: Self) -> bool {
        self.lane() == other.lane()
    }

    const fn lane(self) -> u8 {
        match self {
            Self::Plan | Self::Verify | Self::Copy => 0,
            Self::Rollout | Self::Finish => 1,
            Self::Rollback => 2,
        }
    }
}

/// What is answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Documents that were found to differ between the stores of a move, and which of these are known.
    Mismatches,
    /// Figures of the project, held against what apps set themselves.
    Advice,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the server has open already, so that nothing is opened a second time for an answer.
#[derive(Debug, Clone)]
pub struct Own {
    /// The documents that are served.
    pub store: Arc<dyn Queryable>,
    /// The server's part in the move that was on its way when it began.
    pub moving: Option<Arc<Moving>>,
}

/// Work that was understood; done on a thread of its own, it gives the JSON result of the command of that name.
pub type Task = Box<dyn FnOnce(&dyn Progress) -> Result<Value> + Send>;

/// Does what the command line does with the project that a server belongs to. Its calls block, on a thread of the server's
/// runtime that may. What is wanted are the flags of the command, as a JSON object.
pub trait Operator: Debug + Send + Sync {
    /// The project: source, database, last copy, last proof, the move that is on its way.
    ///
    /// # Errors
    /// When the database is out of reach.
    fn status(&self, own: &Own) -> Result<Map<String, Value>>;

    /// Reads what is wanted, and looks for what would surely keep it from being done.
    ///
    /// # Errors
    /// [`repot_core::Kind::Invalid`] when it cannot be understood; what keeps it from being done.
    fn prepare(&self, work: Work, wanted: &Map<String, Value>) -> Result<Task>;

    /// Answers at once.
    ///
    /// # Errors
    /// As the command.
    fn answer(&self, question: Question, wanted: &Map<String, Value>, own: &Own) -> Result<Value>;
}
