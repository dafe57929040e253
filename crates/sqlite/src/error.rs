//! What SQLite says, in Repot's words: one place that turns its errors into ours.

use repot_core::{Error, Kind, Retry};
use rusqlite::ErrorCode;

/// What this crate reports: code, title, explanation, how to mend. For the catalogue.
pub const CODES: &[(&str, &str, &str, &str)] = &[
    (
        "R0106",
        "the database is out of reach",
        "The database could not be opened or reached: no such folder, no such file, no right to open it, or the file is no database.",
        "Check the path or URL and that the folder exists.",
    ),
    (
        "R0108",
        "the database was made by a newer Repot",
        "What Repot keeps in the database has a format that this version does not know.",
        "Use the version of Repot that made it, or a newer one.",
    ),
    (
        "R0109",
        "a name is taken",
        "The database has a table, view or index of this name that Repot did not make; it is left alone.",
        "Copy into another database or schema, or rename the collection in the model.",
    ),
    (
        "R0111",
        "the query is wrong or would write",
        "Only one statement that reads can be run; the database refused this one.",
        "Mend the statement; to change data use the database's own tool.",
    ),
    (
        "R0112",
        "the disk is full",
        "The database could not grow. Nothing of the batch was kept; everything before it was.",
        "Make room and run the same command again; it goes on where it stopped.",
    ),
    (
        "R0113",
        "no right to write",
        "The database or its folder cannot be written by this user.",
        "Change the permissions, or copy into another place.",
    ),
    (
        "R0114",
        "the database is busy",
        "Another program held the database locked for longer than Repot waits.",
        "Close the other program's transaction and run the same command again.",
    ),
    (
        "R0701",
        "another copy is running",
        "A copy writes a database alone: no other copy, and no store open on it.",
        "Wait for it, or end it; nothing needs to be cleaned up.",
    ),
    (
        "R0803",
        "what is stored is damaged",
        "The database is damaged, or tables that Repot made were changed or dropped.",
        "Restore the database from a backup, or copy again into a fresh one: the source still has everything.",
    ),
];

/// Makes an error of ours of SQLite's; `what`: what was tried, such as `read the objects`.
pub(crate) fn failed(what: &str) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| fail(what, error)
}

pub(crate) fn fail(what: &str, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let (kind, code, why) = match code {
        Some(ErrorCode::DiskFull) => (Kind::Failed, "R0112", Some("the disk is full")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::TargetUnavailable, "R0114", Some("another program holds the database locked"))
        }
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => (Kind::Denied, "R0113", Some("the database cannot be written")),
        Some(ErrorCode::CannotOpen) => {
            (Kind::TargetUnavailable, "R0106", Some("the database cannot be opened"))
        }
        Some(ErrorCode::NotADatabase) => {
            (Kind::TargetUnavailable, "R0106", Some("the file is no SQLite database"))
        }
        Some(ErrorCode::DatabaseCorrupt) => (Kind::Corrupt, "R0803", Some("the database is damaged")),
        Some(ErrorCode::SystemIoFailure) => {
            (Kind::TargetUnavailable, "R0106", Some("the disk that holds the database failed"))
        }
        _ => (Kind::Failed, "R0106", None),
    };
    let message = why.map_or_else(
        || format!("cannot {what}: {}", sentence(&error)),
        |why| format!("cannot {what}: {why}"),
    );
    let hint = CODES.iter().find(|entry| entry.0 == code).map_or("", |entry| entry.3);
    // a busy database has done nothing of it
    let retry = if code == "R0114" { Retry::Safe } else { Retry::Never };
    Error::new(kind, code, message).retry(retry).hint(hint).cause(error)
}

/// SQLite's own message, without what rusqlite puts around it.
pub(crate) fn sentence(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// What stands in our tables is not what we write.
pub(crate) fn damaged(what: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, "R0803", what)
        .hint("Restore the database from a backup, or copy again into a fresh one: the source still has everything.")
}

/// A row the database refuses: code and reason; `None` when the error is about something else.
pub(crate) fn refusal(table: &str, error: &rusqlite::Error) -> Option<(&'static str, String)> {
    let failure = error.sqlite_error()?;
    let said = sentence(error);
    let about =
        |prefix: &str| said.strip_prefix(prefix).map_or_else(|| format!("{table}: {said}"), str::to_owned);
    Some(match failure.code {
        ErrorCode::ConstraintViolation => match failure.extended_code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
            | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | rusqlite::ffi::SQLITE_CONSTRAINT_ROWID => (
                "R0203",
                format!("{}: another row has this value already", about("UNIQUE constraint failed: ")),
            ),
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                ("R0305", format!("{table}: a reference to nothing"))
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_NOTNULL => {
                ("R0306", format!("{} must not be null", about("NOT NULL constraint failed: ")))
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_CHECK => (
                "R0306",
                format!("{table}: the check {} fails", said.trim_start_matches("CHECK constraint failed: ")),
            ),
            _ => ("R0306", format!("{table}: {said}")),
        },
        ErrorCode::TypeMismatch | ErrorCode::TooBig => ("R0306", format!("{table}: {said}")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{CODES, fail};
    use repot_core::Kind;
    use rusqlite::ffi;

    #[test]
    fn each_code_of_sqlite_has_one_of_ours() {
        let expected = [
            (ffi::SQLITE_FULL, "R0112", Kind::Failed),
            (ffi::SQLITE_BUSY, "R0114", Kind::TargetUnavailable),
            (ffi::SQLITE_LOCKED, "R0114", Kind::TargetUnavailable),
            (ffi::SQLITE_READONLY, "R0113", Kind::Denied),
            (ffi::SQLITE_PERM, "R0113", Kind::Denied),
            (ffi::SQLITE_CANTOPEN, "R0106", Kind::TargetUnavailable),
            (ffi::SQLITE_NOTADB, "R0106", Kind::TargetUnavailable),
            (ffi::SQLITE_IOERR, "R0106", Kind::TargetUnavailable),
            (ffi::SQLITE_CORRUPT, "R0803", Kind::Corrupt),
        ];
        for (code, ours, kind) in expected {
            let error = fail("x", rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!((error.code(), error.kind()), (ours, kind), "{code}");
            assert!(CODES.iter().any(|entry| entry.0 == error.code()));
            assert!(error.next_step().is_some_and(|hint| !hint.is_empty()));
        }
    }
}
