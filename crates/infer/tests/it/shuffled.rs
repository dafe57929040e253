//! The same model for any order of the files.

use crate::corpora::{Files, look};

/// A small generator: the orders must be the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).expect("below a usize")
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.roll(at + 1));
        }
    }
}

fn mixed() -> Files {
    let mut dice = Dice(7);
    let mut files = Vec::new();
    for at in 0..120 {
        let keys: Vec<_> =
            (0..5).map(|_| format!("\"k{}\": {{\"v\": {}}}", dice.roll(400), dice.roll(9))).collect();
        let odd = ["1", "\"x\"", "null", "[1]", "{\"q\": 1}", "1.5"][dice.roll(6)];
        let text = format!(
            r#"{{"id": "c{at:03}", "user": "u{}", "odd": {odd}, "bag": {{{}}}, "parts": [{{"n": {}, "tags": ["a"]}}, {{"m": "x", "tags": []}}]}}"#,
            at % 5,
            keys.join(","),
            dice.roll(5)
        );
        files.push((format!("u{}/c{at:03}.json", at % 5), text.into_bytes()));
        if at % 7 == 0 {
            files.push((format!("u{}/notes/{at}.md", at % 5), b"# n".to_vec()));
        }
    }
    for at in 0..5 {
        files.push((format!("u{at}/usage.json"), b"{\"used\": 1, \"limit\": 2}".to_vec()));
    }
    files.push(("broken.json".into(), b"{\"a\": ".to_vec()));
    files.push(("list.json".into(), b"[{\"a\": 1}, {\"a\": \"x\"}]".to_vec()));
    Files(files)
}

/// Compares, and shows only where they part.
fn same(this: &str, first: &str) {
    let parts = |text: &str| text.split("Field {").map(str::to_owned).collect::<Vec<_>>();
    for (this, first) in parts(this).iter().zip(&parts(first)) {
        assert_eq!(this, first);
    }
    assert_eq!(this.len(), first.len());
}

#[test]
fn any_order_gives_the_same_model() {
    let mut files = mixed();
    let first = format!("{:?}", look(&files));
    let mut dice = Dice(99);
    for _ in 0..8 {
        dice.shuffle(&mut files.0);
        same(&format!("{:?}", look(&files)), &first);
    }
    assert!(first.contains("bag"), "{first}");
    crate::splits::takes_all("mixed", &look(&files).model, &files);
}

#[test]
fn coarser_statistics_are_the_same_in_any_order_too() {
    let mut files = mixed();
    let mut options = repot_infer::Options::new("./data");
    options.places_max = 60;
    let first = format!("{:?}", repot_infer::infer(&files, &options).unwrap());
    let mut dice = Dice(5);
    for _ in 0..4 {
        dice.shuffle(&mut files.0);
        same(&format!("{:?}", repot_infer::infer(&files, &options).unwrap()), &first);
    }
}
