//! A listing: objects in byte order of the path, by their records; only those are read of which the records do not tell size
//! and `ETag`.

use repot_core::store::{Layout, ObjectMeta};
use repot_core::{Member, Result, StoredObject};

use super::OWN;
use super::row_objects::RowObjects;
use super::view::{etag_of, is_held};
use crate::store::desk::Desk;

/// Objects looked at in one statement.
const LISTED_AT_ONCE: usize = 256;

impl RowObjects {
    pub(super) async fn listed(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<ObjectMeta>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut found = self.own_listed(prefix, after, most).await?;
        if !prefix.starts_with(OWN) && !prefix.contains('\0') {
            if after.is_none_or(|after| after <= prefix) {
                // what SQL does from here on need not be in this listing
                self.rows.settle_marked().await?;
            }
            let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
            let objects =
                self.rows.read(move |desk, layout| listed(desk, (layout, &prefix), after, most)).await?;
            found.extend(objects);
            found.sort_by(|one, other| one.path.cmp(&other.path));
            found.truncate(most);
        }
        Ok(found)
    }
}

fn listed(
    desk: &mut Desk<'_, '_>,
    (layout, prefix): (&Layout, &str),
    after: Option<String>,
    most: usize,
) -> Result<Vec<ObjectMeta>> {
    desk.reader().hold()?;
    let mut found = Vec::new();
    let mut after = after.filter(|after| after.as_str() >= prefix);
    if after.is_none() && !prefix.is_empty() {
        // an object at the prefix itself would be passed over by `after`
        let own = desk.reader().object(prefix)?;
        take(desk, layout, own.into_iter().collect(), &mut found)?;
        after = Some(prefix.to_owned());
    }
    loop {
        let wanted = (most - found.len()).min(LISTED_AT_ONCE);
        if wanted == 0 {
            return Ok(found);
        }
        let mut page = desk.reader().objects(after.as_deref(), wanted, true)?;
        let mut ends = page.len() < wanted;
        after = page.last().map(|object| object.record.path.clone());
        let before = page.len();
        page.retain(|object| object.record.path.starts_with(prefix));
        ends |= page.len() < before;
        take(desk, layout, page, &mut found)?;
        if ends {
            return Ok(found);
        }
    }
}

/// Puts what is there of these objects to what was found.
fn take(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    objects: Vec<StoredObject>,
    found: &mut Vec<ObjectMeta>,
) -> Result<()> {
    let held: Vec<StoredObject> = objects.into_iter().filter(|object| is_held(&object.record)).collect();
    let numbers: Vec<i64> = held.iter().map(|object| object.id).collect();
    let members = if numbers.is_empty() { Vec::new() } else { desk.reader().members(&numbers)? };
    for object in held {
        let own = members.partition_point(|member| member.object < object.id);
        let own: Vec<Member> =
            members[own..].iter().take_while(|member| member.object == object.id).cloned().collect();
        let record = &object.record;
        if own.iter().any(|member| member.stamp != 0 || member.is_kept) {
            let path = record.path.clone();
            found.extend(desk.viewed(layout, object, &own)?.map(|view| view.meta(path)));
            continue;
        }
        found.push(ObjectMeta {
            path: record.path.clone(),
            size_bytes: record.size,
            modified_ns: record.modified_ns,
            etag: Some(etag_of(record, own.iter().map(|member| member.etag.as_str()))?),
        });
    }
    Ok(())
}
