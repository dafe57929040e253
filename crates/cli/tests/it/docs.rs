//! What the documents show is what the program does: every ```console block is run, every ```toml block of the
//! model language is read, every word of the language and every error code is there.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use repot_testkit::TempTree;
use serde_json::Value;

const DOCUMENTS: [&str; 5] =
    ["README.md", "docs/model.md", "docs/lossless.md", "docs/keys.md", "docs/advise.md"];

/// Collections around fields shown alone: what they refer to.
const AROUND_FIELDS: &str = r#"
[users]
file = "users/{id}.json"
[users.fields]
id = "text key"
[dramas]
file = "dramas/{id}.json"
[dramas.fields]
id = "int key"
[scenes]
file = "scenes/{id}.json"
[scenes.fields]
id = "text key"
[notes]
file = "notes/{note_id}.json"
[notes.fields]
note_id = "text key"
"#;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn document(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Is there a Python? Without one, a test that needs it skips aloud, or fails where everything must run.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
#[expect(clippy::disallowed_methods, reason = "the environment says whether a missing program is a failure")]
pub(crate) fn python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let set = |value: String| !matches!(value.as_str(), "" | "0" | "false");
    let demanded = ["CI", "REPOT_REQUIRE_SERVERS"].iter().any(|name| std::env::var(name).is_ok_and(set));
    assert!(!demanded, "no python3, and the environment demands it");
    eprintln!("skipped: no python3");
    if let Ok(log) = std::env::var("REPOT_SKIP_LOG") {
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        log.write_all(b"python3\n").unwrap();
    }
    false
}

/// A fenced block: the words behind the fence, the line it begins on, its text.
#[derive(Debug)]
struct Block {
    words: Vec<String>,
    line: usize,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(words)) => {
                let words = words.split_whitespace().map(str::to_owned).collect();
                open = Some(Block { words, line: at + 1, text: String::new() });
            }
            (None, None) => {}
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    found
}

fn of_kind(text: &str, kind: &str) -> Vec<Block> {
    blocks(text).into_iter().filter(|block| block.words.first().is_some_and(|word| word == kind)).collect()
}

/// A command and the lines it prints.
#[derive(Debug)]
struct Step<'b> {
    command: &'b str,
    expected: Vec<&'b str>,
}

fn steps(block: &Block) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command, expected: Vec::new() }),
            (None, Some(step)) => step.expected.push(line.trim_end()),
            (None, None) => panic!("line {}: output before the first command", block.line),
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|line| line.is_empty()) {
            step.expected.pop();
        }
    }
    steps
}

/// Is `line` the pattern, with `...` for any text?
fn same_line(pattern: &str, line: &str) -> bool {
    match pattern.split_once("...") {
        None => pattern == line,
        Some((head, tail)) => {
            let Some(rest) = line.strip_prefix(head) else { return false };
            (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| same_line(tail, rest))
        }
    }
}

/// Are these the expected lines, with a line `...` for any lines?
fn same(expected: &[&str], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((pattern, rest)), _) if pattern.trim() == "..." => {
            (0..=lines.len()).any(|at| same(rest, &lines[at..]))
        }
        (Some((pattern, rest)), Some((line, more))) => same_line(pattern, line) && same(rest, more),
        _ => false,
    }
}

/// The folder that blocks run in: the data of the council app and our tools; `model`: with the app's model too.
fn folder(model: bool) -> TempTree {
    let folder = TempTree::new();
    repot_testkit::copy_tree(&repository("apps/council/data"), &folder.join("data")).unwrap();
    repot_testkit::copy_tree(&repository("tools"), &folder.join("tools")).unwrap();
    if model {
        std::fs::copy(repository("apps/council/repot.toml"), folder.join("repot.toml")).unwrap();
    }
    folder
}

fn shell(folder: &TempTree, command: &str) -> (bool, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_repot")).parent().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the commands of the documents need the usual programs")]
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("exec 2>&1\n{command}"))
        .current_dir(folder.path())
        .env("PATH", path)
        .env("LC_ALL", "C");
    crate::project::without_settings(&mut shell);
    let output = shell.stdin(Stdio::null()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(path: &str) {
    let text = document(path);
    let blocks = of_kind(&text, "console");
    assert!(!blocks.is_empty(), "{path} shows no command");
    if blocks.iter().any(|block| block.text.contains("python3 ")) && !python() {
        return;
    }
    let mut place = folder(false);
    for block in &blocks {
        match block.words.get(1).map(String::as_str) {
            None => {}
            Some("new") => place = folder(false),
            Some("app") => place = folder(true),
            Some(word) => panic!("{path}:{}: `{word}` is no word for a block", block.line),
        }
        for step in steps(block) {
            let (done, out) = shell(&place, step.command);
            // what `check` says on a machine whose disk is nearly full
            let lines = out.lines().filter(|line| !line.contains("Less than a tenth of the disk"));
            let lines: Vec<&str> = lines.map(str::trim_end).collect();
            let shown = format!("{path}:{}: {}\n{out}", block.line, step.command);
            assert!(done, "this ended with a failure:\n{shown}");
            assert!(
                same(&step.expected, &lines),
                "this is not what the document shows:\n{shown}\nshown:\n{}",
                step.expected.join("\n")
            );
        }
    }
}

#[test]
fn commands_of_the_readme() {
    run("README.md");
}

#[test]
fn commands_of_the_model_language() {
    run("docs/model.md");
}

#[test]
fn commands_about_losslessness() {
    run("docs/lossless.md");
}

#[test]
fn commands_about_keys() {
    run("docs/keys.md");
}

#[test]
fn commands_about_advice() {
    run("docs/advise.md");
}

#[test]
fn wildcards_stand_for_what_they_should() {
    assert!(
        same(&["a ... b", "..."], &["a x b"]) && same(&["..."], &[]) && same(&["...", "z"], &["x", "y", "z"])
    );
    assert!(
        !same(&["a ... b"], &["a x c"]) && !same(&["a"], &["a", "b"]) && !same(&["...", "z"], &["z", "y"])
    );
}

#[test]
fn models_shown_are_models() {
    let text = document("docs/model.md");
    let blocks = of_kind(&text, "toml");
    assert!(blocks.len() > 5, "few models are shown: {}", blocks.len());
    for block in blocks {
        let model = match block.words.get(1).map(String::as_str) {
            None => block.text.clone(),
            Some("fields") => format!("{AROUND_FIELDS}{}", block.text),
            Some(word) => panic!("line {}: `{word}` is no word for a model", block.line),
        };
        let read = repot_model::language::parse(&model, "repot.toml", &|_| None);
        let read = read.unwrap_or_else(|problems| panic!("line {}: {problems:#?}", block.line));
        let compiled = repot_model::plan::Plan::compile(&read);
        assert!(compiled.is_ok(), "line {}: {:?}", block.line, compiled.err());
    }
}

#[test]
fn every_word_of_the_language_is_explained() {
    let place = folder(false);
    let (_, schema) = shell(&place, "repot gen schema");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let text = document("docs/model.md");
    for section in ["settings", "collection"] {
        for word in schema["$defs"][section]["properties"].as_object().unwrap().keys() {
            let shown = [format!("`{word}`"), format!("`{word} ="), format!("{word}]`"), format!("{word}.")];
            assert!(
                shown.iter().any(|shown| text.contains(shown)),
                "{word} of {section} is not in docs/model.md"
            );
        }
    }
    let words = "text int float decimal bool time date uuid json bytes position body key unique cascade auto from was";
    for word in words.split(' ').chain(["set null", "now", "now on write", "today"]) {
        assert!(text.contains(&format!("`{word}")), "{word} is not in docs/model.md");
    }
}

#[test]
fn every_code_and_path_is_real() {
    let place = folder(false);
    let (_, known) = shell(&place, "repot explain");
    let known: BTreeSet<&str> = known.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for path in DOCUMENTS.iter().chain(&["ARCHITECTURE.md", "CHANGELOG.md"]) {
        let text = document(path);
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let digits = word
                .strip_prefix('R')
                .filter(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(
                digits.is_none() || known.contains(word),
                "{path} speaks of {word}, which repot explain does not know"
            );
        }
    }
    // paths in code in the map of the code
    let map = document("ARCHITECTURE.md");
    for word in map.split('`').skip(1).step_by(2) {
        let is_path = ["crates/", "xtask/", "benches/", "tools/", "docs/", "apps/"]
            .iter()
            .any(|start| word.starts_with(start));
        if is_path && !word.contains(['*', '{', ' ', '<']) {
            assert!(repository(word).exists(), "ARCHITECTURE.md names {word}, which is not there");
        }
    }
}
