//! The translation example on every store, on the app's own files, and the council app's usage: documents whose keys
//! Repot makes.

use std::path::Path;

use repot::{Error, Filters, Id, PerTenant, Repot};
use repot_testkit::TempTree;
use serde::{Deserialize, Serialize};

use crate::stores::{all, directory, model, wait};
use crate::translation_example::repositories::{
    Batch, BatchRepository, File, FileRepository, Job, JobRepository, SessionRepository,
};
use crate::translation_example::run;

const FILE: File<'_> = File {
    file_type: "translations",
    content_type: "page",
    locale: "de",
    relative_path: "a b/ü.json",
    content: "\u{feff}{\"t\" : 1.0}\r\n",
};

#[test]
fn four_repositories() {
    for made in all(&model("translation")) {
        let name = made.name;
        wait(async {
            let repot = Repot::open(made.config).await.unwrap();
            let sessions = SessionRepository::new(&repot);
            let (files, jobs, batches) =
                (FileRepository::new(&repot), JobRepository::new(&repot), BatchRepository::new(&repot));
            assert_eq!(sessions.get_session("s1").await.unwrap(), None, "{name}");
            let session = sessions.create_session("s1").await.unwrap();
            assert!(session.created_at.is_some(), "{name}");
            assert!(matches!(sessions.create_session("s1").await, Err(Error::Duplicate(_))), "{name}");
            sessions.create_session("s2").await.unwrap();
            assert_eq!(sessions.update_session("s1", "done").await.unwrap().status.as_deref(), Some("done"));
            let done = sessions.list_sessions(&Filters::all().eq("status", "done")).await.unwrap();
            assert_eq!(done.len(), 1, "{name}");
            assert_ne!(sessions.session_id("s1").unwrap(), sessions.session_id("s2").unwrap());

            files.save_file("s1", &FILE).await.unwrap();
            files.save_file("s2", &File { locale: "ja", ..FILE }).await.unwrap();
            assert_eq!(files.get_file("s1", &FILE).await.unwrap().unwrap(), FILE.content.as_bytes());
            files.update_file_content("s1", &FILE, "{}").await.unwrap();
            assert_eq!(files.get_file("s1", &FILE).await.unwrap().unwrap(), b"{}");
            assert!(files.update_file_content("s2", &FILE, "{}").await.is_err(), "{name}");
            assert_eq!(files.get_files_by_session("s1", Some("de")).await.unwrap(), ["a b/ü.json"]);
            assert!(files.get_files_by_session("s1", Some("ja")).await.unwrap().is_empty(), "{name}");
            assert!(files.delete_file("s1", &FILE).await.unwrap(), "{name}");
            assert!(!files.delete_file("s1", &FILE).await.unwrap(), "{name}");

            for id in ["j1", "j2"] {
                jobs.create_job("s1", &Job::new(id, "en", "de")).await.unwrap();
            }
            assert!(jobs.update_job("s1", "j2", "failed").await.unwrap(), "{name}");
            assert!(!jobs.update_job("s1", "j3", "failed").await.unwrap(), "{name}");
            assert_eq!(jobs.get_job("s1", "j2").await.unwrap().unwrap().status, "failed", "{name}");
            assert_eq!(jobs.list_jobs("s1").await.unwrap().len(), 2, "{name}");
            assert!(jobs.update_job("s1", "j1", "lost").await.is_err(), "{name}");

            batches.create_batch("s1", "b1", Batch::pending()).await.unwrap();
            batches.update_batch_status("s1", "b1", "completed").await.unwrap();
            batches.update_batch_progress("s1", "b1", 7).await.unwrap();
            let batch = batches.get_batch("s1", "b1").await.unwrap().unwrap();
            assert_eq!((batch.status.as_str(), batch.requests), ("completed", 7), "{name}");
            assert_eq!(batches.get_batch("s2", "b1").await.unwrap(), None, "{name}");
            assert!(batches.delete_batch("s1", "b1").await.unwrap(), "{name}");
            assert!(sessions.delete_session("s1").await.unwrap(), "{name}");
            assert!(!sessions.delete_session("s1").await.unwrap(), "{name}");
        });
    }
}

#[test]
fn the_program_runs_on_every_store() {
    for made in all(&model("translation")) {
        wait(run(made.config)).unwrap();
    }
}

#[test]
fn the_files_of_the_app_stay_as_they_are_but_for_what_changed() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/translation/data");
    let folder = TempTree::new();
    repot_testkit::copy_tree(&data, folder.path()).unwrap();
    let metadata = folder.path().join("sender-1/metadata.json");
    let before = std::fs::read_to_string(&metadata).unwrap();
    let made = directory(&model("translation"), folder);
    wait(async {
        let repot = Repot::open(made.config).await.unwrap();
        let jobs = JobRepository::new(&repot);
        assert!(jobs.update_job("sender-1", "sender-1-j1", "completed").await.unwrap());
    });
    let after = std::fs::read_to_string(&metadata).unwrap();
    // the time of the write is new there
    let expected = before.replace("\"running\"", "\"completed\"");
    let (head, _) = expected.rsplit_once("\n}").unwrap();
    assert!(after.starts_with(head), "{after}");
    drop(made.keep);
}

/// The council app's usage of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Usage {
    tier: String,
    #[serde(default)]
    daily_used: u32,
}

impl repot::Entity for Usage {
    const COLLECTION: &'static str = "usage";
    type Reach = PerTenant;

    fn id(&self) -> Id {
        Id::only()
    }
}

#[test]
fn usage_is_reached_by_its_user() {
    for made in all(&model("council")) {
        let name = made.name;
        wait(async {
            let repot = Repot::open(made.config).await.unwrap();
            let (one, other) =
                (repot.tenant("u1").collection::<Usage>(), repot.tenant("u2").collection::<Usage>());
            let new = || Usage { tier: "free".to_owned(), daily_used: 1 };
            one.create(new()).await.unwrap();
            assert!(matches!(one.create(new()).await, Err(Error::Duplicate(_))), "{name}");
            assert!(other.get(Id::only()).await.unwrap().is_none(), "{name}");
            assert!(one.exists(Id::at([("user_id", "u1")])).await.unwrap(), "{name}");
            assert!(other.exists(Id::at([("user_id", "u1")])).await.is_err(), "{name}");
            let made_key = one.key_text(Id::only()).unwrap().unwrap();
            assert!(one.exists(made_key.as_str()).await.unwrap(), "{name}");
            assert!(!other.exists(made_key.as_str()).await.unwrap(), "{name}");
            let mut stored = one.require(Id::only()).await.unwrap();
            stored.daily_used += 1;
            assert_eq!(one.update(stored).await.unwrap().daily_used, 2, "{name}");
            assert!(
                matches!(
                    one.edit(Id::only(), |usage| {
                        usage.tier = "king".into();
                        Ok::<_, Error>(())
                    })
                    .await,
                    Err(Error::Validation(_))
                ),
                "{name}"
            );
            assert_eq!(one.list(None, 10).await.unwrap().items.len(), 1, "{name}");
        });
    }
}
