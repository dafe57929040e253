//! Which changes a listener is told.

use std::collections::BTreeSet;

use repot_core::change_log::ChangeKind;
use repot_core::store::DocumentKey;
use repot_engine::ledger::Right;

use super::entry::Entry;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Answered, Problem};

/// The collections that a listener asked for, as far as it may see them.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Those without tenants, and the tenant's own.
    collections: BTreeSet<String>,
    /// Those of them that have tenants.
    of_tenants: BTreeSet<String>,
    tenant: Option<String>,
}

impl Wanted {
    /// `only`: names of collections; `None`: all that the caller may see.
    ///
    /// # Errors
    /// 400 when one is no collection of documents, or has tenants and the caller speaks for none; 403 when the caller may
    /// not read one.
    pub(crate) fn of(app: &App, caller: &Caller, only: Option<&[String]>) -> Answered<Self> {
        let tenant = caller.tenant().map(str::to_owned);
        let layout = app.layout();
        let all = app.store().collections();
        let mut collections: BTreeSet<String> = BTreeSet::new();
        for name in only.unwrap_or(&all) {
            if !all.contains(name) {
                return Err(Problem::bad(
                    format!("`only` names {name}, which is no collection with documents"),
                    "Name collections of the model whose documents are files of their own; rows inside documents change with them.",
                ));
            }
            match caller.may(Right::Read, Some(name)) {
                Err(_) if only.is_none() => continue,
                may => may?,
            }
            if layout.has_tenants(name) && tenant.is_none() {
                if only.is_none() {
                    continue;
                }
                layout.check_scope(&caller.scope(app, name))?;
            }
            collections.insert(name.clone());
        }
        let of_tenants = collections.iter().filter(|name| layout.has_tenants(name)).cloned().collect();
        Ok(Self { collections, of_tenants, tenant })
    }

    /// Whether this change is told.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        let collection = entry.key.collection();
        if !self.collections.contains(collection) {
            return false;
        }
        if !self.of_tenants.contains(collection) {
            return true;
        }
        let whose = entry.key.tenant();
        // of what SQL did to nobody knows whose documents everybody is told that there may be something
        let unknown = entry.kind == ChangeKind::Collection && whose.is_none();
        unknown || (whose.is_some() && whose == self.tenant.as_deref())
    }

    /// The document in the hands of this listener.
    pub(super) fn key(&self, key: &DocumentKey) -> DocumentKey {
        match &self.tenant {
            Some(tenant) if self.of_tenants.contains(key.collection()) => key.clone().in_tenant(tenant),
            _ => key.clone(),
        }
    }
}
