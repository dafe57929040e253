//! Random documents in random styles: scanned, edited, compared with a plain model.

use proptest::prelude::*;
use repot_json::edit::Editor;
use repot_json::{Kind, Limits, Tree};

use crate::model::{Json, Plan, Printer, json, printer, read};

fn scan(text: &str) -> Tree {
    Tree::parse(text.as_bytes(), Limits::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Picks a value by `pick`, and one way to edit it by `way`.
type Step = (u16, u8, u8, Json);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((any::<u16>(), 0..4_u8, any::<u8>(), json()), 0..12)
}

/// Gives the same edits, of values from node `first` on, to the editor and to the model.
fn edit(tree: &Tree, text: &str, first: u32, steps: &[Step]) -> (Vec<u8>, Json) {
    let root = tree.root(text.as_bytes()).expect("scanned");
    let mut editor = Editor::new(root);
    let mut plan = Plan::default();
    let count = u32::try_from(tree.nodes().len()).expect("small");
    let values: Vec<u32> = (first..count).filter(|&at| root.at(at).kind() != Kind::Key).collect();
    for (pick, way, place, json) in steps {
        let at = values[usize::from(*pick) % values.len()];
        let compact = Printer::COMPACT.print(json);
        match (way, root.at(at).kind()) {
            (0, _) if at > first => {
                editor.remove_element(at);
                plan.removed.insert(at);
            }
            (1 | 2, Kind::Array) => {
                let before = usize::from(*place) % (root.at(at).elements().count() + 1);
                editor.insert_element(at, before, &compact);
                plan.elements.entry(at).or_default().push((before, json.clone()));
            }
            (1 | 2, Kind::Object) => {
                let key = ["a", "b", "é/\u{1f}", "new"][usize::from(*place) % 4];
                editor.insert_entry(at, key, &compact);
                plan.entries.entry(at).or_default().push((key.to_owned(), json.clone()));
            }
            _ => {
                editor.replace(at, &compact);
                plan.replaced.insert(at, json.clone());
            }
        }
    }
    (editor.finish(), plan.apply(root))
}

/// A document that shows every habit of its printer before the value `x` begins; also that value's node.
fn evident(x: Json) -> Json {
    let word = |word: &str| Json::Word(word.to_owned());
    let pair = || Json::Array(vec![word("1"), word("2")]);
    let entry = |key: &str, value: Json| (key.to_owned(), value);
    let habits = Json::Object(vec![
        entry(
            "é/\u{1f}ü\u{12f}",
            Json::Array(vec![pair(), Json::Object(vec![entry("k", word("1")), entry("l", word("2"))])]),
        ),
        entry("m", pair()),
    ]);
    Json::Object(vec![entry("habits", habits), entry("x", x)])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_document_is_scanned_to_what_it_was(json in json(), printer in printer()) {
        let text = printer.print(&json);
        let tree = scan(&text);
        prop_assert_eq!(read(tree.root(text.as_bytes()).expect("scanned")), json);
        let mut at = 0;
        for node in tree.nodes() {
            let between = text.get(at as usize..node.start as usize).expect("spans ascend");
            prop_assert!(between.chars().all(|character| " \t\r\n,:]}".contains(character)), "{:?}", between);
            at = if matches!(node.kind, Kind::Array | Kind::Object) { node.start + 1 } else { node.end };
        }
        let rest = text.get(at as usize..).expect("spans ascend");
        prop_assert!(rest.chars().all(|character| " \t\r\n]}".contains(character)), "{:?}", rest);
    }

    #[test]
    fn edits_of_any_document_do_what_the_model_does(json in json(), printer in printer(), steps in steps()) {
        let text = printer.print(&json);
        let (edited, expected) = edit(&scan(&text), &text, 0, &steps);
        let edited = String::from_utf8(edited).expect("UTF-8");
        let tree = scan(&edited);
        prop_assert_eq!(read(tree.root(edited.as_bytes()).expect("scanned")), expected);
        prop_assert!(edited.ends_with(printer.end));
    }

    #[test]
    fn an_edited_document_is_as_if_printed_after_the_edit(json in json(), printer in printer(), steps in steps()) {
        let text = printer.print(&evident(json));
        let tree = scan(&text);
        let x = tree.root(text.as_bytes()).and_then(|root| root.get("x")).expect("there").index();
        let (edited, expected) = edit(&tree, &text, x, &steps);
        prop_assert_eq!(String::from_utf8(edited).expect("UTF-8"), printer.print(&expected));
    }

    #[test]
    fn the_same_text_again_changes_no_byte(json in json(), printer in printer()) {
        let text = printer.print(&json);
        let tree = scan(&text);
        let root = tree.root(text.as_bytes()).expect("scanned");
        for (at, node) in (0..).zip(tree.nodes()).filter(|(_, node)| node.kind != Kind::Key) {
            let mut editor = Editor::new(root);
            editor.replace(at, text.get(node.start as usize..node.end as usize).expect("a span"));
            prop_assert!(editor.finish() == text.as_bytes());
        }
    }

    #[test]
    fn an_insertion_taken_back_changes_no_byte(json in json(), fresh in json(), printer in printer()) {
        let text = printer.print(&json);
        let tree = scan(&text);
        let root = tree.root(text.as_bytes()).expect("scanned");
        for at in (0..).take(tree.nodes().len()) {
            if root.at(at).kind() != Kind::Array {
                continue;
            }
            let count = root.at(at).elements().count();
            for before in 0..=count {
                let mut editor = Editor::new(root);
                editor.insert_element(at, before, &Printer::COMPACT.print(&fresh));
                let edited = editor.finish();
                let again = Tree::parse(&edited, Limits::default()).expect("JSON");
                let root = again.root(&edited).expect("scanned");
                let inserted = root.at(at).elements().nth(before).expect("inserted").index();
                let mut editor = Editor::new(root);
                editor.remove_element(inserted);
                prop_assert_eq!(String::from_utf8(editor.finish()).expect("UTF-8"), text.as_str());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(prop_oneof![
        prop::sample::select(b"[]{}:,\"\\ \n0123456789-+.eEtruefalsn/ub".to_vec()), any::<u8>()
    ], 0..64)) {
        if let Ok(tree) = Tree::parse(&bytes, Limits::default()) {
            prop_assert!(tree.root(&bytes).is_some());
        }
    }
}
