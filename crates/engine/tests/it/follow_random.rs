//! Following in every order of steps: writers that know nothing of Repot, workers with claims, a clock of whole seconds,
//! followers that die at any await. However it goes, one scan after the last change is enough for the copies to converge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use repot_core::moving::{Hinted, Hints, Marks};
use repot_core::store::{
    DocumentKey, ETag, Layout, ObjectBody, ObjectMeta, ObjectPowers, Objects, Precondition, Whose,
};
use repot_core::{Clock as _, Error, Kind, Pacing, Result};
use repot_engine::moving::{FollowOptions, Followed, Follower, Known, ObjectState, Sight};
use repot_testkit::HandClock;
use repot_testkit::conformance::layout;

const START_MS: i64 = 1_700_000_000_000;
const CLAIM_MS: i64 = 5_000;
const OPTIONS: FollowOptions = FollowOptions {
    interval_ms: 0,
    share_percent: 100,
    debounce_ms: 0,
    young_ms: 1_000,
    claim_ms: CLAIM_MS,
    document_bytes_max: 1 << 20,
};
/// Steps of one life of the world, and worlds; twenty times as many where `REPOT_FULL=1`.
const STEPS: usize = 400;
const WORLDS: u64 = 200;
const ALONE: [&str; 4] = ["notes/a.json", "notes/b.json", "chats/t1/c.json", "pairs/x-y/pair.json"];
const SHARED: &str = "events/d1.jsonl";
const OTHERS: [&str; 3] = ["other/a.json", ".repot/journal", "notes/.a.json.tmp/x"];

/// Comes back when it is asked a second time.
#[derive(Debug, Default)]
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Which changes a world has more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Of files of one document.
    Alone,
    /// Of the file of several, with workers that take their time.
    Shared,
}

/// What a worker does.
#[derive(Debug)]
struct Work {
    key: DocumentKey,
    version: u64,
    until_ms: i64,
    /// What it read of the old store.
    read: Option<Option<String>>,
}

/// What the new store has of an object: the state it was copied from, and its documents.
type Record = (Option<ObjectState>, BTreeMap<String, String>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, (String, i64)>,
    records: BTreeMap<String, Record>,
    seen: BTreeMap<String, Sight>,
    marks: BTreeMap<DocumentKey, u64>,
    marked: u64,
    works: Vec<Work>,
    hinted: Hinted,
    /// States that a path had.
    before: BTreeSet<(String, u64, i64)>,
    /// Calls that fail from now on.
    failing: usize,
}

/// Old store, new store, marks and hints at once.
#[derive(Debug)]
struct World {
    layout: Arc<Layout>,
    clock: HandClock,
    state: Mutex<State>,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a world")
    }
}

impl State {
    fn place(&mut self, path: &str, file: (String, i64)) {
        self.before.insert((path.to_owned(), file.0.len() as u64, file.1));
        self.files.insert(path.to_owned(), file);
    }
}

fn state_of((text, modified_ns): &(String, i64)) -> ObjectState {
    ObjectState { size_bytes: text.len() as u64, modified_ns: *modified_ns, etag: None }
}

fn page<T: Clone>(all: &BTreeMap<String, T>, after: Option<&str>, most: usize) -> Vec<(String, T)> {
    let later = all.iter().filter(|(path, _)| after.is_none_or(|after| path.as_str() > after));
    later.take(most).map(|(path, item)| (path.clone(), item.clone())).collect()
}

/// The documents of a text, by key.
fn inside(text: &str) -> BTreeMap<String, String> {
    let id = |line: &str| line.split('"').nth(3).map(str::to_owned);
    text.lines().filter_map(|line| Some((id(line)?, line.to_owned()))).collect()
}

impl World {
    fn new() -> Arc<Self> {
        let world =
            Self { layout: Arc::new(layout()), clock: HandClock::at(START_MS), state: Mutex::default() };
        Arc::new(world)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn follower(self: &Arc<Self>) -> Follower {
        let with = Followed {
            objects: Arc::clone(self) as Arc<_>,
            layout: Arc::clone(&self.layout),
            known: Arc::clone(self) as Arc<_>,
            marks: Arc::clone(self) as Arc<_>,
            hints: Some(Arc::clone(self) as Arc<_>),
            clock: Arc::new(self.clock.clone()),
            pacing: Arc::clone(self) as Arc<_>,
        };
        Follower::new(with, OPTIONS)
    }

    async fn call(&self) -> Result<MutexGuard<'_, State>> {
        Turn::default().await;
        let mut state = self.state();
        if state.failing > 0 {
            state.failing -= 1;
            return Err(Error::new(Kind::Unavailable, "R0409", "out of reach"));
        }
        Ok(state)
    }

    /// Whole seconds, as some stores have them.
    fn tick_ns(&self) -> i64 {
        self.clock.now_ms() / 1_000 * 1_000_000_000
    }

    fn put(&self, path: &str, text: String) {
        let now_ns = self.tick_ns();
        self.state().place(path, (text, now_ns));
    }

    /// Somebody changes a file. Texts are of equal lengths, so that sizes tell nothing.
    fn write(&self, random: u64, profile: Profile) {
        let path = ALONE[(random >> 8) as usize % ALONE.len()];
        let what = if profile == Profile::Shared { 4 + random % 4 } else { random % 8 };
        match what {
            0 | 1 => self.put(path, format!("{{\"title\":\"{}\"}}", random >> 16 & 3)),
            2 => drop(self.state().files.remove(path)),
            3 => {
                let other = ALONE[(random >> 16) as usize % ALONE.len()];
                let now_ns = self.tick_ns();
                let mut state = self.state();
                if let Some(mut file) = state.files.remove(path) {
                    // a rename keeps the time; that this brings a state back which the path had before is beyond what a
                    // listing can tell
                    if state.before.contains(&(other.to_owned(), file.0.len() as u64, file.1)) {
                        file.1 = now_ns;
                    }
                    state.place(other, file);
                }
            }
            4..=6 => {
                let line = |at: u64| format!("{{\"id\":\"e{at}\",\"count\":{}}}\n", random >> (20 + at) & 1);
                let lines = (0..4).filter(|at| random >> (16 + at) & 1 == 1).map(line);
                self.put(SHARED, lines.collect());
            }
            _ if random >> 16 & 1 == 0 => drop(self.state().files.remove(SHARED)),
            _ => self.put(OTHERS[(random >> 16) as usize % OTHERS.len()], "{}".to_owned()),
        }
        if random >> 32 & 3 == 0 {
            let mut state = self.state();
            state.hinted.paths.insert(path.to_owned());
            if random >> 34 & 1 == 0 {
                state.hinted.folders.insert("events/".to_owned());
            }
            state.hinted.lost = random >> 35 & 3 == 0;
        }
    }

    fn path_of(&self, key: &DocumentKey) -> String {
        self.layout.whereabouts(key).unwrap().paths.remove(0)
    }

    /// A worker takes a step.
    fn work(&self, random: u64, profile: Profile) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        state.works.retain(|work| now_ms <= work.until_ms);
        let is_slow = profile == Profile::Shared && random >> 40 & 7 != 0;
        let State { files, records, marks, works, .. } = &mut *state;
        if works.is_empty() || random.is_multiple_of(4) {
            let Some((key, version)) = marks.iter().nth((random >> 8) as usize % marks.len().max(1)) else {
                return;
            };
            // one worker holds a document at a time
            if works.iter().all(|work| work.key != *key) {
                let (key, version) = (key.clone(), *version);
                works.push(Work { key, version, until_ms: now_ms + CLAIM_MS, read: None });
            }
            return;
        }
        let at = (random >> 8) as usize % works.len();
        let path = self.path_of(&works[at].key);
        let id = works[at].key.text().rsplit('=').next().unwrap_or_default().to_owned();
        if works[at].read.is_none() {
            let found = files.get(&path).and_then(|(text, _)| match self.layout.whose(&path) {
                Whose::Several => inside(text).remove(&id),
                _ => Some(text.clone()),
            });
            works[at].read = Some(found);
            return;
        }
        if is_slow {
            return;
        }
        let work = works.swap_remove(at);
        match work.read.flatten() {
            Some(text) => {
                let record = records.entry(path).or_default();
                record.0 = None;
                record.1.insert(id, text);
            }
            None => {
                if let Some(record) = records.get_mut(&path) {
                    record.0 = None;
                    record.1.remove(&id);
                    if record.1.is_empty() {
                        records.remove(&path);
                    }
                }
            }
        }
        if marks.get(&work.key) == Some(&work.version) {
            marks.remove(&work.key);
        }
    }

    /// What the old store and the new one have.
    fn both(&self) -> [BTreeMap<String, BTreeMap<String, String>>; 2] {
        let state = self.state();
        let mut old = BTreeMap::new();
        for (path, (text, _)) in &state.files {
            let documents = match self.layout.whose(path) {
                Whose::One(key) => BTreeMap::from([(key.text().to_owned(), text.clone())]),
                Whose::Several => inside(text),
                Whose::Nobody | Whose::Unnamed => continue,
            };
            if !documents.is_empty() {
                old.insert(path.clone(), documents);
            }
        }
        let new = state.records.iter().map(|(path, record)| (path.clone(), record.1.clone())).collect();
        [old, new]
    }
}

#[async_trait]
impl Objects for World {
    fn powers(&self) -> ObjectPowers {
        ObjectPowers {
            conditional_put: false,
            conditional_delete: false,
            deadlines: false,
            keys_per_tenant: true,
        }
    }

    async fn probe(&self) -> Result<()> {
        Ok(())
    }

    async fn get(&self, path: &str, _: u64) -> Result<Option<ObjectBody>> {
        let text = self.call().await?.files.get(path).map(|file| file.0.clone());
        Ok(text.map(|text| ObjectBody { bytes: text.into(), etag: ETag::new("x"), modified_ns: 0 }))
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let state = self.call().await?.files.get(path).map(state_of);
        Ok(state.map(|state| meta(path, &state)))
    }

    async fn put(&self, _: &str, _: Bytes, _: &Precondition, _: Option<i64>) -> Result<ETag> {
        Err(Error::new(Kind::Denied, "R0409", "nobody writes here"))
    }

    async fn settle(&self, _: &str, _: i64) -> Result<()> {
        unreachable!("a follower only reads")
    }

    async fn delete(&self, _: &str, _: &Precondition, _: Option<i64>) -> Result<bool> {
        Err(Error::new(Kind::Denied, "R0409", "nobody writes here"))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<ObjectMeta>> {
        let listed = page(&self.call().await?.files, after, most);
        let within = listed.into_iter().filter(|(path, _)| path.starts_with(prefix));
        let listed = within.map(|(path, file)| meta(&path, &state_of(&file))).collect();
        Turn::default().await;
        Ok(listed)
    }
}

fn meta(path: &str, state: &ObjectState) -> ObjectMeta {
    let ObjectState { size_bytes, modified_ns, .. } = *state;
    ObjectMeta { path: path.to_owned(), size_bytes, modified_ns, etag: None }
}

#[async_trait]
impl Known for World {
    async fn recorded(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Option<ObjectState>)>> {
        let page = page(&self.call().await?.records, after, most);
        Ok(page.into_iter().map(|(path, record)| (path, record.0)).collect())
    }

    async fn held(&self, path: &str) -> Result<Vec<(String, String)>> {
        let record = self.call().await?.records.get(path).cloned();
        let ids = record.into_iter().flat_map(|record| record.1.into_keys());
        Ok(ids.map(|id| ("events".to_owned(), id)).collect())
    }

    async fn seen(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, Sight)>> {
        Ok(page(&self.call().await?.seen, after, most))
    }

    async fn followed(&self, path: &str) -> Result<Option<ObjectState>> {
        let state = self.call().await?;
        if let Some(seen) = state.seen.get(path) {
            return Ok(seen.again_ms.is_none().then(|| seen.state.clone()));
        }
        Ok(state.records.get(path).and_then(|record| record.0.clone()))
    }

    async fn note(&self, sights: &[(String, Option<Sight>)]) -> Result<()> {
        for (path, sight) in sights {
            let mut state = self.call().await?;
            match sight {
                // through its text, as a store keeps it
                Some(sight) => drop(state.seen.insert(path.clone(), Sight::decode(&sight.encode()).unwrap())),
                None => drop(state.seen.remove(path)),
            }
        }
        Turn::default().await;
        Ok(())
    }
}

#[async_trait]
impl Marks for World {
    async fn mark(&self, keys: &[DocumentKey]) -> Result<()> {
        for key in keys {
            let mut state = self.call().await?;
            state.marked += 1;
            let version = state.marked;
            state.marks.insert(key.clone(), version);
        }
        Turn::default().await;
        Ok(())
    }
}

#[async_trait]
impl Hints for World {
    async fn wait(&self) {
        while self.state().hinted.is_empty() {
            Turn::default().await;
        }
    }

    fn take(&self) -> Hinted {
        std::mem::take(&mut self.state().hinted)
    }

    fn is_whole(&self) -> bool {
        true
    }
}

#[async_trait]
impl Pacing for World {
    async fn pause(&self, _: u64) {
        Turn::default().await;
    }

    fn random(&self) -> u64 {
        7
    }
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn finish<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

/// One world, to its end.
fn live(seed: u64, steps: usize) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let profile = if seed.is_multiple_of(2) { Profile::Alone } else { Profile::Shared };
    let world = World::new();
    for path in ALONE {
        world.put(path, "{\"title\":\"9\"}".to_owned());
    }
    let copied = world.state().files.clone();
    for (path, file) in copied {
        let Whose::One(key) = world.layout.whose(&path) else { continue };
        let documents = BTreeMap::from([(key.text().to_owned(), file.0.clone())]);
        world.state().records.insert(path, (Some(state_of(&file)), documents));
    }
    // a copy reads what is young twice
    world.clock.turn(OPTIONS.young_ms * 2);
    let mut follows: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
    for _ in 0..steps {
        let random = next(&mut random);
        match random >> 60 {
            0..=1 => world.write(random, profile),
            2..=4 => world.work(random, profile),
            5 => drop(world.clock.turn((random >> 8).cast_signed() % 1_000)),
            6 if random.is_multiple_of(16) => follows = None,
            6 if random.is_multiple_of(17) => world.state().failing = 1,
            _ => {
                let own = Arc::clone(&world);
                let follows = follows.get_or_insert_with(|| {
                    Box::pin(async move { own.follower().run(std::future::pending()).await })
                });
                assert!(follows.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }
    }
    drop(follows);
    // the claims of now are over, and what was young is old
    world.clock.turn(CLAIM_MS + 1);
    world.state().failing = 0;
    finish(world.follower().scan()).unwrap();
    while !world.state().marks.is_empty() {
        world.work(next(&mut random), Profile::Alone);
    }
    let [old, new] = world.both();
    assert_eq!(new, old, "seed {seed}");
}

#[test]
fn one_scan_after_the_last_change_is_enough() {
    let worlds = if repot_testkit::full() { 20 * WORLDS } else { WORLDS };
    for seed in 1..=worlds {
        live(seed, STEPS);
    }
}

/// A worker reads a document of a shared file, the document goes from the file, and only then the worker writes it into the
/// new store: nothing said so when the change of the file was seen.
#[test]
fn what_a_worker_brings_back_later_is_found() {
    let world = World::new();
    let [one, nine] = ["{\"id\":\"e1\"}\n", "{\"id\":\"e9\"}\n"];
    world.put(SHARED, one.to_owned());
    let copied = state_of(&world.state().files[SHARED]);
    world.state().records.insert(SHARED.to_owned(), (Some(copied), inside(one)));
    world.clock.turn(60_000);
    world.put(SHARED, format!("{one}{nine}"));
    let follower = world.follower();
    finish(follower.scan()).unwrap();
    let key = DocumentKey::at("events", &[("day", "d1"), ("id", "e9")]);
    let (version, until_ms) = (world.state().marks[&key], world.clock.now_ms() + CLAIM_MS);
    let read = Some(Some(nine.trim_end().to_owned()));
    world.state().works.push(Work { key: key.clone(), version, until_ms, read });
    world.put(SHARED, one.to_owned());
    finish(follower.scan()).unwrap();
    world.clock.turn(CLAIM_MS - 1_000);
    finish(follower.scan()).unwrap();
    world.work(1, Profile::Alone);
    assert!(!world.state().marks.contains_key(&key), "nobody knows yet");
    world.clock.turn(CLAIM_MS);
    finish(follower.scan()).unwrap();
    let mut random = 7;
    while !world.state().marks.is_empty() {
        world.work(next(&mut random), Profile::Alone);
    }
    let [old, new] = world.both();
    assert_eq!(new, old);
}

/// Nothing is marked that did not change, and nothing that is not the app's.
#[test]
fn what_stands_still_is_not_marked() {
    let world = World::new();
    for path in ALONE.into_iter().chain(OTHERS) {
        world.put(path, "{}".to_owned());
        let state = state_of(&world.state().files[path]);
        world.state().records.insert(path.to_owned(), (Some(state), BTreeMap::new()));
    }
    world.put(SHARED, "{\"id\":\"e1\"}\n".to_owned());
    world.clock.turn(60_000);
    let follower = world.follower();
    let scanned = finish(follower.scan()).unwrap();
    assert_eq!((scanned.listed, scanned.marked), (8, 1), "the file that was not copied");
    assert_eq!(world.state().marks.keys().next().unwrap().collection(), "events");
    // once more when no worker can have read it before, and then no more
    assert_eq!(finish(follower.scan()).unwrap().marked, 0);
    world.clock.turn(CLAIM_MS + 1);
    assert_eq!(finish(follower.scan()).unwrap().marked, 1);
    assert_eq!(finish(follower.scan()).unwrap().marked, 0);
    let status = follower.status();
    assert_eq!((status.listed, status.marked, status.last_error), (8, 2, None));
    assert_eq!((status.scanned_ms, status.watching), (Some(world.clock.now_ms()), true));
}
