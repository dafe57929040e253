//! Random calls on objects in a directory, against a sorted map in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use repot_core::Kind;
use repot_core::store::{ETag, Precondition};

use crate::objects::{Calls, conflict, names};

#[derive(Debug, Clone)]
enum Call {
    Put(String, u8, When),
    Delete(String, When),
    Read(String),
    List(String, Option<String>, usize),
}

#[derive(Debug, Clone, Copy)]
enum When {
    Any,
    Absent,
    Current,
    Other,
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "a!", "a0", "\u{e9}", "\u{f7e9}", "", ".."]);
    let weighted = prop_oneof![8 => prop::sample::select(vec!["a", "b", "a!"]), 1 => part];
    prop::collection::vec(weighted, 1..4).prop_map(|parts| parts.join("/"))
}

fn call() -> impl Strategy<Value = Call> {
    let when = || prop::sample::select(vec![When::Any, When::Absent, When::Current, When::Other]);
    let text = || prop_oneof![path(), path().prop_map(|path| format!("{path}/")), Just(String::new())];
    prop_oneof![
        4 => (path(), any::<u8>(), when()).prop_map(|(path, byte, when)| Call::Put(path, byte, when)),
        2 => (path(), when()).prop_map(|(path, when)| Call::Delete(path, when)),
        1 => path().prop_map(Call::Read),
        2 => (text(), prop::option::of(text()), 0_usize..6).prop_map(|(prefix, after, most)| Call::List(prefix, after, most)),
    ]
}

#[derive(Debug, Default)]
struct Model(BTreeMap<String, (u8, ETag)>);

impl Model {
    fn is_valid(path: &str) -> bool {
        !path.split('/').any(|part| part.is_empty() || part == "..")
    }

    /// A file is where a folder is needed, or the other way round.
    fn is_obstructed(&self, path: &str) -> bool {
        let is_above =
            |above: &str, path: &str| path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
        self.0.keys().any(|other| is_above(other, path) || is_above(path, other))
    }

    fn when(&self, path: &str, when: When) -> Precondition {
        match when {
            When::Any => Precondition::Any,
            When::Absent => Precondition::Absent,
            When::Other => Precondition::Matches(ETag::new("other")),
            When::Current => {
                self.0.get(path).map_or(Precondition::Absent, |(_, etag)| Precondition::Matches(etag.clone()))
            }
        }
    }

    fn check(&mut self, calls: &Calls, call: Call) {
        match call {
            Call::Put(path, byte, when) => {
                let when = self.when(&path, when);
                let done = calls.put(&path, &[byte], &when);
                let current = self.0.get(&path).map(|(_, etag)| etag);
                if !Self::is_valid(&path) || self.is_obstructed(&path) {
                    assert_eq!(done.expect_err(&path).code(), "R0403");
                } else if when.check(&path, current).is_err() {
                    conflict(done);
                } else {
                    self.0.insert(path, (byte, done.expect("written")));
                }
            }
            Call::Delete(path, when) => {
                let when = self.when(&path, when);
                let done = calls.delete(&path, &when);
                let current = self.0.get(&path).map(|(_, etag)| etag);
                if when == Precondition::Absent || !Self::is_valid(&path) {
                    assert_eq!(done.expect_err(&path).kind(), Kind::Invalid);
                } else if when.check(&path, current).is_err() {
                    conflict(done);
                } else {
                    assert_eq!(done.expect("no error"), self.0.remove(&path).is_some());
                }
            }
            Call::Read(path) => {
                let expected = self.0.get(&path);
                let found = calls.get(&path).map(|body| (body.bytes[0], body.etag));
                assert_eq!(found.as_ref(), expected);
                assert_eq!(calls.head(&path).map(|meta| meta.size_bytes), expected.map(|_| 1));
            }
            Call::List(prefix, after, most) => {
                let wanted: Vec<String> = self
                    .0
                    .keys()
                    .filter(|path| {
                        path.starts_with(&prefix) && after.as_ref().is_none_or(|after| *path > after)
                    })
                    .take(most)
                    .cloned()
                    .collect();
                assert_eq!(
                    calls.list(&prefix, after.as_deref(), most),
                    wanted,
                    "{prefix:?} {after:?} {most}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_directory_is_a_sorted_map(made in prop::collection::vec(call(), 1..40)) {
        let tree = tempfile::tempdir().expect("a directory");
        let calls = Calls::open(tree.path());
        let mut model = Model::default();
        for call in made {
            model.check(&calls, call);
        }
        model.check(&calls, Call::List(String::new(), None, 1_000));
        for path in model.0.keys() {
            assert!(calls.delete(path, &Precondition::Any).expect("removed"));
        }
        prop_assert!(names(tree.path()).is_empty(), "folders go with their files");
    }
}
