//! Errors of the server and of the connection, as ours.

use std::error::Error as _;

use repot_core::{Error, Kind, Retry};
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

/// The hint for everything that a lost connection ends.
const AGAIN: &str = "Run the same command again when the server can be reached; it goes on where it stopped.";

/// `error`, while trying to `what` (such as `load a batch`).
pub(crate) fn failed(what: &str, error: tokio_postgres::Error) -> Error {
    let Some(server) = error.as_db_error() else {
        return connection(what, error);
    };
    let message = format!("could not {what}: {}", server.message());
    let code = server.code().code();
    let mapped = match code {
        _ if code.starts_with("28") => {
            Error::new(Kind::Denied, "R0113", message).hint("Check user and password in the database URL.")
        }
        "42501" => Error::new(Kind::Denied, "R0113", message)
            .hint("Give the user of the database URL the right to do this, or use another user."),
        "53100" => Error::new(Kind::Failed, "R0112", message)
            .hint("Make room on the database server's disk, then run the same command again."),
        "53300" => Error::new(Kind::TargetUnavailable, "R0114", message)
            .retry(Retry::Safe)
            .hint("Close other connections or raise max_connections, then run the same command again."),
        "55P03" => Error::new(Kind::TargetUnavailable, "R0114", message)
            .retry(Retry::Safe)
            .hint("Another session holds a lock on these tables; end it, then run the same command again."),
        "42P07" | "42710" | "42P06" => Error::new(Kind::Conflict, "R0109", message)
            .hint("Rename the collection, or use an empty database or schema."),
        "3D000" => Error::new(Kind::TargetUnavailable, "R0106", message).hint("Create the database first."),
        "42P01" | "42703" => Error::new(Kind::Corrupt, "R0802", message)
            .hint("A table or column that Repot made was dropped or renamed; put it back."),
        "XX001" | "XX002" => Error::new(Kind::Corrupt, "R0803", message)
            .hint("The database is damaged; restore it from a backup."),
        _ if code.starts_with("57") || code.starts_with("08") => {
            Error::new(Kind::TargetUnavailable, "R0106", message).retry(Retry::Safe).hint(AGAIN)
        }
        _ if is_refusal(server) => Error::new(
            Kind::Conflict,
            refusal_code(server),
            format!("could not {what}: {}", refusal_reason(server)),
        ),
        _ => Error::new(Kind::Failed, "R0106", message).hint("See the database server's log."),
    };
    // a constraint's DETAIL may show other rows' data: the cause is left out there
    if is_refusal(server) { mapped } else { mapped.cause(error) }
}

fn connection(what: &str, error: tokio_postgres::Error) -> Error {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = source.to_string();
    }
    // whatever was under way is taken back with its session; a commit is asked after before this is said
    Error::new(Kind::TargetUnavailable, "R0106", format!("could not {what}: {reason}"))
        .retry(Retry::Safe)
        .hint(AGAIN)
        .cause(error)
}

/// The connection went away (so what it was doing may have happened).
pub(crate) fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|server| {
        server.code().code().starts_with("57P") || server.code().code().starts_with("08")
    })
}

/// The server refuses these rows, whoever sends them.
pub(crate) fn is_refusal(error: &DbError) -> bool {
    let code = error.code().code();
    code.starts_with("23") || code.starts_with("22") || code.starts_with("54")
}

/// The server gave the transaction up for the sake of another; from its beginning it may go through.
pub(crate) fn is_given_up(error: &DbError) -> bool {
    let ours = error.table().is_some_and(|table| table.starts_with("repot_"));
    // serialization failure, deadlock; two that make one object at once; in a session behind a pooler a statement that
    // somebody else left there has the name of ours, which has another name the next time
    matches!(error.code().code(), "40001" | "40P01" | "42P05")
        // a table was changed under a statement that the session keeps
        || error.routine() == Some("RevalidateCachedQuery")
        || (*error.code() == SqlState::UNIQUE_VIOLATION && ours)
}

/// Catalogue code of a refusal.
pub(crate) fn refusal_code(error: &DbError) -> &'static str {
    if *error.code() == SqlState::UNIQUE_VIOLATION {
        "R0203"
    } else if *error.code() == SqlState::FOREIGN_KEY_VIOLATION {
        "R0305"
    } else {
        "R0306"
    }
}

/// What is wrong, with names and without data: the server's DETAIL and CONTEXT lines show values of rows.
pub(crate) fn refusal_reason(error: &DbError) -> String {
    let table = error.table().unwrap_or("?");
    match (error.code().code(), error.constraint(), error.column()) {
        ("23505", Some(constraint), _) => {
            let columns =
                columns_of(error.detail()).map_or_else(String::new, |columns| format!(" ({columns})"));
            format!("{table}{columns}: another row has this value already (constraint {constraint})")
        }
        ("23503", Some(constraint), _) => {
            let columns =
                columns_of(error.detail()).map_or_else(String::new, |columns| format!(".{columns}"));
            format!(
                "{table}{columns} refers to a row that is not there, or is referred to itself (constraint {constraint})"
            )
        }
        ("23502", _, Some(column)) => format!("{table}.{column} is missing or null"),
        (_, Some(constraint), _) => format!("{table}: constraint {constraint} is not kept"),
        ("54000", ..) => "a value is too long for an index".to_owned(),
        (_, None, _) => {
            // CONTEXT is `COPY t, line 3, column c: "value"`: its names help, the value stays out
            let place = error.where_().and_then(|place| place.strip_prefix("COPY ")).map_or_else(
                String::new,
                |place| {
                    let table = place.split(',').next().unwrap_or_default();
                    let column = place.split("column ").nth(1).and_then(|rest| rest.split(':').next());
                    column.map_or_else(|| format!(" in {table}"), |column| format!(" in {table}.{column}"))
                },
            );
            let message = error
                .message()
                .split(['"', '«', '„'])
                .next()
                .unwrap_or_default()
                .trim_end_matches([' ', ':']);
            format!("the database refuses a value{place}: {message}")
        }
    }
}

/// The column names of `Key (a, b)=(1, 2) already exists.`, in any language of the server.
fn columns_of(detail: Option<&str>) -> Option<&str> {
    let (head, _) = detail?.split_once(")=(")?;
    head.split_once('(').map(|(_, columns)| columns)
}

/// Where in the statement, in characters from 1.
pub(crate) fn position(error: &DbError) -> Option<u32> {
    match error.position()? {
        ErrorPosition::Original(at) => Some(*at),
        ErrorPosition::Internal { .. } => None,
    }
}
