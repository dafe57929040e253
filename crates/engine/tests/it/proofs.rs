//! A proof, and an export, of a database that is written to: of one state of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use repot_core::store::{DocumentKey, Precondition, StoreExt as _};
use repot_engine::verify::{Scope, Verify};
use repot_engine::{NoProgress, Options};

use repot_testkit::conformance::model;

use crate::documents::{Database, block_on};

const DOCUMENTS: u64 = 60;

/// A text whose rows are many, other ones in each round.
fn text(id: &str, round: u64) -> String {
    let marks: Vec<String> = (0..40).map(|at| format!(r#"{{"word": "w{at}-{}"}}"#, round + at)).collect();
    format!(r#"{{"id": "{id}", "marks": [{}]}}"#, marks.join(", "))
}

#[test]
fn what_is_written_meanwhile_is_no_difference() {
    for database in Database::all() {
        let store = database.open();
        let (stops, written) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let (store, stops, written) = (&store, &stops, &written);
                scope.spawn(move || {
                    block_on(async {
                        for round in 0.. {
                            if stops.load(Ordering::Relaxed) {
                                return;
                            }
                            let id = format!("{writer}-{}", round % DOCUMENTS);
                            let note = DocumentKey::new("notes", &id);
                            if round % 7 == 6 {
                                store.delete(&note, Precondition::Any).await.unwrap();
                            } else {
                                store.put(&note, text(&id, round)).await.unwrap();
                            }
                            written.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                });
            }
            let (model, plan, _) = model();
            let options = Options::default();
            let verify =
                Verify { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 7 };
            let target = database.target();
            while written.load(Ordering::Relaxed) < 2 * DOCUMENTS {
                std::thread::yield_now();
            }
            let mut during = 0;
            let mut proofs = Vec::new();
            for wanted in [Scope::Everything, Scope::Sample(500_000), Scope::Since(0)].repeat(2) {
                let before = written.load(Ordering::Relaxed);
                proofs.push(verify.run(target.as_ref(), wanted));
                during += written.load(Ordering::Relaxed) - before;
            }
            stops.store(true, Ordering::Relaxed);
            for proof in proofs {
                let proof = proof.unwrap();
                assert!(proof.holds() && proof.proved > 0, "{:?}", proof.differences);
            }
            // else nothing was tried
            assert!(during > 0);
        });
    }
}
