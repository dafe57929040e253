//! The settings of a server.

use repot::Config;
use repot_core::{Error, Kind, Result, truth};
use repot_model::language::{Auth, Written};
use repot_server::{KeysAt, TokenOptions, TraceOptions};

use crate::args::Tokens;
use crate::commands::inner;
use crate::errors::Failure;
use crate::log::LogStyle;
use crate::output;
use crate::variables;
use crate::wiring::Project;

const LISTEN: &str = "127.0.0.1:7070";

/// Where to listen.
pub(crate) fn listen(project: &Project, flag: Option<&str>) -> String {
    let of_project = || project.environment.value("REPOT_LISTEN").unwrap_or_else(|| LISTEN.to_owned());
    flag.map_or_else(of_project, str::to_owned)
}

/// Whether the emergency brake is pulled: `USE_DATABASE=false`, by either of its names.
pub(crate) fn brakes(project: &Project) -> bool {
    let said = |name: &str| project.environment.value(name).and_then(|value| truth(&value));
    said("USE_DATABASE").or_else(|| said("USE_NEW_DATA_LAYER")) == Some(false)
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

/// What the library for apps is told, for a command that is over after a few calls. The store is the one that a flag names,
/// else the project's database.
pub(crate) fn config(project: &Project, store: Option<&str>) -> Result<Config, Failure> {
    variables::checked(&project.environment)?;
    let variables = project.environment.all();
    let mut config = Config::from_variables(project.file.as_ref(), variables.into_iter()).map_err(inner)?;
    config.url = Some(store.map_or_else(|| project.database_url().0, str::to_owned));
    config.source = Some(project.source_name().0);
    config.follows = false;
    config.model_text = Some(project.text.clone());
    config.directory.clone_from(&project.directory);
    config.with_echo(output::echo).map_err(inner)
}

/// The settings of tokens: what was said of each.
struct Said {
    keys: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    tenant_claim: Option<String>,
    rights_claim: Option<String>,
    rights: Option<String>,
}

impl Said {
    fn of(project: &Project, flags: &Tokens) -> Self {
        let Tokens { jwks, jwt_issuer, jwt_audience, jwt_tenant_claim } = flags;
        let none = Auth::default();
        let auth = project.model.settings.auth.as_ref().unwrap_or(&none);
        let of_model = |written: &Option<Written<String>>| {
            written.as_ref().map(|written| written.value.clone()).filter(|value| !value.is_empty())
        };
        let of = |flag: &Option<String>, name: &str, written| {
            flag.clone().or_else(|| project.environment.value(name)).or_else(|| of_model(written))
        };
        Self {
            keys: of(jwks, "REPOT_JWKS", &auth.jwks),
            issuer: of(jwt_issuer, "REPOT_JWT_ISSUER", &auth.issuer),
            audience: of(jwt_audience, "REPOT_JWT_AUDIENCE", &auth.audience),
            tenant_claim: of(jwt_tenant_claim, "REPOT_JWT_TENANT_CLAIM", &auth.tenant_claim),
            rights_claim: of_model(&auth.rights_claim),
            rights: of_model(&auth.rights),
        }
    }
}

/// Which tokens are taken; `None`: keys only.
///
/// # Errors
/// `R0447` when they are named in part only.
pub(crate) fn tokens(project: &Project, flags: &Tokens) -> Result<Option<TokenOptions>> {
    let said = Said::of(project, flags);
    let wrong = |message: &str, hint: &str| Err(Error::new(Kind::Invalid, "R0447", message).hint(hint));
    let Some(keys) = said.keys else {
        let all = [said.issuer, said.audience, said.tenant_claim, said.rights_claim, said.rights];
        if all.iter().any(Option::is_some) {
            return wrong(
                "tokens are to be taken, but not whose keys sign them",
                "Say jwks = \"https://...\" in `auth` of [repot], or REPOT_JWKS.",
            );
        }
        return Ok(None);
    };
    let Some(audience) = said.audience else {
        return wrong(
            "the keys of tokens are named, but not for whom the tokens are made",
            "Say the audience in `auth` of [repot], or REPOT_JWT_AUDIENCE; `*` takes tokens for others too.",
        );
    };
    let keys = KeysAt::parse(&keys, &project.directory)?;
    let mut options = TokenOptions::new(keys, Some(audience).filter(|audience| audience != "*"));
    options.issuer = said.issuer;
    options.rights_claim = said.rights_claim;
    if let Some(claim) = said.tenant_claim {
        options.tenant_claim = claim;
    }
    if let Some(rights) = said.rights {
        // the model was read, so they are rights
        options.rights = rights.split_whitespace().filter_map(|right| right.parse().ok()).collect();
    }
    Ok(Some(options))
}

/// Where traces go; `None`: nowhere.
///
/// # Errors
/// `R0100` when a variable of `OpenTelemetry` cannot be understood.
pub(crate) fn traces(project: &Project) -> Result<Option<TraceOptions>> {
    TraceOptions::from_variables(|name| project.environment.value(name))
}
