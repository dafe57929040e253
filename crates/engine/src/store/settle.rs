//! Settling: what plain SQL did to rows becomes the documents' text. A document that SQL changed gets the text it is read
//! with already, and the same `ETag`; a root row that SQL made gets a document, at the place that the model says; one
//! that is gone takes its document along; one with another place moves it.

use std::sync::Arc;

use repot_core::store::Layout;
use repot_core::{Batch, Item, Kind, Mark, Object, Reader, Result, Target};
use repot_model::language::Model;
use repot_model::plan::Plan;
use repot_model::row::RowBuffer;

use super::desk::{Desk, Found, Tools};
use super::hand::before;
use super::row_store::{LEADS, RowStoreOptions};
use super::writing::{Pen, Scribe, lead};
use crate::prepare::{Before, Preparer};
use crate::route::Routes;
use crate::stored::{Assembled, Whole};
use crate::text::Dictionaries;

/// Documents settled in one transaction.
pub(super) const SETTLED_AT_ONCE: usize = 256;
/// Objects looked at for one whose formatting a new document takes over.
const LIKE_AMONG: usize = 8;

/// Settles every document of a database in which documents are written, as [`super::RowStore::settle`] does; where files
/// lead, nothing: what SQL changed there is a difference from them. `false` when a copy is at work, and nothing was done.
///
/// # Errors
/// When the database is out of reach or is of another model; documents that were settled until then are.
pub fn settle(
    mut target: Box<dyn Target>,
    (model, plan): (Arc<Model>, Arc<Plan>),
    options: &RowStoreOptions,
) -> Result<bool> {
    if target.reader()?.meta(LEADS)?.is_none() {
        return Ok(true);
    }
    match target.share(&options.me) {
        Err(error) if error.kind() == Kind::Locked => return Ok(false),
        shared => shared?,
    }
    target.enforce_rules(&plan)?;
    let layout = Layout::new(Arc::clone(&model), Arc::clone(&plan), options.json)?;
    let routes = Routes::new(&model, &plan)?;
    let dictionaries = Dictionaries::shared(target.reader()?.dictionaries()?);
    let tools = Some(Tools::new(&plan, &routes, options.json)?);
    let preparer = Preparer::new(&plan, &routes, options.json, dictionaries.clone())?;
    let mut scribe = Scribe {
        plan: &plan,
        routes: &routes,
        layout: &layout,
        limits: options.json,
        target,
        dictionaries,
        clock: Arc::clone(&options.clock),
        document_bytes_max: options.document_bytes_max,
        leads: true,
        beside: false,
        pen: Pen { tools, preparer },
    };
    let mut after = (String::new(), String::new());
    loop {
        let mut marks = Vec::new();
        scribe.target.transact(&plan, &[], &mut |reader| {
            marks = reader.marks((&after.0, &after.1), None, SETTLED_AT_ONCE)?;
            Ok(None)
        })?;
        let Some(last) = marks.last() else { break };
        after = (last.collection.clone(), last.key.clone());
        let keys: Vec<_> = marks.into_iter().map(|mark| (mark.collection, mark.key)).collect();
        scribe.settle(&keys)?;
    }
    let mut after = String::new();
    loop {
        let mut paths = Vec::new();
        scribe.target.transact(&plan, &[], &mut |reader| {
            paths = reader.kept(&after, SETTLED_AT_ONCE)?;
            Ok(None)
        })?;
        let Some(last) = paths.last() else { return scribe.seal().map(|()| true) };
        after.clone_from(last);
        scribe.fold(&paths)?;
    }
}

/// Where a marked document is and where it shall be.
struct Places {
    old: Option<String>,
    new: Option<String>,
}

impl<'p> Scribe<'p> {
    /// Settles these documents, each by collection and key. What cannot be said by a document of the model stays as it is:
    /// rows, text and mark.
    pub(super) fn settle(&mut self, keys: &[(String, String)]) -> Result<()> {
        let (shared, keys): (Vec<_>, Vec<_>) =
            keys.iter().cloned().partition(|(collection, _)| self.layout.is_shared(collection));
        for (collection, key) in &shared {
            self.settle_within(collection, key)?;
        }
        for keys in keys.chunks(SETTLED_AT_ONCE) {
            if !self.settled(keys)? && keys.len() > 1 {
                for key in keys {
                    self.settled(std::slice::from_ref(key))?;
                }
            }
        }
        Ok(())
    }

    /// In one transaction; `false` when the database refuses it, and nothing was done.
    fn settled(&mut self, keys: &[(String, String)]) -> Result<bool> {
        self.store_dictionaries()?;
        let now_ms = self.clock.now_ms();
        let (plan, routes, limits, layout, leads) =
            (self.plan, self.routes, self.limits, self.layout, self.leads);
        let pen = &mut self.pen;
        let mut locks: Vec<String> = Vec::new();
        let mut with_desk =
            |reader: &mut dyn Reader, work: &mut dyn FnMut(&mut Settler<'_, 'p, '_>) -> Result<()>| {
                let tools = pen.tools(plan, routes, limits)?;
                let mut desk = Desk::new(plan, routes, limits, tools, reader);
                let mut settler = Settler { plan, layout, desk: &mut desk, pen: &mut *pen, now_ms };
                let done = work(&mut settler);
                pen.tools = Some(desk.leave());
                done
            };
        self.target.transact(plan, &[], &mut |reader| {
            locks.clear();
            with_desk(reader, &mut |settler| {
                for (collection, key) in keys {
                    let places = settler.places(collection, key)?;
                    locks.extend(places.0.old.into_iter().chain(places.0.new));
                }
                Ok(())
            })?;
            Ok(None)
        })?;
        let locked = locks.clone();
        let report = self.target.transact(plan, &locks, &mut |reader| {
            let (mut items, mut marks) = (Vec::new(), Vec::new());
            with_desk(reader, &mut |settler| {
                for (collection, key) in keys {
                    let stamp = settler.desk.stamp(collection, key)?;
                    if stamp != 0
                        && let Some(made) = settler.document(collection, key, &locked)?
                    {
                        items.extend(made);
                        marks.push(Mark { collection: collection.clone(), key: key.clone(), stamp });
                    }
                }
                Ok(())
            })?;
            if marks.is_empty() {
                return Ok(None);
            }
            let meta = lead(reader, leads, now_ms)?;
            Ok(Some(Batch { items, meta, marks, all_or_nothing: true, ..Batch::default() }))
        })?;
        Ok(report.refused.is_empty())
    }
}

/// Settles in one state of the database.
struct Settler<'s, 'p, 'r> {
    plan: &'p Plan,
    layout: &'s Layout,
    desk: &'s mut Desk<'p, 'r>,
    pen: &'s mut Pen<'p>,
    now_ms: i64,
}

impl Settler<'_, '_, '_> {
    /// Where the document is, where its rows say it shall be, and those.
    fn places(&mut self, collection: &str, key: &str) -> Result<(Places, RowBuffer)> {
        let rows = self.desk.rows(collection, key)?;
        let old = self.desk.record(collection, key)?.map(|object| object.record.path);
        let own = self.desk.identity(collection, key, &rows);
        let paths = own.and_then(|own| self.layout.paths(&own).ok()).unwrap_or_default();
        let stays = old.as_ref().filter(|old| paths.contains(old));
        let new = stays.or(paths.first()).cloned();
        Ok((Places { old, new }, rows))
    }

    /// What settles a document; `None` when nothing can.
    fn document(&mut self, collection: &str, key: &str, locked: &[String]) -> Result<Option<Vec<Item>>> {
        let (Places { old, new }, rows) = self.places(collection, key)?;
        if old.iter().chain(&new).any(|path| !locked.contains(path)) {
            // it moved on since; the next time
            return Ok(None);
        }
        let there = match &old {
            Some(path) => match self.desk.at(path)? {
                Some(found) => Some(found),
                // in a file with others
                None => return Ok(None),
            },
            None => None,
        };
        if self.desk.identity(collection, key, &rows).is_none() {
            // without a row there is no document
            return Ok(Some(
                there.map(|found| self.pen.preparer.removal(&without_rows(found))).into_iter().collect(),
            ));
        }
        match there {
            Some(found) if !found.moved => self.rewrite(found),
            there => self.make(collection, new, rows, there),
        }
    }

    fn rewrite(&mut self, found: Found) -> Result<Option<Vec<Item>>> {
        if !found.notes.is_empty() || found.etag.is_none() {
            return Ok(None);
        }
        if found.rows.is_none() {
            // the rows say what the text says
            return Ok(Some(Vec::new()));
        }
        let object = self.object(found.whole.object.record.path.clone(), found.assembled.bytes.len());
        let (body, etag) = (found.assembled.bytes.clone(), found.etag.clone());
        let mut item = self.pen.preparer.item(&object, &body, Some(&before(found)))?;
        if let (Some(document), Some(etag)) = (item.documents.first_mut(), etag) {
            // that which it is read with already
            etag.as_str().clone_into(&mut document.etag);
        }
        Ok(Some(vec![item]))
    }

    /// A document for rows that have none at their place.
    fn make(
        &mut self,
        collection: &str,
        new: Option<String>,
        rows: RowBuffer,
        old: Option<Found>,
    ) -> Result<Option<Vec<Item>>> {
        let Some(path) = new else { return Ok(None) };
        if self.desk.is_taken(&path)? {
            return Ok(None);
        }
        let text = old.as_ref().map(|found| found.assembled.bytes.as_slice());
        let like = if text.is_none() { self.like(collection, &path)? } else { None };
        let Some(body) = self.desk.compose(&path, &rows, (text, like.as_deref())) else { return Ok(None) };
        let object = self.object(path, body.len());
        let bare = self.pen.preparer.bare(&object, repot_core::Status::Moved, None, false);
        let whole =
            Whole { object: repot_core::StoredObject { id: 0, record: bare.object }, documents: Vec::new() };
        let assembled = Assembled { bytes: body.clone(), spans: Vec::new(), without_kept: None };
        let mut item =
            self.pen.preparer.item(&object, &body, Some(&Before { whole, assembled, rows: Some(rows) }))?;
        item.replaces = false;
        let mut items: Vec<Item> =
            old.map(|found| self.pen.preparer.removal(&without_rows(found))).into_iter().collect();
        items.push(item);
        Ok(Some(items))
    }

    fn object(&self, path: String, size: usize) -> Object {
        let modified_ns = self.now_ms.saturating_mul(1_000_000);
        Object { path, size: size as u64, modified_ns, etag: None }
    }

    /// The text of another document of the collection, near by.
    fn like(&mut self, collection: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let root = self.plan.roots.iter().find(|root| root.name == collection);
        if root.is_none() {
            return Ok(None);
        }
        let folder = path.split_once('/').map_or("", |(folder, _)| folder);
        for object in self.desk.objects(Some(folder), LIKE_AMONG)? {
            if object.record.collection.as_deref() == Some(collection)
                && object.record.reason.is_none()
                && let Some(found) = self.desk.at(&object.record.path)?
            {
                return Ok(Some(found.assembled.bytes));
            }
        }
        Ok(None)
    }
}

/// The document without any row of its own.
fn without_rows(found: Found) -> Before {
    Before { rows: Some(RowBuffer::new()), ..before(found) }
}
