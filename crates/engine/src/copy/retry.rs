//! After the pipeline: documents that refer to nothing are set aside, the bulk load is finished, and what was
//! refused for a reason that may have passed (a key taken by a document that is gone now, a reference to one
//! that came later) is tried again, until a round changes nothing.

use std::collections::BTreeMap;

use repot_core::{Error, Item, Kind, Loading, Result, Status, Target};

use super::worker::load_before;
use super::{Copy, FIRST_BY_PATH, Report, writer};
use crate::prepare::{Before, Preparer};
use crate::route::Routes;
use crate::text::Dictionaries;

/// Violations and retries taken up at once.
const AT_ONCE: usize = 2_000;
/// Documents tried again in one round.
const RETRIED: usize = 50_000;
/// Reasons that can pass without the document changing.
const MAY_PASS: [&str; 2] = ["R0203", "R0305"];

/// Finishes a bulk load.
pub(crate) fn finish(
    copy: &Copy<'_>,
    target: &mut dyn Target,
    routes: &Routes<'_>,
    dictionaries: &Dictionaries,
    report: &mut Report,
) -> Result<()> {
    if target.state()?.is_none_or(|state| state.loading == Loading::Steady) {
        return Ok(());
    }
    let mut preparer = writer::preparer(copy, routes, dictionaries)?;
    loop {
        let violations = target.finish(copy.plan, AT_ONCE, &mut |step| copy.progress.step(step))?;
        if violations.is_empty() {
            return Ok(());
        }
        let mut reader = target.reader()?;
        let mut refused: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
        for violation in &violations {
            let found = reader.find_document(&violation.collection, &violation.key)?;
            let Some(object) = found else { continue };
            let mut ordinal = None;
            reader.documents(&[object.id], &mut |document| {
                let record = document.record;
                if record.collection == violation.collection && record.key.as_deref() == Some(&violation.key)
                {
                    ordinal = Some(record.ordinal);
                }
                Ok(())
            })?;
            if let Some(ordinal) = ordinal {
                refused.entry(object.record.path).or_default().insert(ordinal, violation.reason.clone());
            }
        }
        if refused.is_empty() {
            let first = violations.first().map_or("", |violation| violation.reason.as_str());
            return Err(Error::new(
                Kind::Conflict,
                "R0305",
                format!("a row refers to nothing and is of no document: {first}"),
            )
            .hint("Remove that row with SQL, then run the same command again."));
        }
        let mut items = Vec::new();
        for (path, documents) in &refused {
            let Some(stored) = reader.object(path)? else { continue };
            let before = load_before(stored, reader.as_mut())?;
            items.push(aside(&mut preparer, &before, documents)?);
            report.documents = report.documents.saturating_sub(documents.len() as u64);
        }
        drop(reader);
        writer::apply(copy, target, dictionaries, items, false)?;
    }
}

/// The object with these documents set aside: their rows are deleted, everything else stays.
fn aside(preparer: &mut Preparer<'_>, before: &Before, reasons: &BTreeMap<u32, String>) -> Result<Item> {
    let mut only = Before {
        whole: crate::stored::Whole {
            object: before.whole.object.clone(),
            documents: before.whole.documents.clone(),
        },
        assembled: crate::stored::Assembled {
            bytes: before.assembled.bytes.clone(),
            spans: before.assembled.spans.clone(),
            without_kept: None,
        },
        rows: None,
    };
    for document in &mut only.whole.documents {
        if !reasons.contains_key(&document.record.ordinal) && document.record.reason.is_none() {
            // pretend that it has no rows, so that only the refused ones are deleted
            document.record.reason = Some((String::new(), String::new()));
        }
    }
    let mut item = preparer.removal(&only);
    item.removes = false;
    item.replaces = true;
    item.documents = before.whole.documents.iter().map(|document| document.record.clone()).collect();
    for document in &mut item.documents {
        document.rows = 0..0;
        if let Some(reason) = reasons.get(&document.ordinal) {
            document.reason = Some(("R0305".to_owned(), reason.clone()));
            document.key = None;
        }
    }
    if let [only] = item.documents.as_slice()
        && item.object.frame.is_none()
    {
        item.object.status = Status::SetAside;
        item.object.reason.clone_from(&only.reason);
    }
    Ok(item)
}

/// Tries refused documents again. `all`: whatever the reason.
pub(crate) fn refused(
    copy: &Copy<'_>,
    target: &mut dyn Target,
    routes: &Routes<'_>,
    dictionaries: &Dictionaries,
    report: &mut Report,
    all: bool,
) -> Result<()> {
    let first_by_path = target.reader()?.meta(FIRST_BY_PATH)?.is_some();
    if !(report.wrote || all || first_by_path) {
        return Ok(());
    }
    let mut preparer = writer::preparer(copy, routes, dictionaries)?;
    loop {
        let mut gained = false;
        let mut reader = target.reader()?;
        let mut paths: Vec<String> = Vec::new();
        for code in MAY_PASS {
            paths.extend(reader.set_aside(Some(code), RETRIED)?.into_iter().map(|aside| aside.0));
        }
        if all {
            paths.extend(reader.set_aside(None, RETRIED)?.into_iter().map(|aside| aside.0));
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            let Some(stored) = reader.object(&path)? else { continue };
            let before = load_before(stored, reader.as_mut())?;
            if before.whole.documents.is_empty() {
                continue;
            }
            let old = aside_count(before.whole.documents.iter().map(|document| &document.record));
            let record = &before.whole.object.record;
            let object = repot_core::Object {
                path: path.clone(),
                size: record.size,
                modified_ns: record.modified_ns,
                etag: record.etag.clone(),
            };
            let item = preparer.item(&object, &before.assembled.bytes, Some(&before))?;
            let (misfits, rows) = (aside_count(item.documents.iter()), item.rows.len() as u64);
            let refused = writer::apply(copy, target, dictionaries, vec![item], first_by_path)?;
            let (own, others): (Vec<_>, Vec<_>) = refused.iter().partition(|(refused, _)| *refused == path);
            report.documents = report.documents.saturating_sub(others.len() as u64);
            let again = own.len() + misfits;
            if again < old {
                gained = true;
                report.documents += (old - again) as u64;
                report.rows += rows;
            }
        }
        if !gained {
            if first_by_path {
                target.set_meta(FIRST_BY_PATH, None)?;
            }
            return Ok(());
        }
    }
}

fn aside_count<'d>(documents: impl Iterator<Item = &'d repot_core::DocumentRecord>) -> usize {
    documents.filter(|document| document.reason.is_some()).count()
}
