//! Reading the record of changes, and taking a change back.

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::store::{
    Change, DocumentKey, ETag, Edit, EntryId, Event, FactChange, FieldChange, History, HistoryEntry,
    HistoryPage, HistoryQuery, Layout, Moment, Precondition, Store as _, UnitOfWork, Write, Written,
};
use repot_core::{AuditFilter, AuditKind, AuditRecord, Error, Kind, PackedText, Result};
use repot_json::patch::{Lists, Merged, Pointer, merge3, resolve};
use repot_json::{Limits, Tree};

use super::clerk::{each_difference, expired, unpack_against};
use super::desk::Desk;
use super::finding::Sought;
use super::queue::Task;
use super::row_store::RowStore;

/// Entries read at once: each has up to two texts.
const READ_AT_ONCE: usize = 32;
/// Entries looked at for one page: of many none may be wanted.
const LOOKED_AT_MAX: usize = 256;

/// A text before and a text after.
type Texts = (Option<Vec<u8>>, Option<Vec<u8>>);

#[async_trait]
impl History for RowStore {
    async fn history(&self, query: &HistoryQuery, most: usize) -> Result<HistoryPage> {
        self.layout().check_scope(&query.scope)?;
        if !self.layout().keeps_history(&query.scope.collection)? {
            return Err(unrecorded(&query.scope.collection));
        }
        let mut query = query.clone();
        if let Some(key) = &query.key {
            let scope = (query.scope.collection.as_str(), query.scope.tenant.as_deref());
            if (key.collection(), key.tenant()) != scope {
                let message = format!("{key} is not among the documents that were asked for");
                return Err(Error::new(Kind::Invalid, "R0406", message)
                    .hint("Ask with the collection and the tenant of the key."));
            }
            query.key = Some(self.named(key).await?);
        }
        self.read(move |desk, _| page(desk, &query, most)).await
    }

    async fn text_at(&self, key: &DocumentKey, moment: Moment) -> Result<Option<Bytes>> {
        self.audited(key)?;
        let key = self.named(key).await?;
        match self.settling(&key, move |desk, layout, key| text_at(desk, layout, key, moment)).await? {
            Recalled::Text(text) => Ok(Some(text.into())),
            Recalled::Absent => Ok(None),
            Recalled::Unknown => {
                let message = format!("the text of {key} at that moment is not on record");
                Err(Error::new(Kind::NotFound, "R0402", message)
                    .hint("`history` shows what is; between two changes with plain SQL there is no text."))
            }
        }
    }

    async fn revert_noting(
        &self,
        key: &DocumentKey,
        entry: EntryId,
        (actor, when): (Option<&str>, Precondition),
        facts: Vec<FactChange>,
    ) -> Result<Written> {
        self.audited(key)?;
        let of = self.named(key).await?;
        let found = self
            .read(move |desk, _| {
                let Some(record) = one(desk, &of, entry)? else { return Ok(None) };
                let texts = texts(desk, &record)?;
                Ok(Some((record, texts)))
            })
            .await?;
        let Some((record, texts)) = found else {
            let message = format!("entry {entry} of {key} is not on record");
            return Err(Error::new(Kind::NotFound, "R0402", message).hint("`history` shows what is."));
        };
        let merging = Merging {
            lists: self.layout().lists(key.collection())?,
            times: self.layout().times_of_writes(key.collection()),
            limits: self.layout().limits(),
        };
        let write = undo(key, &record, texts, (when, merging))?;
        let actor = actor.map(str::to_owned);
        let work = UnitOfWork { writes: vec![write], actor, facts, ..UnitOfWork::default() };
        let receipt = self.apply(work).await?;
        receipt.written.into_iter().next().ok_or_else(|| {
            Error::new(Kind::Internal, "R0901", format!("the receipt of a write of {key} is empty"))
        })
    }

    async fn prune_history(&self) -> Result<()> {
        loop {
            let now_ms = self.now_ms();
            let old = self.read(move |desk, _| has_old(desk, now_ms)).await?;
            if !old {
                return Ok(());
            }
            self.write(Task::PruneHistory).await?;
        }
    }
}

impl RowStore {
    /// The document by its key, where it is named by its place.
    async fn named(&self, key: &DocumentKey) -> Result<DocumentKey> {
        if key.place().is_none() {
            return Ok(key.clone());
        }
        let id = match self.layout().id_of(key)? {
            Some(id) => Some(id),
            // its text says it
            None => {
                let sought = key.clone();
                self.read(move |desk, layout| {
                    let Sought::There(found) = desk.find(layout, &sought)? else { return Ok(None) };
                    Ok(found.document().and_then(|record| record.key.clone()))
                })
                .await?
            }
        };
        let id = id.ok_or_else(|| {
            let message = format!("{key} is not there, and its key does not follow from its place");
            Error::new(Kind::Unsupported, "R0405", message).hint("Ask by its key.")
        })?;
        Ok(DocumentKey::of_record((key.collection(), key.tenant()), &id))
    }

    fn audited(&self, key: &DocumentKey) -> Result<()> {
        self.layout().whereabouts(key)?;
        if self.layout().audit(key.collection())?.is_none() {
            return Err(unrecorded(key.collection()));
        }
        Ok(())
    }
}

fn unrecorded(collection: &str) -> Error {
    let message = format!("changes of {collection} are not on record");
    Error::new(Kind::Unsupported, "R0405", message).hint("Say `audit = \"1y\"` in its section of the model.")
}

fn has_old(desk: &mut Desk<'_, '_>, now_ms: i64) -> Result<bool> {
    let plan = desk.plan;
    for (collection, until_ms) in expired(plan, None, now_ms) {
        let filter = AuditFilter { collection, until_ms: Some(until_ms), ..AuditFilter::default() };
        if !desk.audit(&filter, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn page(desk: &mut Desk<'_, '_>, query: &HistoryQuery, most: usize) -> Result<HistoryPage> {
    let mut filter = AuditFilter {
        collection: query.scope.collection.clone(),
        tenant: query.scope.tenant.clone(),
        key: query.key.as_ref().map(|key| key.text().to_owned()),
        actor: query.actor.clone(),
        from_ms: query.from_ms,
        until_ms: query.until_ms,
        below: query.before.map(|entry| entry.0),
        above: None,
    };
    let mut entries = Vec::new();
    let mut looked_at = 0;
    loop {
        let wanted = READ_AT_ONCE.min(most.saturating_sub(entries.len()).max(1));
        let records = desk.audit(&filter, wanted)?;
        let ends = records.len() < wanted;
        for record in records {
            if entries.len() >= most {
                return Ok(HistoryPage { entries, next: filter.below.map(EntryId) });
            }
            filter.below = Some(record.id);
            looked_at += 1;
            let entry = entry(desk, record)?;
            if query.place.as_ref().is_none_or(|place| touches(&entry.event, place)) {
                entries.push(entry);
            }
        }
        if ends {
            return Ok(HistoryPage { entries, next: None });
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok(HistoryPage { entries, next: filter.below.map(EntryId) });
        }
    }
}

/// Whether a change is of this place, of something inside of it, or of what holds it.
fn touches(event: &Event, place: &Pointer) -> bool {
    match event {
        Event::Put { changes, .. } => changes.iter().any(|change| {
            let (one, other) = (change.at.parts(), place.parts());
            one.starts_with(other) || other.starts_with(one)
        }),
        Event::Deleted { .. } | Event::Restored { .. } => true,
        Event::Purged | Event::Row { .. } | Event::State { .. } => false,
    }
}

fn entry(desk: &mut Desk<'_, '_>, record: AuditRecord) -> Result<HistoryEntry> {
    let event = match record.kind {
        AuditKind::Put => {
            let (old, new) = texts(desk, &record)?;
            Event::Put {
                version: record.version.unwrap_or(0),
                before: record.etag_before.as_deref().map(ETag::new),
                etag: ETag::new(record.etag_after.as_deref().unwrap_or_default()),
                changes: changes(old.as_deref(), new.as_deref(), desk.limits),
            }
        }
        AuditKind::Deleted => {
            Event::Deleted { before: ETag::new(record.etag_before.as_deref().unwrap_or_default()) }
        }
        AuditKind::Restored => Event::Restored {
            version: record.version.unwrap_or(0),
            etag: ETag::new(record.etag_after.as_deref().unwrap_or_default()),
        },
        AuditKind::Purged => Event::Purged,
        AuditKind::Row => {
            Event::Row { table: record.table.unwrap_or_default(), was: record.was, became: record.became }
        }
        AuditKind::State | AuditKind::StateBySql => Event::State {
            table: record.table.unwrap_or_default(),
            row: record.row.unwrap_or_default(),
            field: record.field.unwrap_or_default(),
            was: record.was,
            became: record.became,
            by_sql: record.kind == AuditKind::StateBySql,
        },
    };
    let document = (record.collection.as_str(), record.tenant.as_deref());
    let key = record.key.map(|key| DocumentKey::of_record(document, &key));
    Ok(HistoryEntry { id: EntryId(record.id), at_ms: record.at_ms, actor: record.actor, key, event })
}

fn changes(old: Option<&[u8]>, new: Option<&[u8]>, limits: Limits) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let value = |value: Option<&str>| value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let known = each_difference(old, new, limits, &mut |one| {
        found.push(FieldChange { at: one.at.clone(), old: value(one.old), new: value(one.new) });
    });
    if known.is_none() {
        let whole = |text: Option<&[u8]>| text.map(Bytes::copy_from_slice);
        found.push(FieldChange { at: Pointer::default(), old: whole(old), new: whole(new) });
    }
    found
}

fn texts(desk: &mut Desk<'_, '_>, record: &AuditRecord) -> Result<Texts> {
    let mut plain = |text: &PackedText| desk.unpack_text(record.dictionary, &text.bytes, text.size);
    let before = record.before.as_ref().map(&mut plain).transpose()?;
    let after = match (&before, &record.after) {
        (_, None) => None,
        (None, Some(after)) => Some(plain(after)?),
        (Some(before), Some(after)) => {
            Some(unpack_against(before, after, |middle, size| desk.unpack_text(0, middle, size))?)
        }
    };
    Ok((before, after))
}

fn of(key: &DocumentKey) -> AuditFilter {
    AuditFilter {
        collection: key.collection().to_owned(),
        tenant: key.tenant().map(str::to_owned),
        key: Some(key.text().to_owned()),
        ..AuditFilter::default()
    }
}

fn one(desk: &mut Desk<'_, '_>, key: &DocumentKey, entry: EntryId) -> Result<Option<AuditRecord>> {
    let filter = AuditFilter { below: entry.0.checked_add(1), above: entry.0.checked_sub(1), ..of(key) };
    Ok(desk.audit(&filter, 1)?.pop())
}

/// The first entry that is wanted, in the filter's order.
fn first(
    desk: &mut Desk<'_, '_>,
    mut filter: AuditFilter,
    wanted: &dyn Fn(&AuditRecord) -> bool,
) -> Result<Option<AuditRecord>> {
    loop {
        let records = desk.audit(&filter, READ_AT_ONCE)?;
        let ends = records.len() < READ_AT_ONCE;
        for record in records {
            if wanted(&record) {
                return Ok(Some(record));
            }
            if filter.above.is_some() {
                filter.above = Some(record.id);
            } else {
                filter.below = Some(record.id);
            }
        }
        if ends {
            return Ok(None);
        }
    }
}

const fn changes_text(record: &AuditRecord) -> bool {
    matches!(record.kind, AuditKind::Put | AuditKind::Deleted | AuditKind::Restored | AuditKind::Row)
}

/// A text from the record.
#[derive(Debug, Default)]
enum Recalled {
    Text(Vec<u8>),
    /// There was none.
    Absent,
    /// The record does not say.
    #[default]
    Unknown,
}

impl From<Option<Vec<u8>>> for Recalled {
    fn from(text: Option<Vec<u8>>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

/// `None`: the document is to be settled first.
fn text_at(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    key: &DocumentKey,
    moment: Moment,
) -> Result<Option<Recalled>> {
    let found = match moment {
        Moment::After(entry) => one(desk, key, entry)?.filter(changes_text),
        Moment::Version(version) => first(desk, of(key), &|record| record.version == Some(version))?,
        Moment::Time(at_ms) => {
            let until_ms = Some(at_ms.saturating_add(1));
            first(desk, AuditFilter { until_ms, ..of(key) }, &changes_text)?
        }
    };
    match found {
        Some(record) if record.kind == AuditKind::Row => {
            // its text is that which the next write found
            let next = AuditFilter { above: Some(record.id), ..of(key) };
            match first(desk, next, &changes_text)? {
                Some(next) if next.kind == AuditKind::Row => Ok(Some(Recalled::Unknown)),
                Some(next) => Ok(Some(texts(desk, &next)?.0.into())),
                None => {
                    let there = desk.document(layout, key)?;
                    Ok(there.map(|there| there.map(|there| there.body.to_vec()).into()))
                }
            }
        }
        Some(record) => Ok(Some(texts(desk, &record)?.1.into())),
        None if matches!(moment, Moment::Time(_)) => {
            // before everything on record
            let oldest = first(desk, AuditFilter { above: Some(i64::MIN), ..of(key) }, &changes_text)?;
            match oldest {
                Some(record) if record.kind != AuditKind::Row => Ok(Some(texts(desk, &record)?.0.into())),
                _ => Ok(Some(Recalled::Unknown)),
            }
        }
        None => Ok(Some(Recalled::Unknown)),
    }
}

/// The write that takes a change back.
fn undo(
    key: &DocumentKey,
    record: &AuditRecord,
    texts: Texts,
    (when, merging): (Precondition, Merging),
) -> Result<Write> {
    let key = key.clone();
    match texts {
        (Some(before), Some(after)) => {
            let of = key.clone();
            let edit = Edit::new(move |there| merged(&of, (&after, &before), there, &merging).map(Some));
            Ok(Write::Update { key, edit, when })
        }
        (None, Some(_)) => {
            let etag = ETag::new(record.etag_after.as_deref().unwrap_or_default());
            match &when {
                Precondition::Any => {}
                Precondition::Matches(wanted) if *wanted == etag => {}
                _ => return Err(when.failed(&key, Some(&etag))),
            }
            Ok(Write::Delete { key, when: Precondition::Matches(etag) })
        }
        (Some(_), None) if matches!(when, Precondition::Matches(_)) => Err(when.failed(&key, None)),
        (Some(before), None) => Ok(Write::Put { key, body: before.into(), when: Precondition::Absent }),
        (None, None) => {
            let message = format!(
                "entry {} of {key} has no texts: a state, or a change made with plain SQL",
                record.id
            );
            Err(Error::new(Kind::Unsupported, "R0405", message)
                .hint("Take the write of the document back, or change the row with SQL."))
        }
    }
}

/// What must be known of a collection to merge texts of its documents.
struct Merging {
    lists: Lists,
    /// Where a write puts its time: no change of anybody's.
    times: Vec<Pointer>,
    limits: Limits,
}

impl Merging {
    /// A text with the times of `there`, as far as they can be put into it.
    fn timed(&self, text: &[u8], there: &[u8]) -> Vec<u8> {
        let tree = Tree::parse(there, self.limits).ok();
        let root = tree.as_ref().and_then(|tree| tree.root(there));
        let mut text = text.to_vec();
        for at in &self.times {
            let change = match root.and_then(|root| resolve(root, at)) {
                Some(time) => {
                    Change::Set { at: at.clone(), value: Bytes::copy_from_slice(time.raw().as_bytes()) }
                }
                None => Change::Remove { at: at.clone() },
            };
            // a text without the object around it has no time there
            if let Ok(changed) = change.apply(&text, self.limits) {
                text = changed;
            }
        }
        text
    }
}

/// What is there now, with the change from `after` to `before` made in it.
fn merged(
    key: &DocumentKey,
    (after, before): (&[u8], &[u8]),
    there: Option<&[u8]>,
    merging: &Merging,
) -> Result<Bytes> {
    let there = there.ok_or_else(|| {
        Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
            .hint("Take back the entry that removed it first.")
    })?;
    if there == after {
        return Ok(Bytes::copy_from_slice(before));
    }
    let conflict = |message: String| {
        Error::new(Kind::Conflict, "R0414", message)
            .hint("Take back what was changed since first, or change the document by hand.")
    };
    let (after, before) = (merging.timed(after, there), merging.timed(before, there));
    match merge3(&after, &before, there, &merging.lists, merging.limits) {
        Ok(Merged::Text(text)) => Ok(text.into()),
        Ok(Merged::Conflicts(places)) => {
            let message = format!("{key} was changed since in {} of the same places", places.len());
            Err(places.iter().fold(conflict(message), |error, place| error.detail(format!("place: {place}"))))
        }
        Err(error) => {
            Err(conflict(format!("{key} was changed since, and cannot be merged: {error}")).cause(error))
        }
    }
}
