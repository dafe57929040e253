//! Apps that write and read over HTTP whatever happens, and keep what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use repot_testkit::history::{Did, Outcome, Set, When, now};
use serde_json::{Value, json};

use super::Dice;
use super::board::{Board, Chat, Draft};
use super::cast::Seat;
use crate::faults::{Answer, send_within};

/// How long an app waits for an answer; a server that is paused gives none.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often a request is sent again under its key.
const TRIES: usize = 3;

pub(super) struct App<'a> {
    pub board: &'a Board,
    pub seats: Vec<Seat>,
    pub dice: Dice,
}

/// The numbers of a chat's messages.
pub(super) fn numbers(chat: &Value) -> Vec<u64> {
    let messages = chat["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().parse().unwrap()).collect()
}

fn message(number: u64) -> Value {
    json!({"role": "user", "content": number.to_string()})
}

fn document(id: &str, user: &str, title: &str) -> String {
    json!({"id": id, "user_id": user, "title": title, "messages": []}).to_string()
}

impl App<'_> {
    pub(super) fn work(mut self, ends: &AtomicBool) {
        while !ends.load(Ordering::SeqCst) {
            let (chat, draft) = (self.board.chat(&mut self.dice), self.board.draft(&mut self.dice));
            match self.dice.roll(20) {
                0..6 => self.append(&chat),
                6..8 => self.append_keyed(&chat),
                8 | 9 => self.follow(&chat),
                10..14 => drop(self.read(&chat)),
                14 => self.list(&chat.user),
                15 => drop(self.look(&draft)),
                16 => self.come(&draft),
                17 => self.replace(&draft),
                18 => self.put(&draft),
                _ => self.go(&draft),
            }
            std::thread::sleep(self.dice.ms(0, 30));
        }
    }

    /// Asks one of the servers as this user.
    fn ask(&mut self, user: &str, line: &str, headers: &str, body: &str) -> Option<Answer> {
        let seat = &self.seats[self.dice.at(self.seats.len())];
        let address = seat.lock().unwrap().clone()?;
        let headers = format!("repot-tenant: {user}\r\ncontent-type: application/json\r\n{headers}");
        let answer = send_within(&address, line, &headers, body, PATIENCE);
        let what = line.split(' ').next().unwrap();
        self.board.count(&match &answer {
            Some(answer) if answer.status >= 400 => format!("{what} {} {}", answer.status, answer.code()),
            Some(answer) => format!("{what} {}", answer.status),
            None => format!("{what} without an answer"),
        });
        if let Some(answer) = &answer {
            let known = [200, 201, 204, 404, 409, 412, 503];
            assert!(known.contains(&answer.status), "{line}: {answer:?}");
        }
        answer
    }

    /// What became of a write.
    fn outcome(answer: Option<&Answer>) -> Outcome {
        match answer.map(|answer| answer.status) {
            Some(200 | 201 | 204) => Outcome::Done,
            Some(404 | 409 | 412) => Outcome::Refused,
            _ => Outcome::Unknown,
        }
    }

    fn append(&mut self, chat: &Chat) {
        let (number, began) = (self.board.number(), now());
        let answer = self.send(chat, number, "");
        chat.list.did(began, Did::Append(number, Self::outcome(answer.as_ref())));
    }

    fn send(&mut self, chat: &Chat, number: u64, headers: &str) -> Option<Answer> {
        let line = format!("POST /v1/conversations/{}/messages", chat.id);
        let answer = self.ask(&chat.user, &line, headers, &message(number).to_string());
        if answer.as_ref().is_some_and(|answer| answer.status == 404) {
            // an empty chat is as good as none, so that making it is not looked at
            let empty = document(&chat.id, &chat.user, "chaos");
            self.ask(
                &chat.user,
                &format!("PUT /v1/conversations/{}", chat.id),
                "if-none-match: *\r\n",
                &empty,
            );
        }
        answer
    }

    /// Sends it again where it is not known whether it was done.
    fn append_keyed(&mut self, chat: &Chat) {
        let (number, began) = (self.board.number(), now());
        let key = format!("idempotency-key: {number}\r\n");
        let mut outcome = Outcome::Unknown;
        for tried in 0..TRIES {
            let answer = self.send(chat, number, &key);
            let now = Self::outcome(answer.as_ref());
            if now == Outcome::Done || (now == Outcome::Refused && tried == 0) {
                outcome = now;
                break;
            }
        }
        chat.list.did(began, Did::Append(number, outcome));
    }

    fn read(&mut self, chat: &Chat) -> Option<Answer> {
        let began = now();
        let answer = self.ask(&chat.user, &format!("GET /v1/conversations/{}", chat.id), "", "")?;
        let seen = match answer.status {
            200 => numbers(&answer.json()),
            404 => Vec::new(),
            _ => return None,
        };
        if answer.status == 200 {
            self.board.saw(&chat.user, &chat.id);
        }
        chat.list.did(began, Did::Read(seen));
        Some(answer).filter(|answer| answer.status == 200)
    }

    /// Appends by replacing the whole of what was read.
    fn follow(&mut self, chat: &Chat) {
        let Some(found) = self.read(chat) else { return };
        let (number, mut whole) = (self.board.number(), found.json());
        let seen = numbers(&whole);
        whole["messages"].as_array_mut().unwrap().push(message(number));
        let (began, when) = (now(), format!("if-match: {}\r\n", found.header("etag").unwrap()));
        let line = format!("PUT /v1/conversations/{}", chat.id);
        let answer = self.ask(&chat.user, &line, &when, &whole.to_string());
        chat.list.did(began, Did::Follow(seen, number, Self::outcome(answer.as_ref())));
    }

    /// A chat that was there before is in a list that is asked for afterwards.
    fn list(&mut self, user: &str) {
        let there = self.board.seen(user);
        let line =
            ["GET /v1/conversations?limit=1000", "GET /v1/conversations?title=chaos&fields=id&limit=1000"]
                [self.dice.at(2)];
        let Some(answer) = self.ask(user, line, "", "").filter(|answer| answer.status == 200) else { return };
        let listed = answer.json();
        for chat in there {
            let is_listed =
                listed["items"].as_array().unwrap().iter().any(|item| item["id"] == chat.as_str());
            assert!(is_listed, "{chat} of {user} was there and is not listed ({line}): {listed}");
        }
    }

    /// What a draft is, with the condition that it still is.
    fn look(&mut self, draft: &Draft) -> Option<(Option<u64>, String)> {
        let began = now();
        let answer = self.ask(&draft.user, &format!("GET /v1/conversations/{}", draft.id), "", "")?;
        let (value, when) = match answer.status {
            200 => {
                let title = answer.json()["title"].as_str().unwrap().parse().unwrap();
                (Some(title), format!("if-match: {}\r\n", answer.header("etag").unwrap()))
            }
            404 => (None, "if-none-match: *\r\n".to_owned()),
            _ => return None,
        };
        draft.register.did(began, Set::Read(value));
        Some((value, when))
    }

    fn set(&mut self, draft: &Draft, (when, headers): (When, &str)) {
        let (number, began) = (self.board.number(), now());
        let body = document(&draft.id, &draft.user, &number.to_string());
        let line = format!("PUT /v1/conversations/{}", draft.id);
        let answer = self.ask(&draft.user, &line, headers, &body);
        draft.register.did(began, Set::Put(when, Some(number), Self::outcome(answer.as_ref())));
    }

    fn come(&mut self, draft: &Draft) {
        self.set(draft, (When::Absent, "if-none-match: *\r\n"));
    }

    fn put(&mut self, draft: &Draft) {
        self.set(draft, (When::Any, ""));
    }

    fn replace(&mut self, draft: &Draft) {
        let Some((value, when)) = self.look(draft) else { return };
        self.set(draft, (value.map_or(When::Absent, When::Is), &when));
    }

    fn go(&mut self, draft: &Draft) {
        let began = now();
        let answer = self.ask(&draft.user, &format!("DELETE /v1/conversations/{}", draft.id), "", "");
        // 404: one that the server sent twice; of two at once a bucket says to both that it was there
        let outcome = match answer.map(|answer| answer.status) {
            Some(204 | 404) => Outcome::Done,
            Some(409 | 412) => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        draft.register.did(began, Set::Put(When::Any, None, outcome));
    }
}
