//! What a [`RowStore`] knows of the objects that others write in the store it was copied from.

use async_trait::async_trait;
use repot_core::moving::CopyInto;
use repot_core::store::{
    Fact, FactChange, FactValue, Ledger as _, Receipt, Store as _, UNIT_FACTS_MAX, UnitOfWork,
    check_fact_name,
};
use repot_core::{Result, Status};

use super::desk::Desk;
use super::row_store::{LEADS, RowStore};
use crate::moving::{Known, ObjectState, Sight};

/// Kind of the facts about what was seen; the name is the path.
const SEEN: &str = "seen";
/// By how much the clocks of those who write into one database may differ, milliseconds.
const CLOCKS_MS: i64 = 60_000;

impl RowStore {
    /// Forgets what was seen of the store that was followed: for when it is followed no more.
    ///
    /// # Errors
    /// When the database is out of reach; some of it may be forgotten.
    pub async fn forget_seen(&self) -> Result<()> {
        loop {
            let facts = self.facts(SEEN, None, UNIT_FACTS_MAX).await?;
            if facts.is_empty() {
                return Ok(());
            }
            let gone = facts.iter().map(|fact| FactChange::remove(SEEN, &fact.name)).collect();
            self.apply(UnitOfWork { facts: gone, ..UnitOfWork::default() }).await?;
        }
    }
}

#[async_trait]
impl CopyInto for RowStore {
    async fn copy_in(&self, work: UnitOfWork) -> Result<Receipt> {
        self.submit_copies(work).await
    }
}

#[async_trait]
impl Known for RowStore {
    async fn recorded(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Option<ObjectState>)>> {
        let after = after.map(str::to_owned);
        self.read(move |desk, _| recorded(desk, after, most)).await
    }

    async fn held(&self, path: &str) -> Result<Vec<(String, String)>> {
        let path = path.to_owned();
        self.read(move |desk, _| {
            let mut held = Vec::new();
            let reader = desk.reader();
            if let Some(object) = reader.object(&path)? {
                reader.documents(&[object.id], &mut |document| {
                    let record = document.record;
                    held.extend(record.key.map(|key| (record.collection, key)));
                    Ok(())
                })?;
            }
            Ok(held)
        })
        .await
    }

    async fn seen(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Sight)>> {
        let mut seen: Vec<(String, Sight)> = Vec::new();
        let mut after = after.map(str::to_owned);
        while seen.len() < most {
            if after.as_deref().is_some_and(|after| !is_notable(after)) {
                // a folder's path, below which nothing can have been noted
                break;
            }
            let facts = self.facts(SEEN, after.as_deref(), most - seen.len()).await?;
            let Some(last) = facts.last() else { break };
            after = Some(last.name.clone());
            seen.extend(facts.iter().filter_map(|fact| Some((fact.name.clone(), sight(fact)?))));
        }
        Ok(seen)
    }

    async fn followed(&self, path: &str) -> Result<Option<ObjectState>> {
        if !is_notable(path) {
            return Ok(None);
        }
        if let Some(fact) = self.fact(SEEN, path).await? {
            return Ok(sight(&fact).filter(|sight| sight.again_ms.is_none()).map(|sight| sight.state));
        }
        let path = path.to_owned();
        self.read(move |desk, _| {
            let since_ms = desk.reader().meta(LEADS)?.map(|since| since.parse().unwrap_or(0));
            let record = desk.reader().object(&path)?.map(|object| object.record);
            let state = record.map(|record| ObjectState {
                size_bytes: record.size,
                modified_ns: record.modified_ns,
                etag: record.etag,
            });
            Ok(state.filter(|state| !is_ours(state, since_ms)))
        })
        .await
    }

    async fn note(&self, sights: &[(String, Option<Sight>)]) -> Result<()> {
        let mut facts = sights.iter().filter(|(path, _)| is_notable(path)).map(|(path, sight)| match sight {
            Some(sight) => FactChange::put(SEEN, path, FactValue::lasting(sight.encode())),
            None => FactChange::remove(SEEN, path),
        });
        loop {
            let facts: Vec<FactChange> = facts.by_ref().take(UNIT_FACTS_MAX).collect();
            if facts.is_empty() {
                return Ok(());
            }
            self.apply(UnitOfWork { facts, ..UnitOfWork::default() }).await?;
        }
    }
}

fn recorded(
    desk: &mut Desk<'_, '_>,
    mut after: Option<String>,
    most: usize,
) -> Result<Vec<(String, Option<ObjectState>)>> {
    let since_ms = desk.reader().meta(LEADS)?.map(|since| since.parse().unwrap_or(0));
    let mut found = Vec::new();
    while found.len() < most {
        let wanted = most - found.len();
        let objects = desk.objects(after.as_deref(), wanted)?;
        let ends = objects.len() < wanted;
        after = objects.last().map(|object| object.record.path.clone());
        // the others have no documents, and their paths may be of what is no object
        let held = objects.into_iter().map(|object| object.record);
        let held = held.filter(|record| matches!(record.status, Status::Moved | Status::SetAside));
        found.extend(held.map(|record| {
            let (size_bytes, modified_ns, etag) = (record.size, record.modified_ns, record.etag);
            let state = ObjectState { size_bytes, modified_ns, etag };
            (record.path, (!is_ours(&state, since_ms)).then_some(state))
        }));
        if ends {
            break;
        }
    }
    Ok(found)
}

fn is_notable(path: &str) -> bool {
    check_fact_name(SEEN, path).is_ok()
}

fn sight(fact: &Fact) -> Option<Sight> {
    Sight::decode(std::str::from_utf8(&fact.value).ok()?)
}

/// Whether a record may be of a text that was written in the database: it then has the time of that write, in whole
/// milliseconds, which is no time of an object.
fn is_ours(state: &ObjectState, leads_since_ms: Option<i64>) -> bool {
    state.etag.is_none()
        && leads_since_ms.is_some_and(|since_ms| {
            let whole_ms = state.modified_ns % 1_000_000 == 0;
            whole_ms && state.modified_ns / 1_000_000 >= since_ms.saturating_sub(CLOCKS_MS)
        })
}
