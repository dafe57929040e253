//! The five apps' model files.

use std::path::Path;

use repot_model::language::{FieldKind, Model, NotYet, OnDelete, Place, parse, print};
use repot_model::place::Router;

use crate::round_trip::bare;

pub(crate) const APPS: [&str; 5] = ["dramas", "media", "clips", "translation", "council"];

pub(crate) fn text(app: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(app).join("repot.toml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn model(app: &str) -> Model {
    parse(&text(app), "repot.toml", &|_| None).unwrap_or_else(|problems| {
        panic!("{app}:\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn columns(model: &Model, collection: &str) -> String {
    let fields = &model.collection(collection).expect("a section").fields;
    fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn router(model: &Model) -> Router {
    let lists =
        model.collections.iter().enumerate().filter_map(|(index, collection)| match &collection.place {
            Place::Files(templates)
            | Place::InFiles { templates, .. }
            | Place::SqliteTable { templates, .. } => Some((index, templates.iter().collect())),
            Place::In(_) | Place::View { .. } => None,
        });
    Router::new(lists.collect()).expect("no ties")
}

/// Collections and values of a path, as text.
fn route(model: &Model, path: &str) -> String {
    router(model).route(path).map_or_else(
        || "nowhere".to_owned(),
        |route| {
            let names: Vec<&str> =
                route.collections.iter().map(|&at| model.collections[at].name.as_str()).collect();
            format!("{} {}", names.join("+"), route.values.join(" "))
        },
    )
}

#[test]
fn all_five_are_read_and_printed_and_read_again() {
    for app in APPS {
        let model = model(app);
        let printed = print(&model);
        let again = parse(&printed, "repot.toml", &|_| None)
            .unwrap_or_else(|problems| panic!("{app}: {problems:?}\n{printed}"));
        assert_eq!(bare(&again), bare(&model), "{app}");
        assert_eq!(print(&again), printed, "{app}");
    }
}

#[test]
fn columns_are_those_of_the_apps() {
    let dramas = model("dramas");
    for (collection, wanted) in [
        ("dramas", "id title description premise genre url metadata created_at updated_at"),
        ("characters", "id drama_id order name description url gender voice"),
        ("episodes", "id drama_id order title description"),
        ("scenes", "id episode_id order description"),
        ("assets", "id entity kind prompt url depends_on"),
    ] {
        assert_eq!(columns(&dramas, collection), wanted);
    }
    let council = model("council");
    assert_eq!(columns(&council, "conversations"), "id user_id title created_at updated_at");
    assert_eq!(
        columns(&council, "usage"),
        "id user_id tier daily_used daily_limit monthly_used monthly_limit total_queries last_reset_daily \
         last_reset_monthly created_at updated_at"
    );
    let media = model("media");
    let FieldKind::Enum(words) =
        &media.collection("jobs").expect("jobs").field("status").expect("status").kind
    else {
        panic!("status has words")
    };
    assert_eq!(words.join(" "), "queued running paused completed failed cancelled");
}

#[test]
fn council_names_exactly_the_five_indexes() {
    let council = model("council");
    let mut names: Vec<String> = council
        .collections
        .iter()
        .flat_map(|collection| &collection.index)
        .filter_map(|index| {
            let columns: Vec<String> = index
                .columns
                .iter()
                .map(|(name, desc)| format!("{name}{}", if *desc { " DESC" } else { "" }))
                .collect();
            Some(format!("{}({})", index.name.as_ref()?, columns.join(", ")))
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "idx_conversations_created_at(created_at)",
            "idx_conversations_user_created(user_id, created_at DESC)",
            "idx_conversations_user_id(user_id)",
            "idx_messages_conversation_id(conversation_id)",
            "idx_usage_user_id(user_id)",
        ]
    );
    let parent = council.collection("messages").and_then(|messages| messages.field("conversation_id"));
    assert_eq!(parent.map(|field| (field.auto, field.on_delete)), Some((true, OnDelete::Cascade)));
}

#[test]
fn paths_of_the_apps_find_their_collections() {
    let council = model("council");
    assert_eq!(route(&council, "u1/usage.json"), "usage u1");
    assert_eq!(route(&council, "u1/9a.json"), "conversations u1 9a");
    assert_eq!(route(&council, "u1/a/b.json"), "nowhere");
    let translation = model("translation");
    for (path, wanted) in [
        ("s1/metadata.json", "sessions s1"),
        ("s1/changes/metadata.json", "sessions s1 changes"),
        ("s1/uploads/en/content/a/b.md", "files s1 uploads en content a/b.md"),
        ("s1/changes/original/en/x.md", "files s1 changes original en x.md"),
        ("s1/batches/b1/manifest.json", "batches s1 b1"),
        ("s1/batches/b1/input.jsonl", "batch_requests s1 b1"),
        ("s1/batches/b1/batch_a_output.jsonl", "batch_results s1 b1 batch_a output"),
        ("s1/batches/b1/batch_a_error.jsonl", "batch_results s1 b1 batch_a error"),
        ("s1/uploads/config.json", "other_files s1 uploads/config.json"),
        ("s1/changes/diff.patch", "other_files s1 changes/diff.patch"),
        ("logs/latest.log", "logs latest.log"),
    ] {
        assert_eq!(route(&translation, path), wanted);
    }
    let clips = model("clips");
    assert_eq!(route(&clips, "u/database.sqlite"), "games+raw_clips+projects u");
    assert_eq!(route(&clips, "u/games/1.mp4"), "videos u games 1");
    // a row that is a document of its own is below its file, by table and key
    let rows = |name: &str| clips.collection(name).unwrap().templates()[0].text().to_owned();
    assert_eq!(rows("raw_clips"), "{user_id}/database.sqlite/raw_clips/{id}.json");
    assert_eq!(rows("videos"), "{user_id}/{kind=games|raw_clips|working_videos|final_videos}/{name}.mp4");
}

#[test]
fn what_comes_later_is_named() {
    let words = |app: &str| {
        let model = model(app);
        let mut words: Vec<String> = model
            .not_yet()
            .iter()
            .map(|NotYet { collection, word, .. }| {
                format!("{}.{word}", collection.as_deref().unwrap_or("repot"))
            })
            .collect();
        words.dedup();
        words.join(" ")
    };
    assert_eq!(words("media"), "repot.backup media.cache");
    assert_eq!(words("clips"), "repot.target games.table raw_clips.table raw_clips.archive projects.table");
    assert_eq!(words("council"), "");
}
