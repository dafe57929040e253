//! What is sent, how often, and what comes of it, against a server that answers as a test says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use repot_client::{Client, Harmless, Sent};
use repot_core::{Kind, Retry};
use repot_testkit::QuickPacing;

/// Reads a request and answers it, once for each answer; an empty one ends the connection without a word. Gives the requests.
fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
            while !is_whole(&request) {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            seen.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        seen
    });
    (url, thread)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

const AWAY: &str = "HTTP/1.1 503 Away\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const LONG_AWAY: &str =
    "HTTP/1.1 503 Away\r\nretry-after: 20\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const IN_WORK: &str =
    "HTTP/1.1 409 In work\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const CONFLICT: &str = "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BROKEN: &str = "";

fn request(method: Method, path: &str) -> Request<Bytes> {
    Request::builder().method(method).uri(path).body(Bytes::from_static(b"{}")).unwrap()
}

/// Sends to such a server; gives what came, how long was waited, and the requests that it saw.
fn sent(
    answers: &'static [&'static str],
    request: Request<Bytes>,
) -> (repot_core::Result<Sent>, Duration, Vec<String>) {
    let (url, server) = server(answers);
    let pacing = Arc::new(QuickPacing::default());
    let client = Client::new(&url, Some("rpt_canary"), Arc::clone(&pacing) as _).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sent = runtime.block_on(client.send(request));
    (sent, pacing.waited(), server.join().unwrap())
}

fn header(request: &str, name: &str) -> Option<String> {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
    Some(line.split_once(": ").unwrap().1.to_owned())
}

#[test]
fn a_server_that_is_away_is_asked_again_when_it_says_so() {
    let (came, waited, seen) = sent(&[AWAY, AWAY, DONE], request(Method::GET, "/v1/notes/a%2Fb?x=1"));
    let came = came.unwrap();
    assert_eq!((came.answer.status().as_u16(), &came.answer.body()[..]), (200, &b"ok"[..]));
    assert!(!came.is_unsure, "a read changes nothing");
    assert_eq!(waited, Duration::from_secs(4));
    for request in &seen {
        assert!(request.starts_with("GET /v1/notes/a%2Fb?x=1 HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(request, "authorization").as_deref(), Some("Bearer rpt_canary"));
        assert_eq!(header(request, "idempotency-key"), None);
    }
}

#[test]
fn tries_end_after_half_a_minute() {
    let (came, waited, seen) = sent(&[LONG_AWAY, LONG_AWAY], request(Method::GET, "/v1/notes/a"));
    assert_eq!(came.unwrap().answer.status().as_u16(), 503);
    assert_eq!((waited, seen.len()), (Duration::from_secs(20), 2));
}

#[test]
fn a_write_whose_answer_was_lost_is_sent_again_under_the_same_key() {
    for method in [Method::POST, Method::PATCH] {
        let (came, _, seen) = sent(&[BROKEN, IN_WORK, DONE], request(method, "/v1/notes"));
        let came = came.unwrap();
        assert!(came.answer.status().is_success() && came.is_unsure);
        let keys: Vec<Option<String>> = seen.iter().map(|seen| header(seen, "idempotency-key")).collect();
        assert!(keys[0].as_ref().is_some_and(|key| key.len() == 32), "{keys:?}");
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
    let (came, _, seen) = sent(&[BROKEN, DONE], request(Method::PUT, "/v1/notes/a"));
    assert!(came.unwrap().is_unsure);
    assert!(seen.iter().all(|seen| header(seen, "idempotency-key").is_none()), "a PUT needs none");
}

#[test]
fn what_is_an_answer_is_not_asked_for_again() {
    for answer in [&[CONFLICT], &[IN_WORK]] {
        let (came, waited, _) = sent(answer, request(Method::POST, "/v1/notes"));
        assert_eq!((came.unwrap().answer.status().as_u16(), waited), (409, Duration::ZERO));
    }
    let moved = &[
        "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ];
    let (came, _, _) = sent(moved, request(Method::GET, "/v1/notes/a"));
    assert_eq!(came.unwrap().answer.status().as_u16(), 307, "the key goes nowhere else");
}

#[test]
fn a_store_that_remembers_no_keys_is_asked_without_one_and_once() {
    const NO_KEYS: &str = "HTTP/1.1 501 None\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (came, _, seen) = sent(&[NO_KEYS, DONE], request(Method::PATCH, "/v1/notes/a"));
    assert!(came.unwrap().answer.status().is_success());
    let keys: Vec<bool> = seen.iter().map(|seen| header(seen, "idempotency-key").is_some()).collect();
    assert_eq!(keys, [true, false]);
    let (came, _, _) = sent(&[NO_KEYS, BROKEN], request(Method::PATCH, "/v1/notes/a"));
    assert_eq!(came.unwrap_err().may_retry(), Retry::Unknown, "it is not sent again");
    let (came, _, _) = sent(&[NO_KEYS, AWAY], request(Method::PATCH, "/v1/notes/a"));
    assert_eq!(came.unwrap().answer.status().as_u16(), 503);
}

#[test]
fn a_question_has_no_key_whatever_its_method() {
    let mut asked = request(Method::POST, "/v1/notes:stats");
    asked.extensions_mut().insert(Harmless);
    let (came, _, seen) = sent(&[BROKEN, DONE], asked);
    assert!(!came.unwrap().is_unsure);
    assert!(seen.iter().all(|seen| header(seen, "idempotency-key").is_none()));
}

#[test]
fn no_answer_says_whether_it_may_have_been_done() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let send = |url: &str, method| {
        let client = Client::new(url, None, Arc::new(QuickPacing::default())).unwrap().with_patience(0);
        runtime.block_on(client.send(request(method, "/v1/notes"))).unwrap_err()
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = send(&format!("http://{free}"), Method::POST);
    assert_eq!((refused.code(), refused.kind()), ("R0153", Kind::TargetUnavailable));
    assert_eq!(refused.may_retry(), Retry::Safe, "nothing was sent");
    let (url, thread) = server(&[BROKEN, BROKEN]);
    assert_eq!(send(&url, Method::POST).may_retry(), Retry::Unknown);
    assert_eq!(send(&url, Method::GET).may_retry(), Retry::Safe);
    thread.join().unwrap();
}

#[test]
fn addresses_and_keys_that_are_none() {
    let of = |url: &str, key| Client::new(url, key, Arc::new(QuickPacing::default()));
    for url in ["", "127.0.0.1:7070", "ftp://h/", "http://u:canary@h/", "http://h/?a=b", "http://h/#x"] {
        let error = of(url, None).unwrap_err();
        assert_eq!(error.code(), "R0154", "{url}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let error = of("http://h/", Some("rpt_canary\n")).unwrap_err();
    assert!(error.code() == "R0154" && !format!("{error:?}").contains("canary"), "{error:?}");
    let client = of("https://h/behind/", Some("rpt_canary")).unwrap();
    assert_eq!(client.to_string(), "https://h/behind");
    assert!(!format!("{client:?}").contains("canary"));
}
