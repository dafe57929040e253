//! Where traces go, by the variables that `OpenTelemetry` gives names to.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use repot_core::{Error, Kind, Result};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// How long a collector may take for what it is sent, unless somebody says.
const WAIT_MS: u64 = 10_000;

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampler {
    /// What whoever asks has decided counts.
    of_parent: bool,
    /// The share of requests, in 10^9 parts.
    share: u128,
}

impl Sampler {
    const ALL: u128 = 1_000_000_000;

    fn parse(name: Option<&str>, share: Option<&str>) -> Option<Self> {
        let (of_parent, kind) = match name.unwrap_or("parentbased_always_on").split_once("parentbased_") {
            Some(("", kind)) => (true, kind),
            _ => (false, name?),
        };
        let share = match kind {
            "always_on" => Self::ALL,
            "always_off" => 0,
            "traceidratio" => {
                let share: f64 =
                    share.unwrap_or("1").parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
                Duration::try_from_secs_f64(share).ok()?.as_nanos()
            }
            _ => return None,
        };
        Some(Self { of_parent, share })
    }

    /// Whether a trace is kept; `parent`: what whoever asks has decided.
    pub(super) fn keeps(self, parent: Option<bool>, trace: u128) -> bool {
        match parent.filter(|_| self.of_parent) {
            Some(keeps) => keeps,
            // the same trace is kept by everybody that it passes
            None => ((trace & u128::from(u64::MAX)) >> 1) * Self::ALL < self.share << 63,
        }
    }
}

/// Where traces go, and which.
#[derive(Clone)]
pub struct TraceOptions {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) wait: Duration,
    /// What is said of this process.
    pub(super) resource: Vec<(String, String)>,
    pub(super) sampler: Sampler,
}

impl std::fmt::Debug for TraceOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // headers and the URL may have secrets in them
        f.debug_struct("TraceOptions").field("sampler", &self.sampler).finish_non_exhaustive()
    }
}

impl TraceOptions {
    /// From `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin; `None`: nothing is to be traced.
    ///
    /// # Errors
    /// `R0100` when one of them cannot be understood.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let of_traces = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let url = whole.or_else(|| {
            let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim_end_matches('/')))
        });
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|name| name == "none");
        let Some(url) = url.filter(|_| !is_off) else { return Ok(None) };
        let url = Url::parse(&url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let url =
            url.ok_or_else(|| wrong("ENDPOINT", "is no http URL", "Say for example http://127.0.0.1:4318."))?;
        if of_traces("PROTOCOL").is_some_and(|protocol| !protocol.starts_with("http/")) {
            return Err(wrong(
                "PROTOCOL",
                "is not spoken",
                "Traces go as http/json; collectors take it on port 4318.",
            ));
        }
        let headers = of_traces("HEADERS").map_or_else(|| Some(HeaderMap::new()), |text| headers(&text));
        let headers =
            headers.ok_or_else(|| wrong("HEADERS", "is no list of headers", "Say name=value,name=value."))?;
        let wait_ms = of_traces("TIMEOUT").map_or(Some(WAIT_MS), |text| text.parse().ok());
        let wait_ms = wait_ms
            .ok_or_else(|| wrong("TIMEOUT", "is no number of milliseconds", "Say for example 10000."))?;
        let (name, share) = (variable("OTEL_TRACES_SAMPLER"), variable("OTEL_TRACES_SAMPLER_ARG"));
        let sampler = Sampler::parse(name.as_deref(), share.as_deref()).ok_or_else(|| {
            Error::new(Kind::Invalid, "R0100", "OTEL_TRACES_SAMPLER or its argument is none that is known")
                .hint("Say always_on, always_off, traceidratio, or one of them with parentbased_ in front.")
        })?;
        Ok(Some(Self {
            url,
            headers,
            wait: Duration::from_millis(wait_ms),
            resource: resource(variable),
            sampler,
        }))
    }
}

fn wrong(name: &str, what: &str, hint: &str) -> Error {
    Error::new(Kind::Invalid, "R0100", format!("OTEL_EXPORTER_OTLP_{name} {what}")).hint(hint)
}

/// `name=value,name=value`, values encoded as in URLs.
fn pairs(text: &str) -> impl Iterator<Item = Option<(String, String)>> {
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_owned(), value.into_owned()))
    })
}

fn headers(text: &str) -> Option<HeaderMap> {
    pairs(text)
        .map(|pair| {
            let (name, value) = pair?;
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        })
        .collect()
}

/// What is said of this process: its name, and what whoever runs it adds.
fn resource(variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let said = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut said: Vec<(String, String)> = pairs(&said).flatten().collect();
    let named = said.iter().any(|(name, _)| name == "service.name");
    if let Some(name) = variable("OTEL_SERVICE_NAME").or_else(|| (!named).then(|| "repot".to_owned())) {
        said.retain(|(name, _)| name != "service.name");
        said.push(("service.name".to_owned(), name));
    }
    said.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    said
}

#[cfg(test)]
mod tests {
    use super::{Sampler, TraceOptions};

    fn of(variables: &[(&str, &str)]) -> repot_core::Result<Option<TraceOptions>> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        TraceOptions::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn variables() {
        const AT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://x/own");
        assert!(of(&[]).unwrap().is_none());
        assert!(of(&[AT, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        assert!(of(&[AT, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
        assert_eq!(of(&[AT]).unwrap().unwrap().url.as_str(), "http://collector:4318/v1/traces");
        assert_eq!(of(&[AT, own]).unwrap().unwrap().url.as_str(), "https://x/own");
        let told = [
            AT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary, x-team = a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
            ("OTEL_SERVICE_NAME", "app"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ];
        let options = of(&told).unwrap().unwrap();
        assert_eq!(options.headers["authorization"], "Bearer canary");
        assert_eq!((options.headers["x-team"].to_str().unwrap(), options.wait.as_millis()), ("a", 250));
        assert!(!format!("{options:?}").contains("canary"));
        let resource: Vec<_> =
            options.resource.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(resource[..2], ["deployment.environment.name=test", "service.name=app"]);
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "canary"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ] {
            let error = of(&[(name, value), AT]).unwrap_err();
            assert_eq!(error.code(), "R0100", "{name}");
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn samplers() {
        let sampler = |name, share| Sampler::parse(Some(name), share).unwrap();
        let all = Sampler::parse(None, None).unwrap();
        assert!(all.keeps(None, u128::MAX) && all.keeps(Some(true), 1) && !all.keeps(Some(false), 1));
        let none = sampler("always_off", None);
        assert!(!none.keeps(None, 0) && !none.keeps(Some(true), 0));
        let half = sampler("traceidratio", Some("0.5"));
        assert!(half.keeps(Some(false), 0) && half.keeps(None, u128::from(u64::MAX / 2)));
        assert!(!half.keeps(None, u128::from(u64::MAX / 2 + 1)) && !half.keeps(None, u128::MAX));
        let of_parent = sampler("parentbased_traceidratio", Some("0"));
        assert!(of_parent.keeps(Some(true), 1) && !of_parent.keeps(None, 1));
        for (name, share) in [("traceidratio", "2"), ("traceidratio", "x"), ("parentbased_", "1"), ("", "1")]
        {
            assert_eq!(Sampler::parse(Some(name), Some(share)), None, "{name} {share}");
        }
    }
}
