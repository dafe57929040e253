//! A client that writes in all ways, and what must be there of it in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::world::World;

/// A request under a key of its own whose outcome is not known yet.
#[derive(Debug)]
pub(super) struct Sent {
    line: String,
    key: String,
    body: String,
}

/// What a client did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Documents of `notes`, once each, and of `jobs`.
    notes: Vec<String>,
    jobs: Vec<String>,
    /// Its own document, and how often it was replaced.
    own: String,
    version: usize,
    /// Marks in the shared document: that are there once, and that may be.
    words: Vec<String>,
    perhaps: Vec<String>,
    spent: usize,
    spent_perhaps: usize,
    /// Requests with keys that were still taken by a server that is dead.
    later: Vec<Sent>,
}

pub(super) struct Client {
    world: Arc<World>,
    name: usize,
    turn: usize,
    done: Done,
}

/// What a request with a key comes to.
enum Keyed {
    Done,
    /// Somebody who is dead has it.
    Later,
}

impl Client {
    pub(super) fn new(world: Arc<World>, name: usize) -> Self {
        let own = format!("own{name}");
        let done = Done { own, ..Done::default() };
        Self { world, name, turn: name, done }
    }

    pub(super) fn work(mut self) -> Done {
        self.replace_own();
        let mut round = 0;
        while self.world.goes_on() {
            let id = format!("c{}-{round}", self.name);
            self.create_keyed(&id);
            self.create_absent(&id);
            self.append(&id);
            self.replace_own();
            self.spend(&id);
            self.do_jobs();
            round += 1;
        }
        self.done
    }

    fn ask(&mut self, line: &str, headers: &str, body: &str) -> Option<super::server::Answer> {
        self.turn += 1;
        self.world.ask(self.turn, line, headers, body)
    }

    /// Sends it until it is done.
    fn keyed(&mut self, line: String, body: String, key: String) -> Keyed {
        let header = format!("idempotency-key: {key}\r\n");
        loop {
            let Some(answer) = self.ask(&line, &header, &body) else { continue };
            match answer.status {
                200..300 => return Keyed::Done,
                409 => assert_eq!(answer.code(), "R0431", "{answer:?}"),
                _ => panic!("{line}: {answer:?}"),
            }
            if self.world.kills {
                self.done.later.push(Sent { line, key, body });
                return Keyed::Later;
            }
            std::thread::yield_now();
        }
    }

    fn create_keyed(&mut self, id: &str) {
        let body = json!({"id": id, "marks": []}).to_string();
        // also one that is done later is there in the end
        self.keyed("POST /v1/notes".to_owned(), body, format!("create-{id}"));
        self.done.notes.push(id.to_owned());
    }

    /// A message; sent again until it is known to be there.
    fn create_absent(&mut self, id: &str) {
        let (line, mut perhaps) = (format!("PUT /v1/jobs/{id}"), false);
        loop {
            let body = json!({"id": id}).to_string();
            match self.ask(&line, "if-none-match: *\r\n", &body) {
                Some(answer) if answer.status == 201 => break,
                Some(answer) if answer.status == 412 && perhaps => break,
                Some(answer) => panic!("{line}: {answer:?}"),
                None => perhaps = true,
            }
        }
        self.done.jobs.push(id.to_owned());
    }

    fn append(&mut self, id: &str) {
        let (line, word) = ("POST /v1/notes/shared/marks", format!("keyed-{id}"));
        let body = json!({"word": word}).to_string();
        self.keyed(line.to_owned(), body, format!("append-{id}"));
        self.done.words.push(word);
        let word = format!("plain-{id}");
        match self.ask(line, "", &json!({"word": word}).to_string()) {
            Some(answer) if answer.status == 201 => self.done.words.push(word),
            Some(answer) => panic!("{line}: {answer:?}"),
            None => self.done.perhaps.push(word),
        }
    }

    /// Replaces the own document in the state that was read; sent again until it is known what is there.
    fn replace_own(&mut self) {
        let path = format!("/v1/notes/{}", self.done.own);
        let next = self.done.version + 1;
        let body = json!({"id": self.done.own, "n": next}).to_string();
        loop {
            let Some(found) = self.ask(&format!("GET {path}"), "", "") else { continue };
            let when = match found.status {
                200 if found.body == body => break,
                200 => {
                    assert_eq!(found.json()["n"], self.done.version, "{found:?}");
                    format!("if-match: {}\r\n", found.header("etag").unwrap())
                }
                _ => "if-none-match: *\r\n".to_owned(),
            };
            match self.ask(&format!("PUT {path}"), &when, &body) {
                Some(answer) if [200, 201, 204].contains(&answer.status) => break,
                // one that was sent before came after it was looked for
                Some(answer) => assert_eq!(answer.status, 412, "{answer:?}"),
                None => {}
            }
        }
        self.done.version = next;
    }

    fn spend(&mut self, id: &str) {
        let line = "POST /v1/plans/p:spend";
        self.keyed(line.to_owned(), json!({"n": 1}).to_string(), format!("spend-{id}"));
        self.done.spent += 1;
        match self.ask(line, "", r#"{"n":1}"#) {
            Some(answer) if answer.status == 200 => self.done.spent += 1,
            Some(answer) => panic!("{line}: {answer:?}"),
            None => self.done.spent_perhaps += 1,
        }
    }

    /// Claims messages, and marks each in the transaction that ends it.
    fn do_jobs(&mut self) {
        let wanted = json!({"count": 3, "lease": "1s"}).to_string();
        let Some(claimed) = self.ask("POST /v1/jobs:claim", "", &wanted) else { return };
        for item in claimed.json()["items"].as_array().unwrap() {
            let word = item["document"]["id"].as_str().unwrap();
            let ack = format!("repot-ack: {}\r\n", item["lease"].as_str().unwrap());
            let body = json!({"word": word}).to_string();
            if let Some(answer) = self.ask("POST /v1/notes/done/marks", &ack, &body) {
                // another one has it by now
                let lost = || answer.status == 409 && answer.code() == "R0501";
                assert!(answer.status == 201 || lost(), "{answer:?}");
            }
        }
    }
}

/// What is there before anybody works.
pub(super) fn begin(world: &World) {
    for (path, body) in [
        ("/v1/notes/shared", json!({"id": "shared", "marks": []})),
        ("/v1/notes/done", json!({"id": "done", "marks": []})),
        ("/v1/plans/p", json!({"id": "p", "used": 0})),
    ] {
        let answer = world.insist(0, &format!("PUT {path}"), "", &body.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

/// Sends again what had to wait for the leases of dead servers; `world` is after these.
fn send_later(world: &World, done: &[Done]) {
    for Sent { line, key, body } in done.iter().flat_map(|done| &done.later) {
        let answer = world.insist(0, line, &format!("idempotency-key: {key}\r\n"), body);
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
    }
}

/// How often each word stands in a document.
fn words(world: &World, path: &str) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    let found = world.insist(0, &format!("GET {path}"), "", "").json();
    for mark in found["marks"].as_array().unwrap() {
        *words.entry(mark["word"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    words
}

/// Everything that was acknowledged is there, once, and nothing that was not sent. `later`: where requests can be sent
/// whose keys dead servers had. Gives how many changes of each document there were that nothing else is told with.
pub(super) fn check(world: &World, later: &World, done: &[Done]) -> BTreeMap<String, usize> {
    send_later(later, done);
    let mut changes = BTreeMap::new();
    for id in done.iter().flat_map(|done| &done.notes) {
        let found = world.insist(0, &format!("GET /v1/notes/{id}"), "", "");
        assert_eq!((found.status, found.body), (200, json!({"id": id, "marks": []}).to_string()));
        changes.insert(format!("/v1/notes/{id}"), 1);
    }
    let mut shared = words(world, "/v1/notes/shared");
    for word in done.iter().flat_map(|done| &done.words) {
        assert_eq!(shared.remove(word), Some(1), "{word}");
    }
    let perhaps: Vec<&String> = done.iter().flat_map(|done| &done.perhaps).collect();
    for (word, count) in shared {
        assert!(count == 1 && perhaps.contains(&&word), "{word} is there {count} times");
    }
    for own in done {
        let path = format!("/v1/notes/{}", own.own);
        let found = world.insist(0, &format!("GET {path}"), "", "").json();
        assert_eq!(found["n"], own.version, "{found}");
        changes.insert(path, own.version);
    }
    let used = world.insist(0, "GET /v1/plans/p", "", "").json()["used"].as_u64().unwrap();
    let spent: usize = done.iter().map(|done| done.spent).sum();
    let most = spent + done.iter().map(|done| done.spent_perhaps).sum::<usize>();
    assert!((spent..=most).contains(&usize::try_from(used).unwrap()), "{used} of {spent}..={most}");
    check_jobs(world, done, &mut changes);
    changes
}

/// Each message was worked on to its end once.
fn check_jobs(world: &World, done: &[Done], changes: &mut BTreeMap<String, usize>) {
    let mut rest = Client::new(world_of(world), 0);
    loop {
        let stats = world.insist(0, "POST /v1/jobs:stats", "", "").json();
        assert_eq!(stats["dead"], 0, "{stats}");
        if ["ready", "leased", "delayed"].iter().all(|state| stats[state] == 0) {
            break;
        }
        rest.do_jobs();
    }
    let mut ended = words(world, "/v1/notes/done");
    for id in done.iter().flat_map(|done| &done.jobs) {
        assert_eq!(ended.remove(id), Some(1), "{id}");
        changes.insert(format!("/v1/jobs/{id}"), 1);
    }
    assert!(ended.is_empty(), "{ended:?}");
}

/// The same servers, for one more client.
fn world_of(world: &World) -> Arc<World> {
    let addresses: Vec<String> = world.places.iter().map(super::world::Place::address).collect();
    World::new(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), world.kills)
}
