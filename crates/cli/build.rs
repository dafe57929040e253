//! Puts the files of apps/council/data into the program, for `repot demo`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/council/data");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let mut text =
        String::from("/// Path and bytes of each file of the sample.\nconst SAMPLE: &[(&str, &[u8])] = &[\n");
    for file in files {
        let path = file.strip_prefix(&root).expect("the walk began there");
        writeln!(text, "    ({path:?}, include_bytes!({file:?})),").expect("a String takes everything");
    }
    text.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("sample.rs");
    std::fs::write(out, text).expect("the build directory can be written");
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("apps/council/data is part of the project");
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}
