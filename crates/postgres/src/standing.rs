//! What a session is set to between transactions. A question by one statement needs no transaction of its own where the session
//! is nobody else's: its bound of time, its role and its tenant stay set from one question to the next, and are set anew only for
//! another tenant. Whatever else the session is used for takes them back first.

use std::sync::{LazyLock, Mutex, PoisonError};

use futures_util::future::join;
use repot_model::sql::query::SETTING;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Statement};

use crate::client::{Client, Typed};
use crate::transaction::BY_KEYS;

/// Whose questions the session is set for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Longest time of a statement, milliseconds.
    pub timeout_ms: u128,
    /// The role that holds tenants apart, and the tenant. `None`: the session's own role.
    pub tenant: Option<(String, String)>,
}

impl Asker {
    /// The statement that sets a session up for it, with its values.
    fn setting(&self, before: &Standing) -> (&'static str, Vec<String>) {
        match &self.tenant {
            Some((_, tenant)) if before.is_beside(self) => (&TENANT, vec![tenant.clone()]),
            Some((role, tenant)) => {
                (&TENANTS, vec![self.timeout_ms.to_string(), role.clone(), tenant.clone()])
            }
            None => (OWN, vec![self.timeout_ms.to_string()]),
        }
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Standing {
    /// As it was when it was opened.
    #[default]
    Own,
    Asking(Asker),
    /// It was not taken back, and something may have been sent behind that.
    Stuck,
}

impl Standing {
    /// Set for a tenant, from whom this one differs in nothing else.
    fn is_beside(&self, other: &Asker) -> bool {
        let Self::Asking(asker) = self else { return false };
        let role = |asker: &Asker| asker.tenant.as_ref().map(|(role, _)| role.clone());
        asker.timeout_ms == other.timeout_ms && role(asker).is_some() && role(asker) == role(other)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Standings(Mutex<Standing>);

impl Standings {
    fn get(&self) -> Standing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

/// Only reads, as the transaction of a reader does, by plans as the server is set to.
const OWN: &str = "select set_config('statement_timeout', $1, false), set_config('default_transaction_read_only', 'on', false), \
                   set_config('enable_seqscan', null, false), set_config('jit', null, false)";

/// The same, under the role that holds tenants apart.
static TENANTS: LazyLock<String> =
    LazyLock::new(|| format!("{OWN}, set_config('role', $2, false), set_config('{SETTING}', $3, false)"));

/// The tenant after another one: a role costs about as much to set as a question to answer.
static TENANT: LazyLock<String> = LazyLock::new(|| format!("select set_config('{SETTING}', $1, false)"));

/// Takes back what was set.
static LEAVE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "reset role; reset {SETTING}; reset default_transaction_read_only; set statement_timeout = 0; {BY_KEYS}"
    )
});

fn typed(values: &[String]) -> Vec<Typed<'_>> {
    values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect()
}

/// What is to be sent before a question.
#[derive(Debug)]
pub(crate) struct Change {
    asker: Asker,
    sql: &'static str,
    values: Vec<String>,
    kept: Option<Statement>,
}

impl Client {
    /// It could not be taken back what was set for questions: the session is of no more use.
    pub(crate) fn is_stuck(&self) -> bool {
        self.standings().get() == Standing::Stuck
    }

    /// What is to be sent before this one's question, with [`Client::stand_for`]; `None`: nothing. All that has to be waited for
    /// is done here, so that the change goes out in its turn.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn change_for(&self, asker: Asker) -> Result<Option<Change>, Error> {
        let before = self.standings().get();
        if before == Standing::Asking(asker.clone()) {
            return Ok(None);
        }
        let (sql, values) = asker.setting(&before);
        let kept = self.kept(sql, &typed(&values)).await?;
        Ok(Some(Change { asker, sql, values, kept }))
    }

    /// Sets the session up. What is sent behind it runs whatever becomes of it, so its error counts first.
    ///
    /// # Errors
    /// What the server says; the session stands as before then.
    pub(crate) async fn stand_for(&self, change: Option<Change>) -> Result<(), Error> {
        let Some(Change { asker, sql, values, kept }) = change else { return Ok(()) };
        let values = typed(&values);
        let before = self.standings().get();
        // the role of a tenant is replaced with the tenant
        let is_left = asker.tenant.is_none() && before != Standing::Own;
        // until it is known to be done, and for good where nobody waits any more
        self.standings().set(Standing::Stuck);
        let leaving = async {
            match is_left {
                true => self.batch_execute(&LEAVE).await,
                false => Ok(()),
            }
        };
        let (left, set) = join(leaving, self.query_kept((sql, kept.as_ref()), &values)).await;
        left?;
        self.standings().set(match &set {
            Ok(_) => Standing::Asking(asker),
            Err(_) if is_left => Standing::Own,
            Err(_) => before,
        });
        set.map(drop)
    }

    /// Sends what begins a transaction, behind what makes the session its own again.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn begin(&self, sql: &str) -> Result<(), Error> {
        let (stood_down, begun) = join(self.stand_down(), self.batch_execute(sql)).await;
        stood_down.and(begun)
    }

    /// Takes back what was set for questions; sends nothing where nothing was. To be sent before anything else.
    ///
    /// # Errors
    /// What the server says; the session is stuck then.
    pub(crate) async fn stand_down(&self) -> Result<(), Error> {
        if self.standings().get() == Standing::Own {
            return Ok(());
        }
        // until it is known to be done
        self.standings().set(Standing::Stuck);
        self.batch_execute(&LEAVE).await?;
        self.standings().set(Standing::Own);
        Ok(())
    }
}
