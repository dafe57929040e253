//! From errors to what the user sees and to exit codes.

use repot_core::{Error, Kind};
use repot_model::language::Problem;

/// Exit codes of UX: new ones may be added; treat an unknown one as failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    SetAside = 3,
    Differences = 4,
    Refused = 5,
    NotCovered = 6,
    Source = 10,
    Target = 11,
    Locked = 12,
    Denied = 13,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

impl Exit {
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error with a code.
    Error(Error),
    /// The model has problems.
    Model(Vec<Problem>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// As one error; of a model with several problems the first, with all of them as details.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Model(problems) => {
                let Some(first) = problems.first() else {
                    return Error::new(Kind::Internal, "R0901", "a model is refused without a reason");
                };
                let message = format!("{}:{}: {}", first.file, first.span.line, first.message);
                let error = Error::new(Kind::Invalid, first.code, message).hint(first.hint.clone());
                problems.iter().fold(error, |error, problem| error.detail(problem.to_string()))
            }
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Model(_) => Exit::Failed,
            Self::Error(error) => exit(error),
        }
    }
}

fn exit(error: &Error) -> Exit {
    match error.kind() {
        Kind::Refused if error.code() == "R0721" => Exit::Differences,
        Kind::Unsupported => Exit::NotCovered,
        Kind::Refused => Exit::Refused,
        Kind::SourceUnavailable => Exit::Source,
        Kind::TargetUnavailable => Exit::Target,
        Kind::Locked => Exit::Locked,
        Kind::Denied => Exit::Denied,
        Kind::Corrupt => Exit::Differences,
        Kind::Invalid if error.code() == "R0100" => Exit::Usage,
        _ => Exit::Failed,
    }
}
