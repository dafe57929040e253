//! The limit: the least that an app would write itself. Three routes of axum over the statements of `bench store` by hand; no
//! conditions, no states, no checks, no compression, no figures, no log.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;

use crate::store::by_hand::{Postgres, Sqlite};
use crate::store::work::{Call, Client, Way, Work};

/// Serves the database that was made by hand at `place`, a PostgreSQL URL or the path of a SQLite file, and says where.
pub(crate) fn serve(place: &str, connections: usize, out: &mut impl Write) -> Result<()> {
    let way: Box<dyn Way> = if place.contains("://") {
        Box::new(Postgres::at(place))
    } else {
        Box::new(Sqlite::open(place.as_ref())?)
    };
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let routes = Router::new()
            .route("/conversations/{user}", get(newest))
            .route("/conversations/{user}/{id}", get(one))
            .route("/conversations/{user}/{id}/messages", post(append))
            .with_state(Arc::new(Pool::fill(way, connections).await?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        axum::serve(ListenerWithoutDelay(listener), routes).await?;
        Ok(())
    })
}

/// Sends what it has at once, as `repot serve` does.
struct ListenerWithoutDelay(TcpListener);

impl axum::serve::Listener for ListenerWithoutDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        drop(stream.set_nodelay(true));
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Connections that calls take turns with.
struct Pool {
    free: Semaphore,
    clients: Mutex<Vec<Box<dyn Client>>>,
    blocks: bool,
}

impl Pool {
    async fn fill(way: Box<dyn Way>, connections: usize) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(way.client().await?);
        }
        Ok(Self { free: Semaphore::new(connections), clients: Mutex::new(clients), blocks: way.blocks() })
    }

    async fn call(&self, call: Call) -> Result<Vec<Bytes>> {
        let _turn = self.free.acquire().await?;
        let free = self.clients.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = free.context("as many connections as turns")?;
        let (client, answer) = if self.blocks {
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || {
                let answer = handle.block_on(client.call(&call));
                (client, answer)
            })
            .await?
        } else {
            let answer = client.call(&call).await;
            (client, answer)
        };
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        answer
    }
}

async fn answer(pool: &Pool, call: Call, finish: impl FnOnce(Vec<Bytes>) -> Response) -> Response {
    match pool.call(call).await {
        Ok(found) => finish(found),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn json(body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn one(State(pool): State<Arc<Pool>>, Path((user, id)): Path<(String, String)>) -> Response {
    let call = Call { work: Work::Get, user, id, text: String::new() };
    answer(&pool, call, |found| match found.into_iter().next() {
        Some(body) => json(body),
        None => StatusCode::NOT_FOUND.into_response(),
    })
    .await
}

async fn newest(State(pool): State<Arc<Pool>>, Path(user): Path<String>) -> Response {
    let call = Call { work: Work::Newest, user, id: String::new(), text: String::new() };
    answer(&pool, call, |found| {
        let mut body = b"{\"items\":[".to_vec();
        for (at, item) in found.iter().enumerate() {
            body.extend_from_slice(if at > 0 { b"," } else { b"" });
            body.extend_from_slice(item);
        }
        body.extend_from_slice(b"]}");
        json(body)
    })
    .await
}

async fn append(
    State(pool): State<Arc<Pool>>,
    Path((user, id)): Path<(String, String)>,
    text: String,
) -> Response {
    let call = Call { work: Work::Append, user, id, text };
    answer(&pool, call, |_| StatusCode::NO_CONTENT.into_response()).await
}
