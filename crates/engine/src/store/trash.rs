//! Deleted documents that can be had back: what a delete keeps, and the way back.

use async_trait::async_trait;
use repot_core::store::{
    Cursor, Deleted, DeletedPage, DocumentKey, ETag, FactChange, Layout, Precondition, Scope, Trash,
    Whereabouts, Within, Write, Written,
};
use repot_core::{Error, Kind, Object, Result, TrashName, TrashWanted, Trashed};

use super::clerk::named;
use super::desk::{Desk, Found};
use super::finding::Sought;
use super::following::Follower;
use super::hand::{Hand, before, mark};
use super::jobs::{Job, Restored};
use super::row_store::RowStore;
use super::within::{Files, Inside};
use super::writing::Unit;

/// Deleted documents that go for good in one transaction.
const PURGED_AT_ONCE: usize = 1_000;

impl Hand<'_, '_, '_> {
    /// What is kept of a document that is deleted; `None` when its collection keeps nothing, or SQL deleted it before.
    pub(super) fn trashed(&mut self, key: &DocumentKey, found: &Found) -> Result<Option<Trashed>> {
        let layout = self.decider.layout;
        let life = layout.soft_delete(key.collection()).filter(|_| found.etag.is_some());
        let Some(life) = life else { return Ok(None) };
        let id = match found.document().and_then(|record| record.key.clone()) {
            Some(id) => Some(id),
            // no row says it
            None => layout.id_of(key)?,
        };
        let own = named(key, id.as_deref());
        let path = &found.whole.object.record.path;
        self.kept(&own, path, &found.assembled.bytes, life).map(Some)
    }

    /// What is kept of a document that goes with another: as long as that one, or as its own collection says.
    pub(super) fn discard(&mut self, follower: &Follower, writes: &[Write]) -> Result<Option<Trashed>> {
        let life = self.life((follower.origin, follower.key.collection()), writes);
        let Some(life) = life.filter(|_| follower.removed) else { return Ok(None) };
        let text = &follower.before.assembled.bytes;
        self.kept(&follower.key, &follower.item.object.path, text, life).map(Some)
    }

    /// How long a document of this collection is kept that goes with this write, seconds.
    pub(super) fn life(&self, (origin, collection): (usize, &str), writes: &[Write]) -> Option<u64> {
        let layout = self.decider.layout;
        let leads = match writes.get(origin) {
            Some(Write::Delete { key, .. }) => layout.soft_delete(key.collection()),
            _ => None,
        };
        leads.or_else(|| layout.soft_delete(collection))
    }

    pub(super) fn kept(
        &mut self,
        key: &DocumentKey,
        path: &str,
        text: &[u8],
        life_s: u64,
    ) -> Result<Trashed> {
        let (dictionary, packed) = self.preparer.packed(key.collection(), text)?;
        let life_ms = i64::try_from(life_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Ok(Trashed {
            id: 0,
            unit: 0,
            collection: key.collection().to_owned(),
            tenant: key.tenant().map(str::to_owned),
            key: key.text().to_owned(),
            path: path.to_owned(),
            dictionary,
            size: text.len() as u64,
            text: packed,
            deleted_ms: self.decider.now_ms,
            purge_ms: self.decider.now_ms.saturating_add(life_ms),
        })
    }

    /// Puts deleted documents back, as they were.
    pub(super) fn restore(&mut self, restored: &[Restored]) -> Result<Unit> {
        let (mut unit, mut files) = (Unit::default(), Files::default());
        let there = match restored.first() {
            Some(first) => self.desk.trash(&TrashWanted::Unit(first.unit))?,
            None => Vec::new(),
        };
        for one in restored {
            if !there.iter().any(|kept| kept.id == one.id) {
                return Err(nothing_kept(&one.key));
            }
            if let Some(within) = self.decider.layout.within(&one.key)? {
                self.restore_within(one, within, (&mut files, &mut unit))?;
                continue;
            }
            let found = self.desk.at(&one.path)?;
            let (collection, text) = (one.key.collection(), one.key.text());
            let stamp = match &found {
                Some(found) => found.stamp,
                None => self.desk.stamp(collection, text)?,
            };
            let apart = found.as_ref().is_none_or(|found| found.moved);
            if apart && stamp != 0 && self.settle_first(collection, text) {
                continue;
            }
            let current = found.as_ref().and_then(|found| found.etag.as_ref());
            Precondition::Absent.check(&one.key, current)?;
            let modified_ns = self.decider.now_ms.saturating_mul(1_000_000);
            let size = one.body.len() as u64;
            let object = Object { path: one.path.clone(), size, modified_ns, etag: None };
            let item = self.preparer.item(&object, &one.body, found.map(before).as_ref())?;
            if let Some(document) = item.documents.first() {
                self.restored_on_record(&one.key, (&one.body, document))?;
            }
            let etag = item.documents.first().map(|document| ETag::new(&document.etag));
            unit.receipt.written.extend(etag.map(Written::Put));
            unit.items.push(item);
            unit.marks.push(mark(&one.key, stamp));
            unit.untrash.push(one.id);
            unit.restored.push(one.id);
        }
        let (items, marks) = files.finish(self)?;
        unit.items.extend(items.into_iter().map(|(_, item)| item));
        unit.marks.extend(marks);
        Ok(unit)
    }

    /// Puts a document back among the others in its file.
    fn restore_within(
        &mut self,
        one: &Restored,
        within: Within,
        (files, unit): (&mut Files, &mut Unit),
    ) -> Result<()> {
        let (collection, id) = (one.key.collection(), within.id.clone());
        let (found, stamp) = match self.desk.find_within(self.decider.layout, &one.key, &within)? {
            Sought::There(found) => {
                let stamp = found.stamp;
                (Some(*found), stamp)
            }
            Sought::Nothing(stamp) => (None, stamp),
            Sought::Unsettled => {
                self.settle_first(collection, &id);
                return Ok(());
            }
        };
        let current = found.as_ref().and_then(|found| found.etag.as_ref());
        Precondition::Absent.check(&one.key, current)?;
        let path = found.as_ref().map_or(one.path.clone(), |found| found.whole.object.record.path.clone());
        self.restored_within_on_record(&one.key, found.as_ref(), &one.body)?;
        let inside = Inside { origin: 0, key: &one.key, within, found, old: None, path };
        unit.receipt.written.push(files.write(self, inside, Some(one.body.clone()))?);
        unit.marks.push(repot_core::Mark { collection: collection.to_owned(), key: id, stamp });
        unit.untrash.push(one.id);
        unit.restored.push(one.id);
        Ok(())
    }

    /// Removes deleted documents for good.
    pub(super) fn purge(&mut self, now_ms: i64, most: usize) -> Result<Unit> {
        let due = self.desk.trash(&TrashWanted::Due { now_ms, most })?;
        let mut unit = Unit::default();
        for one in due {
            unit.receipt.written.push(Written::Deleted);
            unit.untrash.push(one.id);
            self.purged_on_record(&key_of(&one))?;
        }
        Ok(unit)
    }
}

/// The deleted documents that come back when this one does, the first one first.
fn together(desk: &mut Desk<'_, '_>, wanted: &Wanted, now_ms: i64) -> Result<Vec<Restored>> {
    let Some(last) = wanted.find(desk, now_ms)? else { return Ok(Vec::new()) };
    let mut kept = desk.trash(&TrashWanted::Unit(last.unit))?;
    kept.retain(|one| last.id == last.unit || one.id == last.id);
    let mut restored = Vec::with_capacity(kept.len());
    for one in kept {
        let body = desk.unpack(&one)?.into();
        restored.push(Restored { id: one.id, unit: one.unit, key: key_of(&one), path: one.path, body });
    }
    Ok(restored)
}

fn key_of(kept: &Trashed) -> DocumentKey {
    DocumentKey::of_record((&kept.collection, kept.tenant.as_deref()), &kept.key)
}

fn deleted(kept: &Trashed) -> Deleted {
    Deleted { key: key_of(kept), deleted_ms: kept.deleted_ms, until_ms: kept.purge_ms, size_bytes: kept.size }
}

fn nothing_kept(key: &DocumentKey) -> Error {
    Error::new(Kind::NotFound, "R0418", format!("no deleted {key} can be had back")).hint(
        "Check the key and the tenant; the list of deleted documents shows what there is, and until when.",
    )
}

#[async_trait]
impl Trash for RowStore {
    async fn deleted(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<DeletedPage> {
        self.layout().check_scope(scope)?;
        let scope = scope.clone();
        // a mark that is none of ours goes on after everything
        let mark = |cursor: &Cursor| cursor.as_str().parse().unwrap_or(i64::MAX);
        let (after, now_ms) = (after.map_or(0, mark), self.now_ms());
        let kept = self
            .read(move |desk, _| {
                let (collection, tenant) = (scope.collection.as_str(), scope.tenant.as_deref());
                desk.trash(&TrashWanted::Page { collection, tenant, after, most, now_ms })
            })
            .await?;
        let next = kept.last().filter(|_| kept.len() >= most).map(|last| Cursor::new(last.id.to_string()));
        Ok(DeletedPage { items: kept.iter().map(deleted).collect(), next })
    }

    async fn deleted_at(&self, key: &DocumentKey) -> Result<Option<Deleted>> {
        let (wanted, now_ms) = (Wanted::new(self.layout(), key)?, self.now_ms());
        self.read(move |desk, _| Ok(wanted.find(desk, now_ms)?.as_ref().map(deleted))).await
    }

    async fn restore_noting(
        &self,
        key: &DocumentKey,
        actor: Option<&str>,
        facts: Vec<FactChange>,
    ) -> Result<Vec<DocumentKey>> {
        let (wanted, now_ms) = (Wanted::new(self.layout(), key)?, self.now_ms());
        let restored = self.read(move |desk, _| together(desk, &wanted, now_ms)).await?;
        if restored.is_empty() {
            return Err(nothing_kept(key));
        }
        let keys = restored.iter().map(|one| one.key.clone()).collect();
        let actor = actor.map(str::to_owned);
        self.submit(Job::Restore { documents: restored, actor, facts }).await?;
        Ok(keys)
    }

    async fn purge(&self, now_ms: i64, most: usize) -> Result<usize> {
        let mut purged = 0;
        while purged < most {
            let now = PURGED_AT_ONCE.min(most - purged);
            let receipt = self.submit(Job::Purge { now_ms, most: now }).await?;
            purged += receipt.written.len();
            if receipt.written.len() < now {
                break;
            }
        }
        Ok(purged)
    }
}

/// A deleted document that is asked for, by its key or its place.
struct Wanted {
    key: DocumentKey,
    /// Its key as text, where that is known.
    id: Option<String>,
    /// Where it was, when its place says so.
    path: Option<String>,
}

impl Wanted {
    fn new(layout: &Layout, key: &DocumentKey) -> Result<Self> {
        let Whereabouts { paths, .. } = layout.whereabouts(key)?;
        let path = paths.into_iter().next().filter(|_| key.place().is_some());
        // a path says which document it is, unless several stand there
        let alone = path.is_some() && !layout.is_shared(key.collection());
        let id = if alone { None } else { layout.id_of(key)? };
        Ok(Self { key: key.clone(), id, path })
    }

    /// The one that was deleted last.
    fn find(&self, desk: &mut Desk<'_, '_>, now_ms: i64) -> Result<Option<Trashed>> {
        let name = match (&self.id, &self.path) {
            (Some(key), Some(path)) => TrashName::Inside { key, path },
            (None, Some(path)) => TrashName::Path(path),
            (id, None) => TrashName::Key(id.as_deref().unwrap_or(self.key.text())),
        };
        let (collection, tenant) = (self.key.collection(), self.key.tenant());
        // no database holds a NUL in a text
        if [Some(self.key.text()), tenant].into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(None);
        }
        Ok(desk.trash(&TrashWanted::Last { collection, tenant, name, now_ms })?.pop())
    }
}
