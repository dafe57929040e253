//! Opening: what is made, what is refused, and that documents outlive the process's handles.

use repot::{Collection, Config, Error, Repot};
use repot_testkit::TempTree;

use crate::collections::{MODEL, Note, note};
use crate::stores::{all, directory, sqlite, wait};

async fn refused(config: Config) -> Error {
    match Repot::open(config).await {
        Ok(repot) => panic!("{repot} was opened"),
        Err(error) => error,
    }
}

#[test]
fn documents_are_there_when_it_is_opened_again() {
    for made in all(MODEL).into_iter().filter(|made| made.name != "memory") {
        let name = made.name;
        for round in 0..2 {
            let config = made.config.clone();
            wait(async {
                let repot = Repot::open(config).await.unwrap();
                let notes: Collection<Note> = repot.collection();
                assert_eq!(notes.exists("a").await.unwrap(), round == 1, "{name}");
                notes.save(note("a")).await.unwrap();
            });
        }
    }
}

#[test]
fn the_model_says_where_when_the_config_does_not() {
    let folder = TempTree::with([("repot.toml", format!("[repot]\nsource = \"./${{FOLDER}}\"\n{MODEL}"))]);
    let mut config = Config::new("", "repot.toml");
    config.url = None;
    config.directory = folder.path().to_owned();
    config.variables = [("FOLDER".to_owned(), "papers".to_owned())].into_iter().collect();
    wait(async {
        let repot = Repot::open(config).await.unwrap();
        repot.collection::<Note>().create(note("a")).await.unwrap();
    });
    assert!(folder.join("papers/notes/a.json").exists());
}

#[test]
fn wrong_settings_say_what_is_wrong() {
    wait(async {
        let with = |url: &str| Config::with_model_text(url, MODEL);
        assert_eq!(refused(with("mysql://h/d")).await.code(), "R0105");
        assert_eq!(refused(with("s3://bucket")).await.code(), "R0103");
        let error = refused(Config::new("memory:", "no/such/file.toml")).await;
        assert!(matches!(error, Error::Setup(_)) && error.code() == "R0117", "{error}");
        let error = refused(with("no/such/parent/folder")).await;
        assert!(matches!(error, Error::Setup(_)) && error.code() == "R0117", "{error}");
        let wrong = MODEL.replace("text key", "txt key");
        let error = refused(Config::with_model_text("memory:", &wrong)).await;
        assert!(matches!(error, Error::Setup(_)) && error.to_string().contains("repot.toml:5"), "{error}");
        assert!(error.cause().details().len() > 1, "every problem is named");
    });
}

#[test]
fn another_model_is_refused() {
    let made = sqlite(MODEL);
    let mut other = made.config.clone();
    other.model_text = Some(MODEL.replace("text(20)", "text(30)"));
    wait(async {
        drop(Repot::open(made.config.clone()).await.unwrap());
        assert_eq!(refused(other).await.code(), "R0151");
    });
    drop(made.keep);
}

#[test]
fn calls_can_be_made_from_tasks() {
    fn sent<T: Send>(future: T) -> T {
        future
    }
    let made = directory(MODEL, TempTree::new());
    wait(async {
        let repot = sent(Repot::open(made.config)).await.unwrap();
        let notes: Collection<Note> = repot.collection();
        let stored = sent(notes.create(note("a"))).await.unwrap();
        sent(notes.update(stored)).await.unwrap();
        sent(notes.save(note("a"))).await.unwrap();
        sent(notes.edit("a", |_| Ok::<_, Error>(()))).await.unwrap();
        sent(notes.list(None, 1)).await.unwrap();
        sent(notes.find(&repot::Filters::all(), 1, 0)).await.unwrap();
        sent(repot::Repository::get_by_id(&notes, "a")).await.unwrap();
        sent(repot.unit().commit()).await.unwrap();
    });
}
