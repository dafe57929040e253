//! `repot key`: keys for the HTTP API. They are facts of the database, so every server on it knows them.

use std::sync::Arc;

use repot_core::store::Store;
use repot_core::{Clock as _, Error, Kind, SystemClock};
use repot_engine::ledger::{ApiKey, ApiKeys, NewKey, Reach, Right, Rights, Tenants};
use repot_engine::store::RowStore;
use repot_engine::{Options, SystemEntropy};
use repot_model::language::duration_seconds;
use repot_model::plan::time;
use serde_json::{Map, Value, json};

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
    let KeyCreate { name, rights, only, tenant, any_tenant, expires } = create;
    let known = |name: &&String| project.model.collections.iter().any(|collection| collection.name == **name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        return Err(Error::new(Kind::NotFound, "R0402", format!("the model has no collection {unknown}"))
            .hint("Check the name; repot.toml lists the collections."));
    }
    let tenants = match (tenant, any_tenant) {
        (Some(tenant), _) if tenant.is_empty() => {
            return Err(wrong("an empty text is no tenant", "Name a tenant, or leave --tenant out."));
        }
        (Some(tenant), _) => Tenants::One(tenant.clone()),
        (None, true) => Tenants::Any,
        (None, false) => Tenants::None,
    };
    let expires_ms = match expires {
        None => None,
        Some(text) => {
            let ms = duration_seconds(text)
                .filter(|&seconds| seconds > 0)
                .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000))
                .and_then(|ms| SystemClock.now_ms().checked_add(ms))
                .filter(|&ms| ms < NEVER_MS);
            let hint = "Write a whole number and a unit, such as --expires 12h, 90d or 1y.";
            Some(ms.ok_or_else(|| wrong(&format!("`{text}` is no time after which a key ends"), hint))?)
        }
    };
    Ok(NewKey { name: name.clone(), rights: Rights::of(rights, only), tenants, expires_ms })
}

/// The first moment of the year 10000, which has no name.
const NEVER_MS: i64 = 253_402_300_800_000;

fn wrong(message: &str, hint: &str) -> Error {
    Error::new(Kind::Invalid, "R0100", message).hint(hint)
}

fn made(made: &repot_engine::ledger::CreatedKey, new: &NewKey, output: &Output) {
    let mut said = json!({"type": "key", "id": made.id, "key": made.text.reveal(), "name": new.name});
    if let Some(object) = said.as_object_mut() {
        object.extend(shown(&new.rights, &new.tenants, new.expires_ms));
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
    let ends = new.expires_ms.map_or_else(|| "does not end".to_owned(), |ms| format!("ends {}", moment(ms)));
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

/// Rights, tenants and end as JSON.
fn shown(rights: &Rights, tenants: &Tenants, expires_ms: Option<i64>) -> Map<String, Value> {
    let rights = Right::ALL.into_iter().filter_map(|right| match rights.reach(right) {
        Reach::Nothing => None,
        Reach::Everything => Some((right.to_string(), json!("everything"))),
        Reach::Only(only) => Some((right.to_string(), json!(only))),
    });
    let tenant = match tenants {
        Tenants::One(tenant) => json!(tenant),
        Tenants::None | Tenants::Any => Value::Null,
    };
    let shown = [
        ("rights", Value::Object(rights.collect())),
        ("tenant", tenant),
        ("any_tenant", json!(*tenants == Tenants::Any)),
        ("expires_at", json!(expires_ms.map(moment))),
    ];
    shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn moment(ms: i64) -> String {
    time::time_text(ms.saturating_mul(1_000), 'T', 0) + "Z"
}

fn state(key: &ApiKey) -> &'static str {
    match key.revoked_ms {
        Some(_) => "taken back",
        None if key.is_usable(SystemClock.now_ms()) => "in use",
        None => "ended",
    }
}

fn listed(keys: &[ApiKey], output: &Output) {
    if output.json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                let mut said = shown(&key.rights, &key.tenants, key.expires_ms);
                said.insert("id".to_owned(), json!(key.id));
                said.insert("name".to_owned(), json!(key.name));
                said.insert("state".to_owned(), json!(state(key)));
                said.insert("created_at".to_owned(), json!(moment(key.created_ms)));
                said.insert("used_at".to_owned(), json!(key.used_ms.map(moment)));
                said.insert("revoked_at".to_owned(), json!(key.revoked_ms.map(moment)));
                Value::Object(said)
            })
            .collect();
        return output.done(json!({"type": "result", "keys": keys}), &[]);
    }
    for key in keys {
        let new = NewKey {
            name: key.name.clone(),
            rights: key.rights.clone(),
            tenants: key.tenants.clone(),
            expires_ms: key.expires_ms,
        };
        let used = key.used_ms.map_or_else(|| "never used".to_owned(), |ms| format!("used {}", moment(ms)));
        output.print(&format!("{}  {}  {}: {}; {used}", key.id, state(key), key.name, sentence(&new)));
    }
    let keys = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    output.say(&format!("{}.", count(keys, "key", "keys")));
}
