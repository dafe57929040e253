//! A batch in which the database refuses something: objects that were there before are taken out whole and put
//! in again, each document under a savepoint, so that what is refused leaves no row behind and nothing else
//! waits for it.

use std::borrow::Cow;
use std::collections::HashMap;

use repot_core::{Batch, Item, Loading, Result};
use repot_model::plan::{Plan, key_text};
use repot_model::row::RowBuffer;

use crate::changes;
use crate::error::{fail, failed, refusal};
use crate::load::{RowWriter, dictionaries, end, index_holders};
use crate::records::{self, Records, Refused};
use crate::references::References;
use crate::rows::{Access, holders, key_cells, pick};
use crate::rules;
use crate::work::Work;

/// A row: its table and encoded cells.
type OneRow<'b> = (usize, Cow<'b, [u8]>);

/// A document whose rows are not in yet.
struct Waiting<'b> {
    path: &'b str,
    ordinal: u32,
    rows: Vec<OneRow<'b>>,
}

/// Applies a batch; gives the documents refused.
pub(crate) fn load(access: Access<'_>, batch: &Batch, loading: Loading) -> Result<Refused> {
    let work = Work::begin(access.connection)?;
    rules::enter(access.connection)?;
    let mut refused = Refused::new();
    {
        if loading == Loading::Bulk && batch.items.iter().any(|item| item.replaces) {
            (0..access.plan.tables.len()).try_for_each(|table| index_holders(access, table))?;
        }
        dictionaries(access, batch)?;
        let mut writer = RowWriter::new(access);
        let mut references = References::new(access);
        let mut waiting = Vec::new();
        let overwritten = overwritten(access.plan, batch);
        for (at, item) in batch.items.iter().enumerate() {
            take_out(access, (at, item), &overwritten, &mut writer, &mut references, &mut waiting)?;
        }
        for (table, row) in waiting.iter().flat_map(|document| &document.rows) {
            references.arrived(*table, row);
        }
        let room = batch.first_by_path.then_some(&mut references);
        put_in(access, waiting, &mut writer, &mut refused, room)?;
        let mut records = Records::new(access.connection)?;
        for item in &batch.items {
            records.put(item, &refused)?;
        }
        if loading == Loading::Steady {
            references.settle(&mut writer, &mut refused)?;
            changes::log(access.connection, batch, &records.former, &refused)?;
        }
    }
    end((access.plan, loading), work, batch, &refused)?;
    Ok(refused)
}

/// Rows that items of the batch overwrite, by table and identity: the number of the item. A row that another object
/// had before (a file was renamed) goes with the item that overwrites it.
type Overwritten = HashMap<(usize, Vec<u8>), usize>;

fn overwritten(plan: &Plan, batch: &Batch) -> Overwritten {
    let mut rows = Overwritten::new();
    for (at, item) in batch.items.iter().enumerate().filter(|(_, item)| !item.removes) {
        for (table, row) in item.changes.updates.iter() {
            rows.insert((table, pick(row, &plan.tables[table].identity)), at);
        }
    }
    rows
}

/// Deletes all rows the object had, and gathers all rows it shall have.
fn take_out<'b>(
    access: Access<'_>,
    (at, item): (usize, &'b Item),
    overwritten: &Overwritten,
    writer: &mut RowWriter<'_>,
    references: &mut References<'_>,
    waiting: &mut Vec<Waiting<'b>>,
) -> Result<()> {
    let mut old = RowBuffer::new();
    if item.replaces {
        stored_rows(access, (&item.object.path, item.touched.as_deref()), &mut old)?;
    }
    let mut kept =
        if item.removes { HashMap::new() } else { kept(access.plan, (at, item), overwritten, &old) };
    for at in (0..old.len()).rev() {
        let (table, row) = old.row(at);
        let identity = pick(row, &access.plan.tables[table].identity);
        references.left(table, &identity);
        writer.delete(table, &identity).map_err(failed("take an object out"))?;
    }
    for (table, identity) in item.changes.deletes.iter() {
        references.left(table, identity);
        writer.delete(table, identity).map_err(failed("take an object out"))?;
    }
    // they may have been another object's
    for (table, row) in item.changes.updates.iter().filter(|_| !item.removes) {
        let identity = pick(row, &access.plan.tables[table].identity);
        references.left(table, &identity);
        writer.delete(table, &identity).map_err(failed("take an object out"))?;
    }
    for (at, document) in item.documents.iter().enumerate() {
        let mut rows: Vec<OneRow<'b>> = kept.remove(&at).unwrap_or_default();
        rows.extend(document.rows.clone().map(|row| {
            let (table, cells) = item.rows.row(row);
            (table, Cow::Borrowed(cells))
        }));
        if !rows.is_empty() {
            waiting.push(Waiting { path: &item.object.path, ordinal: document.ordinal, rows });
        }
    }
    Ok(())
}

/// All rows of the documents that this object has now, or of those at these ordinals.
fn stored_rows(
    access: Access<'_>,
    (path, touched): (&str, Option<&[u32]>),
    out: &mut RowBuffer,
) -> Result<()> {
    let sql = "select d.collection, d.key, d.ordinal from repot_documents as d join repot_objects as o on o.id = d.object where o.path = ?1 and d.key is not null order by d.ordinal";
    let read = || -> rusqlite::Result<Vec<(String, String, u32)>> {
        let mut statement = access.connection.prepare_cached(sql)?;
        statement.query_map([path], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    for (collection, key, ordinal) in read().map_err(failed("read the documents of an object"))? {
        if touched.is_some_and(|touched| !touched.contains(&ordinal)) {
            continue;
        }
        if let Some(root) = access.plan.table(&collection)
            && let Some(key) = key_cells(access.plan, root, &key)
        {
            access.document(root, &key, out)?;
        }
    }
    Ok(())
}

/// Of the rows an object had, those that it keeps, and those that it takes over from others, by the number of their document among its new ones; overwritten
/// where the item says so.
fn kept(
    plan: &Plan,
    (at, item): (usize, &Item),
    overwritten: &Overwritten,
    old: &RowBuffer,
) -> HashMap<usize, Vec<OneRow<'static>>> {
    let mut rows: Vec<Option<(usize, Vec<u8>)>> = Vec::new();
    let mut by_identity: HashMap<(usize, Vec<u8>), usize> = HashMap::new();
    for (table, row) in old.iter() {
        let identity = (table, pick(row, &plan.tables[table].identity));
        if overwritten.get(&identity).is_some_and(|&by| by != at) {
            continue;
        }
        by_identity.insert(identity, rows.len());
        rows.push(Some((table, row.to_vec())));
    }
    for (table, identity) in item.changes.deletes.iter() {
        if let Some(at) = by_identity.remove(&(table, identity.to_vec())) {
            rows[at] = None;
        }
    }
    for (table, row) in item.changes.updates.iter() {
        match by_identity.get(&(table, pick(row, &plan.tables[table].identity))) {
            Some(&at) => rows[at] = Some((table, row.to_vec())),
            None => rows.push(Some((table, row.to_vec()))),
        }
    }
    let own = rows.len();
    rows.extend(item.rows.iter().map(|(table, row)| Some((table, row.to_vec()))));
    let by_key: HashMap<(usize, Vec<u8>), usize> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| {
            row.as_ref().map(|(table, row)| ((*table, pick(row, &plan.tables[*table].key)), at))
        })
        .collect();
    let documents: HashMap<(&str, &str), usize> = item
        .documents
        .iter()
        .enumerate()
        .filter_map(|(at, document)| Some(((document.collection.as_str(), document.key.as_deref()?), at)))
        .collect();
    let owner = |start: usize| {
        let mut at = start;
        for _ in 0..=rows.len() {
            let (table, row) = rows[at].as_ref()?;
            let shape = &plan.tables[*table];
            if shape.parents.is_empty() {
                let key = key_text(&pick(row, &shape.key));
                return documents.get(&(shape.name.as_str(), key.as_str())).copied();
            }
            at = holders(plan, *table, row).into_iter().find_map(|holder| by_key.get(&holder).copied())?;
        }
        None
    };
    let mut out: HashMap<usize, Vec<OneRow<'static>>> = HashMap::new();
    for (at, row) in rows.iter().enumerate().take(own) {
        if let (Some(document), Some((table, row))) = (owner(at), row) {
            out.entry(document).or_default().push((*table, Cow::Owned(row.clone())));
        }
    }
    out
}

/// Puts documents in, each all or not at all; tries again as long as that helps (one that goes elsewhere may
/// make room for another).
fn put_in(
    access: Access<'_>,
    mut waiting: Vec<Waiting<'_>>,
    writer: &mut RowWriter<'_>,
    refused: &mut Refused,
    mut room: Option<&mut References<'_>>,
) -> Result<()> {
    let savepoint = |sql: &str| {
        let done = access.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(()));
        done.map(drop).map_err(failed("load a document"))
    };
    loop {
        let before = waiting.len();
        let (mut left, mut again) = (Vec::new(), Vec::new());
        for document in waiting {
            savepoint("savepoint document")?;
            let failure = document
                .rows
                .iter()
                .find_map(|(table, row)| writer.insert(*table, row).err().map(|error| (*table, error)));
            if let Some((table, error)) = failure {
                let name = &access.plan.tables[table].name;
                let Some(reason) = refusal(name, &error) else {
                    return Err(fail(&format!("write to the table {name}"), error));
                };
                savepoint("rollback to document")?;
                if reason.0 == "R0203"
                    && let Some(references) = &mut room
                    && make_room(
                        access,
                        &document,
                        &reason,
                        (&mut *writer, &mut *refused, &mut **references),
                    )?
                {
                    again.push(document);
                } else {
                    refused.insert((document.path.to_owned(), document.ordinal), reason);
                    left.push(document);
                }
            } else {
                refused.remove(&(document.path.to_owned(), document.ordinal));
            }
            savepoint("release document")?;
        }
        if again.is_empty() && (left.is_empty() || left.len() == before) {
            return Ok(());
        }
        waiting = left;
        waiting.extend(again);
    }
}

/// Sets those documents aside that hold a key or unique value of this one, if all of them come later by path;
/// `false`, and nothing is changed, when something else is in the way.
fn make_room(
    access: Access<'_>,
    document: &Waiting<'_>,
    reason: &(&'static str, String),
    (writer, refused, references): (&mut RowWriter<'_>, &mut Refused, &mut References<'_>),
) -> Result<bool> {
    let mut holders: Vec<(usize, Vec<u8>)> = Vec::new();
    for (table, row) in &document.rows {
        for taken in access.holding(*table, row)? {
            let Some(holder) = access.climb(*table, &taken)? else { return Ok(false) };
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
    }
    for (root, key) in &holders {
        let collection = &access.plan.tables[*root].name;
        match records::find(access.connection, collection, &key_text(key))? {
            Some((path, ordinal)) if (path.as_str(), ordinal) > (document.path, document.ordinal) => {}
            _ => return Ok(false),
        }
    }
    for (root, key) in &holders {
        references.take_away(*root, key, (reason.0, &reason.1), (&mut *writer, &mut *refused))?;
    }
    Ok(!holders.is_empty())
}
