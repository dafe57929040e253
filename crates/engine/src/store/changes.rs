//! The change log of a [`RowStore`]: reading it from a position, giving positions to what has none yet, and pruning it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use repot_core::change_log::{ChangeKind, StoredChange, StoredChanges};
use repot_core::store::{
    ChangeEntry, ChangeFeed, ChangePage, ChangePosition, ChangeScope, DocumentKey, Layout,
};
use repot_core::{Error, Kind, Result};

use super::queue::Task;
use super::row_store::RowStore;

/// Changes read at once; a page has no more entries.
const READ_AT_ONCE: usize = 1_024;
/// Writes after which the log is pruned by one step, which takes more away than they put there.
const WRITES_A_STEP: usize = 256;
/// Steps of pruning one after the other.
pub(super) const STEPS_MOST: usize = 8;

/// When the log is to be pruned.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    writes: AtomicUsize,
}

impl Pruning {
    /// As many writes were made; `true`: it is time.
    pub(super) fn wrote(&self, writes: usize) -> bool {
        let before = self.writes.fetch_add(writes, Ordering::Relaxed);
        before / WRITES_A_STEP != before.saturating_add(writes) / WRITES_A_STEP
    }
}

impl RowStore {
    /// The log after a position, with every change that was committed before the call, or as many as are read at once.
    async fn logged(&self, after: i64, most: usize) -> Result<StoredChanges> {
        let read = move || self.read(move |desk, _| desk.reader().changes(after, most));
        let mut found = read().await?;
        // a full page has nothing to wait for
        if found.unnumbered && found.rows.len() < most {
            self.write(Task::NumberChanges).await?;
            found = read().await?;
        }
        let (keep, now_ms) = (self.options().changes, self.options().clock.now_ms());
        if found.oldest.is_some_and(|oldest| keep.drops(oldest, found.newest, now_ms)) {
            self.prune();
        }
        Ok(found)
    }
}

#[async_trait]
impl ChangeFeed for RowStore {
    async fn changes(&self, scope: &ChangeScope, after: ChangePosition, most: usize) -> Result<ChangePage> {
        let layout = self.layout();
        if let ChangeScope::Documents(scope) = scope {
            layout.check_scope(scope)?;
        }
        let number = i64::try_from(after.number()).map_err(|_too_large| too_far(after))?;
        let most = most.clamp(1, READ_AT_ONCE);
        let limit = if *scope == ChangeScope::Everything { most } else { READ_AT_ONCE };
        let found = self.logged(number, limit).await?;
        if number < found.pruned_to {
            return Err(too_old(after, found.pruned_to));
        }
        if number > found.newest {
            return Err(too_far(after));
        }
        let full = found.rows.len() >= limit;
        let mut page = Pages { layout, scope, most, last: HashMap::new(), entries: Vec::new(), count: 0 };
        let mut next = after;
        for row in found.rows {
            let position = position(row.position);
            if !page.take(row) {
                return Ok(ChangePage { entries: page.entries(), next, more: true });
            }
            next = position;
        }
        Ok(ChangePage { entries: page.entries(), next, more: full })
    }

    async fn position(&self) -> Result<ChangePosition> {
        let newest = |found: &StoredChanges| position(found.newest);
        let found = self.logged(i64::MAX, 1).await?;
        Ok(newest(&found))
    }
}

fn position(number: i64) -> ChangePosition {
    ChangePosition::new(u64::try_from(number).unwrap_or(0))
}

fn too_old(after: ChangePosition, kept: i64) -> Error {
    let message =
        format!("changes after {} are asked for, and they are kept after {kept} only", after.number());
    gone(message)
}

fn too_far(after: ChangePosition) -> Error {
    gone(format!("changes after {} are asked for, and the log ends before it", after.number()))
}

fn gone(message: String) -> Error {
    Error::new(Kind::Refused, "R0604", message)
        .hint("Take the log's position, read everything with a listing, and go on from that position.")
}

/// A page while it is filled.
struct Pages<'a> {
    layout: &'a Layout,
    scope: &'a ChangeScope,
    most: usize,
    /// The last entry of a document, where it is of plain SQL.
    last: HashMap<DocumentKey, usize>,
    entries: Vec<Option<ChangeEntry>>,
    count: usize,
}

impl Pages<'_> {
    /// Takes a change in; `false`: there is no room for it.
    fn take(&mut self, row: StoredChange) -> bool {
        let (at_ms, position, path) = (row.at_ms, position(row.position), row.path.clone());
        let Some((key, kind)) = self.identify(row) else { return true };
        let by_sql = matches!(kind, ChangeKind::Sql | ChangeKind::Collection);
        let same = self.last.get(&key).copied().filter(|_| by_sql);
        if same.is_none() && self.count == self.most {
            return false;
        }
        match same.and_then(|same| self.entries.get_mut(same)) {
            Some(entry) => *entry = None,
            None => self.count += 1,
        }
        if by_sql {
            self.last.insert(key.clone(), self.entries.len());
        } else {
            self.last.remove(&key);
        }
        self.entries.push(Some(ChangeEntry { position, key, kind, at_ms, path }));
        true
    }

    fn entries(self) -> Vec<ChangeEntry> {
        self.entries.into_iter().flatten().collect()
    }

    /// Which document it is; `None`: none of the scope.
    fn identify(&self, row: StoredChange) -> Option<(DocumentKey, ChangeKind)> {
        let StoredChange { collection, tenant, key, path, by_sql, kind, .. } = row;
        if by_sql && key == "*" {
            // whose documents they are may not be known: then everybody is told that there may be something
            let tenant = tenant.or_else(|| self.wanted(&collection));
            let key = DocumentKey::of_record((&collection, tenant.as_deref()), &key);
            return self.is_wanted(&key).then_some((key, ChangeKind::Collection));
        }
        // a place says whose documents are there, also where it does not say which
        let tenant = tenant.or_else(|| self.layout.tenant_of(&collection, path.as_deref()?));
        let at = path.and_then(|path| self.layout.key_at(&path)).filter(|at| at.collection() == collection);
        // SQL may have given it to another tenant since the path was made
        let at = at.filter(|at| tenant.is_none() || at.tenant() == tenant.as_deref());
        let recorded = || DocumentKey::of_record((&collection, tenant.as_deref()), &key);
        let key = at.unwrap_or_else(recorded);
        self.is_wanted(&key).then_some((key, kind))
    }

    /// The tenant that asks, where the collection has tenants.
    fn wanted(&self, collection: &str) -> Option<String> {
        let tenant = match self.scope {
            ChangeScope::Everything => None,
            ChangeScope::Tenant(tenant) => Some(tenant),
            ChangeScope::Documents(scope) => scope.tenant.as_ref(),
        };
        tenant.filter(|_| self.layout.has_tenants(collection)).cloned()
    }

    fn is_wanted(&self, key: &DocumentKey) -> bool {
        match self.scope {
            ChangeScope::Everything => true,
            ChangeScope::Tenant(tenant) => key.tenant() == Some(tenant.as_str()),
            ChangeScope::Documents(scope) => {
                key.collection() == scope.collection && key.tenant() == scope.tenant.as_deref()
            }
        }
    }
}
