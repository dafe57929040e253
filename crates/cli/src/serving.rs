//! The settings of a server, and where each came from.

use repot::Config;
use repot_core::{Error, Kind, Result};
use repot_model::language::{Auth, Written};
use repot_server::{KeysAt, TokenOptions, TraceOptions};

use crate::args::Tokens;
use crate::commands::check::hidden;
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

/// The settings of tokens: what was said of each, and where.
struct Said {
    keys: Option<(String, Origin)>,
    issuer: Option<(String, Origin)>,
    audience: Option<(String, Origin)>,
    tenant_claim: Option<(String, Origin)>,
    rights_claim: Option<(String, Origin)>,
    rights: Option<(String, Origin)>,
}

impl Said {
    fn of(project: &Project, flags: &Tokens) -> Self {
        let Tokens { jwks, jwt_issuer, jwt_audience, jwt_tenant_claim } = flags;
        let none = Auth::default();
        let auth = project.model.settings.auth.as_ref().unwrap_or(&none);
        let of_model = |written: &Option<Written<String>>| {
            let value =
                written.as_ref().map(|written| written.value.clone()).filter(|value| !value.is_empty());
            value.map(|value| (value, Origin::Model))
        };
        let of = |flag: &Option<String>, name: &str, written| {
            let flag = flag.clone().map(|value| (value, Origin::Flag));
            flag.or_else(|| project.environment.get(name)).or_else(|| of_model(written))
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
    let Some((keys, _)) = said.keys else {
        let all = [said.issuer, said.audience, said.tenant_claim, said.rights_claim, said.rights];
        if all.iter().any(Option::is_some) {
            return wrong(
                "tokens are to be taken, but not whose keys sign them",
                "Say jwks = \"https://...\" in `auth` of [repot], or REPOT_JWKS.",
            );
        }
        return Ok(None);
    };
    let Some((audience, _)) = said.audience else {
        return wrong(
            "the keys of tokens are named, but not for whom the tokens are made",
            "Say the audience in `auth` of [repot], or REPOT_JWT_AUDIENCE; `*` takes tokens for others too.",
        );
    };
    let keys = KeysAt::parse(&keys, &project.directory)?;
    let mut options = TokenOptions::new(keys, Some(audience).filter(|audience| audience != "*"));
    options.issuer = said.issuer.map(|(issuer, _)| issuer);
    options.rights_claim = said.rights_claim.map(|(claim, _)| claim);
    if let Some((claim, _)) = said.tenant_claim {
        options.tenant_claim = claim;
    }
    if let Some((rights, _)) = said.rights {
        // the model was read, so they are rights
        options.rights = rights.split_whitespace().filter_map(|right| right.parse().ok()).collect();
    }
    Ok(Some(options))
}

/// The same for `repot check`, as far as something was said.
fn told_of_tokens(project: &Project) -> Vec<(&'static str, String, Origin)> {
    let Said { keys, issuer, audience, tenant_claim, rights_claim, rights } =
        Said::of(project, &Tokens::default());
    let keys = keys.map(|(keys, from)| (hidden(&keys), from));
    let all = [
        ("REPOT_JWKS", keys),
        ("REPOT_JWT_ISSUER", issuer),
        ("REPOT_JWT_AUDIENCE", audience),
        ("REPOT_JWT_TENANT_CLAIM", tenant_claim),
        ("rights_claim", rights_claim),
        ("rights", rights),
    ];
    all.into_iter().filter_map(|(name, said)| said.map(|(value, from)| (name, value, from))).collect()
}

/// Where traces go; `None`: nowhere.
///
/// # Errors
/// `R0100` when a variable of `OpenTelemetry` cannot be understood.
pub(crate) fn traces(project: &Project) -> Result<Option<TraceOptions>> {
    TraceOptions::from_variables(|name| project.environment.value(name))
}

/// What was said of traces, for `repot check`.
fn told_of_traces(project: &Project) -> Vec<(&'static str, String, Origin)> {
    let names = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_SAMPLER",
    ];
    let told = |name: &'static str| {
        let (value, from) = project.environment.get(name)?;
        let value = if name.ends_with("HEADERS") { "***".to_owned() } else { hidden(&value) };
        Some((name, value, from))
    };
    names.into_iter().filter_map(told).collect()
}

/// All settings of a server that is started without flags, for `repot check`.
pub(crate) fn all(project: &Project) -> Result<Vec<(&'static str, String, Origin)>, Failure> {
    log_style(project, None, false)?;
    tokens(project, &Tokens::default())?;
    traces(project)?;
    let config = config(project)?;
    let number = |name: &'static str, value: usize| {
        let from = project.environment.get(name).map_or(Origin::Default, |(_, from)| from);
        (name, value.to_string(), from)
    };
    let word = |name: &'static str, default: &str| {
        let (value, from) = found(project, name, default);
        (name, value, from)
    };
    let mut all = vec![
        word("REPOT_LISTEN", LISTEN),
        word("REPOT_LOG", "text on a terminal, else json"),
        number("DATABASE_POOL_SIZE", config.pool_size),
        number("POSTGRES_MAX_CONNECTIONS", config.pool_size.saturating_add(config.pool_overflow)),
        word("DATABASE_ECHO", "false"),
    ];
    all.extend(told_of_tokens(project));
    all.extend(told_of_traces(project));
    Ok(all)
}

fn found(project: &Project, name: &str, default: &str) -> (String, Origin) {
    project.environment.get(name).unwrap_or_else(|| (default.to_owned(), Origin::Default))
}
