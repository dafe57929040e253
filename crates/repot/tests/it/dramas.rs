//! The dramas example on every store, and on the app's own files.

use std::path::Path;

use repot_testkit::TempTree;

use crate::dramas_example::run;
use crate::dramas_example::storage::{AddError, Asset, Character, Drama, Storage};
use crate::stores::{all, directory, model, wait};

const ADDERS: usize = 8;

fn asset(id: &str) -> Asset {
    Asset { id: id.to_owned(), kind: "portrait".to_owned(), url: None }
}

#[test]
fn assets_added_at_the_same_time_are_all_there() {
    for made in all(&model("dramas")) {
        let name = made.name;
        let (drama, keep) = wait(async {
            let storage = Storage::open(made.config).await.unwrap();
            assert!(!storage.drama_exists("d").await.unwrap(), "{name}");
            let mara = Character { id: "c".to_owned(), name: "Mara".to_owned(), ..Character::default() };
            let drama = Drama { id: "d".to_owned(), characters: vec![mara], ..Drama::default() };
            storage.save_drama(drama).await.unwrap();
            assert!(storage.drama_exists("d").await.unwrap(), "{name}");
            let adding: Vec<_> = (0..ADDERS)
                .map(|number| {
                    let storage = storage.clone();
                    tokio::spawn(async move {
                        let id = format!("a{number}");
                        // twice: the second time it is there already
                        storage.add_asset_to_character("d", "c", asset(&id)).await.unwrap();
                        storage.add_asset_to_character("d", "c", asset(&id)).await.unwrap();
                    })
                })
                .collect();
            for added in adding {
                added.await.unwrap();
            }
            let missing = storage.add_asset_to_character("d", "nobody", asset("x")).await;
            assert!(matches!(missing, Err(AddError::NoCharacter(_))), "{name}: {missing:?}");
            let missing = storage.add_asset_to_character("none", "c", asset("x")).await;
            assert!(
                matches!(missing, Err(AddError::Storage(repot::Error::NotFound(_)))),
                "{name}: {missing:?}"
            );
            (storage.get_drama("d").await.unwrap().unwrap(), made.keep)
        });
        let mut ids: Vec<&str> = drama.characters[0].assets.iter().map(|asset| asset.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"], "{name}");
        drop(keep);
    }
}

#[test]
fn the_apps_own_files_are_found_by_what_is_in_them() {
    let folder = TempTree::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/dramas/data");
    repot_testkit::copy_tree(&data, folder.path()).unwrap();
    let before = folder.read();
    let mut config = directory(&model("dramas"), TempTree::new()).config;
    config.url = Some(folder.path().display().to_string());
    wait(async {
        let storage = Storage::open(config).await.unwrap();
        let found = storage.dramas_of_genre("thriller", 10).await.unwrap();
        assert!(found.iter().any(|drama| drama.id == "signal"), "{found:?}");
        let drama = storage.get_drama("signal").await.unwrap().unwrap();
        storage.save_drama(drama.into_inner()).await.unwrap();
        assert_eq!(folder.read(), before);
        storage.add_asset_to_character("signal", "signal-c0", asset("new")).await.unwrap();
    });
    let path = Path::new("dramas/signal/drama.json");
    let now = String::from_utf8(folder.read()[path].clone()).unwrap();
    let old = String::from_utf8(before[path].clone()).unwrap();
    // `updated_at` is set by the write, as the model says; the rest is compared
    let without = |text: &str| {
        let (times, rest): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.contains("\"updated_at\""));
        (times.concat(), rest.join("\n"))
    };
    let ((was, old), (is, new)) = (without(&old), without(&now));
    assert_ne!(was, is);
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let front = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let back = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    // one place of the text has grown, and nothing else is different
    assert!(front + back >= old.len(), "{}", String::from_utf8_lossy(new));
}

#[test]
fn the_program_runs_twice() {
    for made in all(&model("dramas")) {
        wait(async {
            run(made.config.clone()).await.unwrap();
            run(made.config).await.unwrap();
        });
    }
}
