//! `POST /v1:query`: a statement that reads, in the database's own SQL. Of holders of the right `admin` only, since it sees
//! every tenant and our own tables.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use repot_core::store::{QueryValue, SqlPart, SqlQuestion, SqlStop};
use repot_core::{Error, Kind};
use repot_engine::ledger::Right;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::list::{LINES, one_line};
use super::{accepts, no_parameters};
use crate::answer;
use crate::app::App;
use crate::body;
use crate::caller::Caller;
use crate::problem::{Answered, Problem};

/// Rows of an answer in one piece, unless the question says otherwise.
const ROWS: usize = 1_000;
/// The most that it can say.
const ROWS_MAX: usize = 1_000_000;
/// Values of one question.
const PARAMETERS_MAX: usize = 1_000;
/// An answer in one piece takes no further row when it has this many bytes.
const ANSWER_BYTES: usize = 8 << 20;
/// Rows that wait for a client that takes them slowly.
const WAITING: usize = 64;

pub(super) async fn query(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    answered(&app, &head, body).await.unwrap_or_else(|problem| problem.answer(head.uri.path()))
}

async fn answered(app: &App, head: &Parts, body: Body) -> Answered {
    no_parameters(head)?;
    let caller = Caller::of(app, &head.headers).await?;
    caller.may(Right::Admin, None)?;
    if caller.tenant().is_some() {
        let error =
            Error::new(Kind::Denied, "R0446", "a statement sees every tenant, so no tenant may ask one");
        return Err(error.hint("Leave out Repot-Tenant, and use a key that is bound to no tenant.").into());
    }
    let body = body::read(body, app.options()).await?;
    let is_stream = accepts(&head.headers, LINES);
    let mut question = question(&body, if is_stream { ROWS_MAX } else { ROWS })?;
    question.time_ms = app.options().query_ms;
    let answer = Rows::ask(app, question)?;
    if is_stream { answer.lines().await } else { answer.whole().await }
}

fn wrong(what: &str) -> Problem {
    Problem::bad(what, "Send {\"sql\": \"select ... where id = $1\", \"params\": [\"a\"], \"limit\": 100}.")
}

fn question(body: &[u8], rows: usize) -> Answered<SqlQuestion> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| wrong(&format!("the body is no JSON: {error}")))?;
    let fields = body.as_object().ok_or_else(|| wrong("the body is no JSON object"))?;
    let mut question = SqlQuestion {
        sql: String::new(),
        parameters: Vec::new(),
        rows_max: rows,
        time_ms: 0,
        stop: SqlStop::default(),
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("sql", Value::String(sql)) => question.sql.clone_from(sql),
            ("params", Value::Array(values)) if values.len() <= PARAMETERS_MAX => {
                question.parameters = values.iter().map(parameter).collect::<Answered<_>>()?;
            }
            ("limit", value) => {
                let limit = body::whole(value).and_then(|limit| usize::try_from(limit).ok());
                question.rows_max = limit
                    .filter(|limit| (1..=ROWS_MAX).contains(limit))
                    .ok_or_else(|| wrong(&format!("`limit` is a whole number from 1 to {ROWS_MAX}")))?;
            }
            ("sql", _) => return Err(wrong("`sql` is no text")),
            ("params", _) => return Err(wrong(&format!("`params` is no list of at most {PARAMETERS_MAX}"))),
            _ => return Err(wrong(&format!("there is no `{name}` in a question"))),
        }
    }
    if question.sql.trim().is_empty() || question.sql.contains('\0') {
        return Err(wrong("`sql` is missing, empty, or holds a NUL"));
    }
    Ok(question)
}

fn parameter(value: &Value) -> Answered<QueryValue> {
    Ok(match value {
        Value::Null => QueryValue::Null,
        Value::Bool(value) => QueryValue::Bool(*value),
        Value::String(text) if text.contains('\0') => return Err(wrong("a value holds a NUL")),
        Value::String(text) => QueryValue::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => QueryValue::Int(whole),
            (None, Some(float)) if number.is_f64() => QueryValue::Float(float),
            _ => return Err(wrong(&format!("{number} is no number of 64 bits; send it as a text"))),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(wrong("a value is a list or an object; send its JSON as a text"));
        }
    })
}

/// What a statement gives, while it gives it. Dropped, it ends the statement.
struct Rows {
    parts: mpsc::Receiver<SqlPart>,
    done: Option<tokio::task::JoinHandle<repot_core::Result<bool>>>,
    stop: SqlStop,
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Rows {
    fn ask(app: &App, question: SqlQuestion) -> Answered<Self> {
        let turn = Arc::clone(app.questions()).try_acquire_owned().map_err(|_none_left| {
            Error::new(Kind::Unavailable, "R0437", "as many statements as may run at once are running")
                .hint("Try again when one has ended.")
        })?;
        let (sender, parts) = mpsc::channel(WAITING);
        let (store, stop) = (Arc::clone(app.store()), question.stop.clone());
        let done = tokio::spawn(async move {
            let _turn = turn;
            store.read_sql(question, Box::new(move |part| sender.blocking_send(part).is_ok())).await
        });
        Ok(Self { parts, done: Some(done), stop })
    }

    /// How it ended; more rows, or why it failed.
    async fn end(&mut self) -> Answered<bool> {
        let Some(done) = self.done.take() else { return Ok(false) };
        let ended = done.await.map_err(|error| {
            Error::new(Kind::Internal, "R0901", "the statement ended unexpectedly").cause(error)
        })?;
        Ok(ended?)
    }

    async fn columns(&mut self) -> Answered<Vec<String>> {
        match self.parts.recv().await {
            Some(SqlPart::Columns(columns)) => Ok(columns),
            _ => self.end().await.map(|_| Vec::new()),
        }
    }

    /// `{"columns": [...], "rows": [{...}], "more": false}`
    async fn whole(mut self) -> Answered {
        let columns = self.columns().await?;
        let (mut rows, mut is_full) = (String::new(), false);
        while let Some(part) = self.parts.recv().await {
            let SqlPart::Row(row) = part else { continue };
            if rows.len() + row.len() > ANSWER_BYTES && !rows.is_empty() {
                is_full = true;
                break;
            }
            if !rows.is_empty() {
                rows.push(',');
            }
            rows.push_str(&row);
        }
        // one that is full is ended by the drop
        let more = is_full || self.end().await?;
        let body = format!(r#"{{"columns":{},"rows":[{rows}],"more":{more}}}"#, json!(columns));
        let mut response = answer::json(StatusCode::OK, &json!(null));
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// A row a line. A failure on the way breaks the answer off, so that nobody takes it for whole.
    async fn lines(mut self) -> Answered {
        self.columns().await?;
        // the first one, so that what fails before it is an error of its own
        let first = match self.parts.recv().await {
            Some(SqlPart::Row(row)) => line(&row),
            _ => {
                self.end().await?;
                Bytes::new()
            }
        };
        let rest = futures_util::stream::try_unfold(self, |mut rows| async move {
            match rows.parts.recv().await {
                Some(SqlPart::Row(row)) => Ok(Some((line(&row), rows))),
                _ => match rows.end().await {
                    Ok(_) => Ok(None),
                    Err(problem) => Err(problem.error().clone()),
                },
            }
        });
        let first = futures_util::stream::iter([Ok::<_, Error>(first)]);
        let mut response = Response::new(Body::from_stream(futures_util::StreamExt::chain(first, rest)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

fn line(row: &str) -> Bytes {
    let mut out = bytes::BytesMut::with_capacity(row.len() + 1);
    one_line(&mut out, row.as_bytes());
    out.extend_from_slice(b"\n");
    out.freeze()
}
