//! Every real data set through init (without hints), copy, verify and export, on both databases.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use repot_testkit::{assert_same_trees, shared_data};

use crate::project::{Project, databases};

fn round_trip(source: &Path) {
    for database in databases() {
        let project = Project::new(database);
        let name = source.to_str().unwrap();
        project.run(&["init", name]).expect(0);
        let copied = project.run(&["copy", "--json", "--set-aside"]).expect(0).result();
        let count = |name: &str| copied[name].as_u64().unwrap();
        assert_eq!(
            count("moved") + count("set_aside") + count("unmatched") + count("stays"),
            count("listed")
        );
        assert_eq!(count("unmatched"), 0, "init covers every file: {copied}");
        assert_eq!(copied["proved"], copied["objects_checked"]);
        project.run(&["export", "back"]).expect(0);
        assert_same_trees(source, &project.path("back"));
    }
}

fn set(folder: &str) {
    if let Some(data) = shared_data() {
        round_trip(&data.join(folder));
    }
}

macro_rules! sets {
    ($($name:ident: $folder:literal,)*) => {
        $(#[test] fn $name() { set($folder); })*
    };
}

sets! {
    chats_data: "chats/data",
    chats_native: "chats/native",
    chats_trajectories: "chats/trajectories",
    compat_small: "compat/bcd-small",
    dramas_bucket: "dramas/bucket",
    dramas_native: "dramas/native",
    everything_as_one_tree: ".",
    i18n: "i18n/tmp",
    media_api: "media/api",
    media_library: "media/library",
    media_native: "media/native",
    tricky: "tricky",
    userdb_native: "userdb/native",
    userdb_users: "userdb/users",
}

#[test]
fn compat_packed() {
    let Some(data) = shared_data() else { return };
    let packed = std::fs::File::open(data.join("compat/bcd.tar.zst")).unwrap();
    let mut decoder = zstd::stream::read::Decoder::new(packed).unwrap();
    decoder.window_log_max(27).unwrap();
    let folder = repot_testkit::TempTree::new();
    let mut tar =
        Command::new("tar").args(["xf", "-", "-C"]).arg(folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = tar.stdin.take().unwrap();
    std::io::copy(&mut decoder, &mut input).unwrap();
    input.flush().unwrap();
    drop(input);
    assert!(tar.wait().unwrap().success());
    round_trip(folder.path());
}
