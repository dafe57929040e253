//! How the store is called that documents come from: files, or the old one of two databases.

use repot_engine::moving::Moving;

use crate::wiring::Project;

/// The old side of a move, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldSide {
    /// A directory or a bucket.
    Files,
    /// A database.
    Database,
}

impl OldSide {
    pub(crate) fn of(project: &Project) -> Self {
        if project.is_from_database() { Self::Database } else { Self::Files }
    }

    pub(crate) const fn of_move(moving: &Moving) -> Self {
        if moving.sides().outsiders.is_some() { Self::Database } else { Self::Files }
    }

    /// Its name in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Database => "old database",
        }
    }

    pub(crate) const fn leads(self) -> &'static str {
        match self {
            Self::Files => "the files lead",
            Self::Database => "the old database leads",
        }
    }

    /// What it does with a share of which only the reads are answered by the copy.
    pub(crate) const fn leads_them(self) -> &'static str {
        match self {
            Self::Files => "The files lead them, and take their writes.",
            Self::Database => "The old database leads them, and takes their writes.",
        }
    }

    pub(crate) const fn leads_everything(self) -> &'static str {
        match self {
            Self::Files => "The files lead everything.",
            Self::Database => "The old database leads everything.",
        }
    }

    pub(crate) const fn lead_by_share(self) -> &'static str {
        match self {
            Self::Files => "files and database lead by share",
            Self::Database => "old and new database lead by share",
        }
    }

    pub(crate) const fn is_kept_in_step(self) -> &'static str {
        match self {
            Self::Files => "the files are kept in step",
            Self::Database => "the old database is kept in step",
        }
    }

    /// Everything was brought back to it.
    pub(crate) const fn has_it_all(self) -> &'static str {
        match self {
            Self::Files => {
                "the files lead again. Nothing was lost: what was written in the database is in the files too."
            }
            Self::Database => {
                "the old database leads again. Nothing was lost: what was written in the new one is in the old one too."
            }
        }
    }

    pub(crate) const fn in_step(self) -> &'static str {
        match self {
            Self::Files => "files and database are in step",
            Self::Database => "the two databases are in step",
        }
    }

    /// What the end of the move means for it.
    pub(crate) const fn stays(self) -> &'static str {
        match self {
            Self::Files => {
                "This ends the way back by `rollback`. The files stay where they are, in step as of now."
            }
            Self::Database => {
                "This ends the way back by `rollback`. The old database stays as it is, in step as of now, and takes no writes."
            }
        }
    }

    pub(crate) const fn is_untouched(self) -> &'static str {
        match self {
            Self::Files => "Your files are untouched.",
            Self::Database => "The old database is untouched.",
        }
    }
}
