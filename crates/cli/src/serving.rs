//! The settings of a server.

use repot::Config;
use repot_core::Result;

use crate::commands::inner;
use crate::errors::Failure;
use crate::log::LogStyle;
use crate::variables;
use crate::wiring::Project;

const LISTEN: &str = "127.0.0.1:7070";

/// Where to listen.
pub(crate) fn listen(project: &Project, flag: Option<&str>) -> String {
    let of_project = || project.environment.value("REPOT_LISTEN").unwrap_or_else(|| LISTEN.to_owned());
    flag.map_or_else(of_project, str::to_owned)
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
    variables::checked(&project.environment)?;
    let variables = project.environment.all();
    Config::from_variables(project.file.as_ref(), variables.into_iter()).map_err(inner)
}
