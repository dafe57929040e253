//! kill -9 at random instants of a copy, then the same command: no loss, no double, no hand work.

use std::process::Stdio;
use std::time::Duration;

use crate::project::{Database, Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[orders]
file  = "{region}/{id}.json"
index = ["region, id"]

[orders.fields]
id     = "text key"
region = "text"
owner  = "-> owners?"

[lines]
in = "orders.lines[]"

[lines.fields]
id       = "int key auto"
order_id = "-> orders cascade auto"
place    = "position"
article  = "text"
count    = "int"

[owners]
file = "owners/{id}.json"

[owners.fields]
id   = "text key"
name = "text"
"#;

/// A small generator of numbers (`SplitMix64`), so that a failing run can be repeated from its seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn project(database: Database, numbers: &mut Numbers) -> Project {
    let project = Project::with(database, MODEL, &[]);
    for owner in 0..20 {
        project.folder.write(
            format!("data/owners/o{owner}.json"),
            format!(r#"{{"id": "o{owner}", "name": "Owner {owner}"}}"#),
        );
    }
    for order in 0..400 {
        let lines: Vec<String> = (0..numbers.next() % 9)
            .map(|line| format!("{{\"article\": \"a{line}\", \"count\": {}}}", numbers.next() % 100))
            .collect();
        // some refer to nobody, some are torn: they must come out the same after any crash
        let owner = numbers.next() % 22;
        let torn = if order % 97 == 0 { "" } else { "}" };
        let text = format!(
            "{{\"id\": \"{order}\", \"owner\": \"o{owner}\", \"lines\": [{}]{torn}",
            lines.join(", ")
        );
        project.folder.write(format!("data/r{}/{order}.json", order % 7), text);
    }
    project
}

fn full() -> bool {
    repot_testkit::full()
}

#[test]
fn killed_at_random_instants() {
    let seed = std::env::var_os("REPOT_SEED")
        .and_then(|seed| seed.into_string().ok())
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_121);
    eprintln!("seed {seed} (REPOT_SEED)");
    let kills = if full() { 150 } else { 15 };
    for database in databases() {
        let whole = {
            let mut numbers = Numbers(seed);
            let project = project(Database::Sqlite, &mut numbers);
            project.run(&["copy", "--json"]).expect(3).result()
        };
        let mut numbers = Numbers(seed);
        let project = project(database, &mut numbers);
        let mut killed = 0;
        let mut most_ms = 60;
        while killed < kills {
            let mut copy = project.command(&["copy", "--json", "--batch", "7", "--quiet"]);
            let mut child = copy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(numbers.next() % (most_ms * 1_000)));
            if child.try_wait().unwrap().is_some() {
                // it was faster: begin again, with less time, on what the source brings anew
                most_ms = (most_ms * 9 / 10).max(5);
                let touched = numbers.next() % 7;
                for order in (0..400).filter(|order| order % 7 == touched) {
                    let path = project.path(&format!("data/r{}/{order}.json", order % 7));
                    let text = std::fs::read(&path).unwrap();
                    std::fs::remove_file(&path).unwrap();
                    std::fs::write(&path, text).unwrap();
                }
                continue;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        let after = project.run(&["copy", "--json"]).expect(3).result();
        for name in ["root", "moved", "set_aside", "listed", "proved"] {
            assert_eq!(after[name], whole[name], "{name}, seed {seed}");
        }
        let verified = project.run(&["verify", "--json"]).expect(3).result();
        assert_eq!(verified["root"], whole["root"]);
        project.run(&["export", "back"]).expect(0);
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
    }
}

#[test]
fn a_second_copy_is_refused_and_says_who() {
    for database in databases() {
        let mut numbers = Numbers(1);
        let project = project(database, &mut numbers);
        let mut copy = project.command(&["copy", "--json", "--batch", "1"]);
        let mut child = copy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let refused = loop {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the first copy ended before the second was refused"
            );
            let ran = project.run(&["copy", "--json"]);
            if ran.code == 12 {
                break ran;
            }
            // the first one had not taken the lock yet: then this one did the work and the first is refused
            if ran.code == 3 {
                child.wait().unwrap();
                return;
            }
        };
        assert!(
            refused.out.contains("R0701") && refused.out.contains(&child.id().to_string()),
            "{}",
            refused.out
        );
        child.kill().unwrap();
        child.wait().unwrap();
        project.run(&["copy", "--json"]).expect(3);
    }
}
