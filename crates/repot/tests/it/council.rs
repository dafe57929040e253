//! The council example on every store, and on the app's own files.

use std::path::Path;
use std::sync::Arc;

use repot_core::FixedClock;
use repot_testkit::TempTree;

use crate::council_example::run;
use crate::council_example::storage::{Conversation, Message, Storage};
use crate::stores::{all, directory, model};

fn new_id() -> String {
    "00000000-0000-4000-8000-000000000001".to_owned()
}

#[test]
fn the_eight_functions() {
    for made in all(&model("council")) {
        let name = made.name;
        let storage = Storage::open(made.config, new_id).unwrap();
        assert!(storage.describe().starts_with("Using "), "{name}");
        let made = storage.create_conversation("u1", None).unwrap();
        assert_eq!(
            (made.id.as_str(), made.title.as_str()),
            (new_id().as_str(), "New Conversation"),
            "{name}"
        );
        assert_eq!(made.created_at.as_deref(), Some("2023-11-14T22:13:20.000Z"), "{name}");
        assert!(matches!(storage.create_conversation("u1", None), Err(repot::Error::Duplicate(_))), "{name}");
        assert!(storage.add_user_message(&made.id, "Why?", "u1").unwrap(), "{name}");
        let answer = Message { stage1: Some(serde_json::json!([{"model": "north"}])), ..Message::default() };
        assert!(storage.add_assistant_message(&made.id, answer, "u1").unwrap(), "{name}");
        assert!(storage.update_conversation_title(&made.id, "Sundays", "u1").unwrap(), "{name}");
        let read = storage.get_conversation(&made.id, "u1").unwrap().unwrap();
        let roles: Vec<&str> = read.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!((read.title.as_str(), roles), ("Sundays", vec!["user", "assistant"]), "{name}");

        let saved = Conversation { title: "Mondays".to_owned(), ..read };
        assert!(storage.save_conversation(&saved, "u1").unwrap(), "{name}");
        let second = Conversation {
            id: "second".to_owned(),
            created_at: Some("2023-11-15T00:00:00+01:00".to_owned()),
            ..saved.clone()
        };
        assert!(storage.save_conversation(&second, "u1").unwrap(), "{name}");
        let listed = storage.list_conversations("u1").unwrap();
        let ids: Vec<&str> = listed.iter().map(|summary| summary.id.as_str()).collect();
        assert_eq!(ids, ["second", made.id.as_str()], "{name}");
        assert_eq!(listed[1].message_count, 2, "{name}");

        another_user_is_kept_out(name, &storage, &saved);

        assert!(storage.delete_conversation(&made.id, "u1").unwrap(), "{name}");
        assert!(!storage.delete_conversation(&made.id, "u1").unwrap(), "{name}");
        assert_eq!(storage.get_conversation(&made.id, "u1").unwrap(), None, "{name}");
    }
}

fn another_user_is_kept_out(name: &str, storage: &Storage, saved: &Conversation) {
    let id = &saved.id;
    assert_eq!(storage.get_conversation(id, "u2").unwrap(), None, "{name}");
    assert!(!storage.add_user_message(id, "mine", "u2").unwrap(), "{name}");
    assert!(!storage.update_conversation_title(id, "mine", "u2").unwrap(), "{name}");
    assert!(!storage.delete_conversation(id, "u2").unwrap(), "{name}");
    assert!(storage.list_conversations("u2").unwrap().is_empty(), "{name}");
    let stolen = storage.save_conversation(saved, "u2");
    assert!(matches!(stolen, Err(repot::Error::Validation(_))), "{name}: {stolen:?}");
}

#[test]
fn the_apps_own_files_keep_their_formatting() {
    let folder = TempTree::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/council/data");
    repot_testkit::copy_tree(&data, folder.path()).unwrap();
    let before = folder.read();
    let path = Path::new("u_bela/fc2e6a59-1ce3-4c0c-9075-5c97f5f554ed.json");
    let made = directory(&model("council"), TempTree::new());
    let mut config = made.config;
    config.url = Some(folder.path().display().to_string());
    config.clock = Arc::new(FixedClock(1_700_000_000_000));
    let storage = Storage::open(config, new_id).unwrap();

    let listed = storage.list_conversations("u_bela").unwrap();
    assert!(listed.len() > 5, "{listed:?}");
    let id = "fc2e6a59-1ce3-4c0c-9075-5c97f5f554ed";
    let read = storage.get_conversation(id, "u_bela").unwrap().unwrap();
    // what was read is written again: nothing changes
    storage.save_conversation(&read, "u_bela").unwrap();
    assert_eq!(folder.read(), before);
    storage.update_conversation_title(id, "Ünïcode", "u_bela").unwrap();
    let mut wanted = before;
    let text = String::from_utf8(wanted[path].clone()).unwrap();
    assert!(text.contains(r#""Ünïcode & \"quotes\"""#));
    let changed = text.replacen(r#""title": "Ünïcode & \"quotes\"""#, r#""title": "Ünïcode""#, 1);
    // the model says `updated_at = now on write`, and this file had none
    let (head, tail) = changed.rsplit_once("\n}").unwrap();
    let changed = format!("{head},\n\t\"updated_at\": \"2023-11-14T22:13:20+00:00\"\n}}{tail}");
    wanted.insert(path.to_owned(), changed.into_bytes());
    let now = folder.read();
    assert_eq!(String::from_utf8_lossy(&now[path]), String::from_utf8_lossy(&wanted[path]));
    assert!(now == wanted, "another file changed");
}

#[test]
fn the_program_runs_twice() {
    for made in all(&model("council")) {
        run(made.config.clone()).unwrap();
        run(made.config).unwrap();
    }
}
