//! The variables that mean something, in one table: for `repot check`, for `docs/cli.md`, and to find misspelled ones.

use repot::Config;
use repot_core::{Error, Kind, Result, truth};
use repot_model::language::{Settings, nearest};

use crate::log::LogStyle;
use crate::settings::{Environment, Origin};
use crate::wiring::Project;

/// What of a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    /// A URL without its password.
    Url,
    Nothing,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Boolean,
    Number,
    OneOf(&'static [&'static str]),
}

/// A variable.
#[derive(Debug)]
pub(crate) struct Variable {
    pub name: &'static str,
    /// As it is shown; empty: there is none.
    pub default: &'static str,
    pub meaning: &'static str,
    /// Why it changes nothing in this version; empty: it does.
    pub later: &'static str,
    shown: Shown,
    form: Form,
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, later: "", shown: Shown::All, form: Form::Text }
}

impl Variable {
    const fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    const fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    const fn later(self, later: &'static str) -> Self {
        Self { later, ..self }
    }
}

/// All of them.
pub(crate) const VARIABLES: &[Variable] = &[
    variable(
        "DATABASE_URL",
        "sqlite:///repot.db",
        "the database: sqlite:///file.db, postgresql://..., also with +driver",
    )
    .shown(Shown::Url),
    variable("DATABASE_ECHO", "false", "show each SQL statement, without values").form(Form::Boolean),
    variable("DATABASE_POOL_SIZE", "5", "connections that are kept open").form(Form::Number),
    variable("POSTGRES_MAX_CONNECTIONS", "15", "connections at the most").form(Form::Number),
    variable(
        "REPOT_SOURCE",
        "./data",
        "where documents are copied from: a directory, s3://bucket/prefix or a database",
    )
    .shown(Shown::Url),
    variable("REPOT_SOURCE_ENDPOINT", "", "the S3 endpoint of the source"),
    variable("AWS_ACCESS_KEY_ID", "", "the key of the bucket").shown(Shown::Nothing),
    variable("AWS_SECRET_ACCESS_KEY", "", "its secret").shown(Shown::Nothing),
    variable("AWS_SESSION_TOKEN", "", "for temporary keys").shown(Shown::Nothing),
    variable("AWS_REGION", "us-east-1", "the region of the bucket; auto for Cloudflare R2"),
    variable("AWS_DEFAULT_REGION", "", "the same, where AWS_REGION is not set"),
    variable("R2_ACCOUNT_ID", "", "Cloudflare R2: the endpoint follows from it"),
    variable("R2_ACCESS_KEY_ID", "", "where AWS_ACCESS_KEY_ID is not set").shown(Shown::Nothing),
    variable("R2_SECRET_ACCESS_KEY", "", "where AWS_SECRET_ACCESS_KEY is not set").shown(Shown::Nothing),
    variable("REPOT_MODEL", "repot.toml", "the model file, else all of repot/*.toml"),
    variable("REPOT_LISTEN", "127.0.0.1:7070", "where serve listens"),
    variable("REPOT_LOG", "text on a terminal, else json", "how serve logs requests: text, json, off"),
    variable("REPOT_JWKS", "", "where the keys are that sign tokens: a file or https://...")
        .shown(Shown::Url),
    variable("REPOT_JWT_ISSUER", "", "who makes the tokens"),
    variable("REPOT_JWT_AUDIENCE", "", "for whom they are made; * takes tokens for others too"),
    variable("REPOT_JWT_TENANT_CLAIM", "sub", "the claim that names the tenant"),
    variable("OTEL_EXPORTER_OTLP_ENDPOINT", "", "the OpenTelemetry collector that traces go to")
        .shown(Shown::Url),
    variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "the same, with the path for traces")
        .shown(Shown::Url),
    variable("OTEL_EXPORTER_OTLP_HEADERS", "", "headers that are sent to it").shown(Shown::Nothing),
    variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "", "the same, for traces only").shown(Shown::Nothing),
    variable("OTEL_SERVICE_NAME", "repot", "the name under which it shows the server"),
    variable("OTEL_TRACES_SAMPLER", "parentbased_always_on", "which requests are traced"),
    variable(
        "REPOT_URL",
        "",
        "a running server that get, put, patch, rm, ls, watch and queue ask instead of a store",
    )
    .shown(Shown::Url),
    variable("REPOT_KEY", "", "the key that is shown to it").shown(Shown::Nothing),
    variable("CACHE_ENABLED", "true", "whether anything is cached").form(Form::Boolean),
    variable("ENABLE_CACHE", "", "another name of CACHE_ENABLED").form(Form::Boolean),
    variable("CACHE_PROVIDER", "memory", "memory or redis; redis by itself where REDIS_URL is set")
        .form(Form::OneOf(&["memory", "redis"])),
    variable("CACHE_TTL", "300", "how long what is cached is kept, seconds").form(Form::Number),
    variable("REDIS_URL", "", "a server that speaks the Redis protocol").shown(Shown::Url),
    variable("REDIS_MAX_RETRIES", "3", "tries, then it is left alone for 30 seconds").form(Form::Number),
    variable(
        "USE_DATABASE",
        "",
        "false: a server that starts while documents move goes back to the files first",
    )
    .form(Form::Boolean),
    variable("USE_NEW_DATA_LAYER", "", "another name of USE_DATABASE").form(Form::Boolean),
    variable("REPOT_S3_LISTEN", "", "where an S3 endpoint listens").later("there is no S3 endpoint yet"),
];

/// Two names of one setting.
const TWINS: [(&str, &str); 2] = [("CACHE_ENABLED", "ENABLE_CACHE"), ("USE_DATABASE", "USE_NEW_DATA_LAYER")];

/// A variable with the value that holds, and where that came from.
#[derive(Debug)]
pub(crate) struct Setting {
    pub variable: &'static Variable,
    /// As it may be shown; `None`: there is none.
    pub value: Option<String>,
    pub from: Origin,
}

/// All variables with their values.
///
/// # Errors
/// As [`checked`], and `R0100` when a value of the server is none.
pub(crate) fn all(project: &Project, config: &Config) -> Result<Vec<Setting>> {
    checked(&project.environment)?;
    if let Some(text) = project.environment.value("REPOT_LOG") {
        text.parse::<LogStyle>()?;
    }
    let most = config.pool_size.saturating_add(config.pool_overflow);
    let setting = |variable: &'static Variable| {
        let default = (!variable.default.is_empty()).then(|| variable.default.to_owned());
        let given = match variable.name {
            "REPOT_MODEL" => project.model_flag.clone().map(|value| (value, Origin::Flag)),
            _ => None,
        };
        let given = given
            .or_else(|| project.environment.get(variable.name))
            .or_else(|| Some((of_model(variable.name, &project.model.settings)?, Origin::Model)));
        let (value, from) = given.map_or((default, Origin::Default), |(value, from)| (Some(value), from));
        let has_redis = project.environment.value("REDIS_URL").is_some();
        // both bound each other, whichever was set
        let value = match variable.name {
            "CACHE_PROVIDER" if from == Origin::Default && has_redis => Some("redis".to_owned()),
            "DATABASE_POOL_SIZE" => Some(config.pool_size.to_string()),
            "POSTGRES_MAX_CONNECTIONS" => Some(most.to_string()),
            _ => value,
        };
        Setting { variable, value: value.map(|value| shown(variable, &value)), from }
    };
    Ok(VARIABLES.iter().map(setting).collect())
}

fn of_model(name: &str, settings: &Settings) -> Option<String> {
    let auth = settings.auth.as_ref();
    let written = match name {
        "DATABASE_URL" => settings.target.as_ref(),
        "REPOT_SOURCE" => settings.source.as_ref(),
        "REPOT_JWKS" => auth?.jwks.as_ref(),
        "REPOT_JWT_ISSUER" => auth?.issuer.as_ref(),
        "REPOT_JWT_AUDIENCE" => auth?.audience.as_ref(),
        "REPOT_JWT_TENANT_CLAIM" => auth?.tenant_claim.as_ref(),
        _ => None,
    };
    Some(written?.value.clone()).filter(|value| !value.is_empty())
}

fn shown(variable: &Variable, value: &str) -> String {
    match variable.shown {
        Shown::All => value.to_owned(),
        Shown::Url => hidden(value),
        Shown::Nothing => "***".to_owned(),
    }
}

/// A URL with its password hidden.
pub(crate) fn hidden(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split(':').next().unwrap_or_default();
    let secret = if credentials.contains(':') { ":***" } else { "" };
    format!("{scheme}://{user}{secret}@{host}")
}

/// Checks values that can be checked by themselves, also those without effect yet.
///
/// # Errors
/// `R0100` when one is none; `R0110` when two names of one setting disagree.
pub(crate) fn checked(environment: &Environment) -> Result<()> {
    for variable in VARIABLES {
        let Some(value) = environment.value(variable.name) else { continue };
        let wanted = match variable.form {
            Form::Text => None,
            Form::Boolean => truth(&value).is_none().then(|| "true or false".to_owned()),
            Form::Number => value.parse::<u32>().is_err().then(|| "a whole number".to_owned()),
            Form::OneOf(words) => (!words.contains(&value.as_str())).then(|| words.join(" or ")),
        };
        if let Some(wanted) = wanted {
            return Err(Error::new(Kind::Invalid, "R0100", format!("{} is not {wanted}", variable.name))
                .hint(format!("It says {}. Mend it, or leave it out.", variable.meaning)));
        }
    }
    for (one, other) in TWINS {
        let said = |name| environment.value(name).as_deref().and_then(truth);
        if said(one).zip(said(other)).is_some_and(|(one, other)| one != other) {
            return Err(Error::new(Kind::Invalid, "R0110", format!("{one} and {other} say opposite things"))
                .hint("They are two names of one setting; set one of them."));
        }
    }
    Ok(())
}

/// What is said of variables that look like ours and are none; the model may have some of its own.
pub(crate) fn unknown(project: &Project) -> Vec<String> {
    let known = |name: &str| {
        VARIABLES.iter().any(|variable| variable.name == name)
            || project.text.contains(&format!("${{{name}}}"))
            || project.text.contains(&format!("${{{name}:-"))
    };
    let names =
        project.environment.all().into_keys().filter(|name| name.starts_with("REPOT_") && !known(name));
    names
        .map(|name| {
            let ours = VARIABLES.iter().map(|variable| variable.name);
            match nearest(&name, ours.filter(|ours| ours.starts_with("REPOT_"))) {
                Some(meant) => format!("{name} is no setting. Did you mean {meant}?"),
                None => format!("{name} is no setting."),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{VARIABLES, hidden};

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(hidden("postgresql://app:s3:cr@et@db/app"), "postgresql://app:***@db/app");
        assert_eq!(hidden("postgresql://app@db/app"), "postgresql://app@db/app");
        assert_eq!(hidden("sqlite:///repot.db"), "sqlite:///repot.db");
        assert_eq!(hidden("redis://:word@host:6379"), "redis://:***@host:6379");
    }

    #[test]
    fn no_variable_stands_twice() {
        let mut names: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
