//! The work done through Repot's stores.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use repot_bucket::DirectoryObjects;
use repot_core::store::{
    BucketStore, Change, DocumentKey, Filter, Layout, Precondition, Query, Queryable, Scope, Store,
    StoreExt as _,
};
use repot_core::{LockHolder, SystemClock, Target};
use repot_engine::store::{PoolOptions, RECENT_BYTES, RowStore, RowStoreOptions};
use repot_json::Limits;
use repot_json::patch::Pointer;
use repot_model::language::{Model, parse};
use repot_model::plan::Plan;
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use serde_json::Value;

use super::work::{Call, Client, LISTED, WORD, Way, Work};

const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// A store of Repot's.
pub(crate) struct Repot {
    store: Arc<dyn Store>,
    /// The same where it answers queries.
    rows: Option<Arc<RowStore>>,
}

impl Repot {
    /// Files in a directory.
    pub(crate) fn directory(model: &str, path: &Path) -> Result<Self> {
        let (model, plan) = read(model)?;
        let layout = Layout::new(model, plan, Limits::default())?;
        let store = BucketStore::new(Arc::new(DirectoryObjects::open(path)?), layout, DOCUMENT_BYTES_MAX);
        Ok(Self { store: Arc::new(store), rows: None })
    }

    /// A SQLite file that was copied into.
    pub(crate) fn sqlite(model: &str, path: &Path, connections: usize) -> Result<Self> {
        Self::rows(model, Box::new(SqliteTarget::open(path, SqliteOptions::default())?), connections)
    }

    /// A PostgreSQL database that was copied into.
    pub(crate) fn postgres(model: &str, url: &str, connections: usize) -> Result<Self> {
        Self::rows(model, Box::new(PostgresTarget::open(url, PostgresOptions::default())?), connections)
    }

    fn rows(text: &str, target: Box<dyn Target>, connections: usize) -> Result<Self> {
        let (model, plan) = read(text)?;
        let options = RowStoreOptions {
            readers: connections,
            writers: connections,
            pool: PoolOptions::default(),
            document_bytes_max: DOCUMENT_BYTES_MAX,
            recent_bytes: RECENT_BYTES,
            json: Limits::default(),
            me: LockHolder { host: "bench".to_owned(), pid: std::process::id(), since_ms: 0 },
            clock: Arc::new(SystemClock),
            changes: repot_core::change_log::ChangeRetention::default(),
        };
        let store = Arc::new(RowStore::open(target, (model, plan, text), options)?);
        Ok(Self { store: Arc::clone(&store) as Arc<dyn Store>, rows: Some(store) })
    }
}

#[async_trait]
impl Way for Repot {
    fn name(&self) -> &'static str {
        "Repot"
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Caller { store: Arc::clone(&self.store), rows: self.rows.clone() }))
    }
}

struct Caller {
    store: Arc<dyn Store>,
    rows: Option<Arc<RowStore>>,
}

#[async_trait]
impl Client for Caller {
    async fn call(&mut self, call: &Call) -> Result<Vec<Bytes>> {
        let key = DocumentKey::new("conversations", &call.id).in_tenant(&call.user);
        match call.work {
            Work::Get => return Ok(vec![self.store.require(&key).await?.body]),
            Work::Newest | Work::Filtered => return self.list(call).await,
            Work::Append => {
                let message = super::by_hand::message(&call.text);
                self.store.append(&key, "/messages", message).await?;
            }
            Work::Rename => {
                let at = Pointer::parse("/title")?;
                let value = serde_json::to_string(&call.text)?.into();
                self.store.change(&key, Change::Set { at, value }, Precondition::Any).await?;
            }
            Work::Put => {
                self.store.put(&key, call.text.clone()).await?;
            }
        }
        Ok(Vec::new())
    }
}

impl Caller {
    async fn list(&self, call: &Call) -> Result<Vec<Bytes>> {
        let scope = Scope::of("conversations").in_tenant(&call.user);
        let Some(rows) = &self.rows else { return self.list_files(&scope, call.work).await };
        let mut query =
            Query::of(scope).sort("-created_at").limit(LISTED).fields("id,title,created_at,updated_at");
        if call.work == Work::Filtered {
            query = query.filter(Filter::Like { field: "title".to_owned(), pattern: format!("%{WORD}%") });
        }
        Ok(rows.query(&query).await?.items.into_iter().map(|item| item.body).collect())
    }

    /// Where nothing answers queries: every document of the user is read, as an app on files does.
    async fn list_files(&self, scope: &Scope, work: Work) -> Result<Vec<Bytes>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.list(scope, after.as_ref(), 256).await?;
            for meta in page.items {
                let Some(document) = self.store.get(&meta.key).await? else { continue };
                let value: Value = serde_json::from_slice(&document.body)?;
                let title = value.get("title").and_then(Value::as_str).unwrap_or("New Conversation");
                if work == Work::Newest || title.contains(WORD) {
                    let created = value.get("created_at").and_then(Value::as_str).unwrap_or_default();
                    let body = serde_json::json!({"id": value.get("id"), "title": title, "created_at": created,
                        "updated_at": value.get("updated_at")});
                    found.push((created.to_owned(), Bytes::from(body.to_string())));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        found.sort_by(|one, other| other.0.cmp(&one.0));
        Ok(found.into_iter().take(LISTED).map(|(_, body)| body).collect())
    }
}

fn read(text: &str) -> Result<(Arc<Model>, Arc<Plan>)> {
    let shown = |problems: Vec<repot_model::language::Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let model = parse(text, "repot.toml", &|_| None).map_err(|all| anyhow::anyhow!(shown(all)))?;
    let plan = Plan::compile(&model).map_err(|all| anyhow::anyhow!(shown(all))).context("the model")?;
    Ok((Arc::new(model), Arc::new(plan)))
}
