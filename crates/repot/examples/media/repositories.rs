//! The media app's repositories: media, processing jobs with their state machine, the queue. The app is synchronous.

use std::fmt;

use repot::blocking::{Collection, Repository};
use repot::{Entity, Error, Filters, Id, Result, Shared, Stored};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A movie, a series or an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Media {
    pub(crate) id: i64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) service: String,
    pub(crate) external_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<i64>,
    pub(crate) title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) year: Option<i64>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Queued,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    /// The word in the document.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A processing job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) media_id: i64,
    pub(crate) status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A job that waits for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueItem {
    pub(crate) id: i64,
    pub(crate) job_id: i64,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Value>,
}

macro_rules! entity {
    ($kind:ty, $collection:literal) => {
        impl Entity for $kind {
            const COLLECTION: &'static str = $collection;
            type Reach = Shared;

            fn id(&self) -> Id {
                self.id.into()
            }
        }
    };
}

entity!(Media, "media");
entity!(Job, "jobs");
entity!(QueueItem, "queue");

/// Movies, series and episodes.
#[derive(Debug)]
pub(crate) struct MediaRepository(pub(crate) Collection<Media>);

impl Repository<Media> for MediaRepository {
    fn documents(&self) -> &Collection<Media> {
        &self.0
    }
}

impl MediaRepository {
    /// The one that the other service knows by this id.
    pub(crate) fn get_by_external_id(
        &self,
        service: &str,
        external_id: &str,
    ) -> Result<Option<Stored<Media>>> {
        let wanted = Filters::all().eq("service", service).eq("external_id", external_id);
        Ok(self.get_all(&wanted, 1, 0)?.pop())
    }
}

/// What can go wrong when a job goes on.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The state machine has no such step.
    NotAllowed { from: Status, to: Status },
    /// The repository failed, or there is no such job.
    Repository(Error),
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        Self::Repository(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { from, to } => {
                write!(f, "a job that is {} cannot become {}", from.word(), to.word())
            }
            Self::Repository(error) => error.fmt(f),
        }
    }
}

/// Processing jobs.
#[derive(Debug)]
pub(crate) struct JobRepository(pub(crate) Collection<Job>);

impl Repository<Job> for JobRepository {
    fn documents(&self) -> &Collection<Job> {
        &self.0
    }
}

impl JobRepository {
    /// Those that wait, oldest first.
    pub(crate) fn get_pending_jobs(&self, limit: usize) -> Result<Vec<Stored<Job>>> {
        let waiting = Filters::all().eq("status", "queued").ascending("created_at").ascending("id");
        self.get_all(&waiting, limit, 0)
    }

    /// Brings a job from the state it is in to another, if the model has such a step. Of two that try at once, the
    /// second is judged by what the first one left.
    pub(crate) fn set_status(&self, id: i64, to: Status) -> Result<Stored<Job>, JobError> {
        self.0.edit(id, |job| {
            if !self.0.allows("status", job.status.word(), to.word()) {
                return Err(JobError::NotAllowed { from: job.status, to });
            }
            job.status = to;
            Ok(())
        })
    }

    /// Ends a job with its reason.
    pub(crate) fn fail(&self, id: i64, reason: &str) -> Result<Stored<Job>, JobError> {
        self.0.edit(id, |job| {
            if !self.0.allows("status", job.status.word(), Status::Failed.word()) {
                return Err(JobError::NotAllowed { from: job.status, to: Status::Failed });
            }
            job.status = Status::Failed;
            job.error = Some(reason.to_owned());
            Ok(())
        })
    }
}

/// What waits for a worker.
#[derive(Debug)]
pub(crate) struct QueueRepository(pub(crate) Collection<QueueItem>);

impl Repository<QueueItem> for QueueRepository {
    fn documents(&self) -> &Collection<QueueItem> {
        &self.0
    }
}

impl QueueRepository {
    /// The next one: of the highest priority, the first.
    pub(crate) fn next(&self) -> Result<Option<Stored<QueueItem>>> {
        Ok(self.get_all(&Filters::all().descending("priority").ascending("id"), 1, 0)?.pop())
    }
}
