//! The settings of a server, and where each came from.

use repot::Config;
use repot_core::Result;

use crate::commands::inner;
use crate::errors::Failure;
use crate::log::LogStyle;
use crate::settings::Origin;
use crate::wiring::Project;

const LISTEN: &str = "127.0.0.1:7070";

/// Where to listen.
pub(crate) fn listen(project: &Project, flag: Option<&str>) -> String {
    flag.map_or_else(|| found(project, "REPOT_LISTEN", LISTEN).0, str::to_owned)
}

/// How requests are logged.
///
/// # Errors
/// `R0100` when `REPOT_LOG` is no way to log.
pub(crate) fn log_style(project: &Project, flag: Option<LogStyle>, quiet: bool) -> Result<LogStyle> {
    match (flag, project.environment.value("REPOT_LOG")) {
        (Some(style), _) => Ok(style),
        (None, Some(text)) => text.parse(),
        (None, None) => Ok(LogStyle::of_output(quiet)),
    }
}

/// What the library for apps is told.
pub(crate) fn config(project: &Project) -> Result<Config, Failure> {
    let variables = project.environment.all();
    Config::from_variables(project.file.as_ref(), variables.into_iter()).map_err(inner)
}

/// All settings of a server that is started without flags, for `repot check`.
pub(crate) fn all(project: &Project) -> Result<Vec<(&'static str, String, Origin)>, Failure> {
    log_style(project, None, false)?;
    let config = config(project)?;
    let number = |name: &'static str, value: usize| {
        let from = project.environment.get(name).map_or(Origin::Default, |(_, from)| from);
        (name, value.to_string(), from)
    };
    let word = |name: &'static str, default: &str| {
        let (value, from) = found(project, name, default);
        (name, value, from)
    };
    Ok(vec![
        word("REPOT_LISTEN", LISTEN),
        word("REPOT_LOG", "text on a terminal, else json"),
        number("DATABASE_POOL_SIZE", config.pool_size),
        number("POSTGRES_MAX_CONNECTIONS", config.pool_size.saturating_add(config.pool_overflow)),
        word("DATABASE_ECHO", "false"),
    ])
}

fn found(project: &Project, name: &str, default: &str) -> (String, Origin) {
    project.environment.get(name).unwrap_or_else(|| (default.to_owned(), Origin::Default))
}
