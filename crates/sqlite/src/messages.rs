//! Messages of work queues: `repot_queue`.

use repot_core::{
    Batch, HeldMessage, Outcome, QueueAnswer, QueueCounts, QueueStep, QueueVerb, Result, StoredMessage,
};
use repot_model::sql::{
    DROP_MESSAGES, Dialect, KEEP_MESSAGE, MAKE_ROOM, MessageStatement, PURGE_MESSAGE, RESTORE_MESSAGE,
    create_messages,
};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use crate::connection::Connection;
use crate::error::failed;
use crate::facts;
use crate::work::Work;

const WHAT: &str = "work on repot_queue";

/// Makes the table where it is not there.
pub(crate) fn make(connection: &Connection) -> Result<()> {
    if crate::schema::taken(connection, "repot_queue")?.is_some() {
        return Ok(());
    }
    let what = "make repot_queue";
    let transaction = crate::schema::begin(connection, what)?;
    transaction.execute_batch(create_messages(Dialect::Sqlite)).map_err(failed(what))?;
    transaction.commit().map_err(failed(what))
}

/// After the rows of a batch and what it keeps of deleted documents.
pub(crate) fn apply(connection: &Connection, batch: &Batch) -> Result<()> {
    let run = || -> rusqlite::Result<()> {
        for held in &batch.acked {
            // who holds it was looked up in this transaction
            let now = Value::Integer(batch.at_ms.unwrap_or_default());
            change(connection, MessageStatement::Done, naming(held).into_iter().chain([now]))?;
        }
        for one in batch.trash.iter().flatten() {
            connection.prepare_cached(&ours(KEEP_MESSAGE))?.execute((&one.collection, &one.key))?;
        }
        for id in &batch.restored {
            for sql in [MAKE_ROOM, RESTORE_MESSAGE] {
                connection.prepare_cached(&ours(sql))?.execute([id])?;
            }
        }
        for id in batch.untrash.iter().filter(|id| !batch.restored.contains(id)) {
            connection.prepare_cached(&ours(PURGE_MESSAGE))?.execute([id])?;
        }
        connection.prepare_cached(DROP_MESSAGES)?.execute(())?;
        Ok(())
    };
    run().map_err(failed(WHAT))
}

fn ours(sql: &str) -> String {
    sql.replace('$', "?")
}

/// Whether a message is held.
pub(crate) fn holds(connection: &Connection, held: &HeldMessage) -> Result<bool> {
    connection
        .prepare_cached(&MessageStatement::Holds.sql(Dialect::Sqlite))
        .and_then(|mut statement| statement.exists(params_from_iter(naming(held))))
        .map_err(failed("read repot_queue"))
}

/// Does steps in one transaction.
pub(crate) fn run(connection: &Connection, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>> {
    let work = Work::begin(connection)?;
    let mut answers = Vec::with_capacity(steps.len());
    for step in steps {
        let refused_by = step.unless.map_or(Ok(None), |name| crate::schema::meta(connection, name))?;
        if refused_by.is_some() {
            answers.push(QueueAnswer { refused_by, ..QueueAnswer::default() });
            continue;
        }
        let answer = one(connection, step).map_err(failed(WHAT))?;
        if answer.has_effect() {
            facts::apply(connection, &step.facts)?;
        }
        answers.push(answer);
    }
    work.keep()?;
    Ok(answers)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn count(most: usize) -> Value {
    Value::Integer(i64::try_from(most).unwrap_or(i64::MAX))
}

fn naming(held: &HeldMessage) -> [Value; 5] {
    [
        Value::Integer(held.message),
        Value::Integer(held.fence),
        text(&held.collection),
        text(&held.tenant),
        held.key.as_deref().map_or(Value::Null, text),
    ]
}

fn change(
    connection: &Connection,
    statement: MessageStatement,
    values: impl IntoIterator<Item = Value>,
) -> rusqlite::Result<u64> {
    let changed =
        connection.prepare_cached(&statement.sql(Dialect::Sqlite))?.execute(params_from_iter(values))?;
    Ok(changed as u64)
}

fn messages(
    connection: &Connection,
    statement: MessageStatement,
    values: Vec<Value>,
) -> rusqlite::Result<Vec<StoredMessage>> {
    let mut statement = connection.prepare_cached(&statement.sql(Dialect::Sqlite))?;
    statement.query_map(params_from_iter(values), message)?.collect()
}

fn message(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        id: row.get(0)?,
        key: row.get(1)?,
        fence: row.get(2)?,
        tries: u32::try_from(row.get::<_, i64>(3)?).unwrap_or(u32::MAX),
        priority: row.get(4)?,
        reason: row.get(5)?,
        since_ms: row.get(6)?,
    })
}

fn one(connection: &Connection, step: &QueueStep) -> rusqlite::Result<QueueAnswer> {
    let (now, tries) = (Value::Integer(step.now_ms), Value::Integer(step.tries_max.into()));
    let of = || [text(&step.collection), text(&step.tenant)];
    let with = |values: Vec<Value>| of().into_iter().chain(values).collect::<Vec<Value>>();
    if !matches!(step.verb, QueueVerb::Settle { .. }) {
        change(connection, MessageStatement::Sweep, with(vec![now.clone(), tries.clone()]))?;
    }
    let mut answer = QueueAnswer::default();
    match &step.verb {
        QueueVerb::Claim { count: most, lease_ms, worker } => {
            let until = Value::Integer(step.now_ms.saturating_add(*lease_ms));
            let values = with(vec![count(*most), until, text(worker)]);
            answer.messages = messages(connection, MessageStatement::Claim, values)?;
            answer.messages.sort_by_key(|message| (-i128::from(message.priority), message.id));
        }
        QueueVerb::Settle { held, outcome } => {
            let (statement, values) = match outcome {
                Outcome::Done => (MessageStatement::Done, vec![now]),
                Outcome::Later { delay_ms, reason } => {
                    let due = Value::Integer(step.now_ms.saturating_add(*delay_ms));
                    (MessageStatement::Later, vec![now, tries, due, text(reason)])
                }
                Outcome::Longer(lease_ms) => {
                    let until = Value::Integer(step.now_ms.saturating_add(*lease_ms));
                    (MessageStatement::Longer, vec![until])
                }
                Outcome::Dead(reason) => (MessageStatement::Dead, vec![now, text(reason)]),
            };
            answer.changed = change(connection, statement, naming(held).into_iter().chain(values))?;
        }
        QueueVerb::Dead { after, most } => {
            let values = with(vec![Value::Integer(*after), count(*most)]);
            answer.messages = messages(connection, MessageStatement::Letters, values)?;
        }
        QueueVerb::Revive { key } => {
            let values = with(vec![now, key.as_deref().map_or(Value::Null, text)]);
            answer.changed = change(connection, MessageStatement::Revive, values)?;
        }
        QueueVerb::Stats => answer.counts = counts(connection, &of())?,
    }
    Ok(answer)
}

fn counts(connection: &Connection, of: &[Value; 2]) -> rusqlite::Result<QueueCounts> {
    let mut counts = QueueCounts::default();
    let mut statement = connection.prepare_cached(&MessageStatement::Count.sql(Dialect::Sqlite))?;
    let mut rows = statement.query(params_from_iter(of))?;
    while let Some(row) = rows.next()? {
        let since_ms: i64 = row.get(2)?;
        counts.add(row.get(0)?, row.get(1)?, since_ms);
    }
    Ok(counts)
}
