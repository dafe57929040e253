//! The old store after the end of a move: what may be removed, when, and what never is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::Result;
use repot_core::store::{ETag, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition, StoreExt as _};
use repot_engine::moving::{
    About, CleanUp, Fate, Journal, Leads, Left, MovingOptions, Receipt, Removed, SLOTS,
};
use repot_engine::verify::{Proof, ProvedObject, Verify};
use repot_engine::{NoProgress, Options};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::lab::{Process, World, chat, compiled, empty, say, settle, text};
use crate::documents::{Database, block_on};

const DAY_MS: i64 = 86_400_000;
const BESIDE: &str = ".repot/";

/// What goes wrong when an object is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The process dies before it is removed, at the removal with this number.
    DeathBefore(u64),
    /// It dies right after.
    DeathAfter(u64),
    /// Another program writes it after it was read.
    Written,
}

/// Objects whose removal may go wrong.
#[derive(Debug)]
struct Troubled {
    objects: Arc<dyn Objects>,
    trouble: Trouble,
    deletes: AtomicU64,
    died: Notify,
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

impl Troubled {
    async fn die_at(&self, moment: Trouble) {
        if self.trouble == moment {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Objects for Troubled {
    fn powers(&self) -> ObjectPowers {
        self.objects.powers()
    }

    async fn probe(&self) -> Result<()> {
        self.objects.probe().await
    }

    async fn get(&self, path: &str, bytes_max: u64) -> Result<Option<ObjectBody>> {
        self.objects.get(path, bytes_max).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.objects.head(path).await
    }

    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        when: &Precondition,
        until_ms: Option<i64>,
    ) -> Result<ETag> {
        self.objects.put(path, bytes, when, until_ms).await
    }

    async fn delete(&self, path: &str, when: &Precondition, until_ms: Option<i64>) -> Result<bool> {
        let number = self.deletes.fetch_add(1, Ordering::SeqCst);
        if self.trouble == Trouble::Written {
            self.objects.put(path, "by another".into(), &Precondition::Any, None).await?;
        }
        self.die_at(Trouble::DeathBefore(number)).await;
        let deleted = self.objects.delete(path, when, until_ms).await;
        self.die_at(Trouble::DeathAfter(number)).await;
        deleted
    }

    async fn settle(&self, path: &str, until_ms: i64) -> Result<()> {
        self.objects.settle(path, until_ms).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        self.objects.list(prefix, after, most).await
    }
}

/// Proves the database, as `finish` and the removal do.
fn prove(world: &World, each: &mut dyn FnMut(ProvedObject) -> Result<()>) -> Proof {
    let ((model, plan, _), target) = (compiled(), world.database.target());
    let (options, progress) = (Options::default(), NoProgress);
    let verify = Verify { model: &model, plan: &plan, options: &options, progress: &progress, seed: 7 };
    let proof = verify.run_listing(target.as_ref(), each).unwrap();
    assert!(proof.holds(), "{:?}", proof.differences);
    proof
}

fn proof(world: &World) -> Proof {
    prove(world, &mut |_| Ok(()))
}

/// A world in which the documents with these names were moved, and the process that did it.
fn moved(database: Database, names: &[&str]) -> (World, Process) {
    let world = World::new(database, MovingOptions::default());
    let process = block_on(async {
        let process = world.process("one", 1);
        process.moving.begin("a test").await.unwrap();
        process.moving.read_log().await.unwrap();
        for name in names {
            process.store.create(&chat("u1", name), empty("u1", name)).await.unwrap();
        }
        process.moving.change(&Leads::share(SLOTS), "all", 60_000).await.unwrap();
        // a change of a part is kept beside the text for a while
        say(&*process.store, &chat("u1", names[0]), 1).await.unwrap();
        settle(&process).await;
        process
    });
    (world, process)
}

fn about(world: &World) -> About {
    let at_ms = repot_core::Clock::now_ms(world.clock.as_ref());
    About {
        app: "a test".to_owned(),
        source: "memory".to_owned(),
        database: world.new.to_string(),
        at_ms,
        kept_until_ms: at_ms + 30 * DAY_MS,
    }
}

/// The end of a move, as `finish` does it; gives what was proved.
fn finish(world: &World, process: &Process) -> (Receipt, BTreeMap<String, ProvedObject>) {
    let (mut draft, mut written, mut proved) = (process.moving.draft(), Vec::new(), BTreeMap::new());
    prove(world, &mut |object| {
        written.extend(draft.add(&object.path, object.size, &object.sha256));
        proved.insert(object.path.clone(), object);
        Ok(())
    });
    let (last, receipt) = draft.end(&about(world));
    written.extend(last);
    block_on(async {
        process.moving.write_down(written).await.unwrap();
        process.moving.finish("done", Some(&receipt)).await.unwrap();
    });
    (receipt, proved)
}

fn clean_up(world: &World, objects: Arc<dyn Objects>) -> CleanUp {
    CleanUp {
        objects,
        beside: BESIDE.to_owned(),
        journal: Journal::new(Arc::clone(&world.new) as _, Arc::clone(&world.clock) as _),
        known: Arc::clone(&world.new) as _,
        clock: Arc::clone(&world.clock) as _,
        bytes_max: 1 << 20,
    }
}

fn own(world: &World) -> CleanUp {
    clean_up(world, Arc::clone(&world.objects) as _)
}

/// Removes; gives also what was told of each object.
async fn run(clean_up: &CleanUp, is_dry: bool, proof: &Proof) -> Result<(Removed, BTreeMap<String, Fate>)> {
    let cleared = clean_up.clear(is_dry).await?;
    let mut fates = BTreeMap::new();
    let mut each = |path: &str, fate: Fate| {
        assert_eq!(fates.insert(path.to_owned(), fate), None, "{path}");
    };
    let removed = clean_up.run(&cleared, proof, &mut each).await?;
    Ok((removed, fates))
}

/// The paths in the old store that are none of ours.
async fn paths(world: &World) -> Vec<String> {
    let listed = world.objects.list("", None, 10_000).await.unwrap();
    listed.into_iter().map(|meta| meta.path).filter(|path| !path.starts_with(BESIDE)).collect()
}

async fn put(world: &World, path: &str, content: &str) {
    world.objects.put(path, content.to_owned().into(), &Precondition::Any, None).await.unwrap();
}

fn state(world: &World) -> Option<Left> {
    block_on(own(world).journal.left()).unwrap().map(|left| left.state)
}

fn path(name: &str) -> String {
    format!("chats/u1/{name}.json")
}

#[test]
fn what_was_proved_is_removed_after_its_time_and_nothing_else() {
    for database in Database::all() {
        let (world, process) = moved(database, &["a", "b", "c", "d", "e"]);
        // the move goes on, so nothing may be removed
        assert_eq!(block_on(own(&world).clear(true)).unwrap_err().code(), "R0741");
        let (_, proved) = finish(&world, &process);
        block_on(async {
            for name in ["a", "b", "c", "d", "e"] {
                let file = text(&*world.old(), &chat("u1", name)).await.unwrap();
                let own = &proved[&path(name)];
                assert_eq!(own.sha256, Sha256::digest(&file).to_vec(), "{name}: as the copy has it");
                assert_eq!(own.size, file.len() as u64);
            }
            assert_eq!(proved.len(), 5);
            // another program writes one; the app deletes one and changes one; one was never named
            put(&world, &path("b"), "{\"id\": \"b\", \"user_id\": \"u1\", \"messages\": [ ]}").await;
            world.new.delete(&chat("u1", "c"), Precondition::Any).await.unwrap();
            say(&*world.new, &chat("u1", "d"), 4).await.unwrap();
            put(&world, "chats/u1/by-hand.json", "{}").await;
            put(&world, "readme.txt", "keep me").await;
        });
        let (proof, before) = (proof(&world), block_on(paths(&world)));
        let early = block_on(own(&world).clear(false)).unwrap_err();
        assert_eq!(early.code(), "R0740");
        let wanted = BTreeMap::from([
            (path("a"), Fate::Removed),
            (path("b"), Fate::Changed),
            ("chats/u1/by-hand.json".to_owned(), Fate::Unnamed),
            (path("c"), Fate::Gone),
            (path("d"), Fate::Removed),
            (path("e"), Fate::Removed),
            ("readme.txt".to_owned(), Fate::Unnamed),
        ]);
        // a dry run says the same at any time
        let (dry, fates) = block_on(run(&own(&world), true, &proof)).unwrap();
        assert_eq!((fates, state(&world)), (wanted.clone(), Some(Left::Kept)));
        assert_eq!(block_on(paths(&world)), before);
        world.clock.put_forward(30 * DAY_MS);
        let (removed, fates) = block_on(run(&own(&world), false, &proof)).unwrap();
        assert_eq!((removed, &fates), (dry, &wanted));
        assert_eq!((removed.removed, removed.left(), removed.missing), (3, 4, 0));
        let bytes: u64 = ["a", "d", "e"].iter().map(|name| proved[&path(name)].size).sum();
        assert_eq!(removed.bytes, bytes);
        let stays = vec![path("b"), "chats/u1/by-hand.json".to_owned(), path("c"), "readme.txt".to_owned()];
        assert_eq!(block_on(paths(&world)), stays);
        assert!(matches!(state(&world), Some(Left::Removed { left: 4, .. })));
        // fence and receipt stay, and it may be done again
        assert!(block_on(world.objects.head(".repot/fence")).unwrap().is_some());
        let (again, _) = block_on(run(&own(&world), false, &proof)).unwrap();
        assert_eq!((again.removed, again.missing, again.left()), (0, 3, 4));
        assert_eq!(block_on(paths(&world)), stays);
        // nobody takes what is left for the truth
        let late = world.process("late", 9);
        assert_eq!(block_on(late.moving.begin("again")).unwrap_err().code(), "R0743");
    }
}

/// Whoever removes is killed at each removal, before it and after it; another one comes to the same end.
#[test]
fn a_removal_that_was_killed_is_done_again() {
    for database in Database::all() {
        let (world, process) = moved(database, &["a", "b", "c"]);
        finish(&world, &process);
        block_on(put(&world, "readme.txt", "keep me"));
        world.clock.put_forward(30 * DAY_MS);
        let proof = proof(&world);
        let all = block_on(world.objects.list("chats/", None, 10)).unwrap();
        let mut texts = Vec::new();
        for meta in &all {
            texts.push(block_on(world.objects.get(&meta.path, 1 << 20)).unwrap().unwrap().bytes);
        }
        for number in 0..3 {
            for trouble in [Trouble::DeathBefore(number), Trouble::DeathAfter(number)] {
                for (meta, text) in all.iter().zip(&texts) {
                    block_on(world.objects.put(&meta.path, text.clone(), &Precondition::Any, None)).unwrap();
                }
                let troubled = Arc::new(Troubled {
                    objects: Arc::clone(&world.objects) as _,
                    trouble,
                    deletes: AtomicU64::new(0),
                    died: Notify::new(),
                });
                block_on(async {
                    let dying = clean_up(&world, Arc::clone(&troubled) as _);
                    tokio::select! {
                        () = troubled.died.notified() => {}
                        ended = run(&dying, false, &proof) => panic!("{trouble:?}: {ended:?}"),
                    }
                });
                assert!(matches!(state(&world), Some(Left::Removing { .. })), "{trouble:?}");
                let late = world.process("late", 9);
                assert_eq!(block_on(late.moving.begin("again")).unwrap_err().code(), "R0743");
                let (removed, _) = block_on(run(&own(&world), false, &proof)).unwrap();
                assert_eq!((removed.removed + removed.missing, removed.left()), (3, 1), "{trouble:?}");
                assert_eq!(block_on(paths(&world)), ["readme.txt"]);
                assert!(matches!(state(&world), Some(Left::Removed { left: 1, .. })));
            }
        }
    }
}

#[test]
fn an_object_that_is_written_after_it_was_read_stays() {
    let (world, process) = moved(Database::sqlite(), &["a", "b"]);
    finish(&world, &process);
    world.clock.put_forward(30 * DAY_MS);
    let proof = proof(&world);
    let objects = Arc::clone(&world.objects) as _;
    let troubled =
        Troubled { objects, trouble: Trouble::Written, deletes: AtomicU64::new(0), died: Notify::new() };
    let (removed, _) = block_on(run(&clean_up(&world, Arc::new(troubled)), false, &proof)).unwrap();
    assert_eq!((removed.removed, removed.changed), (0, 2));
    assert_eq!(block_on(paths(&world)), [path("a"), path("b")]);
}

/// A receipt that is not the one of which the database has the hash removes nothing; nor does a database that is not proved.
#[test]
fn a_receipt_that_was_changed_removes_nothing() {
    let (world, process) = moved(Database::sqlite(), &["a", "b"]);
    finish(&world, &process);
    world.clock.put_forward(30 * DAY_MS);
    let good = proof(&world);
    let before = block_on(paths(&world));
    let receipt = block_on(world.objects.list(".repot/finished/", None, 10)).unwrap();
    assert_eq!(receipt.len(), 4, "{receipt:?}");
    for meta in &receipt {
        let body = block_on(world.objects.get(&meta.path, 1 << 20)).unwrap().unwrap().bytes;
        let mut changed = body.to_vec();
        // still a line of the same form
        changed[0] = if changed[0] == b'0' { b'1' } else { b'0' };
        block_on(world.objects.put(&meta.path, changed.into(), &Precondition::Any, None)).unwrap();
        for is_dry in [true, false] {
            assert_eq!(block_on(own(&world).clear(is_dry)).unwrap_err().code(), "R0742", "{}", meta.path);
        }
        block_on(world.objects.delete(&meta.path, &Precondition::Any, None)).unwrap();
        assert_eq!(block_on(own(&world).clear(false)).unwrap_err().code(), "R0742", "{}", meta.path);
        block_on(world.objects.put(&meta.path, body, &Precondition::Any, None)).unwrap();
    }
    // also where it is changed after it was looked at
    let cleared = block_on(own(&world).clear(false)).unwrap();
    let part = receipt.iter().find(|meta| meta.path.ends_with("000001.sha256")).unwrap();
    let body = block_on(world.objects.get(&part.path, 1 << 20)).unwrap().unwrap().bytes;
    block_on(put(&world, &part.path, ""));
    let late = block_on(own(&world).run(&cleared, &good, &mut |_, _| {})).unwrap_err();
    assert_eq!(late.code(), "R0742");
    block_on(world.objects.put(&part.path, body, &Precondition::Any, None)).unwrap();

    let broken = Proof { rows_differing: 1, ..Proof::default() };
    assert_eq!(block_on(run(&own(&world), false, &broken)).unwrap_err().code(), "R0718");
    assert_eq!(block_on(paths(&world)), before);
    assert_eq!(block_on(run(&own(&world), false, &good)).unwrap().0.removed, 2);
}

/// A move that begins before the removal takes the source into use again: what was written of it counts no more.
#[test]
fn a_move_that_begins_again_keeps_the_source() {
    for database in Database::all() {
        let (world, process) = moved(database, &["a", "b"]);
        finish(&world, &process);
        world.clock.put_forward(30 * DAY_MS);
        let (proof, before) = (proof(&world), block_on(paths(&world)));
        let cleared = block_on(own(&world).clear(false)).unwrap();
        let again = world.process("again", 5);
        block_on(again.moving.begin("again")).unwrap();
        assert_eq!(state(&world), None);
        let late = block_on(own(&world).run(&cleared, &proof, &mut |_, _| {})).unwrap_err();
        assert_eq!(late.code(), "R0741");
        assert_eq!(block_on(own(&world).clear(false)).unwrap_err().code(), "R0741");
        assert_eq!(block_on(paths(&world)), before);
    }
}

/// Who dies before the move is ended leaves parts of a receipt that mean nothing, and go with the next end.
#[test]
fn an_end_that_died_is_done_again_with_a_receipt_of_its_own() {
    let (world, process) = moved(Database::sqlite(), &["a"]);
    let mut draft = process.moving.draft();
    let full = draft.add(&path("never"), 1, &[1; 32]);
    assert!(full.is_empty());
    let (written, dead) = draft.end(&about(&world));
    block_on(process.moving.write_down(written)).unwrap();
    assert_eq!(block_on(own(&world).clear(true)).unwrap_err().code(), "R0741");
    let (receipt, _) = finish(&world, &process);
    assert_ne!(receipt, dead);
    let listed = || block_on(world.objects.list(".repot/finished/", None, 100)).unwrap().len();
    assert_eq!(listed(), 8, "of the dead one too");
    block_on(process.moving.forget_receipts(Some(&receipt))).unwrap();
    assert_eq!(listed(), 4);
    world.clock.put_forward(30 * DAY_MS);
    let proof = proof(&world);
    assert_eq!(block_on(run(&own(&world), false, &proof)).unwrap().0.removed, 1);
}
