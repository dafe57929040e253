//! Changes of parts of documents without their texts: rows are changed, and the change itself is kept beside the text
//! ([`repot_core::store::Step`]). Where that would not surely give what a change of the text gives, the text is read.

use bytes::Bytes;
use repot_core::store::{Change, DocumentKey, ETag, Pointer, Standing, Step, Whereabouts, Write, Written};
use repot_core::{
    Batch, DocumentRecord, Item, KeptChange, ObjectRecord, Outline, Result, RowChanges, Status,
};
use repot_json::{Kind, Limits, Tree};
use repot_model::plan::{PartEditor, PartRows, Place, key_cells};

use super::desk::Desk;
use super::hand::{Hand, before, mark};
use super::writing::{Scribe, Unit, lead};
use crate::prepare::{etag, sha256};
use crate::route::Route;

/// So much may be kept beside a text of any size, bytes; beside a large one, half its size.
const KEPT_BYTES_MIN: u64 = 32 << 10;
/// Changes that set something, of those kept beside one text: each costs every reader a walk over the text.
const SETS_MAX: u32 = 16;
/// How much larger a value may become in the formatting of a text.
const SPREAD: u64 = 4;
/// Documents whose texts are written at once.
const FOLDED_AT_ONCE: usize = 64;

impl Hand<'_, '_, '_> {
    /// A unit of work that changes nothing but parts, all of them without a text; `None`: the texts have to be read.
    pub(super) fn parts(&mut self, writes: &[Write]) -> Result<Option<Unit>> {
        let mut unit = Unit::default();
        for write in writes {
            let Write::Patch { key, change, when } = write else { return Ok(None) };
            let Some((outline, path)) = self.outline(key)? else { return Ok(None) };
            when.check(key, Some(&ETag::new(&outline.etag)))?;
            let Some(steps) = steps(change) else { return Ok(None) };
            let Some((written, item)) = self.beside(&outline, path, steps)? else { return Ok(None) };
            unit.receipt.written.push(written);
            unit.marks.push(mark(key, 0));
            unit.items.push(item);
        }
        Ok(Some(unit))
    }

    /// The document, if changes can be kept beside its text.
    fn outline(&mut self, key: &DocumentKey) -> Result<Option<(Outline, String)>> {
        let Whereabouts { paths, elsewhere } = self.decider.layout.whereabouts(key)?;
        if elsewhere || self.decider.layout.audit(key.collection())?.is_some() {
            // what is on record is the text before and after
            return Ok(None);
        }
        for path in paths.into_iter().filter(|path| !path.contains('\0')) {
            let Some(outline) = self.desk.reader().outline(&path)? else { continue };
            let own = outline.collection == key.collection() && outline.key.as_deref() == key.id();
            let plain = own && outline.is_whole && outline.stamp == 0 && !outline.skips;
            return Ok(plain.then_some((outline, path)));
        }
        Ok(None)
    }

    fn beside(
        &mut self,
        outline: &Outline,
        path: String,
        mut steps: Vec<Step>,
    ) -> Result<Option<(Written, Item)>> {
        let plan = self.decider.plan;
        let Some(mut standing) = standing(outline) else { return Ok(None) };
        standing.add(&steps);
        if !self.has_room(outline, &standing) {
            return Ok(None);
        }
        let Route::Documents { places, values } = self.desk.routes.find(&path) else { return Ok(None) };
        let &[(root, template)] = places.as_slice() else { return Ok(None) };
        let key = plan.roots[root].table.zip(outline.key.as_deref());
        let Some(key) = key.and_then(|(table, key)| key_cells(&plan.tables[table], key)) else {
            return Ok(None);
        };
        let place = Place { root, template, values: &values };
        let mut find = |wanted: &_| self.desk.reader().held_rows(plan, wanted);
        let Some(mut editor) = PartEditor::open(plan, &place, &path, &key, &mut find)? else {
            return Ok(None);
        };
        let mut tree = Tree::default();
        for step in &steps {
            let (Step::Set(at, value) | Step::Append(at, value)) = step else { continue };
            if tree.scan(value, within(self.decider.layout.limits(), at)).is_err() {
                return Ok(None);
            }
            let Some(value) = tree.root(value) else { return Ok(None) };
            let done = if matches!(step, Step::Set(..)) {
                editor.set(at.parts(), value, &mut find)?
            } else {
                let length = standing.length(at);
                let length = editor.append(at.parts(), value, length, &mut find)?;
                length.map(|length| standing.set_length(at, length))
            };
            if done.is_none() {
                return Ok(None);
            }
        }
        let now_us = self.decider.now_ms.saturating_mul(1_000);
        let exact = |at: &[String]| standing.times.iter().any(|time| time.parts() == at);
        let Some(touched) = editor.touch(now_us, &exact) else { return Ok(None) };
        let times: Vec<Step> =
            touched.into_iter().map(|at| Step::Time(Pointer::from_parts(at), now_us)).collect();
        standing.add(&times);
        steps.extend(times);
        Ok(Some(item(outline, path, editor.finish(), (&steps, &standing))))
    }

    /// The text stays within its bounds, and reading it stays cheap.
    fn has_room(&self, outline: &Outline, standing: &Standing) -> bool {
        let all = outline.size.saturating_add(standing.size_bytes);
        let spread = outline.size.saturating_add(standing.size_bytes.saturating_mul(SPREAD));
        standing.sets <= SETS_MAX
            && standing.size_bytes <= KEPT_BYTES_MIN.max(outline.size / 2)
            && spread <= self.decider.document_bytes_max
            // no node is shorter than a byte and what parts it from the next
            && all / 2 < self.decider.layout.limits().nodes_max as u64
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
fn steps(change: &Change) -> Option<Vec<Step>> {
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

fn item(
    outline: &Outline,
    path: String,
    PartRows { updates, columns, inserts }: PartRows,
    (steps, standing): (&[Step], &Standing),
) -> (Written, Item) {
    let change = Step::encode(steps);
    // equal only when the text before and all that was done to it since are
    let etag = etag(&sha256(&[outline.etag.as_bytes(), b"\n", &change].concat()));
    let document = DocumentRecord {
        ordinal: 0,
        collection: outline.collection.clone(),
        key: outline.key.clone(),
        etag: etag.clone(),
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
        collection: Some(outline.collection.clone()),
        status: Status::Moved,
        reason: None,
        frame: None,
    };
    let kept = KeptChange { seq: outline.seq + 1, change, standing: standing.encode(), columns };
    let item = Item {
        object,
        documents: vec![document],
        rows: inserts,
        changes: RowChanges { updates, ..RowChanges::default() },
        replaces: true,
        removes: false,
        keeps_pieces: true,
        touched: None,
        kept: Some(kept),
    };
    (Written::Put(ETag::new(&etag)), item)
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
                    let (Some(own), 0) = (found.kept_etag(), found.stamp) else { continue };
                    let body = found.assembled.bytes.clone();
                    let record = &found.whole.object.record;
                    let object = repot_core::Object {
                        path: path.clone(),
                        size: body.len() as u64,
                        modified_ns: record.modified_ns,
                        etag: None,
                    };
                    marks.extend(found.mark());
                    let mut item = pen.preparer.item(&object, &body, Some(&before(found)))?;
                    if let Some(document) = item.documents.first_mut() {
                        document.etag = own;
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
