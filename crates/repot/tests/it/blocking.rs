//! The facade that waits.

use repot::Error;
use repot::blocking::Repot;

use crate::collections::{MODEL, Note, note};
use crate::stores::{all, sqlite, wait};

#[test]
fn calls_wait_for_their_end() {
    for made in all(MODEL) {
        let name = made.name;
        let repot = Repot::open(made.config).unwrap();
        repot.probe().unwrap();
        let notes = repot.collection::<Note>();
        notes.create(note("a")).unwrap();
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let notes = notes.clone();
                std::thread::spawn(move || {
                    notes.append("a", "/marks", &serde_json::json!({"word": format!("{number}")})).unwrap();
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let read = String::from_utf8(notes.require("a").unwrap().body().to_vec()).unwrap();
        assert_eq!(read.matches("word").count(), 4, "{name}: {read}");
        let mut unit = repot.unit();
        unit.delete(&notes, "a");
        assert_eq!(unit.commit().unwrap(), [None], "{name}");
        assert!(!notes.exists("a").unwrap(), "{name}");
    }
}

#[test]
fn within_a_runtime_it_is_refused_and_may_be_dropped() {
    let made = sqlite(MODEL);
    let repot = Repot::open(made.config.clone()).unwrap();
    let notes = repot.collection::<Note>();
    wait(async move {
        assert!(matches!(notes.exists("a"), Err(Error::Unsupported(_))));
        assert!(matches!(Repot::open(made.config), Err(Error::Unsupported(_))));
        drop(notes);
        drop(repot);
    });
}
