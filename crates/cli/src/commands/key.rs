//! `repot key`: keys for the HTTP API. They are facts of the database, so every server on it knows them.

use std::sync::Arc;

use repot_core::store::Store;
use repot_core::{Clock as _, Error, Kind, SystemClock};
use repot_engine::ledger::{ApiKey, ApiKeys, NewKey, Reach, Right, Tenants};
use repot_engine::store::RowStore;
use repot_engine::{Options, SystemEntropy};
use repot_server::{KeyWanted, key_end, key_json, key_reach, key_state};
use serde_json::json;

use crate::args::{Global, Key, KeyCommand, KeyCreate};
use crate::asking;
use crate::errors::{Exit, Failure};
use crate::output::{Output, count};
use crate::wiring::{Project, store_options};

pub(crate) fn run(global: &Global, key: &Key, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    if asking::server_of(&project.environment, key.store.as_deref()).is_some() {
        // made here, it would not open the door of that server
        let message = "keys are made in the database, and a server is named (REPOT_URL)";
        return Err(Error::new(Kind::Unsupported, "R0154", message)
            .hint("Name the database with --store, such as sqlite:///repot.db.")
            .into());
    }
    let open = || open(&project, key.store.as_deref());
    match &key.what {
        KeyCommand::Create(create) => {
            let new = new(&project, create)?;
            let (keys, runtime) = open()?;
            made(&runtime.block_on(keys.create(new.clone()))?, &new, output);
        }
        KeyCommand::List => {
            let (keys, runtime) = open()?;
            listed(&runtime.block_on(keys.list())?, output);
        }
        KeyCommand::Revoke { id } => {
            let (keys, runtime) = open()?;
            if !runtime.block_on(keys.revoke(id))? {
                let message = format!("there is no key {id} that could be used");
                return Err(Error::new(Kind::NotFound, "R0432", message)
                    .hint("`repot key list` shows the keys; give the public name from its first column.")
                    .into());
            }
            output.say(&format!(
                "The key {id} is taken back. Servers that just used it may take it for five more seconds."
            ));
            output.done(json!({"type": "result", "revoked": id}), &[]);
        }
    }
    Ok(Exit::Done)
}

/// The keys of the database; its tables are made where there are none.
fn open(project: &Project, store: Option<&str>) -> Result<(ApiKeys, tokio::runtime::Runtime), Failure> {
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
    Ok((ApiKeys::new(store, Arc::new(SystemClock), Arc::new(SystemEntropy)), runtime))
}

fn new(project: &Project, create: &KeyCreate) -> Result<NewKey, Error> {
    let KeyCreate { name, rights, only, tenant, any_tenant, expires } = create.clone();
    KeyWanted { name, rights, only, tenant, any_tenant, expires }.check(&project.model, SystemClock.now_ms())
}

fn made(made: &repot_engine::ledger::CreatedKey, new: &NewKey, output: &Output) {
    let mut said = json!({"type": "key", "id": made.id, "key": made.text.reveal(), "name": new.name});
    if let Some(object) = said.as_object_mut() {
        object.extend(key_reach(new));
    }
    if output.json {
        return output.done(said, &[]);
    }
    output.say(&format!("Key {} for {}: {}.", made.id, new.name, sentence(new)));
    output.say("This is the only time that it is shown.");
    output.print(made.text.reveal());
}

fn sentence(new: &NewKey) -> String {
    let rights: Vec<String> = Right::ALL
        .into_iter()
        .filter_map(|right| Some(format!("{right} {}", reach(new.rights.reach(right))?)))
        .collect();
    let tenants = match &new.tenants {
        Tenants::None => "no tenant's documents".to_owned(),
        Tenants::One(tenant) => format!("documents of the tenant {tenant}"),
        Tenants::Any => "any tenant's documents".to_owned(),
    };
    let ends = new.expires_ms.map_or_else(|| "does not end".to_owned(), |ms| format!("ends {}", key_end(ms)));
    let rights = if rights.is_empty() { "nothing".to_owned() } else { rights.join("; ") };
    format!("{rights}; {tenants}; {ends}")
}

fn reach(reach: &Reach) -> Option<String> {
    match reach {
        Reach::Nothing => None,
        Reach::Everything => Some("everything".to_owned()),
        Reach::Only(only) => Some(only.iter().cloned().collect::<Vec<_>>().join(", ")),
    }
}

fn listed(keys: &[ApiKey], output: &Output) {
    let now_ms = SystemClock.now_ms();
    if output.json {
        let keys: Vec<_> = keys.iter().map(|key| key_json(key, now_ms)).collect();
        return output.done(json!({"type": "result", "keys": keys}), &[]);
    }
    for key in keys {
        let new = NewKey {
            name: key.name.clone(),
            rights: key.rights.clone(),
            tenants: key.tenants.clone(),
            expires_ms: key.expires_ms,
        };
        let used = key.used_ms.map_or_else(|| "never used".to_owned(), |ms| format!("used {}", key_end(ms)));
        output.print(&format!(
            "{}  {}  {}: {}; {used}",
            key.id,
            key_state(key, now_ms),
            key.name,
            sentence(&new)
        ));
    }
    let keys = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    output.say(&format!("{}.", count(keys, "key", "keys")));
}
