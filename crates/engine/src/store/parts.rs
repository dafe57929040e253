//! Changes of parts of documents without their texts, those of one document together: rows are changed, and the change
//! itself is kept beside the text ([`repot_core::store::Step`]). Where that would not surely give what a change of the text gives, the text is read.

use bytes::Bytes;
use repot_core::store::{
    Change, DocumentKey, ETag, Pointer, Standing, Step, Whereabouts, Write, Written, lay,
};
use repot_core::{
    Batch, DocumentRecord, Item, KeptChange, Mark, ObjectRecord, Outline, Result, RowChanges, Status,
};
use repot_json::patch::resolve;
use repot_json::{Kind, Limits, Tree};
use repot_model::plan::{PartEditor, PartRows, Place, Touched, key_cells};

use super::desk::Desk;
use super::hand::{Hand, before};
use super::writing::{Scribe, Unit, lead};
use crate::prepare::{etag, sha256};
use crate::route::Route;

/// So much may be kept beside a text of any size, bytes; beside a large one, half its size.
const KEPT_BYTES_MIN: u64 = 32 << 10;
/// So many changes are kept beside a text of any size, and one more for each [`BYTES_OF_ONE`]: each costs every reader, and to
/// write the text costs the more the larger it is.
const KEPT_MIN: u64 = 32;
/// Bytes of a text.
const BYTES_OF_ONE: u64 = 16 << 10;
/// Changes that set something, of those kept beside one text: each costs every reader a walk over the text.
const SETS_MAX: u32 = 16;
/// How much larger a value may become in the formatting of a text.
const SPREAD: u64 = 4;
/// Documents whose texts are written at once.
const FOLDED_AT_ONCE: usize = 64;

/// A document whose parts are changed, by one unit of work or several.
pub(super) struct Open<'p> {
    outline: Outline,
    /// The stored text, where it is at hand.
    text: Option<Vec<u8>>,
    editor: PartEditor<'p>,
    standing: Standing,
    /// All changes so far, and the `ETag` after them.
    steps: Vec<Step>,
    etag: String,
}

/// What changes of parts come to.
#[derive(Default)]
pub(super) struct Parts {
    pub items: Vec<Item>,
    /// Marks of the documents.
    pub marks: Vec<Mark>,
    /// A unit needs a text that others of the same transaction change parts of.
    pub apart: bool,
}

impl<'p> Hand<'_, 'p, '_> {
    /// A unit of work that changes nothing but parts, all of them without a text; `None`: the texts have to be read. What it
    /// comes to is among what [`Hand::close_parts`] gives.
    pub(super) fn parts(&mut self, writes: &[Write], steps: &[Vec<Step>]) -> Result<Option<Unit>> {
        let mut wanted = Vec::with_capacity(writes.len());
        for (at, (write, steps)) in writes.iter().zip(steps).enumerate() {
            let (key, when) = (write.key(), write.when());
            let Some(path) = self.open_part(key)? else { return Ok(None) };
            if let Some(open) = self.open.get(&path) {
                when.check(key, Some(&ETag::new(&open.etag))).map_err(|error| error.in_write(at))?;
            }
            wanted.push((path, steps));
        }
        let mut unit = Unit::default();
        for (path, steps) in &wanted {
            let changed = self.change_part(path, steps);
            if !matches!(changed, Ok(Some(_))) {
                // nothing of it holds, whatever the reason is
                let others = |path: &String| self.open.get(path).is_some_and(|open| !open.steps.is_empty());
                self.apart |= wanted.iter().any(|(path, _)| others(path));
                wanted.iter().for_each(|(path, _)| drop(self.open.remove(path)));
            }
            match changed? {
                Some(written) => unit.receipt.written.push(written),
                None => return Ok(None),
            }
        }
        Ok(Some(unit))
    }

    /// What all changes of parts come to.
    pub(super) fn close_parts(&mut self) -> Parts {
        let mut parts = Parts { apart: self.apart, ..Parts::default() };
        for (path, open) in std::mem::take(&mut self.open) {
            if let (false, Some(key)) = (open.steps.is_empty(), &open.outline.key) {
                let collection = open.outline.collection.clone();
                parts.marks.push(Mark { collection, key: key.clone(), stamp: 0 });
                parts.items.push(open.close(path, self.decider.now_ms));
            }
        }
        parts
    }

    /// The path of the document, which is open from here on; `None`: changes cannot be kept beside its text.
    fn open_part(&mut self, key: &DocumentKey) -> Result<Option<String>> {
        let Whereabouts { paths, .. } = self.decider.layout.whereabouts(key)?;
        for path in paths.into_iter().filter(|path| !path.contains('\0')) {
            if self.open.contains_key(&path) {
                return Ok(Some(path));
            }
            let Some(outline) = self.desk.reader().outline(&path)? else { continue };
            let own = outline.collection == key.collection() && outline.key.as_deref() == key.id();
            if !(own && outline.is_whole && outline.stamp == 0 && !outline.skips) {
                return Ok(None);
            }
            let (Some(standing), Some(editor)) = (standing(&outline), self.editor(&path, &outline)?) else {
                return Ok(None);
            };
            let etag = outline.etag.clone();
            self.open.insert(
                path.clone(),
                Open { outline, text: None, editor, standing, steps: Vec::new(), etag },
            );
            return Ok(Some(path));
        }
        Ok(None)
    }

    fn editor(&mut self, path: &str, outline: &Outline) -> Result<Option<PartEditor<'p>>> {
        let plan = self.decider.plan;
        let Route::Documents { places, values } = self.desk.routes.find(path) else { return Ok(None) };
        let &[(root, template)] = places.as_slice() else { return Ok(None) };
        let key = plan.roots[root].table.zip(outline.key.as_deref());
        let Some(key) = key.and_then(|(table, key)| key_cells(&plan.tables[table], key)) else {
            return Ok(None);
        };
        let place = Place { root, template, values: &values };
        PartEditor::open(plan, &place, path, &key, &mut |wanted| self.desk.reader().held_rows(plan, wanted))
    }

    /// One change of an open document; `None`: its text has to be read, and what is open is of no use any more.
    fn change_part(&mut self, path: &str, steps: &[Step]) -> Result<Option<Written>> {
        let (plan, limits) = (self.decider.plan, self.decider.layout.limits());
        let bytes_max = self.decider.document_bytes_max;
        let Some(open) = self.open.get_mut(path) else { return Ok(None) };
        open.standing.add(steps);
        if !open.has_room(bytes_max, limits) {
            return Ok(None);
        }
        open.editor.begin();
        let mut tree = Tree::default();
        for step in steps {
            let (Step::Set(at, value) | Step::Append(at, value)) = step else { continue };
            if tree.scan(value, within(limits, at)).is_err() {
                return Ok(None);
            }
            let Some(value) = tree.root(value) else { return Ok(None) };
            let done = if matches!(step, Step::Set(..)) {
                let mut find = |wanted: &_| self.desk.reader().held_rows(plan, wanted);
                open.editor.set(at.parts(), value, &mut find)?
            } else {
                let length = match open.standing.length(at) {
                    None => brought(&mut open.text, &mut open.outline, self.desk)?
                        .and_then(|text| length(text, at, limits)),
                    known => known,
                };
                let mut find = |wanted: &_| self.desk.reader().held_rows(plan, wanted);
                let length = open.editor.append(at.parts(), value, length, &mut find)?;
                length.map(|length| open.standing.set_length(at, length))
            };
            if done.is_none() {
                return Ok(None);
            }
        }
        let now_us = self.decider.now_ms.saturating_mul(1_000);
        let Some(times) = open.touch(self.desk, path, now_us)? else { return Ok(None) };
        let own = [steps, &times].concat();
        // equal only when the text before and all that was done to it since are
        open.etag = etag(&sha256(&[open.etag.as_bytes(), b"\n", &Step::encode(&own)].concat()));
        open.steps.extend(own);
        Ok(Some(Written::Put(ETag::new(&open.etag))))
    }
}

/// The stored text, where it came along with the outline.
fn brought<'t>(
    text: &'t mut Option<Vec<u8>>,
    outline: &mut Outline,
    desk: &mut Desk<'_, '_>,
) -> Result<Option<&'t [u8]>> {
    if let Some((dictionary, packed)) = outline.text.take() {
        *text = Some(desk.unpack_text(dictionary, &packed, outline.size)?);
    }
    Ok(text.as_deref())
}

/// The length of a list, where there is one.
fn length(text: &[u8], list: &Pointer, limits: Limits) -> Option<i64> {
    let mut tree = Tree::default();
    tree.scan(text, limits).ok()?;
    let list = resolve(tree.root(text)?, list).filter(|list| list.kind() == Kind::Array)?;
    i64::try_from(list.elements().count()).ok()
}

impl Open<'_> {
    /// Sets the times that a write sets; gives the steps for them.
    fn touch(&mut self, desk: &mut Desk<'_, '_>, path: &str, now_us: i64) -> Result<Option<Vec<Step>>> {
        let Self { outline, editor, standing, text, steps, .. } = self;
        let known = |at: &[String]| standing.precision_us(at);
        let mut text = || {
            let stored = match brought(text, outline, desk)? {
                Some(text) => Some(text.to_owned()),
                None => desk.at(path)?.map(|found| found.assembled.bytes),
            };
            // what the transaction did to it so far is not stored yet
            stored.map(|stored| lay(stored, [Step::encode(steps).as_slice()])).transpose()
        };
        let Some(touched) = editor.touch(now_us, &known, &mut text)? else { return Ok(None) };
        let mut times = Vec::with_capacity(touched.len());
        for Touched { at, micros, precision_us, missing } in touched {
            let at = Pointer::from_parts(at);
            times.push(match missing {
                Some(json) => Step::Set(at.clone(), json.into()),
                None => Step::Time(at.clone(), micros),
            });
            standing.add(&times[times.len() - 1..]);
            standing.set_precision(&at, precision_us);
        }
        Ok(Some(times))
    }

    /// The text stays within its bounds, and reading it stays cheap.
    fn has_room(&self, bytes_max: u64, limits: Limits) -> bool {
        let (size, kept) = (self.outline.size, self.standing.size_bytes);
        self.standing.sets <= SETS_MAX
            && self.outline.seq.unsigned_abs() < KEPT_MIN + size / BYTES_OF_ONE
            && kept <= KEPT_BYTES_MIN.max(size / 2)
            && size.saturating_add(kept.saturating_mul(SPREAD)) <= bytes_max
            // no node is shorter than a byte and what parts it from the next
            && size.saturating_add(kept) / 2 < limits.nodes_max as u64
    }

    fn close(self, path: String, now_ms: i64) -> Item {
        let Self { outline, editor, standing, steps, etag, .. } = self;
        let PartRows { updates, columns, inserts } = editor.finish();
        let document = DocumentRecord {
            ordinal: 0,
            collection: outline.collection.clone(),
            key: outline.key,
            etag,
            version: 0,
            dictionary: 0,
            size: 0,
            text: Vec::new(),
            reason: None,
            rows: 0..inserts.len(),
            skips: false,
        };
        let object = ObjectRecord {
            path,
            size: 0,
            modified_ns: 0,
            etag: None,
            sha256: Vec::new(),
            collection: Some(outline.collection),
            status: Status::Moved,
            reason: None,
            frame: None,
        };
        let (change, standing) = (Step::encode_made(&steps, now_ms), standing.encode());
        Item {
            object,
            documents: vec![document],
            rows: inserts,
            changes: RowChanges { updates, ..RowChanges::default() },
            replaces: true,
            removes: false,
            keeps_pieces: true,
            touched: None,
            kept: Some(KeptChange { seq: outline.seq + 1, change, standing, columns }),
        }
    }
}

/// The bounds of a value at this place.
fn within(limits: Limits, at: &Pointer) -> Limits {
    Limits { depth_max: limits.depth_max.saturating_sub(at.parts().len() + 1), ..limits }
}

fn standing(outline: &Outline) -> Option<Standing> {
    if outline.seq == 0 { Some(Standing::default()) } else { Standing::decode(&outline.standing) }
}

/// What a change is step by step; `None`: it may be more than that.
pub(super) fn steps(change: &Change) -> Option<Vec<Step>> {
    match change {
        Change::Set { at, value } => Some(vec![Step::Set(at.clone(), value.clone())]),
        Change::Append { list, element } => Some(vec![Step::Append(list.clone(), element.clone())]),
        Change::Merge(patch) => merged(patch),
        Change::Remove { .. } | Change::Patch(_) => None,
    }
}

/// The fields that a merge patch sets.
fn merged(patch: &Bytes) -> Option<Vec<Step>> {
    let mut tree = Tree::default();
    tree.scan(patch, Limits::default()).ok()?;
    let root = tree.root(patch).filter(|root| root.kind() == Kind::Object)?;
    let mut steps: Vec<Step> = Vec::new();
    for (key, value) in root.entries() {
        let at = Pointer::from_parts([key.as_str()?]);
        let twice = steps.iter().any(|step| matches!(step, Step::Set(other, _) if *other == at));
        if twice || matches!(value.kind(), Kind::Null | Kind::Object) {
            return None;
        }
        steps.push(Step::Set(at, Bytes::copy_from_slice(value.raw().as_bytes())));
    }
    (!steps.is_empty()).then_some(steps)
}

impl<'p> Scribe<'p> {
    /// Writes the texts of the objects at these paths with what is kept beside them; nothing else changes.
    pub(super) fn fold(&mut self, paths: &[String]) -> Result<()> {
        for paths in paths.chunks(FOLDED_AT_ONCE) {
            self.store_dictionaries()?;
            let now_ms = self.clock.now_ms();
            let (plan, routes, limits, leads) = (self.plan, self.routes, self.limits, self.leads);
            let pen = &mut self.pen;
            self.target.transact(plan, paths, &mut |reader| {
                let meta = lead(reader, leads, now_ms)?;
                let tools = pen.tools(plan, routes, limits)?;
                let mut desk = Desk::new(plan, routes, limits, tools, reader);
                let (mut items, mut marks) = (Vec::new(), Vec::new());
                for path in paths {
                    let Some(found) = desk.at(path)? else { continue };
                    let (Some((own, version)), 0) = (found.kept(), found.stamp) else { continue };
                    let body = found.assembled.bytes.clone();
                    let modified_ns = found.modified_ms().unwrap_or_default().saturating_mul(1_000_000);
                    let object = repot_core::Object {
                        path: path.clone(),
                        size: body.len() as u64,
                        modified_ns,
                        etag: None,
                    };
                    marks.extend(found.mark());
                    let mut item = pen.preparer.item(&object, &body, Some(&before(found)))?;
                    if let Some(document) = item.documents.first_mut() {
                        (document.etag, document.version) = (own, version);
                    }
                    items.push(item);
                }
                pen.tools = Some(desk.leave());
                if items.is_empty() {
                    return Ok(None);
                }
                Ok(Some(Batch { items, meta, marks, all_or_nothing: true, ..Batch::default() }))
            })?;
        }
        Ok(())
    }
}
