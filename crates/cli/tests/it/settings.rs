//! Settings: which of several sources holds, what is told of each, and what is refused.

use serde_json::Value;

use crate::project::{Database, Project, Ran, ran};

const MODEL: &str = "[repot]\nsource = \"./of-model\"\ntarget = \"sqlite:///${FILE:-of-default}.db\"\n\n[notes]\nfile = \"notes/{id}.json\"\n\n\
                     [notes.fields]\nid = \"text key\"\n";

fn project(env_file: &str) -> Project {
    let project = Project::with(Database::Sqlite, MODEL, &[]);
    for folder in ["of-model", "of-file", "of-variable"] {
        project.folder.write(format!("{folder}/notes/a.json"), b"{\"id\": \"a\"}");
    }
    project.folder.write(".env", env_file);
    project
}

fn check(project: &Project, variables: &[(&str, &str)]) -> Ran {
    ran(&project.command(&["check", "--json"]).envs(variables.iter().copied()).output().unwrap())
}

/// Value and origin of a setting.
fn setting(checked: &Ran, name: &str) -> (String, String) {
    let result = checked.result();
    let found = result["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name);
    let text = |field: &str| found.unwrap()[field].as_str().unwrap_or("-").to_owned();
    (text("value"), text("from"))
}

fn pair(value: &str, from: &str) -> (String, String) {
    (value.to_owned(), from.to_owned())
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_model() {
    let of_model = check(&project(""), &[]).expect(0);
    assert_eq!(setting(&of_model, "REPOT_SOURCE"), pair("./of-model", "repot.toml"));
    assert_eq!(setting(&of_model, "DATABASE_URL"), pair("sqlite:///of-default.db", "repot.toml"));
    assert_eq!(setting(&of_model, "CACHE_TTL"), pair("300", "default"));
    assert_eq!(setting(&of_model, "REPOT_MODEL"), pair("repot.toml", "default"));
    let file = project(
        "REPOT_SOURCE=./of-file\nDATABASE_URL=sqlite:///of-file.db\nCACHE_TTL=60\nFILE=x\nREPOT_MODEL=repot.toml\n",
    );
    let of_file = check(&file, &[]).expect(0);
    assert_eq!(setting(&of_file, "REPOT_SOURCE"), pair("./of-file", ".env"));
    assert_eq!(setting(&of_file, "DATABASE_URL"), pair("sqlite:///of-file.db", ".env"));
    assert_eq!(setting(&of_file, "CACHE_TTL"), pair("60", ".env"));
    assert_eq!(setting(&of_file, "REPOT_MODEL"), pair("repot.toml", ".env"));
    let all =
        [("REPOT_SOURCE", "./of-variable"), ("DATABASE_URL", "sqlite:of-variable.db"), ("CACHE_TTL", "5")];
    let of_variable = check(&file, &all).expect(0);
    assert_eq!(setting(&of_variable, "REPOT_SOURCE"), pair("./of-variable", "variable"));
    assert_eq!(setting(&of_variable, "DATABASE_URL"), pair("sqlite:of-variable.db", "variable"));
    assert_eq!(setting(&of_variable, "CACHE_TTL"), pair("5", "variable"));
    // an empty one is none
    assert_eq!(setting(&check(&file, &[("CACHE_TTL", "")]), "CACHE_TTL"), pair("60", ".env"));
    let mut flag = file.command(&["check", "--json", "--model", "repot.toml"]);
    let flag = ran(&flag.env("REPOT_MODEL", "nowhere.toml").output().unwrap()).expect(0);
    assert_eq!(setting(&flag, "REPOT_MODEL"), pair("repot.toml", "flag"));
    // what is told is what is done
    file.run(&["copy"]).expect(0);
    assert!(file.path("of-file.db").exists() && !file.path("of-default.db").exists());
}

#[test]
fn the_model_takes_variables_of_its_own() {
    for (env_file, variable, expected) in [
        ("", None, "of-default.db"),
        ("FILE=of-env-file\n", None, "of-env-file.db"),
        ("FILE=of-env-file\n", Some("of-variable"), "of-variable.db"),
        ("FILE=\n", Some(""), "of-default.db"),
    ] {
        let project = project(env_file);
        let mut command = project.command(&["copy"]);
        command.envs(variable.map(|value| ("FILE", value)));
        ran(&command.output().unwrap()).expect(0);
        assert!(project.path(expected).exists(), "{expected}");
    }
}

#[test]
fn two_names_of_one_setting_must_agree() {
    let project = project("ENABLE_CACHE=true\n");
    check(&project, &[("CACHE_ENABLED", "1")]).expect(0);
    for value in ["false", "off"] {
        for words in [&["check", "--json"][..], &["serve", "--json", "--listen", "127.0.0.1:0"]] {
            let mut command = project.command(words);
            let refused = ran(&command.env("CACHE_ENABLED", value).output().unwrap()).expect(1);
            assert_eq!(refused.result()["code"], "R0110", "{refused:?}");
        }
    }
    let both = [("USE_DATABASE", "true"), ("USE_NEW_DATA_LAYER", "false")];
    assert_eq!(check(&project, &both).expect(1).result()["code"], "R0110");
    for wrong in [
        ("CACHE_TTL", "soon"),
        ("CACHE_PROVIDER", "disk"),
        ("USE_DATABASE", "maybe"),
        ("REDIS_MAX_RETRIES", "-1"),
    ] {
        let refused = check(&project, &[wrong]).expect(2).result();
        assert_eq!(refused["code"], "R0100");
        assert!(refused["message"].as_str().unwrap().contains(wrong.0), "{refused}");
    }
}

#[test]
fn misspelled_variables_are_told_and_those_of_the_model_are_not() {
    let project = project("REPOT_LISTN=127.0.0.1:9\nREPOT_OWN=x\nREPOT_SOMETHING_ELSE=1\n");
    project.folder.write("repot.toml", MODEL.replace("FILE", "REPOT_OWN"));
    let unknown = check(&project, &[]).expect(0).result()["unknown"].clone();
    let unknown: Vec<&str> = unknown.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        unknown,
        ["REPOT_LISTN is no setting. Did you mean REPOT_LISTEN?", "REPOT_SOMETHING_ELSE is no setting."]
    );
    let shown = project.run(&["check"]).expect(0).err;
    assert!(shown.contains("look REPOT_LISTN is no setting."), "{shown}");
}

#[test]
fn no_secret_is_shown_and_what_has_no_effect_says_so() {
    let secrets = [
        ("REPOT_KEY", "canary-1"),
        ("REDIS_URL", "redis://:canary-2@127.0.0.1:6379"),
        ("REPOT_URL", "http://u:canary-3@127.0.0.1:1"),
        ("AWS_SECRET_ACCESS_KEY", "canary-4"),
        ("AWS_SESSION_TOKEN", "canary-5"),
        ("R2_SECRET_ACCESS_KEY", "canary-6"),
    ];
    let project = project("");
    let checked = check(&project, &secrets).expect(0);
    let shown = ran(&project.command(&["check"]).envs(secrets).output().unwrap()).expect(0);
    for text in [&checked.out, &checked.err, &shown.out, &shown.err] {
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(setting(&checked, "REPOT_KEY"), pair("***", "variable"));
    assert_eq!(setting(&checked, "REDIS_URL"), pair("redis://:***@127.0.0.1:6379", "variable"));
    for line in [
        "     CACHE_PROVIDER = redis   (default)",
        "     REPOT_S3_LISTEN = -   (default; no effect: there is no S3 endpoint yet)",
    ] {
        assert!(shown.err.lines().any(|found| found == line), "{}", shown.err);
    }
}
