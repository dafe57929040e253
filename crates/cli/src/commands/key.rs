//! `repot key`: keys for the HTTP API. They are facts of the database, so every server on it knows them; they are made in the
//! database itself, or by a running server for somebody with the right `admin`.

use std::sync::Arc;

use http::Method;
use repot_client::Once;
use repot_core::store::Store;
use repot_core::{Clock as _, Error, Kind, Result, SystemClock};
use repot_engine::ledger::ApiKeys;
use repot_engine::store::RowStore;
use repot_engine::{Options, SystemEntropy};
use repot_server::{KeyWanted, key_json, key_made};
use serde_json::{Value, json};

use crate::args::{Global, Key, KeyCommand, KeyCreate};
use crate::asking::{self, Asking};
use crate::document_args::At;
use crate::errors::{Exit, Failure};
use crate::output::{Output, count};
use crate::paths;
use crate::settings::Environment;
use crate::wiring::{Project, store_options};

pub(crate) fn run(global: &Global, key: &Key, output: &Output) -> Result<Exit, Failure> {
    let environment = Environment::read(&global.dir);
    let keys = if asking::server_of(&environment, key.store.as_deref()).is_some() {
        let at = At { store: key.store.clone(), tenant: None, timeout: key.timeout };
        Keys::OfServer(Box::new(Asking::open(global, &at)?))
    } else {
        Keys::OfDatabase(Box::new(Opened::new(global, key.store.as_deref())?))
    };
    match &key.what {
        KeyCommand::Create(create) => made(&keys.create(create)?, output),
        KeyCommand::List => listed(&keys.list()?, output),
        KeyCommand::Revoke { id } => {
            keys.revoke(id)?;
            output.say(&format!(
                "The key {id} is taken back. Servers that just used it may take it for five more seconds."
            ));
            output.done(json!({"type": "result", "revoked": id}), &[]);
        }
    }
    Ok(Exit::Done)
}

/// Where the keys are; both give the same JSON.
enum Keys {
    OfServer(Box<Asking>),
    OfDatabase(Box<Opened>),
}

/// The keys of a database.
struct Opened {
    project: Project,
    keys: ApiKeys,
    runtime: tokio::runtime::Runtime,
}

impl Opened {
    /// The tables are made where there are none.
    fn new(global: &Global, store: Option<&str>) -> Result<Self, Failure> {
        let project = Project::open(global)?;
        let options = store_options(&Options::default());
        let model = (Arc::new(project.model.clone()), Arc::new(project.plan.clone()), project.text.as_str());
        let target = match store {
            Some(url) => project.target_at(url)?,
            None => project.target()?,
        };
        let store: Arc<dyn Store> = Arc::new(RowStore::open(target, model, options)?);
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| {
            Error::new(Kind::Failed, "R0901", "the command cannot wait for the database").cause(error)
        })?;
        let keys = ApiKeys::new(store, Arc::new(SystemClock), Arc::new(SystemEntropy));
        Ok(Self { project, keys, runtime })
    }
}

impl Keys {
    fn create(&self, create: &KeyCreate) -> Result<Value> {
        let KeyCreate { name, rights, only, tenant, any_tenant, expires } = create.clone();
        match self {
            Self::OfServer(server) => {
                let rights: Vec<String> = rights.iter().map(ToString::to_string).collect();
                let body = json!({"name": name, "rights": rights, "only": only, "tenant": tenant, "any_tenant": any_tenant, "expires": expires});
                let mut request = paths::with_body(Method::POST, KEYS, body.to_string().into())?;
                request.extensions_mut().insert(Once);
                server.json(request)
            }
            Self::OfDatabase(opened) => {
                let wanted = KeyWanted { name, rights, only, tenant, any_tenant, expires };
                let new = wanted.check(&opened.project.model, SystemClock.now_ms())?;
                let made = opened.runtime.block_on(opened.keys.create(new.clone()))?;
                Ok(key_made(&made, &new))
            }
        }
    }

    fn list(&self) -> Result<Vec<Value>> {
        match self {
            Self::OfServer(server) => {
                let mut answer = server.json(paths::request(Method::GET, KEYS)?)?;
                Ok(answer["keys"].as_array_mut().map(std::mem::take).unwrap_or_default())
            }
            Self::OfDatabase(opened) => {
                let (keys, now_ms) = (opened.runtime.block_on(opened.keys.list())?, SystemClock.now_ms());
                Ok(keys.iter().map(|key| key_json(key, now_ms)).collect())
            }
        }
    }

    fn revoke(&self, id: &str) -> Result<()> {
        let is_done = match self {
            Self::OfServer(server) => {
                let path = format!("{KEYS}/{}", paths::segment(id)?);
                match server.json(paths::request(Method::DELETE, &path)?) {
                    Err(error) if error.kind() == Kind::NotFound => false,
                    other => other.map(|_| true)?,
                }
            }
            Self::OfDatabase(opened) => opened.runtime.block_on(opened.keys.revoke(id))?,
        };
        if is_done {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, "R0432", format!("there is no key {id} that could be used"))
            .hint("`repot key list` shows the keys; give the public name from its first column."))
    }
}

const KEYS: &str = "/admin/keys";

fn made(made: &Value, output: &Output) {
    if output.json {
        return output.done(made.clone(), &[]);
    }
    output.say(&format!("Key {} for {}: {}.", text(&made["id"]), text(&made["name"]), sentence(made)));
    output.say("This is the only time that it is shown.");
    output.print(text(&made["key"]));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a key may, for whom and until when.
fn sentence(key: &Value) -> String {
    let reach = |reach: &Value| match reach.as_array() {
        Some(only) => only.iter().map(text).collect::<Vec<_>>().join(", "),
        None => text(reach).to_owned(),
    };
    let rights = key["rights"].as_object().into_iter().flatten();
    let rights: Vec<String> = rights.map(|(right, on)| format!("{right} {}", reach(on))).collect();
    let rights = if rights.is_empty() { "nothing".to_owned() } else { rights.join("; ") };
    let tenants = match (key["tenant"].as_str(), key["any_tenant"].as_bool()) {
        (Some(tenant), _) => format!("documents of the tenant {tenant}"),
        (None, Some(true)) => "any tenant's documents".to_owned(),
        (None, _) => "no tenant's documents".to_owned(),
    };
    let ends =
        key["expires_at"].as_str().map_or_else(|| "does not end".to_owned(), |end| format!("ends {end}"));
    format!("{rights}; {tenants}; {ends}")
}

fn listed(keys: &[Value], output: &Output) {
    if output.json {
        return output.done(json!({"type": "result", "keys": keys}), &[]);
    }
    for key in keys {
        let used =
            key["used_at"].as_str().map_or_else(|| "never used".to_owned(), |used| format!("used {used}"));
        let (id, state, name) = (text(&key["id"]), text(&key["state"]), text(&key["name"]));
        output.print(&format!("{id}  {state}  {name}: {}; {used}", sentence(key)));
    }
    let keys = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    output.say(&format!("{}.", count(keys, "key", "keys")));
}
