//! The contract of objects in a bucket, clause by clause, on a test server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use repot_bucket::{S3Config, S3Objects};
use repot_core::store::{ETag, ObjectPowers, Objects as _, Precondition};
use repot_core::{Error, Kind, Retry, path_text};
use repot_s3lab::{Condition, Fault, Op, S3Lab};

pub(crate) fn config(lab: &S3Lab) -> S3Config {
    S3Config {
        bucket: lab.bucket().to_owned(),
        prefix: "docs".to_owned(),
        endpoint: Some(lab.endpoint()),
        access_key: lab.access_key().to_owned(),
        secret_key: lab.secret_key().to_owned(),
        retry_seconds: 20,
        ..S3Config::default()
    }
}

/// A bucket that was probed.
pub(crate) async fn open(lab: &S3Lab) -> S3Objects {
    let objects = S3Objects::open(config(lab)).expect("good settings");
    objects.probe().await.expect("it can be reached");
    objects
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn names(error: &Error) -> (Kind, &'static str) {
    (error.kind(), error.code())
}

async fn paths(objects: &S3Objects, prefix: &str, after: Option<&str>, most: usize) -> Vec<String> {
    let listed = objects.list(prefix, after, most).await.expect("it can be listed");
    listed.into_iter().map(|meta| meta.path).collect()
}

fn asked(lab: &S3Lab, op: Op) -> usize {
    lab.requests().iter().filter(|request| request.op == op).count()
}

#[tokio::test]
async fn what_is_put_is_got_headed_and_listed() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let both = ObjectPowers {
        conditional_put: true,
        conditional_delete: true,
        deadlines: true,
        keys_per_tenant: true,
    };
    assert_eq!((objects.powers(), lab.keys()), (both, Vec::new()), "the probe leaves nothing");
    assert_eq!(objects.get("a.json", 10).await.unwrap(), None);
    assert_eq!(objects.head("a.json").await.unwrap(), None);
    for text in ["{}", "", "{ \"a\" : 1 }"] {
        let etag = objects.put("a.json", bytes(text), &Precondition::Any, None).await.unwrap();
        assert!(etag.as_str().len() == 32 && !etag.as_str().contains('"'));
        assert_eq!(lab.get("docs/a.json").unwrap(), text.as_bytes());
        let body = objects.get("a.json", text.len() as u64).await.unwrap().unwrap();
        assert_eq!((&body.bytes[..], &body.etag), (text.as_bytes(), &etag));
        let meta = objects.head("a.json").await.unwrap().unwrap();
        assert_eq!((meta.size_bytes, meta.etag.as_ref()), (text.len() as u64, Some(&etag)));
        assert_eq!(objects.list("", None, 9).await.unwrap(), [meta]);
    }
    assert!(objects.delete("a.json", &Precondition::Any, None).await.unwrap());
    assert!(!objects.delete("a.json", &Precondition::Any, None).await.unwrap());
    assert_eq!((lab.keys(), asked(&lab, Op::Delete) - 3), (Vec::new(), 1), "what is missing is not removed");
}

#[tokio::test]
async fn preconditions_hold_or_change_nothing() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let stale = Precondition::Matches(ETag::new("0123"));
    let gone = objects.put("a", bytes("1"), &stale, None).await.unwrap_err();
    assert_eq!((names(&gone), gone.message()), ((Kind::Conflict, "R0401"), "a is not there"));
    assert_eq!(objects.delete("a", &stale, None).await.unwrap_err().message(), "a is not there");
    let one = objects.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap();
    let odd = ["", "*", "a\"b", "a\nb", "\u{e4}"].map(|text| Precondition::Matches(ETag::new(text)));
    for when in odd.into_iter().chain([Precondition::Absent, stale.clone()]) {
        let error = objects.put("a", bytes("2"), &when, None).await.unwrap_err();
        assert_eq!(names(&error), (Kind::Conflict, "R0401"), "{when:?}");
        assert_eq!(error.details(), [format!("current ETag: {one}")]);
        assert_eq!(error.may_retry(), Retry::Never);
        if when != Precondition::Absent {
            assert_eq!(objects.delete("a", &when, None).await.unwrap_err().kind(), Kind::Conflict);
        }
        assert_eq!(lab.get("docs/a").unwrap(), b"1");
    }
    assert_eq!(objects.delete("a", &Precondition::Absent, None).await.unwrap_err().kind(), Kind::Invalid);
    let two = objects.put("a", bytes("2"), &Precondition::Matches(one.clone()), None).await.unwrap();
    assert!(objects.delete("a", &Precondition::Matches(one), None).await.is_err());
    assert!(objects.delete("a", &Precondition::Matches(two), None).await.unwrap());
    assert_eq!(lab.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let lab = S3Lab::start();
    lab.put("docs/a", vec![b'x'; 1_000_000]);
    let objects = open(&lab).await;
    // a body that is read would end in an error of its own, each time
    lab.fail(Op::Get, Fault::Truncate(500_000), 100);
    let error = objects.get("a", 999_999).await.unwrap_err();
    assert_eq!(names(&error), (Kind::Unsupported, "R0213"), "{error}");
    lab.heal();
    assert_eq!(objects.get("a", 1_000_000).await.unwrap().unwrap().bytes.len(), 1_000_000);
}

#[tokio::test]
async fn hostile_keys_keep_their_names() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let long = "\u{e4}".repeat(509);
    let keys = [
        "a//b",
        "/a",
        "//",
        "a/b/",
        "%2e%2e/x",
        "100%",
        "a b+c",
        "a?b#c&d=e",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{1f600}",
        "\u{f7e9}",
        "\u{f7ff}/x",
        "\u{f800}",
        "back\\slash",
        "quote\"'<>",
        "tab\t",
        "...",
        "~",
        " ",
        "*",
        "\u{7f}",
        "line\nbreak",
        &long,
    ];
    for key in keys {
        let path = path_text::encode(key.as_bytes());
        objects.put(&path, bytes(key), &Precondition::Absent, None).await.unwrap();
        assert_eq!(lab.get(&format!("docs/{key}")).as_deref(), Some(key.as_bytes()));
        let body = objects.get(&path, 2_000).await.unwrap().unwrap();
        assert_eq!(
            (body.bytes, Some(body.etag)),
            (bytes(key), objects.head(&path).await.unwrap().unwrap().etag)
        );
    }
    lab.put("docs/", "the marker of the folder");
    lab.put("docs/x/../y", "named, though it cannot be read");
    lab.put("docs2", "beside");
    let mut all: Vec<String> =
        keys.iter().chain([&"x/../y"]).map(|key| path_text::encode(key.as_bytes())).collect();
    all.sort();
    lab.limit_pages(4);
    assert_eq!(paths(&objects, "", None, 100).await, all);
    for (place, path) in all.iter().enumerate() {
        assert_eq!(paths(&objects, "", Some(path), 100).await, all[place + 1..], "after {path:?}");
        assert_eq!(paths(&objects, path, None, 1).await, [path.as_str()]);
    }
    // texts that are no key's name, but lie between names
    for odd in ["\u{f7ef}", "\u{f7ef}\u{f79f}", "\u{f7e9}", "\u{f780}", "\u{f7c3}\u{f7a9}", "a\u{f7e9}"] {
        let after: Vec<_> = all.iter().filter(|path| path.as_str() > odd).cloned().collect();
        assert_eq!(paths(&objects, "", Some(odd), 100).await, after, "after {odd:?}");
        let under: Vec<_> = all.iter().filter(|path| path.starts_with(odd)).cloned().collect();
        assert_eq!(paths(&objects, odd, None, 100).await, under, "under {odd:?}");
    }
    for key in keys {
        assert!(objects.delete(&path_text::encode(key.as_bytes()), &Precondition::Any, None).await.unwrap());
    }
    assert_eq!(lab.keys(), ["docs/", "docs/x/../y", "docs2"]);
}

#[tokio::test]
async fn paths_that_are_no_keys_are_refused_and_find_nothing() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let before = lab.requests().len();
    let long = "x".repeat(1_020);
    for path in ["", ".", "..", "a/../b", "./a", "\u{f7e9}", "\u{f7c3}\u{f7a9}", &long] {
        let put = objects.put(path, bytes("1"), &Precondition::Any, None).await.unwrap_err();
        assert_eq!(names(&put), (Kind::Invalid, "R0403"), "{path:?}");
        let delete = objects.delete(path, &Precondition::Any, None).await.unwrap_err();
        assert_eq!(names(&delete), (Kind::Invalid, "R0403"), "{path:?}");
        assert_eq!(objects.get(path, 10).await.unwrap(), None);
        assert_eq!(objects.head(path).await.unwrap(), None);
    }
    assert_eq!((lab.requests().len(), lab.keys()), (before, Vec::new()), "nothing was asked");
    objects.put(&"x".repeat(1_019), bytes("1"), &Precondition::Any, None).await.unwrap();
}

#[tokio::test]
async fn a_listing_gives_as_many_as_are_asked_for() {
    let lab = S3Lab::start();
    let objects = open(&lab).await;
    let all: Vec<String> = (0..30).map(|number| format!("d{}/{number:02}", number % 3)).collect();
    for path in &all {
        lab.put(format!("docs/{path}"), path);
    }
    lab.limit_pages(7);
    for prefix in ["", "d", "d1", "d1/", "d1/1", "nothing"] {
        let mut under: Vec<_> = all.iter().filter(|path| path.starts_with(prefix)).cloned().collect();
        under.sort();
        for most in [0, 1, 6, 7, 8, 30, 31] {
            for after in [None, Some(""), Some("a"), Some("d1/10"), Some("d1/11x"), Some("e")] {
                let wanted =
                    under.iter().filter(|path| after.is_none_or(|after| path.as_str() > after)).take(most);
                let wanted: Vec<_> = wanted.cloned().collect();
                assert_eq!(paths(&objects, prefix, after, most).await, wanted, "{prefix} {after:?} {most}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_found_out() {
    for (condition, powers) in [
        (
            Condition::PutIfNoneMatch,
            ObjectPowers {
                conditional_put: false,
                conditional_delete: true,
                deadlines: true,
                keys_per_tenant: true,
            },
        ),
        (
            Condition::PutIfMatch,
            ObjectPowers {
                conditional_put: false,
                conditional_delete: true,
                deadlines: true,
                keys_per_tenant: true,
            },
        ),
        (
            Condition::DeleteIfMatch,
            ObjectPowers {
                conditional_put: true,
                conditional_delete: false,
                deadlines: true,
                keys_per_tenant: true,
            },
        ),
    ] {
        let lab = S3Lab::start();
        lab.ignore(condition);
        let objects = open(&lab).await;
        assert_eq!((objects.powers(), lab.keys()), (powers, Vec::new()), "{condition:?}");
        let etag = objects.put("a", bytes("1"), &Precondition::Any, None).await.unwrap();
        let when = Precondition::Matches(etag);
        let refused = if powers.conditional_put {
            objects.delete("a", &when, None).await.unwrap_err()
        } else {
            assert!(objects.put("b", bytes("1"), &Precondition::Absent, None).await.is_err());
            objects.put("a", bytes("2"), &when, None).await.unwrap_err()
        };
        assert_eq!(names(&refused), (Kind::Unsupported, "R0405"));
        assert!(refused.message().contains("does not enforce"), "{refused}");
        assert_eq!((lab.get("docs/a").unwrap(), lab.keys().len()), (b"1".to_vec(), 1));
    }
    let lab = S3Lab::start();
    let unprobed = S3Objects::open(config(&lab)).expect("good settings");
    let refused = unprobed.put("a", bytes("1"), &Precondition::Absent, None).await.unwrap_err();
    assert!(names(&refused) == (Kind::Unsupported, "R0405") && refused.message().contains("not probed"));
}

#[tokio::test]
async fn a_probe_survives_faults_and_tells_who_is_to_blame() {
    let lab = S3Lab::start();
    let objects = S3Objects::open(S3Config { retry_seconds: 5, ..config(&lab) }).expect("good settings");
    lab.fail(Op::Put, Fault::AckLoss, 1);
    lab.fail(Op::Put, Fault::Status(409), 1);
    lab.fail(Op::Delete, Fault::Hangup, 1);
    objects.probe().await.expect("in the end");
    assert!(objects.powers().conditional_put && objects.powers().conditional_delete);
    assert_eq!(lab.keys(), Vec::<String>::new());
    // a server that does not know the condition can still be written to
    lab.fail(Op::Put, Fault::Status(501), 1);
    objects.probe().await.expect("it can be written to");
    assert!(!objects.powers().conditional_put && objects.powers().conditional_delete);
    lab.fail(Op::Put, Fault::Status(403), 1);
    assert_eq!(objects.probe().await.unwrap_err().kind(), Kind::Denied);
    lab.fail(Op::List, Fault::Status(403), 1);
    assert_eq!(objects.probe().await.unwrap_err().kind(), Kind::Denied);
    let elsewhere = S3Config { bucket: "elsewhere".to_owned(), ..config(&lab) };
    let error = S3Objects::open(elsewhere).expect("good settings").probe().await.unwrap_err();
    assert_eq!(names(&error), (Kind::Invalid, "R0103"));
}

/// Makes a number in an object one larger, from the state it was read in; says whether that is known to have happened.
pub(crate) async fn increment(objects: &S3Objects) -> bool {
    loop {
        let body = objects.get("count", 100).await.expect("it can be read").expect("it is there");
        let count: u64 = std::str::from_utf8(&body.bytes).expect("text").parse().expect("a number");
        let next = bytes(&(count + 1).to_string());
        match objects.put("count", next, &Precondition::Matches(body.etag), None).await {
            Ok(_) => return true,
            Err(error) if error.may_retry() == Retry::Unknown => return false,
            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error} {:?}", error.details()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_increments_none_is_lost() {
    let lab = S3Lab::start();
    let objects = Arc::new(open(&lab).await);
    objects.put("count", bytes("0"), &Precondition::Absent, None).await.unwrap();
    let tasks = (0..16).map(|_| {
        let objects = Arc::clone(&objects);
        tokio::spawn(async move {
            for _ in 0..50 {
                assert!(increment(&objects).await);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(lab.get("docs/count").unwrap(), b"800");
}

#[test]
fn it_works_under_several_runtimes_and_under_none() {
    let lab = S3Lab::start();
    let objects = Arc::new(S3Objects::open(config(&lab)).expect("good settings"));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("there are threads");
    let (one, two) = (runtime(), runtime());
    one.block_on(objects.probe()).unwrap();
    // the connection of the first runtime, which nobody drives now, must not be waited for
    two.block_on(objects.put("a", bytes("1"), &Precondition::Absent, None)).unwrap();
    drop(one);
    // no answer can be there before the call came back
    lab.fail(Op::Get, Fault::Delay(Duration::from_secs(1)), 1);
    assert!(futures_util::FutureExt::now_or_never(objects.get("a", 9)).is_none(), "it does not block");
    let held = Arc::clone(&objects);
    let body = two.block_on(async move { held.get("a", 9).await });
    assert_eq!(body.unwrap().unwrap().bytes, "1");
    // the last handle may go inside of a runtime
    two.block_on(async move { drop(objects) });
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, Bytes, When),
    Delete(usize, When),
    List(Option<usize>, usize),
}

#[derive(Debug, Clone, Copy)]
enum When {
    Any,
    Absent,
    Current,
    Stale,
}

const PATHS: [&str; 6] = ["a", "a/b", "a//b", "a.json", "b", "\u{e4}"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let when = prop_oneof![Just(When::Any), Just(When::Absent), Just(When::Current), Just(When::Stale)];
    let put = (0..PATHS.len(), prop::collection::vec(any::<u8>(), 0..4), when.clone())
        .prop_map(|(path, bytes, when)| Step::Put(path, bytes.into(), when));
    let delete = (0..PATHS.len(), when).prop_map(|(path, when)| Step::Delete(path, when));
    let list =
        (prop::option::of(0..PATHS.len()), 0..8_usize).prop_map(|(after, most)| Step::List(after, most));
    prop::collection::vec(prop_oneof![4 => put, 2 => delete, 1 => list], 1..40)
}

type Model = BTreeMap<&'static str, (Bytes, ETag)>;

/// The precondition, and whether it holds.
fn precondition(when: When, now: Option<&(Bytes, ETag)>) -> (Precondition, bool) {
    match (when, now) {
        (When::Any, _) => (Precondition::Any, true),
        (When::Absent, _) => (Precondition::Absent, now.is_none()),
        (When::Current, Some((_, etag))) => (Precondition::Matches(etag.clone()), true),
        (When::Current | When::Stale, _) => (Precondition::Matches(ETag::new("57a1e")), false),
    }
}

async fn step(objects: &S3Objects, model: &mut Model, step: Step) {
    match step {
        Step::Put(path, bytes, when) => {
            let path = PATHS[path];
            let (when, holds) = precondition(when, model.get(path));
            let put = objects.put(path, bytes.clone(), &when, None).await;
            assert_eq!(put.is_ok(), holds, "{path} {when:?} {put:?}");
            if let Ok(etag) = put {
                model.insert(path, (bytes, etag));
            }
        }
        Step::Delete(path, when) => {
            let path = PATHS[path];
            let (when, holds) = precondition(when, model.get(path));
            match objects.delete(path, &when, None).await {
                Ok(was_there) => {
                    assert!(holds && when != Precondition::Absent);
                    assert_eq!(model.remove(path).is_some(), was_there);
                }
                Err(error) if when == Precondition::Absent => assert_eq!(error.kind(), Kind::Invalid),
                Err(error) => assert!(!holds && error.kind() == Kind::Conflict, "{error}"),
            }
        }
        Step::List(after, most) => {
            let after = after.map(|path| PATHS[path]);
            let listed = objects.list("a", after, most).await.expect("it can be listed");
            let listed: Vec<_> =
                listed.into_iter().map(|meta| (meta.path, meta.etag.expect("one"))).collect();
            let wanted = model
                .iter()
                .filter(|(path, _)| path.starts_with('a') && after.is_none_or(|after| **path > after))
                .map(|(path, (_, etag))| ((*path).to_owned(), etag.clone()));
            assert_eq!(listed, wanted.take(most).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn random_operations_do_as_a_map_does(steps in steps()) {
        let lab = S3Lab::start();
        lab.limit_pages(2);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("there are threads");
        runtime.block_on(async {
            let objects = open(&lab).await;
            let mut model = Model::new();
            for each in steps {
                step(&objects, &mut model, each).await;
                for path in PATHS {
                    let body = objects.get(path, 100).await.unwrap().map(|body| (body.bytes, body.etag));
                    assert_eq!(body.as_ref(), model.get(path));
                }
            }
            let left: Vec<_> = model.keys().map(|path| format!("docs/{path}")).collect();
            assert_eq!(lab.keys(), left);
        });
    }
}
