//! Inference over corpora small enough to read, over shuffled ones, and over real data.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, which clippy takes for production code"
)]
mod corpora;
mod kinds;
mod lists;
mod places;
mod random;
mod real;
mod relations;
mod shuffled;
mod splits;

#[test]
fn no_file_of_tests_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let own = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("this folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        let stem = name.strip_suffix(".rs").expect("only Rust here");
        assert!(stem == "main" || own.contains(&format!("mod {stem};")), "{name} is in no `mod` line");
    }
}
