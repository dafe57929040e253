//! Whether the server has crashed since: `repot_epoch`, one row that a crash takes away.
//!
//! A server that crashes gives the numbers of transactions out again whose log was not written yet. What it says of such a
//! number is about a stranger then. A table that is not logged is emptied by crash recovery, by the promotion of a standby
//! and by a restore, and kept by a clean stop: while its token is the same, a number means one transaction.

use repot_core::Result;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::client::Client;
use crate::error::{failed, is_lost};
use crate::transaction::Writer;

pub(crate) const TABLE: &str = "\
create unlogged table if not exists repot_epoch (one boolean primary key default true check (one), token uuid not null);
";

const THERE: &str = "select to_regclass(quote_ident(current_schema()) || '.repot_epoch') is not null";

/// The token; made where a crash took it, or nobody made one yet. No row when somebody else makes it at the same time.
const TOKEN: &str = "\
with made as (insert into repot_epoch (token) select gen_random_uuid() where not exists (select from repot_epoch) \
on conflict do nothing returning token) \
select token::text from made union all select token::text from repot_epoch";

/// What a writer knows of it. Whatever is read in a session before a transaction holds for that transaction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Epoch {
    /// Not read in this session.
    #[default]
    Unread,
    /// There is no table, or it cannot be read.
    None,
    /// The token.
    Token(String),
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Aborted,
    /// The session has not noticed yet that nobody listens.
    Running,
    /// The server has crashed meanwhile, or it is too long ago.
    Unknown,
}

impl Writer {
    /// Makes the table where it is not there.
    pub(crate) async fn make_epoch(&mut self) -> Result<()> {
        self.ready().await?;
        if self.has_epoch().await? {
            return Ok(());
        }
        let made = self.committed(TABLE.trim_end(), "make repot_epoch").await;
        self.epoch = Epoch::Unread;
        match made {
            // another one that made it at the same time
            Err(_) if self.has_epoch().await? => Ok(()),
            made => made,
        }
    }

    async fn has_epoch(&self) -> Result<bool> {
        let row = self.client().query_typed_one(THERE, &[]).await;
        Ok(row.map_err(|error| failed("look at the database", error))?.get::<_, Option<bool>>(0)
            == Some(true))
    }

    /// Reads the token before the first transaction of a session. What keeps it from being read keeps nobody from writing:
    /// only what becomes of a lost commit is not known then.
    pub(crate) async fn know_epoch(&mut self) {
        if self.epoch == Epoch::Unread {
            match token(self.client()).await {
                Ok(epoch) => self.epoch = epoch,
                Err(error) if is_lost(&error) => self.connection.give_up(),
                Err(_) => self.epoch = Epoch::None,
            }
        }
    }
}

async fn token(client: &Client) -> Result<Epoch, tokio_postgres::Error> {
    if client.query_typed_one(THERE, &[]).await?.get::<_, Option<bool>>(0) != Some(true) {
        return Ok(Epoch::None);
    }
    // whoever finds no row has waited for the one that makes it
    for _ in 0..2 {
        if let Some(row) = client.query_typed_opt(TOKEN, &[]).await? {
            return Ok(Epoch::Token(row.get(0)));
        }
    }
    Ok(Epoch::None)
}

/// Asks what became of the transaction with this number, which began when the epoch was `since`.
///
/// # Errors
/// When the server cannot be asked.
pub(crate) async fn fate(client: &Client, number: &str, since: &Epoch) -> Result<Fate> {
    let token =
        if let Epoch::Token(_) = since { "(select token::text from repot_epoch)" } else { "null::text" };
    let sql = format!("select pg_xact_status($1::text::xid8), {token}");
    let row = match client.query_typed_one(&sql, &[(&number, Type::TEXT)]).await {
        Ok(row) => row,
        // no such number was given out yet
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => return Ok(Fate::Unknown),
        Err(error) => return Err(failed("ask what became of a commit", error)),
    };
    let (status, now): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
    let same = matches!((since, now), (Epoch::Token(since), Some(now)) if since == now);
    Ok(match status {
        // had it been committed and written down, nobody else would have got the number
        Some("aborted") => Fate::Aborted,
        Some("committed") if same => Fate::Committed,
        Some("in progress") if same || *since == Epoch::None => Fate::Running,
        _ => Fate::Unknown,
    })
}
