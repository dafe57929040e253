//! Words that must not be committed: switched-off tests, unfinished code, paths of one machine.

use super::fault::Fault;
use super::repository::Repository;

/// Parts are joined here, so that this file does not find itself.
const IN_SOURCES: [(&str, &str); 5] = [
    (concat!("#[ign", "ore"), "an ignored test checks nothing: make it run or remove it"),
    (concat!("to", "do!("), "finish it, or leave it out until it is finished"),
    (concat!("unimpl", "emented!("), "finish it, or leave it out until it is finished"),
    (concat!("db", "g!("), "remove what was printed for yourself"),
    (
        concat!("#[all", "ow("),
        "write #[expect(lint, reason = \"...\")], which says why and goes away when it may",
    ),
];

const ANYWHERE: [&str; 2] = [concat!("/wo", "rk/"), concat!("/tmp/", "bash")];

/// Finds forbidden words.
pub(super) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in repository.texts() {
        let source = path.ends_with(".rs");
        for (index, line) in text.lines().enumerate() {
            let words = IN_SOURCES.iter().filter(|(word, _)| source && stands_alone(line, word));
            faults
                .extend(words.map(|(word, advice)| Fault::new(path, index + 1, format!("{word}: {advice}"))));
            let places = ANYWHERE.iter().filter(|place| stands_alone(line, place));
            let advice =
                |place| format!("{place} is a path of one machine: use a relative one or a variable");
            faults.extend(places.map(|place| Fault::new(path, index + 1, advice(place))));
        }
    }
    faults
}

/// Whether the line has the word where no longer word or path ends in it.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.split_at(at).0.chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"_-.~)}>$".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_where_it_stands() {
        for (word, _) in IN_SOURCES {
            let text = format!("fn f() {{\n    {word}\n}}\n");
            let repository =
                Repository::of([("crates/a/src/x.rs", text.as_str()), ("docs/x.md", text.as_str())]);
            let found = check(&repository);
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!((found[0].file.as_str(), found[0].line), ("crates/a/src/x.rs", 2), "{word}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_in_every_file() {
        for place in ANYWHERE {
            for line in [
                format!("see {place}x"),
                format!("\"{place}\""),
                format!("{place}a/b"),
                format!("DIR={place}"),
            ] {
                let found = check(&Repository::of([("docs/x.md", line.as_str())]));
                assert_eq!(found.len(), 1, "{line}");
            }
        }
        let harmless = concat!("./wo", "rk/x user/wo", "rk/ $HOME/wo", "rk/");
        assert_eq!(check(&Repository::of([("docs/x.md", harmless)])), []);
    }
}
