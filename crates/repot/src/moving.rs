//! Documents that are changing store: this process's part in that (docs/protocol.md). A database in which a move is on its
//! way is never opened without it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use repot_bucket::{DirectoryObjects, DirectoryWatch, S3Objects};
use repot_core::moving::{Hints, Outsiders};
use repot_core::store::{BucketStore, Layout, Objects, Queryable};
use repot_core::{Error as Cause, Kind, Pacing as _};
use repot_engine::TokioPacing;
use repot_engine::moving::{
    Beside, CleanUp, FollowOptions, Followed, Follower, Journal, Moving, MovingOptions, Running, Sides,
};
use repot_engine::store::{RowHints, RowObjects, RowStore};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::open::{Repot, postgres, source_rows, sqlite};
use crate::place::{Place, s3_config};
use crate::{Error, Result};

/// What stands beside the documents of the old store.
const BESIDE: &str = ".repot/";

/// A process's part in a move; its work ends when this is dropped.
pub struct Move {
    moving: Arc<Moving>,
    follower: Arc<Follower>,
    work: Mutex<Option<Work>>,
}

/// What goes on all the time.
struct Work {
    following: JoinHandle<()>,
    running: Running,
}

impl Drop for Move {
    fn drop(&mut self) {
        if let Some(work) = self.work.get_mut().unwrap_or_else(PoisonError::into_inner) {
            work.following.abort();
        }
    }
}

impl fmt::Debug for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Move").field("moving", &self.moving).finish_non_exhaustive()
    }
}

impl Move {
    /// The move itself.
    #[must_use]
    pub const fn moving(&self) -> &Arc<Moving> {
        &self.moving
    }

    /// What finds changes of others in the old store; it does so by itself where [`Config::follows`] says so.
    #[must_use]
    pub const fn follower(&self) -> &Arc<Follower> {
        &self.follower
    }

    /// Ends this process's part, so that nobody waits for it.
    ///
    /// # Errors
    /// When the database is out of reach: then others wait until this process's lease is over, for a few seconds.
    pub async fn leave(&self) -> Result<()> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Work { following, running }) = work else { return Ok(()) };
        following.abort();
        Ok(running.stop().await?)
    }

    /// Takes part in the move that is on its way in this database; `None`: there is none.
    pub(crate) async fn join(config: &Config, rows: &Arc<RowStore>, layout: &Layout) -> Result<Option<Self>> {
        let journal = Journal::new(Arc::clone(rows) as _, Arc::clone(&config.clock));
        if !config.begins_move && journal.control().await?.is_none() {
            return Ok(None);
        }
        let Source { objects, hints, outsiders, database } = opened(config, layout).await?;
        objects.probe().await?;
        let pacing = Arc::new(TokioPacing);
        let old = BucketStore::new(Arc::clone(&objects), layout.clone(), config.document_bytes_max);
        let old = Arc::new(old.with_clock(Arc::clone(&config.clock)));
        let layout = Arc::new(layout.clone());
        let sides = Sides {
            old: Arc::clone(&old) as _,
            into_old: Arc::clone(&old) as _,
            announcing_old: old,
            beside: Beside::new(Arc::clone(&objects), BESIDE),
            outsiders,
            old_database: database,
            new: Arc::clone(rows) as _,
            into_new: Arc::clone(rows) as _,
            known: Arc::clone(rows) as _,
            layout: Arc::clone(&layout),
        };
        let id = format!("{}-{:08x}", std::process::id(), pacing.random() >> 32);
        let outside = (Arc::clone(&config.clock), Arc::clone(&pacing) as _);
        let options = MovingOptions::default();
        let moving = Moving::new(sides, outside, options, &id);
        let moving = Arc::new(if config.follows { moving } else { moving.brief() });
        if journal.control().await?.is_some() {
            moving.check_origin().await?;
        }
        if config.begins_move {
            // what is written from now on is in the log after this
            moving.begin("following").await?;
        }
        let with = Followed {
            objects,
            layout,
            known: Arc::clone(rows) as _,
            marks: Arc::clone(&moving) as _,
            hints,
            clock: Arc::clone(&config.clock),
            pacing,
        };
        let following = FollowOptions {
            claim_ms: options.claim_ms + options.skew_ms,
            document_bytes_max: config.document_bytes_max,
            ..FollowOptions::default()
        };
        let follower = Arc::new(Follower::new(with, following));
        let work = config.follows.then(|| {
            let (own, goes) = (Arc::clone(&follower), Arc::clone(&moving));
            let following = tokio::spawn(async move { own.run(goes.finished()).await });
            Work { following, running: Running::start(&moving) }
        });
        Ok(Some(Self { moving, follower, work: Mutex::new(work) }))
    }
}

impl Repot {
    /// What removes the source of a move that was finished in this database, once somebody asks for it. It removes nothing by
    /// itself.
    ///
    /// # Errors
    /// `R0741` where the documents are in no database; when the source is out of reach.
    pub async fn clean_up(&self, config: &Config) -> Result<CleanUp> {
        let Some(rows) = &self.inside.rows else {
            return Err(Cause::new(
                Kind::Refused,
                "R0741",
                "documents that are in no database were not moved",
            )
            .hint("Name the database that they were moved into (DATABASE_URL).")
            .into());
        };
        let Source { objects, .. } = opened(config, &self.inside.layout).await?;
        objects.probe().await?;
        Ok(CleanUp {
            objects,
            beside: BESIDE.to_owned(),
            journal: Journal::new(Arc::clone(rows) as _, Arc::clone(&config.clock)),
            known: Arc::clone(rows) as _,
            clock: Arc::clone(&config.clock),
            bytes_max: config.document_bytes_max,
        })
    }
}

/// The old store, what tells of changes in it at once, and who writes it beside the move.
struct Source {
    objects: Arc<dyn Objects>,
    hints: Option<Arc<dyn Hints>>,
    outsiders: Option<Arc<dyn Outsiders>>,
    database: Option<Arc<dyn Queryable>>,
}

impl Source {
    /// Who writes it cannot be helped.
    fn of(objects: Arc<dyn Objects>, hints: Option<Arc<dyn Hints>>) -> Self {
        Self { objects, hints, outsiders: None, database: None }
    }

    fn of_rows(rows: Arc<RowStore>) -> Self {
        let hints = Arc::new(RowHints::new(Arc::clone(&rows), Arc::new(TokioPacing)));
        let objects = Arc::new(RowObjects::new(Arc::clone(&rows), Arc::new(TokioPacing)));
        Self {
            objects: Arc::clone(&objects) as _,
            hints: Some(hints),
            outsiders: Some(objects),
            database: Some(rows),
        }
    }
}

/// Files and databases are opened by calls that block.
async fn opened(config: &Config, layout: &Layout) -> Result<Source> {
    let (config, layout) = (config.clone(), layout.clone());
    let opened = tokio::task::spawn_blocking(move || source(&config, &layout)).await;
    opened.map_err(|error| {
        Cause::new(Kind::Internal, "R0901", "the opening of the old store ended early").cause(error)
    })?
}

/// Opens what the documents come from.
fn source(config: &Config, layout: &Layout) -> Result<Source> {
    let settings = &layout.model().settings;
    let named = config.source.clone().or_else(|| settings.source.as_ref().map(|source| source.value.clone()));
    let named = named.unwrap_or_else(|| "./data".to_owned());
    match Place::parse(&named, &config.directory)? {
        Place::Directory(path) => {
            let objects = Arc::new(DirectoryObjects::open(&path)?);
            let hints = if config.follows { watch(&path) } else { None };
            Ok(Source::of(objects, hints))
        }
        Place::Bucket { bucket, prefix } => {
            let settings = s3_config(&bucket, &prefix, &|name: &str| config.variables.get(name).cloned())?;
            Ok(Source::of(Arc::new(S3Objects::open(settings)?), None))
        }
        Place::Sqlite(file) => Ok(Source::of_rows(source_rows(config, layout, sqlite(config, &file)?)?)),
        Place::Postgres(url) => Ok(Source::of_rows(source_rows(config, layout, postgres(config, &url)?)?)),
        Place::Memory => {
            let message = "documents in memory go with the process that holds them";
            Err(Error::from(
                Cause::new(Kind::Unsupported, "R0105", message)
                    .hint("Name what the documents come from: REPOT_SOURCE, or `source` in the model."),
            ))
        }
    }
}

/// Scans find everything; where a directory cannot be watched, they find it later.
fn watch(path: &Path) -> Option<Arc<dyn Hints>> {
    DirectoryWatch::open(path).ok().map(|watch| Arc::new(watch) as _)
}
