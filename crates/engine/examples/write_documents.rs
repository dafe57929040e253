//! Writes documents into a database from many tasks for ever, and prints each key when its write is acknowledged.
//! The crash test kills it: `cargo run --example write_documents URL FIRST`.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use repot_core::store::{DocumentKey, StoreExt as _};
use repot_core::{LockHolder, SystemClock, Target};
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, model};

const TASKS: u64 = 32;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or_else(|| anyhow::anyhow!("no database is named"))?;
    let first: u64 = arguments.next().unwrap_or_default().parse()?;
    let target: Box<dyn Target> = if url.starts_with("postgresql:") {
        Box::new(PostgresTarget::open(&url, PostgresOptions::default())?)
    } else {
        Box::new(SqliteTarget::open(Path::new(&url), SqliteOptions::default())?)
    };
    let options = RowStoreOptions {
        readers: 2,
        writers: 4,
        pool: PoolOptions::default(),
        document_bytes_max: DOCUMENT_BYTES_MAX,
        recent_bytes: 1 << 20,
        json: repot_json::Limits::default(),
        me: LockHolder { host: "here".to_owned(), pid: std::process::id(), since_ms: 0 },
        clock: Arc::new(SystemClock),
        changes: repot_core::change_log::ChangeRetention::default(),
    };
    let store = Arc::new(RowStore::open(target, model(), options)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let next = Arc::new(AtomicU64::new(first));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            runtime.spawn(async move {
                loop {
                    let id = format!("n{}", next.fetch_add(1, Ordering::Relaxed));
                    let text = format!(r#"{{"id": "{id}", "title": "t", "marks": [{{"word": "{id}"}}]}}"#);
                    store.create(&DocumentKey::new("notes", &id), text).await?;
                    let mut out = io::stdout().lock();
                    out.write_all(format!("{id}\n").as_bytes())?;
                    out.flush()?;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            let ended: anyhow::Result<()> = task.await?;
            ended?;
        }
        Ok(())
    })
}
