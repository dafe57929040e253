//! A certificate, checked against the files by the script that a third party would use.

use std::path::Path;
use std::process::Command;

use repot_testkit::TempTree;

use crate::docs::python;
use crate::project::{Database, Project, ran};

/// A project that was copied and certified; `None` when there is no Python.
fn certified(files: &[(&str, &[u8])]) -> Option<Project> {
    if !python() {
        return None;
    }
    let project = Project::app("council", Database::Sqlite);
    for (path, bytes) in files {
        project.folder.write(Path::new("data").join(path), bytes);
    }
    project.run(&["copy", "--no-verify", "--set-aside"]).expect(0);
    let code = project.run(&["verify", "--certificate", "certificate.json"]).code;
    assert!(code == 0 || code == 3, "{code}");
    Some(project)
}

fn check(project: &Project, more: &[&str]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/check_certificate.py");
    let mut command = Command::new("python3");
    command.current_dir(project.folder.path()).arg(script).arg("certificate.json").args(more);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.err, "");
    (ran.code, ran.out)
}

#[test]
fn the_script_agrees_with_the_certificate() {
    let odd: &[(&str, &[u8])] = &[
        ("u_bela/torn.json", b"{\"id\": \"torn"),
        ("readme.txt", b"no place matches this"),
        ("u_bela/\u{f7e9} \u{fc}\n\t\"x\".json", b"[]"),
    ];
    let Some(project) = certified(odd) else { return };
    let (code, out) = check(&project, &["data"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("All the same: 26 objects, root "), "{out}");
    let root = project.run(&["verify", "--json"]).expect(3).result()["root"].as_str().unwrap().to_owned();
    assert!(out.contains(&root), "{out}");
    project.run(&["export", "back"]).expect(0);
    assert_eq!(check(&project, &["back", "--exported"]).0, 0);
    assert_eq!(check(&project, &["back"]).0, 1, "without --exported a file is missing");
}

#[test]
fn names_that_are_no_utf8_are_found() {
    if !python() {
        return;
    }
    let project = Project::app("council", Database::Sqlite);
    let name: std::ffi::OsString =
        std::os::unix::ffi::OsStringExt::from_vec(b"data/u_bela/latin-\xe9.json".to_vec());
    std::fs::write(project.folder.join(name), b"{}").unwrap();
    project.run(&["copy", "--no-verify", "--set-aside"]).expect(0);
    project.run(&["verify", "--certificate", "certificate.json"]).expect(0);
    let (code, out) = check(&project, &["data"]);
    assert_eq!(code, 0, "{out}");
}

fn differs(change: impl Fn(&TempTree), named: &str) {
    let Some(project) = certified(&[]) else { return };
    assert_eq!(check(&project, &["data"]).0, 0);
    change(&project.folder);
    let (code, out) = check(&project, &["data"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(named), "{named} is not named in {out}");
}

fn edit(folder: &TempTree, path: &str, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(folder.join(path)).unwrap();
    change(&mut bytes);
    std::fs::write(folder.join(path), bytes).unwrap();
}

#[test]
fn one_other_bit_in_a_file_is_named() {
    differs(
        |folder| edit(folder, "data/u_bela/usage.json", |bytes| bytes[20] ^= 1),
        "'u_bela/usage.json': has other bytes",
    );
}

#[test]
fn a_file_more_or_less_is_named() {
    differs(
        |folder| folder.write("data/new.json", "{}"),
        "'new.json': is in the folder and not in the certificate",
    );
    let remove = |folder: &TempTree| std::fs::remove_file(folder.join("data/u_anna/usage.json")).unwrap();
    differs(remove, "'u_anna/usage.json': is not in the folder");
}

#[test]
fn a_changed_list_is_noticed() {
    let list = "certificate.json.objects";
    let shorten = |bytes: &mut Vec<u8>| {
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        bytes.drain(..=end);
    };
    differs(|folder| edit(folder, list, shorten), "root: the certificate says");
    // a file and its line changed together still meet the root
    let both = |folder: &TempTree| {
        edit(folder, list, |bytes| bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' });
    };
    differs(both, "has other bytes");
}

#[test]
fn a_changed_certificate_is_noticed() {
    let change = |folder: &TempTree| {
        edit(folder, "certificate.json", |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            *bytes = text.replace("\"moved\": 23", "\"moved\": 22").into_bytes();
        });
    };
    differs(change, "moved: the certificate says 22, found 23");
}
