//! Messages of work queues: `repot_queue`.

use repot_core::{
    Batch, Error, HeldMessage, Kind, Outcome, QueueAnswer, QueueCounts, QueueStep, QueueVerb, Result, Retry,
    StoredMessage,
};
use repot_model::plan::Plan;
use repot_model::sql::{
    DROP_MESSAGES, Dialect, KEEP_MESSAGE, MAKE_ROOM, MessageStatement, PURGE_MESSAGE, RESTORE_MESSAGE,
    create_messages,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::client::Client;
use crate::copy::Failure;
use crate::error::{failed, is_given_up};
use crate::facts::apply_facts;
use crate::flight::Flight;
use crate::parameters::{Parameter, given, limit, listed};
use crate::transaction::Writer;

const WHAT: &str = "work on repot_queue";
/// Tries of one transaction; each failed one means that another got on.
const TRIES_MAX: usize = 50;
const THERE: &str = "select to_regclass(quote_ident(current_schema()) || '.repot_queue') is not null";

/// Whatever the server knows of the table: an index leads to what is wanted, and what is done is not read.
const BY_INDEX: &str =
    "set local enable_seqscan = off; set local enable_sort = off; set local enable_bitmapscan = off";

fn number(value: i64) -> Parameter {
    given(value, Type::INT8)
}

fn text(value: &str) -> Parameter {
    given(value.to_owned(), Type::TEXT)
}

fn maybe(value: Option<&str>) -> Parameter {
    given(value.map(str::to_owned), Type::TEXT)
}

fn count(most: usize) -> Parameter {
    number(limit(most))
}

/// The values that name a held message.
pub(crate) fn naming(held: &HeldMessage) -> Vec<Parameter> {
    vec![
        number(held.message),
        number(held.fence),
        text(&held.collection),
        text(&held.tenant),
        maybe(held.key.as_deref()),
    ]
}

/// The statement that looks whether a message is held, and keeps it so.
pub(crate) fn holds() -> String {
    MessageStatement::Holds.sql(Dialect::Postgres)
}

impl Writer {
    /// Makes the table where it is not there.
    pub(crate) async fn make_messages(&mut self) -> Result<()> {
        if self.has_messages().await? {
            return Ok(());
        }
        match self.committed(create_messages(Dialect::Postgres), "make repot_queue").await {
            // another one that made it at the same time
            Err(_) if self.has_messages().await? => Ok(()),
            made => made,
        }
    }

    async fn has_messages(&mut self) -> Result<bool> {
        let row = self.client().query_typed_one(THERE, &[]).await;
        Ok(row.map_err(|error| failed("look at the database", error))?.get::<_, Option<bool>>(0)
            == Some(true))
    }

    /// After the rows of a batch and what it keeps of deleted documents.
    pub(crate) async fn apply_messages(&self, plan: &Plan, batch: &Batch) -> Result<(), Failure> {
        if !plan.has_queues() {
            return Ok(());
        }
        let run = async || -> Result<(), tokio_postgres::Error> {
            let client = self.client();
            for held in &batch.acked {
                let mut values = naming(held);
                values.push(number(batch.at_ms.unwrap_or_default()));
                change(client, MessageStatement::Done, &values).await?;
            }
            for one in batch.trash.iter().flatten() {
                let values = [(&one.collection as &(dyn ToSql + Sync), Type::TEXT), (&one.key, Type::TEXT)];
                client.execute_again(KEEP_MESSAGE, &values).await?;
            }
            for id in &batch.restored {
                for sql in [MAKE_ROOM, RESTORE_MESSAGE] {
                    client.execute_again(sql, &[(id, Type::INT8)]).await?;
                }
            }
            for id in batch.untrash.iter().filter(|id| !batch.restored.contains(id)) {
                client.execute_again(PURGE_MESSAGE, &[(id, Type::INT8)]).await?;
            }
            // nothing went where nothing was
            if batch.items.iter().any(|item| item.replaces || item.removes) {
                client.execute_again(DROP_MESSAGES, &[]).await?;
            }
            Ok(())
        };
        run().await.map_err(Failure::server(WHAT))
    }

    /// At the end of a copy's transaction: messages of rows that went. There are none before the end of the first load.
    pub(crate) async fn drop_messages(&mut self, plan: &Plan) -> Result<()> {
        if plan.has_queues() && self.has_messages().await? {
            let dropped = self.client().execute_typed(DROP_MESSAGES, &[]).await;
            dropped.map_err(|error| failed(WHAT, error))?;
        }
        Ok(())
    }

    /// Does steps in one transaction.
    pub(crate) async fn run_messages(&mut self, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>> {
        let mut last = None;
        for tried in 0..TRIES_MAX {
            let begun = self.begin_any().await;
            let number = match begun {
                Ok(number) => number,
                // a session that ended while nobody used it
                Err(error) if tried == 0 && error.code() == "R0106" => continue,
                Err(error) => return Err(error),
            };
            match self.try_messages(steps).await {
                Ok(answers) => {
                    if self.commit(&number).await? {
                        return Ok(answers);
                    }
                }
                Err(failure) => {
                    self.rollback().await;
                    let again = matches!(&failure, Failure::Server(_, error)
                        if error.as_db_error().is_some_and(is_given_up));
                    let error = Error::from(failure);
                    if !again {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        let message = format!("others worked on the same messages {TRIES_MAX} times meanwhile");
        let error = Error::new(Kind::Unavailable, "R0411", message).retry(Retry::Safe).hint("Send it again.");
        Err(match last {
            Some(last) => error.cause(last),
            None => error,
        })
    }

    async fn try_messages(&self, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>, Failure> {
        let client = self.client();
        // the same of all of them, where they say one
        let unless = steps.iter().find_map(|step| step.unless);
        let value = async {
            let Some(name) = unless else { return Ok(None) };
            crate::create::meta(client, name).await
        };
        let (by_index, refused_by) = tokio::join!(client.batch_execute(BY_INDEX), value);
        by_index.map_err(Failure::server(WHAT))?;
        let refused_by = refused_by?;
        let (mut answers, mut flight) = (Vec::with_capacity(steps.len()), Flight::default());
        for step in steps {
            if step.unless.is_some() && refused_by.is_some() {
                answers.push(QueueAnswer { refused_by: refused_by.clone(), ..QueueAnswer::default() });
                continue;
            }
            let answer = perform(self.client(), step).await.map_err(Failure::server(WHAT))?;
            if answer.has_effect() {
                apply_facts(&step.facts, &mut flight);
            }
            answers.push(answer);
        }
        flight.send(self.client()).await?;
        Ok(answers)
    }
}

async fn change(
    client: &Client,
    statement: MessageStatement,
    values: &[Parameter],
) -> Result<u64, tokio_postgres::Error> {
    client.execute_again(&statement.sql(Dialect::Postgres), &listed(values)).await
}

async fn rows(
    client: &Client,
    statement: MessageStatement,
    values: &[Parameter],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    client.query_again(&statement.sql(Dialect::Postgres), &listed(values)).await
}

fn message(row: &Row) -> StoredMessage {
    StoredMessage {
        id: row.get(0),
        key: row.get(1),
        fence: row.get(2),
        tries: u32::try_from(row.get::<_, i64>(3)).unwrap_or(u32::MAX),
        priority: row.get(4),
        reason: row.get(5),
        since_ms: row.get(6),
    }
}

async fn perform(client: &Client, step: &QueueStep) -> Result<QueueAnswer, tokio_postgres::Error> {
    let (now, tries) = (|| number(step.now_ms), || number(step.tries_max.into()));
    let with = |values: Vec<Parameter>| {
        let mut all = vec![text(&step.collection), text(&step.tenant)];
        all.extend(values);
        all
    };
    if !matches!(step.verb, QueueVerb::Settle { .. }) {
        change(client, MessageStatement::Sweep, &with(vec![now(), tries()])).await?;
    }
    let mut answer = QueueAnswer::default();
    match &step.verb {
        QueueVerb::Claim { count: most, lease_ms, worker } => {
            let until = number(step.now_ms.saturating_add(*lease_ms));
            let values = with(vec![count(*most), until, text(worker)]);
            let claimed = rows(client, MessageStatement::Claim, &values).await?;
            answer.messages = claimed.iter().map(message).collect();
            answer.messages.sort_by_key(|message| (-i128::from(message.priority), message.id));
        }
        QueueVerb::Settle { held, outcome } => {
            let later = |by: i64| number(step.now_ms.saturating_add(by));
            let (statement, values) = match outcome {
                Outcome::Done => (MessageStatement::Done, vec![now()]),
                Outcome::Later { delay_ms, reason } => {
                    (MessageStatement::Later, vec![now(), tries(), later(*delay_ms), text(reason)])
                }
                Outcome::Longer(lease_ms) => (MessageStatement::Longer, vec![later(*lease_ms)]),
                Outcome::Dead(reason) => (MessageStatement::Dead, vec![now(), text(reason)]),
            };
            let mut all = naming(held);
            all.extend(values);
            answer.changed = change(client, statement, &all).await?;
        }
        QueueVerb::Dead { after, most } => {
            let values = with(vec![number(*after), count(*most)]);
            let listed = rows(client, MessageStatement::Letters, &values).await?;
            answer.messages = listed.iter().map(message).collect();
        }
        QueueVerb::Revive { key } => {
            let values = with(vec![now(), maybe(key.as_deref())]);
            answer.changed = change(client, MessageStatement::Revive, &values).await?;
        }
        QueueVerb::Stats => {
            let mut counts = QueueCounts::default();
            for row in rows(client, MessageStatement::Count, &with(Vec::new())).await? {
                counts.add(row.get(0), row.get(1), row.get(2));
            }
            answer.counts = counts;
        }
    }
    Ok(answer)
}
