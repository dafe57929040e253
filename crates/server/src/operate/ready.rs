//! Whether all is well, point by point.

use std::fmt;

use repot_core::store::{Figures, LONG_TRANSACTION_S, PoolUsage};
use repot_core::{Error, Kind, Result};

use crate::app::App;
use crate::operate::RoomOf;

/// How long the store may take to answer, milliseconds.
const PATIENCE_MS: u64 = 5_000;

/// What the store says, if it answers in time.
///
/// # Errors
/// `R0433` when it does not; what it says.
async fn in_time<T>(app: &App, asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        answered = asked => answered,
        () = app.pacing().pause(PATIENCE_MS) => {
            let message = format!("{} did not answer within {} s", app.store(), PATIENCE_MS / 1_000);
            Err(Error::new(Kind::Unavailable, "R0433", message).hint("Look at the database, and at the way to it."))
        }
    }
}

/// Whether the store can be read.
///
/// # Errors
/// As [`repot_core::store::Store::probe`], and `R0433` when it does not answer in time.
pub(crate) async fn reached(app: &App) -> Result<()> {
    in_time(app, app.store().probe()).await
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) is_well: bool,
    /// Nobody is hurt yet, but somebody should look.
    is_odd: bool,
    name: &'static str,
    text: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.is_well, self.is_odd) {
            (false, _) => "FAIL",
            (true, true) => "look",
            (true, false) => "ok",
        };
        write!(f, "{word:<4} {}: {}", self.name, self.text)
    }
}

fn check(name: &'static str, is_well: bool, text: impl Into<String>) -> Check {
    Check { is_well, is_odd: false, name, text: text.into() }
}

/// All points. What does not apply to the store has none.
pub(crate) async fn checks(app: &App) -> Vec<Check> {
    let store = app.store();
    // before anything is asked, since that takes a connection itself
    let pools = store.vitals().map(|vitals| vitals.pools()).unwrap_or_default();
    let answered = in_time(app, async {
        store.probe().await?;
        match store.vitals() {
            Some(vitals) => vitals.figures(app.options().figures_ms).await.map(Some),
            None => Ok(None),
        }
    });
    let mut found = Vec::new();
    let mut database = None;
    match answered.await {
        Ok(figures) => {
            found.push(check("database", true, store.to_string()));
            database = figures;
        }
        Err(error) => found.push(check("database", false, error.message())),
    }
    if !pools.is_empty() {
        found.push(pool(&pools));
    }
    found.extend(app.options().room.as_ref().and_then(RoomOf::look).map(|room| {
        let percent = room.free_percent();
        let is_enough = percent >= u64::from(app.options().disk_low_percent);
        check("disk", is_enough, format!("{percent} % free, {} MB", room.free_bytes / 1_000_000))
    }));
    found.extend(database.iter().map(model));
    found.extend(app.reload().refused().map(|(_, error)| reload(&error)));
    found.extend(database.and_then(|database| database.long_transactions).map(transactions));
    found
}

fn pool(pools: &[(&'static str, PoolUsage)]) -> Check {
    let is_well = !pools.iter().any(|(_, pool)| pool.is_exhausted());
    let one = |(name, pool): &(&str, PoolUsage)| {
        let PoolUsage { in_use, most, waiting, waited_ms, .. } = pool;
        let since = if *waited_ms == 0 { String::new() } else { format!(" for {waited_ms} ms") };
        format!("{name} {in_use} of {most} in use, {waiting} waiting{since}")
    };
    check("pool", is_well, pools.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn model(database: &Figures) -> Check {
    let text = if database.is_of_this_model {
        "the tables are of this model"
    } else {
        "the tables are of another model than this server; start it with the model that they were made from"
    };
    check("model", database.is_of_this_model, text)
}

/// The changed model that is not taken over: the server goes on with the one it has, so it is ready.
fn reload(error: &Error) -> Check {
    let text = format!("the changed model is not taken over: {}", error.message());
    Check { is_odd: true, ..check("reload", true, text) }
}

fn transactions((count, oldest_s): (u64, u64)) -> Check {
    let text = if count == 0 {
        format!("none is older than {LONG_TRANSACTION_S} s")
    } else {
        format!("{count} older than {LONG_TRANSACTION_S} s, the oldest of {oldest_s} s")
    };
    check("transactions", count == 0, text)
}

#[cfg(test)]
mod tests {
    use repot_core::store::{Figures, PoolUsage};

    use super::{model, pool, transactions};

    #[test]
    fn points_say_what_is_wrong() {
        assert_eq!(transactions((0, 0)).to_string(), "ok   transactions: none is older than 60 s");
        let long = transactions((2, 75)).to_string();
        assert_eq!(long, "FAIL transactions: 2 older than 60 s, the oldest of 75 s");
        let usage = PoolUsage { most: 3, open: 3, in_use: 3, waiting: 4, waited_ms: 1_200 };
        let busy = pool(&[("reading", usage), ("writing", PoolUsage { most: 1, ..PoolUsage::default() })]);
        assert_eq!(
            busy.to_string(),
            "FAIL pool: reading 3 of 3 in use, 4 waiting for 1200 ms; writing 0 of 1 in use, 0 waiting"
        );
        let moment = pool(&[("reading", PoolUsage { waited_ms: 12, ..usage })]);
        assert_eq!(moment.to_string(), "ok   pool: reading 3 of 3 in use, 4 waiting for 12 ms");
        assert!(!model(&Figures::default()).is_well);
        assert!(model(&Figures { is_of_this_model: true, ..Figures::default() }).is_well);
    }
}
