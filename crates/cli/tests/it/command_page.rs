//! `docs/cli.md` is what the program says of itself. `REPOT_WRITE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::project::{Database, Project};

const PAGE: &str = "docs/cli.md";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE)
}

/// The help of these words, and the commands that it lists.
fn help(project: &Project, words: &[&str]) -> (String, Vec<String>) {
    let help = project.run(&[words, &["--help"]].concat()).expect(0).out;
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name =
            line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next()?;
        (name != "help").then(|| name.to_owned())
    });
    let names = names.collect();
    (help, names)
}

fn add(project: &Project, words: &[&str], text: &mut String) {
    let (help, names) = help(project, words);
    let marks = "#".repeat(words.len() + 3);
    let title = [&["repot"], words].concat().join(" ");
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "\n{marks} {title}\n\n```text\n{}\n```\n", help.join("\n").trim_end()).unwrap();
    for name in &names {
        add(project, &[words, &[name.as_str()]].concat(), text);
    }
}

fn variables(project: &Project) -> String {
    let checked = project.run(&["check", "--json"]).expect(0).result();
    let mut text = "\n| variable | default | means |\n| --- | --- | --- |\n".to_owned();
    for setting in checked["settings"].as_array().unwrap() {
        let of = |field: &str| setting[field].as_str();
        let default = of("default").map_or_else(String::new, |default| format!("`{default}`"));
        let later = of("no_effect").map_or_else(String::new, |why| format!(" (no effect: {why})"));
        let (name, meaning) = (of("name").unwrap(), of("meaning").unwrap());
        writeln!(text, "| `{name}` | {default} | {meaning}{later} |").unwrap();
    }
    text
}

/// The page with this between two marks.
fn with(page: &str, mark: &str, text: &str) -> String {
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("\n<!-- /{mark} -->"));
    let (front, rest) = page.split_once(&start).unwrap();
    let (_, back) = rest.split_once(&end).unwrap();
    format!("{front}{start}{text}{end}{back}")
}

#[test]
fn the_page_of_commands_is_what_they_say() {
    let project = Project::app("council", Database::Sqlite);
    let mut help = String::new();
    add(&project, &[], &mut help);
    let written = std::fs::read_to_string(page()).unwrap();
    let expected = with(&with(&written, "help", &help), "variables", &variables(&project));
    if std::env::var_os("REPOT_WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(page(), expected).unwrap();
    } else {
        assert_eq!(written, expected, "{PAGE}: run this test with REPOT_WRITE_DOCS=1");
    }
}

#[test]
fn every_command_has_its_json() {
    let project = Project::app("council", Database::Sqlite);
    let written = std::fs::read_to_string(page()).unwrap();
    let formats = written.split("\n## JSON\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for name in help(&project, &[]).1 {
        let shown = [format!("`{name}`"), format!("`{name} ")];
        assert!(shown.iter().any(|shown| formats.contains(shown)), "{name} in {PAGE}");
    }
}

#[test]
fn completions_name_every_command() {
    let project = Project::new(Database::Sqlite);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.run(&["completion", shell]).expect(0).out;
        for name in ["copy", "patch", "completion", "if-match"] {
            assert!(script.contains(name), "{name} in {shell}");
        }
    }
    let script = project.run(&["completion", "bash", "--json"]).expect(0).result();
    assert!(script["script"].as_str().is_some_and(|script| script.contains("_repot()")), "{script}");
    project.run(&["completion", "csh"]).expect(2);
}
