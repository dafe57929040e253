//! Documents wherever they are: requests of the HTTP API, answered by a server, or by a store that this process opens.
//! There is one way for both, so they do the same and fail with the same codes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use repot::{Config, Place, Repot};
use repot_client::{Client, Sent};
use repot_core::{Error, Kind, Result, SystemClock};
use repot_engine::{SystemEntropy, TokioPacing};
use repot_server::{App, Options, Outside};
use serde_json::Value;

use crate::answered;
use crate::args::Global;
use crate::commands::inner;
use crate::document_args::At;
use crate::errors::Failure;
use crate::serving;
use crate::settings::Environment;
use crate::wiring::Project;

const TENANT: HeaderName = HeaderName::from_static("repot-tenant");

/// Who answers.
#[derive(Debug)]
enum By {
    Server(Client),
    Own(Box<App>),
}

/// Documents, and whose.
#[derive(Debug)]
pub(crate) struct Asking {
    by: By,
    tenant: Option<HeaderValue>,
    runtime: tokio::runtime::Runtime,
}

/// The server that is asked instead of a store: the one that a flag names, else `REPOT_URL`.
pub(crate) fn server_of(environment: &Environment, flag: Option<&str>) -> Option<String> {
    match flag {
        Some(url) => {
            ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)).then(|| url.to_owned())
        }
        None => environment.value("REPOT_URL"),
    }
}

impl Asking {
    /// Opens the store, or gets ready to ask a server, which needs no model here.
    pub(crate) fn open(global: &Global, at: &At) -> Result<Self, Failure> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(Kind::Failed, "R0901", "the command cannot wait for answers").cause(error)
            })?;
        let tenant = at.tenant.as_deref().map(|tenant| {
            HeaderValue::from_bytes(tenant.as_bytes()).ok().filter(|_| !tenant.is_empty()).ok_or_else(|| {
                Error::new(Kind::Invalid, "R0100", "--tenant cannot be a tenant")
                    .hint("Name the tenant as it stands in the documents.")
            })
        });
        let tenant = tenant.transpose()?;
        let environment = Environment::read(&global.dir);
        let by = match server_of(&environment, at.store.as_deref()) {
            Some(url) => {
                let key = environment.value("REPOT_KEY");
                let client = Client::new(&url, key.as_deref(), Arc::new(TokioPacing))?;
                By::Server(client.with_patience(at.timeout.saturating_mul(1_000)))
            }
            None => {
                let config = config(global, at)?;
                By::Own(Box::new(runtime.block_on(own(config))?))
            }
        };
        Ok(Self { by, tenant, runtime })
    }

    /// The answer to a request, which must be a good one.
    ///
    /// # Errors
    /// What the answer says is wrong.
    pub(crate) fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let sent = self.send(request)?;
        answered::checked(sent)
    }

    /// What the answer to a request says, which is JSON of ours.
    ///
    /// # Errors
    /// As [`Self::ask`]; `R0155` when it is none.
    pub(crate) fn json(&self, request: Request<Bytes>) -> Result<Value> {
        let answer = self.ask(request)?;
        serde_json::from_slice(answer.body()).map_err(|error| {
            Error::new(Kind::Failed, "R0155", "the answer is none of a Repot server")
                .hint("Check REPOT_URL, with the path where one stands before /v1.")
                .cause(error)
        })
    }

    /// The answer to a request, whatever it is.
    pub(crate) fn send(&self, mut request: Request<Bytes>) -> Result<Sent> {
        if let Some(tenant) = &self.tenant {
            request.headers_mut().insert(TENANT, tenant.clone());
        }
        match &self.by {
            By::Server(client) => self.runtime.block_on(client.send(request)),
            By::Own(app) => {
                let answer = self.runtime.block_on(app.answer(request))?;
                Ok(Sent { answer, is_unsure: false })
            }
        }
    }
}

/// The project's store, which must be there.
fn config(global: &Global, at: &At) -> Result<Config, Failure> {
    let project = Project::open(global)?;
    let url = at.store.clone().unwrap_or_else(|| project.database_url().0);
    if let Place::Sqlite(_) | Place::Postgres(_) = Place::parse(&url, &project.directory)? {
        // a look must make no tables, and a write no database that a copy could not be made into any more
        project.copied_at(&url)?;
    }
    serving::config(&project, Some(&url))
}

/// What a server over this store would answer from.
async fn own(config: Config) -> Result<App, Failure> {
    let repot = Repot::open(config).await.map_err(inner)?;
    let outside = Outside {
        clock: Arc::new(SystemClock),
        pacing: Arc::new(TokioPacing),
        entropy: Arc::new(SystemEntropy),
    };
    let options = Options { is_own: true, ..Options::default() };
    Ok(App::new(repot.store(), repot.layout().clone(), outside, options)?)
}
