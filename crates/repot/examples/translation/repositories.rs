//! The translation app's repositories: sessions, their files, their jobs, their batches.
//!
//! Keys of sessions and files are made by Repot, so the app names both by what it knows: the sender, and where in the
//! sender's tree they stand.

use std::sync::Arc;

use repot::{
    Collection, DocumentKey, Entity, Error, Filters, Id, Repot, Result, Shared, Store, StoreExt as _,
};
use serde::{Deserialize, Serialize};

/// Documents listed at once.
const LISTED_AT_ONCE: usize = 256;

/// A session, as it stands in `metadata.json`; whose it is, the path says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) jobs: Vec<Job>,
}

/// A translation job of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) source_locale: String,
    pub(crate) target_locale: String,
    pub(crate) status: String,
}

impl Job {
    pub(crate) fn new(id: &str, source: &str, target: &str) -> Self {
        Self {
            id: id.to_owned(),
            source_locale: source.to_owned(),
            target_locale: target.to_owned(),
            status: "queued".to_owned(),
        }
    }
}

/// A batch, as it stands in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) openai_batch_id: Option<String>,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) requests: u64,
}

impl Batch {
    pub(crate) fn pending() -> Self {
        Self { openai_batch_id: None, status: "pending".to_owned(), requests: 0 }
    }
}

impl Entity for Session {
    const COLLECTION: &'static str = "sessions";
    type Reach = Shared;

    fn id(&self) -> Id {
        Id::outside()
    }
}

impl Entity for Batch {
    const COLLECTION: &'static str = "batches";
    type Reach = Shared;

    fn id(&self) -> Id {
        Id::outside()
    }
}

/// Where the session of an upload is.
fn session(sender_id: &str) -> Id {
    Id::at([("sender_id", sender_id)])
}

fn batch(sender_id: &str, batch_id: &str) -> Id {
    Id::at([("sender_id", sender_id), ("batch_id", batch_id)])
}

/// Sessions.
pub(crate) struct SessionRepository(Collection<Session>);

impl SessionRepository {
    pub(crate) fn new(repot: &Repot) -> Self {
        Self(repot.collection())
    }

    pub(crate) async fn create_session(&self, sender_id: &str) -> Result<Session> {
        let new = Session { status: Some("active".to_owned()), ..Session::default() };
        Ok(self.0.create_at(session(sender_id), new).await?.into_inner())
    }

    pub(crate) async fn get_session(&self, sender_id: &str) -> Result<Option<Session>> {
        Ok(self.0.get(session(sender_id)).await?.map(repot::Stored::into_inner))
    }

    pub(crate) async fn update_session(&self, sender_id: &str, status: &str) -> Result<Session> {
        let changed = self.0.edit(session(sender_id), |session| {
            session.status = Some(status.to_owned());
            Ok::<_, Error>(())
        });
        Ok(changed.await?.into_inner())
    }

    /// In a database its files and batches go with it.
    pub(crate) async fn delete_session(&self, sender_id: &str) -> Result<bool> {
        self.0.delete(session(sender_id)).await
    }

    pub(crate) async fn list_sessions(&self, filters: &Filters) -> Result<Vec<Session>> {
        let found = self.0.find(filters, 100, 0).await?;
        Ok(found.into_iter().map(repot::Stored::into_inner).collect())
    }

    /// What other tables call the session.
    pub(crate) fn session_id(&self, sender_id: &str) -> Result<String> {
        Ok(self.0.key_text(session(sender_id))?.unwrap_or_default())
    }
}

/// A file of a session: markdown, JSON or whatever was uploaded, byte for byte.
pub(crate) struct File<'a> {
    pub(crate) file_type: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) locale: &'a str,
    pub(crate) relative_path: &'a str,
    pub(crate) content: &'a str,
}

impl File<'_> {
    fn key(&self, sender_id: &str) -> DocumentKey {
        let place = [
            ("sender_id", sender_id),
            ("file_type", self.file_type),
            ("locale", self.locale),
            ("content_type", self.content_type),
            ("relative_path", self.relative_path),
        ];
        DocumentKey::at("files", &place)
    }
}

/// Files: bodies that are no JSON, so they go through the store itself.
pub(crate) struct FileRepository(Arc<dyn Store>);

impl FileRepository {
    pub(crate) fn new(repot: &Repot) -> Self {
        Self(repot.store())
    }

    pub(crate) async fn save_file(&self, sender_id: &str, file: &File<'_>) -> Result<()> {
        self.0.put(&file.key(sender_id), file.content.to_owned()).await?;
        Ok(())
    }

    pub(crate) async fn get_file(&self, sender_id: &str, file: &File<'_>) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&file.key(sender_id)).await?.map(|document| document.body.to_vec()))
    }

    /// Their paths within the session.
    pub(crate) async fn get_files_by_session(
        &self,
        sender_id: &str,
        locale: Option<&str>,
    ) -> Result<Vec<String>> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.0.list(&repot::Scope::of("files"), after.as_ref(), LISTED_AT_ONCE).await?;
            for item in page.items {
                let field = |name: &str| {
                    let place = item.key.place().unwrap_or_default();
                    place.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
                };
                let asked = locale.is_none() || field("locale") == locale;
                if field("sender_id") == Some(sender_id) && asked {
                    found.extend(field("relative_path").map(str::to_owned));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    pub(crate) async fn delete_file(&self, sender_id: &str, file: &File<'_>) -> Result<bool> {
        Ok(self.0.delete(&file.key(sender_id), repot::Precondition::Any).await?)
    }

    /// The file must be there.
    pub(crate) async fn update_file_content(
        &self,
        sender_id: &str,
        file: &File<'_>,
        content: &str,
    ) -> Result<()> {
        let key = file.key(sender_id);
        let etag = self.0.require(&key).await?.etag;
        self.0.replace(&key, content.to_owned(), &etag).await?;
        Ok(())
    }
}

/// Jobs: rows within a session.
pub(crate) struct JobRepository(Collection<Session>);

impl JobRepository {
    pub(crate) fn new(repot: &Repot) -> Self {
        Self(repot.collection())
    }

    /// An append: whoever else adds a job meanwhile, both are there after it.
    pub(crate) async fn create_job(&self, sender_id: &str, job: &Job) -> Result<()> {
        self.0.append(session(sender_id), "/jobs", job).await?;
        Ok(())
    }

    pub(crate) async fn get_job(&self, sender_id: &str, job_id: &str) -> Result<Option<Job>> {
        Ok(self.list_jobs(sender_id).await?.into_iter().find(|job| job.id == job_id))
    }

    /// Whether there is such a job.
    pub(crate) async fn update_job(&self, sender_id: &str, job_id: &str, status: &str) -> Result<bool> {
        let mut found = false;
        let changed = self.0.edit(session(sender_id), |session| {
            let job = session.jobs.iter_mut().find(|job| job.id == job_id);
            found = job.is_some();
            if let Some(job) = job {
                status.clone_into(&mut job.status);
            }
            Ok::<_, Error>(())
        });
        changed.await?;
        Ok(found)
    }

    pub(crate) async fn list_jobs(&self, sender_id: &str) -> Result<Vec<Job>> {
        let found = self.0.get(session(sender_id)).await?;
        Ok(found.map(|session| session.into_inner().jobs).unwrap_or_default())
    }
}

/// Batches.
pub(crate) struct BatchRepository(Collection<Batch>);

impl BatchRepository {
    pub(crate) fn new(repot: &Repot) -> Self {
        Self(repot.collection())
    }

    pub(crate) async fn create_batch(&self, sender_id: &str, batch_id: &str, new: Batch) -> Result<()> {
        self.0.create_at(batch(sender_id, batch_id), new).await?;
        Ok(())
    }

    pub(crate) async fn get_batch(&self, sender_id: &str, batch_id: &str) -> Result<Option<Batch>> {
        Ok(self.0.get(batch(sender_id, batch_id)).await?.map(repot::Stored::into_inner))
    }

    pub(crate) async fn update_batch_status(
        &self,
        sender_id: &str,
        batch_id: &str,
        status: &str,
    ) -> Result<()> {
        self.edit(sender_id, batch_id, |batch| status.clone_into(&mut batch.status)).await
    }

    pub(crate) async fn update_batch_progress(
        &self,
        sender_id: &str,
        batch_id: &str,
        requests: u64,
    ) -> Result<()> {
        self.edit(sender_id, batch_id, |batch| batch.requests = requests).await
    }

    async fn edit(
        &self,
        sender_id: &str,
        batch_id: &str,
        mut change: impl FnMut(&mut Batch) + Send,
    ) -> Result<()> {
        let changed = self.0.edit(batch(sender_id, batch_id), |batch| {
            change(batch);
            Ok::<_, Error>(())
        });
        changed.await?;
        Ok(())
    }

    pub(crate) async fn delete_batch(&self, sender_id: &str, batch_id: &str) -> Result<bool> {
        self.0.delete(batch(sender_id, batch_id)).await
    }
}
