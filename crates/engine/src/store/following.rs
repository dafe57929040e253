//! What a unit of work does to documents that it does not name: those that refer to rows it deletes are deleted too, refer
//! to nothing from then on, or hold the unit back, as the model says.

use std::collections::{BTreeMap, BTreeSet};

use repot_core::store::{DocumentKey, ETag, Proposal, Write};
use repot_core::{Error, Item, Kind, Object, Referred, Referrer, Result};
use repot_model::language::OnDelete;
use repot_model::plan::{ForeignKey, Plan, StateChange, key_text};
use repot_model::row::{Cell, Cells, RowBuffer};

use super::desk::tenant_text;
use super::hand::{Hand, before};
use super::implied::{Cuts, Effect, Implied, shared_key};
use crate::prepare::{Before, identity};

/// Documents that one unit of work may change besides those that it names.
const FOLLOWERS_MAX: usize = 1_000;
/// Documents named by an error.
const NAMED: usize = 3;

/// A row by its table and encoded identity.
pub(super) type RowId = (usize, Vec<u8>);

/// A document that changes because of a write of another.
pub(super) struct Follower {
    /// The write that it follows from, by its place in the unit.
    pub origin: usize,
    pub key: DocumentKey,
    /// What was there.
    pub before: Before,
    /// Its `ETag`.
    pub etag: ETag,
    /// The text that it has from then on, and the states that this changes; unless it is removed.
    pub text: Option<(bytes::Bytes, Vec<StateChange>)>,
    pub removed: bool,
    /// Stamp of its mark.
    pub stamp: i64,
    pub item: Item,
    cuts: Cuts,
}

/// A document with other references: the item, the text, and the states that changed.
type Changed = (Item, (bytes::Bytes, Vec<StateChange>));

/// A reference to something that goes, and cannot be followed.
struct Holding {
    origin: usize,
    /// The row, of a document of the unit or of another one.
    row: RowId,
    path: String,
    document: DocumentKey,
    /// Such as `orders.owner`.
    field: String,
    /// Such as `owners w1`.
    gone: String,
    why: &'static str,
}

/// The reference by which a row refers to something that goes.
#[derive(Clone, Copy)]
struct Reference<'a> {
    table: usize,
    key: &'a ForeignKey,
    origin: usize,
}

/// Follows references, round by round: what is deleted in one leaves others behind in the next.
pub(super) struct Following<'f, 'h, 'p, 'r> {
    hand: &'f mut Hand<'h, 'p, 'r>,
    writes: &'f [Write],
    /// Items of the unit's own documents by path, with the write that each is of.
    own: BTreeMap<String, (usize, &'f Item)>,
    followers: BTreeMap<String, Follower>,
    holding: Vec<Holding>,
    paths: BTreeMap<(String, String), Option<String>>,
    seen: BTreeSet<RowId>,
    /// What becomes of documents in shared files; and whether there is more of it than was written.
    implied: &'f mut Implied,
    more: bool,
}

/// What a unit of work leads to elsewhere; `None` when it implies more about shared files than was written of them.
pub(super) fn follow(
    hand: &mut Hand<'_, '_, '_>,
    writes: &[Write],
    (items, implied): (&[(usize, Item)], &mut Implied),
) -> Result<Option<Vec<Follower>>> {
    let refers = |table: &repot_model::plan::Table| table.foreign_keys.iter().any(|key| key.may_dangle);
    let nothing = items.iter().all(|(_, item)| item.changes.deletes.is_empty());
    if nothing || !hand.decider.plan.tables.iter().any(refers) {
        return Ok(Some(Vec::new()));
    }
    let own = items.iter().map(|(at, item)| (item.object.path.clone(), (*at, item))).collect();
    Following {
        hand,
        writes,
        own,
        followers: BTreeMap::new(),
        holding: Vec::new(),
        paths: BTreeMap::new(),
        seen: BTreeSet::new(),
        implied,
        more: false,
    }
    .run()
}

impl<'p> Following<'_, '_, 'p, '_> {
    fn run(mut self) -> Result<Option<Vec<Follower>>> {
        let plan = self.hand.decider.plan;
        loop {
            let gone = self.gone(plan);
            if gone.is_empty() {
                break;
            }
            let mut touched = BTreeSet::new();
            for (table, of_table) in &gone {
                self.round(plan, *table, of_table, &mut touched)?;
            }
            for path in touched {
                self.rebuild(&path)?;
            }
        }
        if self.more {
            return Ok(None);
        }
        self.refuse()?;
        Ok(Some(self.followers.into_values().filter(|follower| !follower.is_idle()).collect()))
    }

    /// Keys that go and were not followed yet, by table, each with the write that it goes because of.
    fn gone(&mut self, plan: &Plan) -> BTreeMap<usize, BTreeMap<Vec<u8>, usize>> {
        let own = self.own.values().map(|&(origin, item)| (origin, item));
        let items: Vec<(usize, &Item)> =
            own.chain(self.followers.values().map(|follower| (follower.origin, &follower.item))).collect();
        let is_target = |table: usize| {
            let keys = plan.tables.iter().flat_map(|other| &other.foreign_keys);
            plan.tables[table].identity == plan.tables[table].key
                && keys.into_iter().any(|key| key.may_dangle && key.table == table)
        };
        let mut stays: BTreeSet<RowId> = BTreeSet::new();
        for (_, item) in items.iter().filter(|(_, item)| !item.removes) {
            for (table, row) in item.rows.iter().chain(item.changes.updates.iter()) {
                if is_target(table) {
                    stays.insert((table, identity(plan, table, row)));
                }
            }
        }
        let mut gone: BTreeMap<usize, BTreeMap<Vec<u8>, usize>> = BTreeMap::new();
        for effect in self.implied.values() {
            for (table, row) in effect.removed.iter().flat_map(RowBuffer::iter) {
                let id = identity(plan, table, row);
                if is_target(table) && self.seen.insert((table, id.clone())) {
                    gone.entry(table).or_default().insert(id, effect.origin);
                }
            }
        }
        for (origin, item) in items {
            for (table, key) in item.changes.deletes.iter() {
                let row = (table, key.to_vec());
                if is_target(table) && !stays.contains(&row) && self.seen.insert(row) {
                    gone.entry(table).or_default().insert(key.to_vec(), origin);
                }
            }
        }
        gone
    }

    /// Looks for what refers to these rows of one table, and decides on it.
    fn round(
        &mut self,
        plan: &Plan,
        target: usize,
        gone: &BTreeMap<Vec<u8>, usize>,
        touched: &mut BTreeSet<String>,
    ) -> Result<()> {
        for (table, shape) in plan.tables.iter().enumerate() {
            for key in shape.foreign_keys.iter().filter(|key| key.may_dangle && key.table == target) {
                let Some(place) =
                    plan.tables[target].identity.iter().position(|&column| column == key.target_column)
                else {
                    continue;
                };
                let values: BTreeMap<Vec<u8>, usize> =
                    gone.iter().map(|(row, &origin)| (cell(row, place), origin)).collect();
                let wanted: Vec<Vec<u8>> = values.keys().cloned().collect();
                let referred =
                    Referred { table, column: key.column, values: &wanted, most: 16 * FOLLOWERS_MAX };
                let found = self.hand.desk.referrers(&referred)?;
                if found.len() >= referred.most {
                    return Err(too_many());
                }
                for referrer in found {
                    let Some(&origin) = values.get(&referrer.value) else { continue };
                    self.one(referrer, Reference { table, key, origin }, touched)?;
                }
                if self.followers.len() + self.implied.len() > FOLLOWERS_MAX {
                    return Err(too_many());
                }
            }
        }
        Ok(())
    }

    fn one(
        &mut self,
        referrer: Referrer,
        reference: Reference<'_>,
        touched: &mut BTreeSet<String>,
    ) -> Result<()> {
        // a row of no document is the database's own affair
        let Some(document) = referrer.document else { return Ok(()) };
        let Some(path) = self.path(&document)? else {
            // plain SQL made it; what no document can say is the database's own affair too
            self.hand.settle_first(&document.0, &document.1);
            return Ok(());
        };
        if self.hand.decider.layout.is_shared(&document.0) {
            return self.one_within((referrer.row, &referrer.value), reference, (path, document));
        }
        let row = (reference.table, referrer.row);
        if let Some((_, item)) = self.own.get(&path) {
            if still_refers(self.hand.decider.plan, item, &row, (reference.key.column, &referrer.value)) {
                let key = DocumentKey::of_text(&document.0, &document.1);
                self.hold(
                    (path, key),
                    row,
                    reference,
                    &referrer.value,
                    "is written in the same unit of work",
                );
            }
            return Ok(());
        }
        if self.followers.get(&path).is_some_and(|follower| follower.removed) {
            return Ok(());
        }
        // another writer deleted it since it was found: it refers to nothing any more
        let Some((key, many)) = self.load(&path, &document, reference.origin)? else { return Ok(()) };
        let plan = self.hand.decider.plan;
        let foreign = self.is_foreign(&key, reference.origin);
        let why = match reference.key.on_delete {
            _ if foreign => Some("is out of reach"),
            OnDelete::Refuse => Some("refers to it"),
            _ if many => Some("has no name of its own in its file"),
            _ => None,
        };
        if let Some(why) = why {
            // what is only looked at changes nothing
            if self.followers.get(&path).is_some_and(Follower::is_idle) {
                self.followers.remove(&path);
            }
            self.hold((path, key), row, reference, &referrer.value, why);
            return Ok(());
        }
        let Some(follower) = self.followers.get_mut(&path) else { return Ok(()) };
        match reference.key.on_delete {
            OnDelete::Cascade if plan.tables[reference.table].parents.is_empty() => follower.removed = true,
            OnDelete::Cascade => drop(follower.cuts.rows.insert(row)),
            _ => drop(follower.cuts.nulls.insert((row, reference.key.column))),
        }
        touched.insert(path);
        Ok(())
    }

    /// The same for a document that stands with others in one file.
    fn one_within(
        &mut self,
        (row, value): (Vec<u8>, &[u8]),
        reference: Reference<'_>,
        (path, document): (String, (String, String)),
    ) -> Result<()> {
        let (layout, plan) = (self.hand.decider.layout, self.hand.decider.plan);
        let row = (reference.table, row);
        let column = reference.key.column;
        if let Some((_, item)) = self.own.get(&path)
            && !still_refers(plan, item, &row, (column, value))
        {
            return Ok(());
        }
        let key = shared_key(layout, (&document.0, &document.1), &path);
        let mut written = false;
        for write in self.writes.iter().filter(|write| write.key().collection() == document.0) {
            written |= layout.id_of(write.key())?.as_ref() == Some(&document.1);
        }
        let known = self.implied.get(&document);
        if known.is_some_and(|effect| effect.removed.is_some()) {
            return Ok(());
        }
        let why = match reference.key.on_delete {
            _ if self.is_foreign(&key, reference.origin) => Some("is out of reach"),
            OnDelete::Refuse => Some("refers to it"),
            _ if written => Some("is written in the same unit of work"),
            // written so already, and it refers still
            _ if known.is_some_and(|effect| effect.cuts.contains(&row, column)) => {
                Some("refers to it by its place")
            }
            _ => None,
        };
        if let Some(why) = why {
            self.hold((path, key), row, reference, value, why);
            return Ok(());
        }
        let mut removed = None;
        if reference.key.on_delete == OnDelete::Cascade && plan.tables[reference.table].parents.is_empty() {
            removed = Some(self.hand.desk.rows(&document.0, &document.1)?);
        }
        let new = || Effect { origin: reference.origin, ..Effect::default() };
        let effect = self.implied.entry(document).or_insert_with(new);
        match reference.key.on_delete {
            OnDelete::Cascade if removed.is_some() => effect.removed = removed,
            OnDelete::Cascade => drop(effect.cuts.rows.insert(row)),
            _ => drop(effect.cuts.nulls.insert((row, column))),
        }
        self.more = true;
        Ok(())
    }

    fn hold(
        &mut self,
        (path, document): (String, DocumentKey),
        row: RowId,
        reference: Reference<'_>,
        value: &[u8],
        why: &'static str,
    ) {
        let tables = &self.hand.decider.plan.tables;
        let table = &tables[reference.table];
        self.holding.push(Holding {
            origin: reference.origin,
            row,
            path,
            document,
            field: format!("{}.{}", table.name, table.columns[reference.key.column].name),
            gone: format!("{} {}", tables[reference.key.table].name, key_text(value)),
            why,
        });
    }

    fn path(&mut self, document: &(String, String)) -> Result<Option<String>> {
        if let Some(path) = self.paths.get(document) {
            return Ok(path.clone());
        }
        let path = self.hand.desk.path_of(&document.0, &document.1)?;
        self.paths.insert(document.clone(), path.clone());
        Ok(path)
    }

    /// Reads the document, unless it was read before; gives its key, and whether others stand in its file. `None`: it is
    /// gone.
    fn load(
        &mut self,
        path: &str,
        document: &(String, String),
        origin: usize,
    ) -> Result<Option<(DocumentKey, bool)>> {
        if let Some(follower) = self.followers.get(path) {
            return Ok(Some((follower.key.clone(), false)));
        }
        let mut key = DocumentKey::of_text(&document.0, &document.1);
        let Some(found) = self.hand.desk.at(path)? else { return Ok(None) };
        if found.whole.documents.len() != 1 || found.whole.object.record.frame.is_some() {
            return Ok(Some((key, true)));
        }
        let Some(etag) = found.etag.clone().filter(|_| !found.moved) else {
            // its rows are not those of a document at this path
            self.hand.settle_first(&document.0, &document.1);
            return Ok(Some((key, true)));
        };
        if let Some(field) = self.hand.decider.layout.tenant_field(&document.0)
            && let Some(tenant) = self.hand.desk.root_cell(path, &found.assembled.bytes, field)
        {
            key = key.in_tenant(&tenant_text(&tenant));
        }
        let stamp = found.stamp;
        let before = before(found);
        let item = self.hand.preparer.removal(&before);
        let follower = Follower {
            origin,
            key: key.clone(),
            before,
            etag,
            text: None,
            removed: false,
            stamp,
            item: Item { changes: repot_core::RowChanges::default(), ..item },
            cuts: Cuts::default(),
        };
        self.followers.insert(path.to_owned(), follower);
        Ok(Some((key, false)))
    }

    /// A write within one tenant does not reach into another.
    fn is_foreign(&self, key: &DocumentKey, origin: usize) -> bool {
        let own = self.writes.get(origin).and_then(|write| write.key().tenant());
        own.is_some() && key.tenant().is_some() && own != key.tenant()
    }

    /// Makes anew what is written of a document.
    fn rebuild(&mut self, path: &str) -> Result<()> {
        let Some(follower) = self.followers.get(path) else { return Ok(()) };
        let (item, text) = if follower.removed {
            (self.hand.preparer.removal(&follower.before), None)
        } else {
            match self.changed(path, follower.origin)? {
                Some((item, text)) => (item, Some(text)),
                None => return Ok(()),
            }
        };
        if let Some(follower) = self.followers.get_mut(path) {
            (follower.item, follower.text) = (item, text);
        }
        Ok(())
    }

    /// The document without the references that go; `None` when its text cannot say so.
    fn changed(&mut self, path: &str, origin: usize) -> Result<Option<Changed>> {
        let Some(follower) = self.followers.get(path) else { return Ok(None) };
        let decider = self.hand.decider;
        let text = &follower.before.assembled.bytes;
        let edit = |rows: &RowBuffer| follower.cuts.made(decider.plan, rows);
        let laid = self.hand.desk.with_rows(path, text, &edit)?;
        if !laid.notes.is_empty() || laid.deleted {
            let row = follower.cuts.nulls.iter().map(|(row, _)| row).chain(&follower.cuts.rows).next();
            let row = row.cloned().unwrap_or_default();
            let field = decider.plan.tables[row.0].name.clone();
            let (document, gone) = (follower.key.clone(), laid.notes.join("; "));
            let why = "refers to it by its place";
            self.holding.push(Holding { origin, row, path: path.to_owned(), document, field, gone, why });
            return Ok(None);
        }
        let (mut text, mut states) = (bytes::Bytes::from(laid.bytes), Vec::new());
        if decider.layout.has_rules(&follower.key)? {
            (text, states) = decider.layout.revise_states(Proposal {
                key: &follower.key,
                path,
                body: &text,
                before: Some(&follower.before.assembled.bytes),
                document_bytes_max: decider.document_bytes_max,
                now_ms: decider.now_ms,
            })?;
        }
        let modified_ns = decider.now_ms.saturating_mul(1_000_000);
        let object = Object { path: path.to_owned(), size: text.len() as u64, modified_ns, etag: None };
        let item = self.hand.preparer.item(&object, &text, Some(&follower.before))?;
        Ok(Some((item, (text, states))))
    }

    /// The error that names who holds the unit back, unless all of them go as well.
    fn refuse(&mut self) -> Result<()> {
        let followers = &self.followers;
        let own = &self.own;
        let stays = |holding: &Holding| {
            let goes = |item: &Item| {
                let mut deletes = item.changes.deletes.iter();
                deletes.any(|(table, row)| (table, row) == (holding.row.0, holding.row.1.as_slice()))
            };
            if own.get(&holding.path).is_some_and(|(_, item)| goes(item)) {
                return false;
            }
            followers.get(&holding.path).is_none_or(|follower| !goes(&follower.item))
        };
        let holding: Vec<&Holding> = self.holding.iter().filter(|holding| stays(holding)).collect();
        let Some(first) = holding.first() else { return Ok(()) };
        let names = |holding: &&Holding| !self.is_foreign(&holding.document, holding.origin);
        let mut documents = BTreeMap::new();
        for one in holding.iter().filter(|one| names(one)) {
            documents
                .entry((one.document.collection(), one.document.text()))
                .or_insert((&one.field, one.why));
        }
        let all: BTreeSet<&str> = holding.iter().map(|holding| holding.path.as_str()).collect();
        let mut named: Vec<String> = documents
            .iter()
            .take(NAMED)
            .map(|((collection, key), (field, why))| format!("{collection}/{key} ({field}) {why}"))
            .collect();
        let rest = all.len().saturating_sub(named.len());
        if rest > 0 {
            let more = if named.is_empty() { "" } else { " more" };
            named.push(format!("{rest}{more} document{} refer to it", if rest == 1 { "" } else { "s" }));
        }
        let from = self.writes.get(first.origin).map_or(String::new(), |write| write.key().to_string());
        let message = format!("{from}: {} cannot go: {}", first.gone, named.join(", "));
        Err(Error::new(Kind::Conflict, "R0417", message).hint(
            "Delete them first, or let them refer to another; `cascade` or `set null` in the model does that.",
        ))
    }
}

impl Follower {
    fn is_idle(&self) -> bool {
        !self.removed && self.cuts.is_empty()
    }
}

/// Whether this row still has this value when the item was applied.
fn still_refers(plan: &Plan, item: &Item, row: &RowId, (column, value): (usize, &[u8])) -> bool {
    let same = |(table, cells): (usize, &[u8])| table == row.0 && cells == row.1.as_slice();
    if item.removes || item.changes.deletes.iter().any(same) {
        return false;
    }
    let mut updates = item.changes.updates.iter().filter(|(table, _)| *table == row.0);
    updates
        .find(|(table, cells)| identity(plan, *table, cells) == row.1)
        .is_none_or(|(_, cells)| cell(cells, column) == value)
}

/// Whether one row holds another.
pub(super) fn holds(plan: &Plan, (above, holder): (usize, &[u8]), (table, row): (usize, &[u8])) -> bool {
    plan.tables[table].parents.iter().filter(|parent| parent.table == above).any(|parent| {
        let named = parent.type_column.is_none_or(|column| {
            matches!(Cells::new(row).nth(column), Some(Cell::Text(name)) if *name == plan.tables[above].name)
        });
        // where keys of several types meet, the held row has them as texts
        named && key_text(&cell(row, parent.column)) == key_text(&cell(holder, parent.parent_column))
    })
}

/// One cell of a row, encoded.
fn cell(row: &[u8], at: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Cells::new(row).nth(at).unwrap_or(Cell::Null).encode(&mut out);
    out
}

fn too_many() -> Error {
    let message = format!("more than {FOLLOWERS_MAX} documents refer to what goes");
    Error::new(Kind::Unsupported, "R0405", message).hint("Delete them in several units of work first.")
}
