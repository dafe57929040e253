//! Random documents and patches: the outcome is what a plain implementation over `serde_json` makes of them, and
//! what no operation names keeps its bytes.

use proptest::prelude::*;
use repot_json::patch::{Pointer, append, apply, merge, remove, resolve, set};
use repot_json::{Kind, Limits, Tree, Value};
use serde_json::Value as Plain;

use crate::model::{Json, Printer, printer};

/// Documents that `serde_json` reads without loss, with keys that meet often and some that stand twice.
fn json() -> impl Strategy<Value = Json> {
    let words = vec!["null", "null", "true", "false", "0", "7", "-12", "1.5", "0.25", "1e3"];
    let word = prop::sample::select(words).prop_map(|word| Json::Word(word.to_owned()));
    let texts = vec!["", "a", "é😀", "/\"\\\n", "\u{1f}~"];
    let leaf = prop_oneof![word, prop::sample::select(texts).prop_map(|text| Json::Text(text.to_owned()))];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec((key(), inner), 0..5).prop_map(Json::Object),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "~/", "é", "0"]).prop_map(str::to_owned)
}

fn plain(text: &[u8]) -> Plain {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    serde_json::from_slice(text).expect("JSON")
}

/// The function of RFC 7396, word for word.
fn merge_plainly(target: Plain, patch: Plain) -> Plain {
    let Plain::Object(entries) = patch else { return patch };
    let mut target = if let Plain::Object(target) = target { target } else { serde_json::Map::new() };
    for (key, value) in entries {
        if value.is_null() {
            target.remove(&key);
        } else {
            let old = target.remove(&key).unwrap_or_default();
            target.insert(key, merge_plainly(old, value));
        }
    }
    Plain::Object(target)
}

/// One operation of RFC 6902; `None` where it fails.
fn operate(document: &mut Plain, operation: &Plain) -> Option<()> {
    let member = |name: &str| operation.get(name).and_then(Plain::as_str);
    let path = member("path")?;
    match member("op")? {
        "add" => add(document, path, operation.get("value")?.clone()),
        "remove" => take(document, path).map(drop),
        "replace" => {
            *document.pointer_mut(path)? = operation.get("value")?.clone();
            Some(())
        }
        "copy" => add(document, path, document.pointer(member("from")?)?.clone()),
        "move" => {
            let from = member("from")?;
            document.pointer(from)?;
            if path == from {
                return Some(());
            }
            if path.starts_with(&format!("{from}/")) {
                return None;
            }
            let value = take(document, from)?;
            add(document, path, value)
        }
        _ => (document.pointer(path)? == operation.get("value")?).then_some(()),
    }
}

fn add(document: &mut Plain, path: &str, value: Plain) -> Option<()> {
    let Some((holder, last)) = path.rsplit_once('/') else {
        *document = value;
        return Some(());
    };
    match document.pointer_mut(holder)? {
        Plain::Object(entries) => drop(entries.insert(last.replace("~1", "/").replace("~0", "~"), value)),
        Plain::Array(elements) => {
            let number = if last == "-" { elements.len() } else { last.parse().ok()? };
            (number <= elements.len()).then(|| elements.insert(number, value))?;
        }
        _ => return None,
    }
    Some(())
}

fn take(document: &mut Plain, path: &str) -> Option<Plain> {
    let (holder, last) = path.rsplit_once('/')?;
    match document.pointer_mut(holder)? {
        Plain::Object(entries) => entries.remove(&last.replace("~1", "/").replace("~0", "~")),
        Plain::Array(elements) => {
            let number: usize = last.parse().ok()?;
            (number < elements.len()).then(|| elements.remove(number))
        }
        _ => None,
    }
}

/// All places of a document and some that are none.
fn places(document: &Plain) -> Vec<String> {
    let mut out = vec![String::new(), "/x".to_owned(), "/a/x/y".to_owned()];
    let mut open = vec![(String::new(), document)];
    while let Some((path, value)) = open.pop() {
        match value {
            Plain::Object(entries) => {
                out.push(format!("{path}/new"));
                open.extend(entries.iter().map(|(key, value)| {
                    (format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), value)
                }));
            }
            Plain::Array(elements) => {
                out.extend([format!("{path}/-"), format!("{path}/{}", elements.len())]);
                open.extend(elements.iter().enumerate().map(|(at, value)| (format!("{path}/{at}"), value)));
            }
            _ => {}
        }
        out.push(path);
    }
    out
}

/// Picks an operation and its places among those the document has by then.
type Step = (u8, u16, u16, Json);

/// Turns steps into operations that mostly succeed, because each is made for what the ones before it left.
fn operations(document: &[u8], steps: &[Step]) -> (Vec<String>, Option<Plain>) {
    let mut state = Some(plain(document));
    let mut out = Vec::new();
    for (way, from, path, json) in steps {
        let Some(document) = state.as_mut() else { break };
        let places = places(document);
        let pick = |at: &u16| serde_json::to_string(&places[usize::from(*at) % places.len()]).expect("JSON");
        let value = match way {
            12.. => document
                .pointer(&places[usize::from(*path) % places.len()])
                .unwrap_or(&Plain::Null)
                .to_string(),
            _ => Printer::COMPACT.print(json),
        };
        let (name, member) = match way {
            0..3 => ("add", format!("\"value\":{value}")),
            3..5 => ("remove", String::from("\"x\":0")),
            5..7 => ("replace", format!("\"value\":{value}")),
            7..9 => ("copy", format!("\"from\":{}", pick(from))),
            9..12 => ("move", format!("\"from\":{}", pick(from))),
            _ => ("test", format!("\"value\":{value}")),
        };
        let operation = format!("{{\"op\":\"{name}\",\"path\":{},{member}}}", pick(path));
        let done = operate(document, &plain(operation.as_bytes()));
        out.push(operation);
        if done.is_none() {
            state = None;
        }
    }
    (out, state)
}

/// Checks that what `patch` does not name under `old` stands in `new` as it did, whichever entry counts.
fn untouched(old: Value<'_>, new: Value<'_>, patch: &Plain) {
    let Plain::Object(patch) = patch else { return };
    for (key, value) in old.entries() {
        let key = key.as_str().expect("no lone surrogates");
        let old_value = old.get(&key).expect("an entry");
        match patch.get(key.as_ref()) {
            None => {
                let raws = |object: Value<'_>| -> Vec<String> {
                    let same = object.entries().filter(|(name, _)| name.as_str() == Some(key.clone()));
                    same.map(|(name, value)| format!("{}:{}", name.raw(), value.raw())).collect()
                };
                assert!(raws(old).contains(&format!("{}:{}", raw_key(old, value), value.raw())));
                assert_eq!(raws(new), raws(old));
            }
            Some(inner) if inner.is_object() && old_value.kind() == Kind::Object => {
                untouched(old_value, new.get(&key).expect("merged"), inner);
            }
            Some(_) => {}
        }
    }
}

fn raw_key<'t>(object: Value<'t>, value: Value<'t>) -> &'t str {
    let mut entries = object.entries();
    entries.find(|(_, found)| found.index() == value.index()).map_or("", |(key, _)| key.raw())
}

fn scan(text: &[u8]) -> Tree {
    Tree::parse(text, Limits::default()).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn merges_are_what_the_rfc_says(document in json(), patch in json(), styles in (printer(), printer())) {
        let document = styles.0.print(&document).into_bytes();
        let patch = styles.1.print(&patch).into_bytes();
        let out = merge(&document, &patch, Limits::default()).expect("merged");
        prop_assert_eq!(plain(&out), merge_plainly(plain(&document), plain(&patch)));
        let (old, new) = (scan(&document), scan(&out));
        let (old, new) = (old.root(&document).expect("scanned"), new.root(&out).expect("scanned"));
        if old.kind() == Kind::Object {
            untouched(old, new, &plain(&patch));
        }
        // A second time there is nothing left to do.
        prop_assert_eq!(merge(&out, &patch, Limits::default()).expect("merged"), out);
    }

    #[test]
    fn patches_are_what_the_rfc_says(
        document in json(),
        style in printer(),
        steps in prop::collection::vec((0..14_u8, any::<u16>(), any::<u16>(), json()), 0..8),
    ) {
        let document = style.print(&document).into_bytes();
        let (operations, expected) = operations(&document, &steps);
        let patch = format!("[{}]", operations.join(","));
        match (apply(&document, patch.as_bytes(), Limits::default()), expected) {
            (Ok(out), Some(expected)) => prop_assert_eq!(plain(&out), expected, "{}", patch),
            (Err(error), None) => prop_assert_eq!(error.operation(), Some(operations.len() - 1), "{}", patch),
            (out, expected) => prop_assert!(false, "{:?} {:?} {}", out, expected, patch),
        }
    }

    #[test]
    fn a_patch_of_one_entry_leaves_the_others(
        document in prop::collection::vec((key(), json()), 0..5),
        style in printer(),
        steps in prop::collection::vec((0..14_u8, any::<u16>(), any::<u16>(), json()), 0..6),
    ) {
        let mut entries = document;
        entries.insert(entries.len() / 2, ("inner".to_owned(), Json::Array(Vec::new())));
        let document = style.print(&Json::Object(entries)).into_bytes();
        // The operations are made for the entry alone, without one that fails, and then for its place.
        let (mut operations, expected) = operations(b"[]", &steps);
        if expected.is_none() {
            operations.pop();
        }
        let inside = operations.iter().map(|operation| {
            operation.replace("\"path\":\"", "\"path\":\"/inner").replace("\"from\":\"", "\"from\":\"/inner")
        });
        let patch = format!("[{}]", inside.collect::<Vec<_>>().join(","));
        let out = apply(&document, patch.as_bytes(), Limits::default()).expect("applied");
        let (old, new) = (scan(&document), scan(&out));
        let (old, new) = (old.root(&document).expect("scanned"), new.root(&out).expect("scanned"));
        let raws = |root: Value<'_>| -> Vec<String> {
            let others = root.entries().filter(|(key, _)| key.raw() != "\"inner\"");
            others.map(|(key, value)| format!("{}:{}", key.raw(), value.raw())).collect()
        };
        prop_assert_eq!(raws(new), raws(old));
    }

    #[test]
    fn single_changes_are_operations(
        document in json(), style in printer(), pick in any::<u16>(), value in json(),
    ) {
        let document = style.print(&document).into_bytes();
        let before = plain(&document);
        let places = places(&before);
        let place = &places[usize::from(pick) % places.len()];
        let pointer = Pointer::parse(place).expect("a pointer");
        prop_assert_eq!(&pointer.to_string(), place);
        let value = Printer::COMPACT.print(&value);
        let limits = Limits::default();

        let tree = scan(&document);
        let root = tree.root(&document).expect("scanned");
        let found = resolve(root, &pointer).map(|value| plain(value.raw().as_bytes()));
        prop_assert_eq!(found.as_ref(), before.pointer(place));

        let mut expected = before.clone();
        let done = match expected.pointer_mut(place) {
            Some(old) => { *old = plain(value.as_bytes()); Some(()) }
            None => add(&mut expected, place, plain(value.as_bytes())),
        };
        let out = set(&document, &pointer, value.as_bytes(), limits).ok().map(|out| plain(&out));
        prop_assert_eq!(out, done.map(|()| expected));

        let mut expected = before.clone();
        let done = take(&mut expected, place);
        let out = remove(&document, &pointer, limits).ok().map(|out| plain(&out));
        prop_assert_eq!(out, done.map(|_| expected));

        let mut expected = before.clone();
        let done = match expected.pointer_mut(place) {
            Some(Plain::Array(elements)) => { elements.push(plain(value.as_bytes())); Some(()) }
            Some(_) => None,
            None => {
                let holder = place.rsplit_once('/').and_then(|(holder, _)| before.pointer(holder));
                let list = Plain::Array(vec![plain(value.as_bytes())]);
                holder.filter(|holder| holder.is_object()).and_then(|_| add(&mut expected, place, list))
            }
        };
        let out = append(&document, &pointer, value.as_bytes(), limits).ok().map(|out| plain(&out));
        prop_assert_eq!(out, done.map(|()| expected));
    }
}
