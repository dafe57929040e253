//! How often a call waits for PostgreSQL. A proxy between store and server counts how often the client speaks after the server
//! did: what is sent together is one journey, however many statements it is. Exact numbers, of sessions that are warm.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use repot_core::store::{
    Change, DocumentKey, Pointer, Precondition, Query, Queryable as _, Scope, Store as _, StoreExt as _,
};
use repot_engine::store::{RowStore, RowStoreOptions};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_testkit::conformance::model;
use tokio::runtime::Builder;

use crate::documents::{Database, OwnModel, block_on, note};
use repot_model::language::parse;
use repot_model::plan::Plan;

/// A conversation with the server: turns of the client, each the messages that it sent without hearing anything in between.
#[derive(Default)]
struct Heard {
    turns: Vec<Vec<String>>,
    /// The server spoke last.
    answered: bool,
    /// What came of a message that is not whole yet.
    rest: Vec<u8>,
    started: bool,
}

impl Heard {
    fn asked(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            let head = if self.started { 5 } else { 4 };
            let Some((length, _)) = self.rest.get(head - 4..).and_then(<[u8]>::split_first_chunk::<4>) else {
                break;
            };
            let whole = u32::from_be_bytes(*length) as usize + head - 4;
            if self.rest.len() < whole {
                break;
            }
            let message: Vec<u8> = self.rest.drain(..whole).collect();
            // the first has no kind
            if std::mem::replace(&mut self.started, true) {
                said.push(told(message[0], &message[5..]));
            }
        }
        // a sign of life of a session that idled, and what gives a statement's name back, nobody waits for
        if said.iter().all(|said| said == "query " || said.starts_with("close ") || said == "sync") {
            return;
        }
        if std::mem::take(&mut self.answered) || self.turns.is_empty() {
            self.turns.push(Vec::new());
        }
        self.turns.last_mut().unwrap().extend(said);
    }
}

/// What a message says, for people.
fn told(kind: u8, content: &[u8]) -> String {
    let mut parts = content.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    let mut next = || parts.next().unwrap_or_default().into_owned();
    match kind {
        b'Q' => format!("query {}", next()),
        b'P' => format!("parse {} {}", next(), next()),
        b'B' => format!("bind {} {}", next(), next()),
        b'C' => format!("close {}", next()),
        b'S' => "sync".to_owned(),
        b'D' => "describe".to_owned(),
        b'E' => "execute".to_owned(),
        other => format!("{}", char::from(other)),
    }
}

/// What the client said turn by turn.
type Turns = Vec<Vec<String>>;

/// How often each call waited.
fn waits<'n>(seen: &[(&'n str, Turns)]) -> Vec<(&'n str, usize)> {
    seen.iter().map(|(name, turns)| (*name, turns.len())).collect()
}

type Conversations = Arc<Mutex<Vec<Arc<Mutex<Heard>>>>>;

/// A store that reaches its server through the proxy.
struct Counted {
    store: RowStore,
    heard: Conversations,
}

impl Counted {
    fn open() -> Option<Self> {
        Self::of(model())
    }

    fn of(model: OwnModel<'_>) -> Option<Self> {
        let database = Database::postgres()?;
        // makes the tables
        drop(database.open_as((Arc::clone(&model.0), Arc::clone(&model.1), model.2)));
        let (heard, url) = (Conversations::default(), database.url());
        let (before, rest) = url.split_once('@').unwrap();
        let (host, name) = rest.split_once('/').unwrap();
        let port = listen(host.to_owned(), Arc::clone(&heard));
        let url = format!("{before}@127.0.0.1:{port}/{name}");
        let target = PostgresTarget::open(&url, PostgresOptions::default()).unwrap();
        // one session of each kind, so that it is surely warm the second time
        let options = RowStoreOptions { readers: 1, writers: 1, ..Database::options() };
        let store = RowStore::open(Box::new(target), model, options).unwrap();
        Some(Self { store, heard })
    }

    /// The turns of all sessions while it is done.
    async fn turns<T>(&self, work: impl Future<Output = repot_core::Result<T>>) -> (T, Turns) {
        for one in self.heard.lock().unwrap().iter() {
            one.lock().unwrap().turns.clear();
        }
        let done = work.await.unwrap();
        let all = self.heard.lock().unwrap();
        let turns: Turns = all.iter().flat_map(|one| one.lock().unwrap().turns.clone()).collect();
        (done, turns)
    }
}

fn listen(server: String, heard: Conversations) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let upstream = TcpStream::connect(&server).unwrap();
            for stream in [&client, &upstream] {
                stream.set_nodelay(true).unwrap();
            }
            let one = Arc::<Mutex<Heard>>::default();
            heard.lock().unwrap().push(Arc::clone(&one));
            let other = Arc::clone(&one);
            let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            // noted before it goes on, so that no answer overtakes its question
            thread::spawn(move || forward(client, upstream, |bytes| one.lock().unwrap().asked(bytes)));
            thread::spawn(move || forward(back.0, back.1, |_| other.lock().unwrap().answered = true));
        }
    });
    port
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        note(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

fn chat(id: &str) -> DocumentKey {
    DocumentKey::new("chats", id).in_tenant("u1")
}

fn text(id: &str, title: &str) -> String {
    format!(r#"{{"id": "{id}", "title": "{title}", "marks": [{{"word": "x"}}]}}"#)
}

fn of_chat(id: &str, title: &str) -> String {
    format!(r#"{{"id": "{id}", "user_id": "u1", "title": "{title}"}}"#)
}

#[test]
fn reads_wait_once() {
    let Some(counted) = Counted::open() else { return };
    // on one thread with the connections that answers are fetched by: what is sent together is sent at once
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let reading = runtime.spawn(async move {
        let store = &counted.store;
        for id in ["a", "b", "c"] {
            store.create(&note(id), text(id, "t")).await.unwrap();
            store.create(&chat(id), of_chat(id, "t")).await.unwrap();
        }
        let (a, of_tenant) = (note("a"), chat("a"));
        let notes = Query::of(Scope::of("notes")).limit(50);
        let chats = Query::of(Scope::of("chats").in_tenant("u1")).limit(50);
        // the first time sessions are opened and statements prepared; a text is kept when it is read for the second time
        for warm in [false, false, false, true] {
            let mut seen: Vec<(&str, Turns)> = Vec::new();
            seen.push(("get", counted.turns(store.get(&a)).await.1));
            seen.push(("get of a tenant", counted.turns(store.get(&of_tenant)).await.1));
            for (name, query) in [("list", &notes), ("list of a tenant", &chats)] {
                seen.push((name, counted.turns(store.query(query)).await.1));
                let stated = query.clone().etags();
                let (page, turns) = counted.turns(store.query(&stated)).await;
                assert!(page.items.len() == 3 && page.items.iter().all(|item| item.etag.is_some()));
                seen.push((name, turns));
                seen.push((name, counted.turns(store.count(query)).await.1));
            }
            if warm {
                assert!(seen.iter().all(|(_, turns)| turns.len() == 1), "{seen:#?}");
            }
        }
        // of the same tenant once more, without columns that need a state: one statement, and nothing around it
        for query in [&notes, &chats] {
            counted.turns(store.query(query)).await;
            let (_, turns) = counted.turns(store.query(query)).await;
            let [said] = turns.as_slice() else { panic!("{turns:#?}") };
            assert!(
                matches!(said.as_slice(), [bind, execute, sync]
                if bind.starts_with("bind") && execute == "execute" && sync == "sync"),
                "{said:#?}"
            );
        }
    });
    runtime.block_on(reading).unwrap();
}

#[test]
fn writes_wait_twice() {
    let Some(counted) = Counted::open() else { return };
    let store = &counted.store;
    block_on(async {
        let a = note("a");
        store.create(&a, text("a", "t")).await.unwrap();
        for round in 0..4 {
            let mut seen: Vec<(&str, Turns)> = Vec::new();
            let other = note(&format!("n{round}"));
            let create = store.create(&other, text(other.text(), "t"));
            seen.push(("create", counted.turns(create).await.1));
            for name in ["append", "append again"] {
                let append = store.append(&a, "/marks", r#"{"word": "y"}"#);
                seen.push((name, counted.turns(append).await.1));
            }
            seen.push(("get", counted.turns(store.get(&a)).await.1));
            let put = store.put(&a, text("a", &format!("t{round}")));
            let (etag, turns) = counted.turns(put).await;
            seen.push(("put", turns));
            let replace = store.replace(&a, text("a", &format!("u{round}")), &etag);
            seen.push(("replace", counted.turns(replace).await.1));
            seen.push(("delete", counted.turns(store.delete(&other, Precondition::Any)).await.1));
            let wanted = [
                ("create", 2),
                ("append", 2),
                ("append again", 2),
                ("get", 1),
                ("put", 2),
                ("replace", 2),
                ("delete", 2),
            ];
            if round == 3 {
                assert_eq!(waits(&seen), wanted, "{seen:#?}");
            }
        }
    });
}

/// What is written by rows keeps the indexes of words up to date, and asks for nothing more where none of it is searched.
#[test]
fn a_searched_collection_waits_twice_where_nothing_searched_is_written() {
    let (_, _, text_of) = model();
    let searched = text_of.replacen("[notes]\n", "[notes]\nsearch = [\"title\"]\n", 1);
    let parsed = parse(&searched, "repot.toml", &|_| None).unwrap();
    let plan = Plan::compile(&parsed).unwrap();
    let Some(counted) = Counted::of((Arc::new(parsed), Arc::new(plan), &searched)) else { return };
    let store = &counted.store;
    block_on(async {
        let a = note("a");
        store.create(&a, text("a", "t")).await.unwrap();
        for round in 0..3 {
            let append = store.append(&a, "/marks", r#"{"word": "y"}"#);
            let (_, appended) = counted.turns(append).await;
            let at = Pointer::parse("/title").unwrap();
            let change = Change::Set { at, value: format!(r#""found{round}""#).into() };
            store.change(&a, change, Precondition::Any).await.unwrap();
            if round == 2 {
                assert_eq!(appended.len(), 2, "{appended:#?}");
            }
        }
        for (word, found) in [("found2", 1), ("found1", 0)] {
            let page = store.query(&Query::of(Scope::of("notes")).search(word)).await.unwrap();
            assert_eq!(page.items.len(), found, "{word}");
        }
    });
}

/// The documents of a page are read together; what is large, or of rows that SQL changed, by itself.
#[test]
fn a_page_of_whole_documents_waits_a_few_times() {
    let Some(counted) = Counted::open() else { return };
    let (store, page) = (&counted.store, Query { full: true, ..Query::of(Scope::of("notes")).limit(50) });
    block_on(async {
        for number in 10..50 {
            let id = format!("n{number}");
            store.create(&note(&id), text(&id, "t")).await.unwrap();
        }
        for id in ["n20", "n21"] {
            // beside its text
            store.append(&note(id), "/marks", r#"{"word": "y"}"#).await.unwrap();
        }
        let (_, turns) = counted.turns(store.query(&page)).await;
        let together = |said: &&String| {
            said.starts_with("parse ") && said.contains("d.size <=") && said.contains("any($1)")
        };
        let name = turns.iter().flatten().find(together).and_then(|said| said.split(' ').nth(1)).unwrap();
        let bind = format!("bind  {name}");
        // from the first that are read together to the last
        let waited = |turns: &Turns| {
            let mut at = turns.iter().enumerate().filter(|(_, said)| said.contains(&bind)).map(|(at, _)| at);
            let first = at.next().unwrap();
            1 + at.next_back().unwrap_or(first) - first
        };
        let (_, turns) = counted.turns(store.query(&page)).await;
        // 32 documents, the other 8
        assert_eq!(waited(&turns), 2, "{turns:#?}");
        let big = format!(r#"{{"id": "n30", "marks": [{{"word": "{}"}}]}}"#, noise(400_000));
        store.put(&note("n30"), big.clone()).await.unwrap();
        store.query(&page).await.unwrap();
        let (found, turns) = counted.turns(store.query(&page)).await;
        assert_eq!((waited(&turns), found.items.len()), (3, 40), "{turns:#?}");
        for item in &found.items {
            let key = item.key.as_ref().unwrap();
            let read = store.require(key).await.unwrap();
            assert_eq!((item.etag.as_ref(), &item.body), (Some(&read.etag), &read.body), "{key}");
        }
        assert!(found.items.iter().any(|item| item.body == big));
    });
}

/// Text that hardly becomes smaller (xorshift64, Marsaglia 2003).
fn noise(length: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap())
    };
    (0..length).map(letter).collect()
}
