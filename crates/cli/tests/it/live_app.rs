//! An app of one user that goes on while its documents change store, and what must be there of it afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::moving::Mover;
use crate::operate::{Serving, request};

/// How far the apps are together, and whether they go on.
#[derive(Default)]
pub(crate) struct Progress {
    written: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    /// Waits until they wrote ten more messages.
    ///
    /// # Panics
    ///
    /// When they ended before: one of them found what must not be.
    pub(crate) fn wait(&self) {
        let before = self.written.load(Ordering::SeqCst);
        while self.written.load(Ordering::SeqCst) < before + 10 {
            assert!(!self.is_over(), "an app gave up");
            std::thread::yield_now();
        }
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Ends all of them with the first that panics.
struct EndsAll<'a>(&'a Progress);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// An app of one user, which writes a message, reads its chat, and finds what it wrote.
pub(crate) struct App<'a> {
    /// It asks the first one, until that takes no part and refuses writes; then the next one.
    pub servers: Vec<&'a Serving>,
    pub at: AtomicUsize,
    pub user: &'static str,
    pub progress: &'a Progress,
}

impl App<'_> {
    fn ask(&self, line: &str, body: &str) -> (u16, String) {
        let tenant = format!("repot-tenant: {}\r\ncontent-type: application/json\r\n", self.user);
        let answer = self.servers[self.at.load(Ordering::SeqCst)].send(&request(line, &tenant, body));
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 503 && answer.contains("R0725") && answer.contains("\r\nretry-after: ") {
            self.at.fetch_add(1, Ordering::SeqCst);
            return self.ask(line, body);
        }
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn chat(&self) -> String {
        format!("live-{}", self.user)
    }

    /// Gives all that it wrote.
    pub(crate) fn run(&self) -> Vec<String> {
        let _ends = EndsAll(self.progress);
        let (chat, mut sent) = (self.chat(), Vec::new());
        let empty = json!({"id": chat, "user_id": self.user, "title": "live", "messages": []}).to_string();
        let (made, answer) = self.ask(&format!("PUT /v1/conversations/{chat}"), &empty);
        assert_eq!(made, 201, "{answer}");
        // what is always written is always on its way: only a chat at rest is ever compared
        let quiet = format!("quiet-{}", self.user);
        assert_eq!(self.ask(&format!("PUT /v1/conversations/{quiet}"), &empty.replace(&chat, &quiet)).0, 201);
        while !self.progress.is_over() {
            let content = format!("message {} of {}", sent.len(), self.user);
            let body = json!({"role": "user", "content": content}).to_string();
            let (status, answer) = self.ask(&format!("POST /v1/conversations/{chat}/messages"), &body);
            assert_eq!(status, 201, "{answer}");
            sent.push(content);
            self.progress.written.fetch_add(1, Ordering::SeqCst);
            let (status, answer) = self.ask(&format!("GET /v1/conversations/{chat}"), "");
            assert_eq!(status, 200, "{answer}");
            assert_eq!(contents(answer.as_bytes()), sent);
            let (status, answer) = self.ask(&format!("GET /v1/conversations/{quiet}"), "");
            assert!(status == 200 && contents(answer.as_bytes()).is_empty(), "{status} {answer}");
            // as fast as a hurried user, not as fast as the machine: each copy is of the whole chat
            std::thread::sleep(Duration::from_millis(20));
            if sent.len() % 10 == 0 {
                // a question, which only the database can answer
                let (status, answer) = self.ask("GET /v1/conversations?title=live&fields=id", "");
                assert!(status == 200 && answer.contains(&chat), "{status} {answer}");
            }
        }
        sent
    }
}

/// The export has all that was sent, and the old side is in step up to the end of the move.
pub(crate) fn is_all_there<'u>(mover: &Mover, sent: impl Iterator<Item = (&'u &'u str, Vec<String>)>) {
    for (user, sent) in sent {
        let path = format!("{user}/live-{user}.json");
        assert_eq!(contents(&std::fs::read(mover.project.path("back").join(&path)).unwrap()), sent);
        let file = contents(&mover.file(&path).unwrap());
        assert!(sent.starts_with(&file) && !file.is_empty(), "{file:?} {sent:?}");
    }
}

fn contents(chat: &[u8]) -> Vec<String> {
    let chat: Value = serde_json::from_slice(chat).unwrap();
    let messages = chat["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}
