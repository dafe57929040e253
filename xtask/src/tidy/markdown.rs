//! Documents lead where they say, and each can be reached from the front page.

use super::fault::Fault;
use super::repository::{Repository, folder};

/// From here every document must be linked.
const FRONT: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// Finds links that lead nowhere and documents that nobody links to.
pub(super) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in repository.with_ending(".md").filter(|(path, _)| is_ours(path)) {
        for (line, target) in links(text) {
            let resolved = resolve(folder(path), target);
            if !resolved.as_deref().is_some_and(|place| repository.has(place)) {
                faults.push(Fault::new(
                    path,
                    line,
                    format!("the link to {target} leads nowhere: mend or remove it"),
                ));
            }
        }
    }
    let front: Vec<(&str, &str)> =
        FRONT.iter().filter_map(|path| Some((*path, repository.text(path)?))).collect();
    if front.is_empty() {
        return faults;
    }
    let linked: Vec<String> = front.iter().flat_map(|(path, text)| targets(path, text)).collect();
    for (path, _) in repository.with_ending(".md").filter(|(path, _)| path.starts_with("docs/")) {
        if !linked.iter().any(|target| target == path) {
            faults.push(Fault::new(
                path,
                1,
                format!("nobody finds this document: link to it from {}", front[0].0),
            ));
        }
    }
    faults
}

/// Documents of the project; the samples of the apps are data, and may hold anything.
fn is_ours(path: &str) -> bool {
    !path.contains('/') || path.starts_with("docs/")
}

fn targets(path: &str, text: &str) -> Vec<String> {
    links(text).into_iter().filter_map(|(_, target)| resolve(folder(path), target)).collect()
}

/// The relative links of a document, with their lines; what stands in code is no link.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for (at, opening) in line.match_indices("](") {
            let (before, after) = line.split_at(at);
            let Some(target) = after.strip_prefix(opening).and_then(|rest| rest.split_once(')')) else {
                continue;
            };
            // An odd number of back quotes stands before what is inside of code.
            let in_code = before.matches('`').count() % 2 == 1;
            let target = target.0.split(['#', ' ']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !in_code && !target.is_empty() && !elsewhere {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// The path in the repository, or nothing if the link leaves it.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    (!target.starts_with('/')).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of(files.iter().copied()))
            .iter()
            .map(|fault| format!("{}:{}", fault.file, fault.line))
            .collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let readme = "[a](docs/a.md)\n[b](docs/b.md) and [c](LICENSE)\n[out](../x) [root](/docs/a.md)\n";
        let found = faults(&[("README.md", readme), ("docs/a.md", "[up](../README.md) [no](README.md)")]);
        assert_eq!(found, ["README.md:2", "README.md:2", "README.md:3", "README.md:3", "docs/a.md:1"]);
    }

    #[test]
    fn folders_anchors_titles_and_the_web_are_fine() {
        let readme = "[a](docs) [b](docs/) [c](docs/a.md#part) [d](docs/a.md \"title\") [e](#here) [f](https://x.org/y) [g](mailto:a@b)";
        assert_eq!(faults(&[("README.md", readme), ("docs/a.md", "")]), Vec::<String>::new());
    }

    #[test]
    fn code_is_no_link() {
        let readme = "```\n[a](nowhere)\n```\n`[b](nowhere)` but [`c`](nowhere)\n";
        assert_eq!(faults(&[("README.md", readme)]), ["README.md:4"]);
    }

    #[test]
    fn a_document_nobody_links_to_is_found() {
        let files = [
            ("docs/a.md", "[b](b.md)"),
            ("docs/b.md", ""),
            ("docs/c.md", ""),
            ("ARCHITECTURE.md", "[c](docs/c.md)"),
        ];
        assert_eq!(faults(&files), ["docs/a.md:1", "docs/b.md:1"]);
        assert_eq!(faults(&[("docs/a.md", "")]), Vec::<String>::new());
    }

    #[test]
    fn samples_are_data() {
        assert_eq!(faults(&[("apps/x/data/post.md", "[a](nowhere)")]), Vec::<String>::new());
    }
}
