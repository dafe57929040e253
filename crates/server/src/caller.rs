//! Who asks, and what they may.

use axum::http::{HeaderMap, HeaderName, header};
use repot_core::store::{DocumentKey, Scope};
use repot_core::{Error, Kind};
use repot_engine::ledger::{Principal, Right};

use crate::app::App;
use crate::problem::{Answered, Problem};

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `None`: somebody on this machine, where there are no keys.
    principal: Option<Principal>,
    tenant: Option<String>,
}

impl Caller {
    /// From the headers.
    ///
    /// # Errors
    /// 401 without a key that can be used; 403 when the key may not speak for the tenant; 400 when a header is no text.
    pub(crate) async fn of(app: &App, headers: &HeaderMap) -> Answered<Self> {
        let principal = app.access().principal(app, headers).await?;
        let named = named_tenant(headers)?;
        let tenant = match &principal {
            None => named,
            Some(principal) => {
                let acting = principal.tenants.acting_for(named.as_deref()).ok_or_else(|| {
                    Error::new(Kind::Denied, "R0446", "the key may not speak for this tenant")
                        .hint("Leave out Repot-Tenant, or use the tenant's own key.")
                })?;
                acting.map(str::to_owned)
            }
        };
        Ok(Self { principal, tenant })
    }

    /// Checks that they may do this with a collection; `None`: with what is not of one collection.
    ///
    /// # Errors
    /// 403 when they may not.
    pub(crate) fn may(&self, right: Right, collection: Option<&str>) -> Answered<()> {
        let allowed = self.principal.as_ref().is_none_or(|principal| principal.rights.may(right, collection));
        if allowed {
            return Ok(());
        }
        let what = collection.unwrap_or("this");
        Err(Error::new(Kind::Denied, "R0446", format!("the key may not {right} {what}"))
            .hint("Use a key with that right; repot key list shows what each may.")
            .into())
    }

    /// Checks that they may run the server, which no tenant may.
    ///
    /// # Errors
    /// 403 when they may not.
    pub(crate) fn may_run(&self) -> Answered<()> {
        self.may(Right::Admin, None)?;
        if self.tenant.is_none() {
            return Ok(());
        }
        Err(Error::new(Kind::Denied, "R0446", "in the name of a tenant the server cannot be run")
            .hint("Use a key that is bound to no tenant, and leave out Repot-Tenant.")
            .into())
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

    /// The same, where this collection has tenants.
    pub(crate) fn tenant_of(&self, app: &App, collection: &str) -> Option<String> {
        self.tenant.clone().filter(|_| app.layout().is_tenants(collection))
    }

    /// Who it was, for the record of changes.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.principal.as_ref().map(|principal| principal.name.as_str())
    }

    /// What tells them apart from all other callers.
    pub(crate) fn id(&self) -> &str {
        self.principal.as_ref().map_or("", |principal| principal.id.as_str())
    }
}

/// What a request showed, for an answer that goes on after it: the right to it ends with the key.
#[derive(Debug, Clone)]
pub(crate) struct Standing(HeaderMap);

impl Standing {
    /// How often who waits looks whether the key still holds, milliseconds. That costs nothing while it is believed
    /// ([`repot_engine::ledger::ApiKeys`]).
    pub(crate) const LOOK_MS: u64 = 1_000;

    /// From the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let shown = [header::AUTHORIZATION, TENANT];
        let shown = shown.into_iter().filter_map(|name| Some((name.clone(), headers.get(&name)?.clone())));
        Self(shown.collect())
    }

    /// Checks that the same request would be let in now.
    ///
    /// # Errors
    /// As [`Caller::of`].
    pub(crate) async fn check(&self, app: &App) -> Answered<()> {
        Caller::of(app, &self.0).await.map(drop)
    }

    /// Comes back when it would not be let in any more. While the store is out of reach nobody can tell.
    pub(crate) async fn ended(&self, app: &App) -> Problem {
        loop {
            app.pacing().pause(Self::LOOK_MS).await;
            match self.check(app).await {
                Err(problem) if !problem.is_passing() => return problem,
                _ => {}
            }
        }
    }
}

const TENANT: HeaderName = HeaderName::from_static("repot-tenant");

fn named_tenant(headers: &HeaderMap) -> Answered<Option<String>> {
    let Some(value) = headers.get(TENANT) else { return Ok(None) };
    let tenant = std::str::from_utf8(value.as_bytes()).ok().filter(|tenant| !tenant.is_empty());
    let tenant = tenant.ok_or_else(|| {
        Problem::bad("Repot-Tenant is no text in UTF-8", "Send the tenant as it stands in the documents.")
    })?;
    Ok(Some(tenant.to_owned()))
}
