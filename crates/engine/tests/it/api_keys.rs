//! API keys over databases.

use std::collections::BTreeSet;
use std::sync::Arc;

use repot_core::store::Store;
use repot_core::{Clock as _, Kind};
use repot_engine::SystemEntropy;
use repot_engine::ledger::{ApiKeys, CreatedKey, NewKey, Reach, Right, Rights, Tenants};
use repot_testkit::HandClock;

use crate::documents::{Database, block_on};
use crate::ledger::open;

struct World {
    /// Of two processes.
    keys: [ApiKeys; 2],
    stores: [Arc<dyn Store>; 2],
    clock: Arc<HandClock>,
    database: Database,
}

fn worlds() -> impl Iterator<Item = World> {
    Database::all().map(|database| {
        let clock = Arc::new(HandClock::at(1_700_000_000_000));
        let stores = [(), ()].map(|()| -> Arc<dyn Store> { Arc::new(open(&database, &clock)) });
        let keys = [0, 1].map(|at: usize| {
            let clock = Arc::clone(&clock) as Arc<_>;
            ApiKeys::new(Arc::clone(&stores[at]), clock, Arc::new(SystemEntropy))
        });
        World { keys, stores, clock, database }
    })
}

fn new(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), rights: Rights::of(&[Right::Read], &[]), ..NewKey::default() }
}

impl World {
    async fn create(&self, key: NewKey) -> CreatedKey {
        self.keys[0].create(key).await.unwrap()
    }

    async fn works(&self, at: usize, key: &CreatedKey) -> bool {
        match self.keys[at].authenticate(key.text.reveal()).await {
            Ok(principal) => {
                assert_eq!(principal.id, key.id);
                true
            }
            Err(error) => {
                let said = (error.kind(), error.code(), error.message());
                assert_eq!(said, (Kind::Denied, "R0432", "the API key cannot be used"));
                false
            }
        }
    }
}

#[test]
fn a_key_says_who_and_what() {
    for world in worlds() {
        block_on(async {
            let only = ["notes".to_owned(), "chats".to_owned()];
            let rights = Rights {
                write: Reach::Only(only.iter().cloned().collect()),
                ..Rights::of(&[Right::Read], &[])
            };
            let key = NewKey {
                name: "the app: ä \"x\"".to_owned(),
                rights: rights.clone(),
                tenants: Tenants::One("u1".to_owned()),
                expires_ms: None,
            };
            let made = world.create(key.clone()).await;
            for keys in &world.keys {
                let principal = keys.authenticate(made.text.reveal()).await.unwrap();
                assert_eq!((&principal.name, &principal.rights), (&key.name, &rights));
                assert_eq!((&principal.tenants, &principal.id), (&key.tenants, &made.id));
            }
            let plain = world.create(new("plain")).await;
            let any = world.create(NewKey { tenants: Tenants::Any, ..new("any") }).await;
            let mut listed = world.keys[1].list().await.unwrap();
            listed.sort_by(|one, other| one.name.cmp(&other.name));
            let names: Vec<_> = listed.iter().map(|key| (key.name.as_str(), key.id.as_str())).collect();
            assert_eq!(names, [("any", any.id.as_str()), ("plain", &plain.id), (&key.name, &made.id)]);
            assert_eq!(listed[0].tenants, Tenants::Any);
            assert_eq!((listed[2].created_ms, &listed[2].rights), (world.clock.now_ms(), &rights));
        });
    }
}

#[test]
fn rights_and_tenants_are_held_apart() {
    let all = [Right::Read, Right::Write, Right::Admin];
    let rights = Rights::of(&[Right::Read, Right::Admin], &["notes".to_owned()]);
    assert_eq!(rights.reach(Right::Admin), &Reach::Only(BTreeSet::from(["notes".to_owned()])));
    let may = |collection| all.map(|right| rights.may(right, collection));
    assert_eq!(may(Some("notes")), [true, false, true]);
    assert_eq!((may(Some("chats")), may(None)), ([false; 3], [false; 3]));
    let rights = Rights::of(&[Right::Write], &[]);
    assert_eq!(all.map(|right| rights.may(right, None)), [false, true, false]);
    assert_eq!("admin".parse(), Ok(Right::Admin));
    assert!("Admin".parse::<Right>().is_err());

    let (none, one, any) = (Tenants::None, Tenants::One("u".to_owned()), Tenants::Any);
    let acting = |named| [&none, &one, &any].map(|tenants| tenants.acting_for(named));
    assert_eq!(acting(None), [Some(None), Some(Some("u")), Some(None)]);
    assert_eq!(acting(Some("u")), [None, Some(Some("u")), Some(Some("u"))]);
    assert_eq!(acting(Some("v")), [None, None, Some(Some("v"))]);
}

/// One message for all that cannot be used; another for what is no key.
#[test]
fn what_cannot_be_used_is_not_told_apart() {
    for world in worlds() {
        block_on(async {
            let soon = world.clock.now_ms() + 1_000;
            let key = world.create(NewKey { expires_ms: Some(soon), ..new("a") }).await;
            let other = world.create(new("b")).await;
            assert!(world.works(0, &key).await && world.works(1, &key).await);
            world.clock.turn(999);
            assert!(world.works(0, &key).await);
            // also while it is believed
            world.clock.turn(1);
            assert!(!world.works(0, &key).await && !world.works(1, &key).await);
            assert!(!world.keys[1].revoke(&key.id).await.unwrap());
            assert!(world.works(1, &other).await);
            // of another server: right in itself, and not known here
            let elsewhere = worlds().next().unwrap();
            let foreign = elsewhere.create(new("a")).await;
            assert!(!world.works(0, &foreign).await);
            let text = key.text.reveal();
            for wrong in
                ["", "rpt_", text.get(1..).unwrap(), text.get(..64).unwrap(), &text.to_uppercase(), "Bearer"]
            {
                let error = world.keys[0].authenticate(wrong).await.unwrap_err();
                assert_eq!((error.kind(), error.code()), (Kind::Denied, "R0432"));
                assert!(error.message().contains("mistyped") && !error.message().contains(text), "{error}");
            }
        });
    }
}

/// The public name and the sum of a key do not make up for another secret.
#[test]
fn the_secret_counts() {
    for world in worlds() {
        block_on(async {
            let key = world.create(new("a")).await;
            // the record of one key under the name of another, as if its secret were another one
            let other = world.create(new("b")).await;
            let ledger = world.stores[0].ledger().unwrap();
            let fact = ledger.fact("api_key", &other.id).await.unwrap().unwrap();
            let value = repot_core::store::FactValue::lasting(fact.value);
            ledger.note(repot_core::store::FactChange::put("api_key", &key.id, value)).await.unwrap();
            assert!(!world.works(0, &key).await && world.works(0, &other).await);
        });
    }
}

#[test]
fn a_key_that_was_taken_back_ends_here_at_once_and_elsewhere_in_five_seconds() {
    for world in worlds() {
        block_on(async {
            let key = world.create(new("a")).await;
            assert!(world.works(0, &key).await && world.works(1, &key).await);
            assert!(world.keys[0].revoke(&key.id).await.unwrap());
            assert!(!world.keys[0].revoke(&key.id).await.unwrap());
            assert!(!world.keys[0].revoke("nobody").await.unwrap());
            assert!(!world.works(0, &key).await);
            // believed: this says that it is asked for no more often
            assert!(world.works(1, &key).await);
            world.clock.turn(5_000);
            assert!(!world.works(1, &key).await);
            // nor does a clock that is set back make it valid
            world.clock.turn(-4_000);
            assert!(!world.works(1, &key).await);
            world.clock.turn(4_000);
            let listed = world.keys[1].list().await.unwrap();
            assert_eq!(listed[0].revoked_ms, Some(world.clock.now_ms() - 5_000));
            world.clock.turn(30 * 24 * 60 * 60 * 1_000);
            assert_eq!(world.keys[1].list().await.unwrap(), []);
        });
    }
}

#[test]
fn when_it_was_used_last_is_written_once_a_minute() {
    for world in worlds() {
        block_on(async {
            let key = world.create(new("a")).await;
            let used = || async { world.keys[1].list().await.unwrap()[0].used_ms };
            let version = || async {
                world.stores[0].ledger().unwrap().fact("api_key", &key.id).await.unwrap().unwrap().version
            };
            assert_eq!(used().await, None);
            let start = world.clock.now_ms();
            world.works(0, &key).await;
            assert_eq!(used().await, Some(start));
            let written = version().await;
            for _ in 0..11 {
                world.clock.turn(5_000);
                world.works(0, &key).await;
                world.works(1, &key).await;
            }
            assert_eq!((used().await, version().await), (Some(start), written));
            world.clock.turn(5_000);
            world.works(1, &key).await;
            world.works(0, &key).await;
            assert_eq!(used().await, Some(start + 60_000));
            // it does not bring back what was taken back
            world.clock.turn(60_000);
            world.keys[0].revoke(&key.id).await.unwrap();
            world.works(1, &key).await;
            world.clock.turn(5_000);
            assert!(!world.works(1, &key).await);
        });
    }
}

/// Neither the text of a key nor its secret is anywhere in the database.
#[test]
fn only_the_hash_is_kept() {
    for world in worlds() {
        let key = block_on(world.create(new("canary")));
        let secret = key.text.reveal().get(16..59).unwrap().to_owned();
        let ledger = world.stores[0].ledger().unwrap();
        let fact = block_on(ledger.fact("api_key", &key.id)).unwrap().unwrap();
        assert!(!contains(&fact.value, secret.as_bytes()) && contains(&fact.value, b"canary"));
        assert!(!format!("{key:?} {:?}", world.keys[0]).contains(&secret));
        let World { keys, stores, database, .. } = world;
        drop((keys, stores));
        if let Database::Sqlite(folder) = &database {
            let files = std::fs::read_dir(folder.path()).unwrap();
            let found: Vec<_> = files
                .filter(|file| {
                    contains(&std::fs::read(file.as_ref().unwrap().path()).unwrap(), secret.as_bytes())
                })
                .collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn improper_names_are_refused() {
    for world in worlds() {
        for name in ["", "  ", "a\nb", "\u{1b}[2J", &"n".repeat(201)] {
            let error = block_on(world.keys[0].create(new(name))).unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0100"), "{name}");
        }
    }
}

/// More keys than are listed at once.
#[test]
fn all_keys_are_listed() {
    let world = worlds().next().unwrap();
    block_on(async {
        let mut ids = BTreeSet::new();
        for at in 0..201 {
            ids.insert(world.create(new(&at.to_string())).await.id);
        }
        let listed = world.keys[0].list().await.unwrap();
        assert_eq!(listed.len(), 201);
        assert_eq!(listed.into_iter().map(|key| key.id).collect::<BTreeSet<_>>(), ids);
    });
}
