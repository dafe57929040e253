//! One empty store of each kind.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use repot::{Config, FixedClock};
use repot_s3lab::S3Lab;
use repot_testkit::TempTree;
use repot_testkit::postgres::postgres;

/// 2023-11-14T22:13:20Z.
const NOW_MS: i64 = 1_700_000_000_000;

/// The model of an app.
pub(crate) fn model(app: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(app).join("repot.toml");
    std::fs::read_to_string(path).unwrap()
}

/// A config, and what must live as long as the store.
pub(crate) struct Fresh {
    pub(crate) name: &'static str,
    pub(crate) config: Config,
    pub(crate) keep: Box<dyn Any>,
}

fn fresh(name: &'static str, url: &str, model: &str, keep: impl Any) -> Fresh {
    let mut config = Config::with_model_text(url, model);
    config.clock = Arc::new(FixedClock(NOW_MS));
    Fresh { name, config, keep: Box::new(keep) }
}

/// Documents as files.
pub(crate) fn directory(model: &str, folder: TempTree) -> Fresh {
    let url = folder.path().display().to_string();
    fresh("directory", &url, model, folder)
}

/// A new SQLite file.
pub(crate) fn sqlite(model: &str) -> Fresh {
    let folder = TempTree::new();
    let url = format!("sqlite:////{}", folder.join("app.db").display().to_string().trim_start_matches('/'));
    fresh("SQLite", &url, model, folder)
}

fn bucket(model: &str) -> Fresh {
    let lab = S3Lab::start();
    let mut made = fresh("bucket", &format!("s3://{}/app", lab.bucket()), model, ());
    let variables = [
        ("AWS_ACCESS_KEY_ID", lab.access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", lab.secret_key().to_owned()),
        ("REPOT_SOURCE_ENDPOINT", lab.endpoint().to_owned()),
    ];
    made.config.variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    made.keep = Box::new(lab);
    made
}

/// Every kind of store; PostgreSQL where there is a server.
pub(crate) fn all(model: &str) -> Vec<Fresh> {
    let mut made = vec![
        fresh("memory", "memory:", model, ()),
        directory(model, TempTree::new()),
        bucket(model),
        sqlite(model),
    ];
    if let Some(server) = postgres() {
        let url = server.fresh_database();
        made.push(fresh("PostgreSQL", &url, model, server));
    }
    made
}

/// Runs it to its end.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}
