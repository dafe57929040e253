//! Changes as they happen: server-sent events, and WebSocket.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use repot_core::{Error, Kind};
use serde_json::json;

use crate::app::App;
use crate::feed::{Teller, Told};
use crate::problem::{Answered, Problem};

pub(super) const EVENTS: &str = "text/event-stream";
/// How long clients wait before they connect again, milliseconds.
const RETRY_MS: u64 = 1_000;
/// Bytes of a message of a client, who has nothing to say.
const MESSAGE_BYTES: usize = 4 << 10;
/// Private close codes begin here (RFC 6455, 7.4.2); ours are 4000 and the status of the problem.
const CLOSED: u16 = 4_000;

/// The stream as server-sent events. Each change has its position as `id`; what is silent has it too, so that a client that
/// is told little goes on from where the log was.
pub(super) fn events(teller: Teller) -> Response {
    let first = format!("retry: {RETRY_MS}\nid: {}\n\n", teller.position());
    let stream = futures_util::stream::unfold((Some(first), Some(teller)), |(first, teller)| async move {
        let mut teller = teller?;
        if let Some(first) = first {
            return Some((Ok::<_, Infallible>(Bytes::from(first)), (None, Some(teller))));
        }
        let (text, goes_on) = match teller.next().await {
            Told::Change(seq, text) => (format!("id: {seq}\ndata: {text}\n\n"), true),
            Told::Nothing(position) => (format!(": heartbeat\nid: {position}\n\n"), true),
            Told::Problem(problem) => (format!("event: problem\ndata: {}\n\n", body(&problem)), false),
            Told::End => return None,
        };
        Some((Ok(Bytes::from(text)), (None, goes_on.then_some(teller))))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // some proxies hold an answer back until there is more of it
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn body(problem: &Problem) -> String {
    problem.body("/v1:changes").to_string()
}

/// Whether the request asks for a WebSocket.
pub(super) fn is_socket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.trim().eq_ignore_ascii_case("websocket"))
}

/// Checks the handshake.
///
/// # Errors
/// 400 when it is none, 403 when a page of another origin asks: browsers let every page do that, and let it read what comes.
pub(super) async fn upgrade(head: &mut Parts, app: &App) -> Answered<WebSocketUpgrade> {
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = text(header::HOST);
    if let Some(origin) = head.headers.get(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        if host.is_none() || host != own {
            let message = "a page of another origin asks for changes";
            let error = Error::new(Kind::Denied, "R0440", message).hint(
                "Let the page come from this server's address, or let a server of yours listen for it.",
            );
            return Err(error.into());
        }
    }
    let upgrade = WebSocketUpgrade::from_request_parts(head, app).await.map_err(|refused| {
        Problem::bad(refused.to_string(), "Send a WebSocket handshake as RFC 6455 has it, with GET.")
    })?;
    Ok(upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES))
}

/// The stream as WebSocket: each change is a message, and `{"next": position}` comes first and where it is silent.
pub(super) fn socket(upgrade: WebSocketUpgrade, teller: Teller) -> Response {
    upgrade.on_upgrade(|socket| async move {
        // what a client breaks is nobody's loss but its own
        let _broken = told(socket, teller).await;
    })
}

async fn told(mut socket: WebSocket, mut teller: Teller) -> Result<(), axum::Error> {
    socket.send(position(teller.position())).await?;
    loop {
        let next = tokio::select! {
            next = teller.next() => next,
            heard = socket.recv() => match heard {
                // pings are answered beneath
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Ok(()),
            },
        };
        let (code, reason) = match next {
            Told::Change(_, text) => {
                socket.send(Message::Text(text.into())).await?;
                continue;
            }
            Told::Nothing(up_to) => {
                socket.send(position(up_to)).await?;
                continue;
            }
            Told::Problem(problem) => {
                socket.send(Message::Text(body(&problem).into())).await?;
                (CLOSED + problem.status().as_u16(), problem.error().code().to_owned())
            }
            Told::End => (close_code::AWAY, "the server ends".to_owned()),
        };
        let frame = CloseFrame { code, reason: reason.into() };
        return socket.send(Message::Close(Some(frame))).await;
    }
}

fn position(up_to: u64) -> Message {
    Message::Text(json!({"next": up_to}).to_string().into())
}
