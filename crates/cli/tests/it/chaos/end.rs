//! When everything is whole again: what was acknowledged is there, once; both stores hold the same; nothing is left over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::apps::numbers;
use super::board::Board;
use super::cast::Cast;
use super::say;
use super::world::World;
use crate::faults::{Answer, send_within};

/// How long what was broken may take to be mended.
const MENDS: Duration = Duration::from_secs(90);

/// What is left of what only a move that is on its way has.
const LEFT: &str = "select string_agg(kind || ' ' || name, ', ') from repot_facts where kind in ('move_mark', 'move_intent', \
                    'move_claim', 'move_stuck')";
const LEFT_SQLITE: &str = "select group_concat(kind || ' ' || name, ', ') from repot_facts where kind in ('move_mark', \
                           'move_intent', 'move_claim', 'move_stuck')";
const ALL: &str = "kind like 'move%' and kind not in ('move_event', 'move_left')";

/// Comes back when nothing waits to be copied.
fn in_step(world: &World) -> Value {
    let begun = Instant::now();
    loop {
        let status = world.run(&["status", "--json"]);
        // 4: the guard has stopped a rollout, as it should where the new store was away
        assert!([0, 4].contains(&status.code), "{status:?}");
        let status = status.result();
        let is_still = status["behind"] == 0 && status["change"].is_null() && status["stuck"] == json!([]);
        let left = left_over(world);
        let notes = world.notes();
        if is_still && left.is_empty() && notes == 0 {
            return status;
        }
        assert!(begun.elapsed() < MENDS, "left over: {left}, {notes} notes; {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn left_over(world: &World) -> String {
    world.sql(if world.is_sqlite() { LEFT_SQLITE } else { LEFT })
}

fn get(address: &str, user: &str, id: &str) -> Option<Value> {
    let tenant = format!("repot-tenant: {user}\r\n");
    let line = format!("GET /v1/conversations/{id}");
    let answer: Answer = send_within(address, &line, &tenant, "", MENDS).unwrap();
    assert!([200, 404].contains(&answer.status), "{answer:?}");
    (answer.status == 200).then(|| answer.json())
}

/// What every server says goes with what the apps were told.
fn answers_hold(cast: &Cast<'_>, board: &Board) {
    for seat in cast.seats() {
        let address = seat.lock().unwrap().clone().unwrap();
        for chat in board.all_chats() {
            let end = get(&address, &chat.user, &chat.id).map_or_else(Vec::new, |found| numbers(&found));
            assert_eq!(chat.list.check(&end), Ok(()), "{} of {}", chat.id, chat.user);
        }
        for draft in board.all_drafts() {
            let end = get(&address, &draft.user, &draft.id);
            let end = end.map(|found| found["title"].as_str().unwrap().parse().unwrap());
            assert_eq!(draft.register.check(end), Ok(()), "{} of {}", draft.id, draft.user);
        }
    }
}

/// The documents of the database are those of the source, byte for byte.
fn same(world: &World, folder: &str) {
    world.run(&["export", folder]).expect(0);
    let exported = repot_testkit::read_tree(&world.project.path(folder)).unwrap();
    let difference = repot_testkit::difference(&world.documents(), &exported);
    assert!(difference.is_none(), "{folder}: {}", difference.unwrap_or_default());
}

pub(super) fn check(world: &World, cast: Cast<'_>, board: &Board) {
    let begun = Instant::now();
    let took = |what: &str| say(&format!("{what} after {} s", begun.elapsed().as_secs()));
    in_step(world);
    took("in step");
    answers_hold(&cast, board);
    assert_eq!(world.run(&["rollback", "--json"]).expect(0).result()["stage"], "following");
    in_step(world);
    answers_hold(&cast, board);
    same(world, "files-lead");
    took("files lead");
    // the guard would take it back where the machine is too busy for the new store
    let rolled = world.run(&["rollout", "100%", "--no-guard", "--json"]).expect(0).result();
    assert_eq!(rolled["stage"], "database");
    in_step(world);
    answers_hold(&cast, board);
    took("database leads");
    let mut documents = world.documents();
    for (path, text) in board.foreign.lock().unwrap().iter() {
        let document = documents.remove(std::path::Path::new(path)).unwrap_or_default();
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or_default();
        // a database stamps what it is given
        assert_eq!(read(&document)["title"], read(text.as_bytes())["title"], "{path}");
        assert!(world.keeps_out() || document == text.as_bytes(), "{path}");
    }
    let name = world.project.path("").canonicalize().unwrap();
    let confirmed = format!("--confirm={}", name.file_name().unwrap().to_str().unwrap());
    world.run(&["finish", &confirmed]).expect(0);
    cast.end();
    world.run(&["verify"]).expect(0);
    same(world, "finished");
    let listed = if world.is_sqlite() { "group_concat(kind, ', ')" } else { "string_agg(kind, ', ')" };
    assert_eq!(world.sql(&format!("select {listed} from repot_facts where {ALL}")), "");
    took("finished");
    say(&format!("{} messages acknowledged; {}", board.acknowledged(), board.tally()));
}
