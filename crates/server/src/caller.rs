//! Who asks, and what they may.

use axum::http::HeaderMap;
use repot_core::store::{DocumentKey, Scope};

use crate::app::App;
use crate::problem::{Answered, Problem};

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    tenant: Option<String>,
}

impl Caller {
    /// From the headers.
    ///
    /// # Errors
    /// 400 when a header is no text.
    pub(crate) fn of(headers: &HeaderMap) -> Answered<Self> {
        let Some(value) = headers.get("repot-tenant") else { return Ok(Self { tenant: None }) };
        let tenant = std::str::from_utf8(value.as_bytes()).ok().filter(|tenant| !tenant.is_empty());
        let tenant = tenant.ok_or_else(|| {
            Problem::bad("Repot-Tenant is no text in UTF-8", "Send the tenant as it stands in the documents.")
        })?;
        Ok(Self { tenant: Some(tenant.to_owned()) })
    }

    /// What they may list and ask of a collection.
    pub(crate) fn scope(&self, app: &App, collection: &str) -> Scope {
        match &self.tenant {
            Some(tenant) if app.layout().is_tenants(collection) => Scope::of(collection).in_tenant(tenant),
            _ => Scope::of(collection),
        }
    }

    /// A document in their hands.
    pub(crate) fn key(&self, app: &App, key: DocumentKey) -> DocumentKey {
        match &self.tenant {
            Some(tenant) if app.layout().has_tenants(key.collection()) => key.in_tenant(tenant),
            _ => key,
        }
    }

    /// The tenant they speak for.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}
