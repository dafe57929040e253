//! Does the database itself hold tenants apart?

use repot_model::plan::Plan;

use crate::error::Result;

/// What stands between two tenants in a database, beside the statements of ours, which name the tenant each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSecurity {
    /// No collection of the model has tenants.
    NotNeeded,
    /// What a tenant asks runs under a role that sees and changes that tenant's rows only.
    Enforced,
    /// It will be so once the tables are made, or are opened the next time.
    Coming,
    /// It could be so, and is not: a sentence that says why, and what to do.
    Missing(String),
    /// The database has no such thing.
    Unsupported,
}

impl RowSecurity {
    /// What a database without roles says.
    #[must_use]
    pub fn unsupported(plan: &Plan) -> Self {
        if repot_model::sql::query::has_tenants(plan) { Self::Unsupported } else { Self::NotNeeded }
    }

    /// Whether it stands.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        *self == Self::Enforced
    }
}

/// A target that can be asked about it.
pub trait TenantGuard {
    /// How it stands; changes nothing. [`crate::Target::enforce_rules`] makes what can be made.
    ///
    /// # Errors
    /// When the database is out of reach.
    fn row_security(&mut self, plan: &Plan) -> Result<RowSecurity>;
}
