//! A client that does not read: nothing is kept for it, nobody waits for it, and it misses nothing.

use repot_core::store::{DocumentKey, Precondition, UnitOfWork, Write};
use repot_server::Options;
use serde_json::{Value, json};

use super::clients::{Events, Socket};
use super::kit::{Base, Served, page};

const DOCUMENTS: usize = 100;
/// With all documents more than what the sockets hold.
const TITLE_BYTES: usize = 120 << 10;

fn board(number: usize) -> DocumentKey {
    DocumentKey::new("boards", &format!("b{number:04}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_costs_no_memory_and_misses_nothing_on_sqlite() {
    slow(Base::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_costs_no_memory_and_misses_nothing_on_postgres() {
    let Some(base) = Base::postgres() else { return };
    slow(base).await;
}

async fn slow(base: Base) {
    let options = Options { feed_entries_max: 8, ..Options::default() };
    let served = Served::over(base.app(options).await).await;
    let mut slow = Events::open_narrow(served.address, "?since=0", "").await;
    assert_eq!(slow.next().await.unwrap().id, Some(0));
    let store = served.store();
    let title = "x".repeat(TITLE_BYTES);
    let all: Vec<usize> = (0..DOCUMENTS).collect();
    for numbers in all.chunks(25) {
        let work = numbers.iter().fold(UnitOfWork::default(), |work, &number| {
            let key = board(number);
            let body = json!({"id": key.text(), "title": title}).to_string().into();
            work.with(Write::Put { key, body, when: Precondition::Absent })
        });
        store.apply(work).await.unwrap();
        // others are served meanwhile
        let since = numbers[0];
        assert_eq!(
            page(&served.app, &format!("?since={since}&limit=1&only=boards"), None).await["items"][0]["key"],
            board(since).text()
        );
    }
    // what was not sent by now is not held either: it is told as it is when the client reads it
    let work = all.iter().fold(UnitOfWork::default(), |work, &number| {
        work.with(Write::Delete { key: board(number), when: Precondition::Any })
    });
    store.apply(work).await.unwrap();
    told(&mut slow).await;
    drop((slow, store));
    assert_eq!(served.stop().await, 0);
}

/// Everything in its order: what was written, then what was deleted since.
async fn told(slow: &mut Events) {
    let (mut puts, mut gone) = (Vec::new(), 0);
    for _ in 0..DOCUMENTS {
        let change = slow.change().await.unwrap();
        assert_eq!(change["kind"], "put");
        gone += usize::from(change["document"] == Value::Null);
        puts.push(change["key"].as_str().unwrap().to_owned());
    }
    assert_eq!(puts, (0..DOCUMENTS).map(|number| board(number).text().to_owned()).collect::<Vec<_>>());
    assert!(gone > 0, "{DOCUMENTS} documents were held for it");
    for number in 0..DOCUMENTS {
        let change = slow.change().await.unwrap();
        assert_eq!(
            (&change["kind"], change["key"].as_str()),
            (&json!("deleted"), Some(board(number).text()))
        );
    }
}

/// The place of one that takes nothing is free again after a while, as a stream and as a socket.
#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_place() {
    let base = Base::sqlite();
    let options = Options { listeners_max: 1, write_ms: 100, ..Options::default() };
    let served = Served::over(base.app(options).await).await;
    let title = "x".repeat(TITLE_BYTES);
    let work = (0..DOCUMENTS).fold(UnitOfWork::default(), |work, number| {
        let key = board(number);
        let body = json!({"id": key.text(), "title": title}).to_string().into();
        work.with(Write::Put { key, body, when: Precondition::Absent })
    });
    served.store().apply(work).await.unwrap();
    let stuck = Events::open_narrow(served.address, "?since=0", "").await;
    assert_eq!(stuck.status, 200);
    let socket = loop {
        let (status, socket) = Socket::open_narrow(served.address, "?since=0").await;
        if status == 101 {
            break socket;
        }
        assert_eq!(status, 503);
    };
    while Events::try_open(served.address, "", "").await.unwrap().status != 200 {
        tokio::task::yield_now().await;
    }
    drop((stuck, socket));
    assert_eq!(served.stop().await, 0);
}
