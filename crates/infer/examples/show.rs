//! Prints the model inferred for a folder: `cargo run -p repot-infer --example show -- DIR`.

use std::path::{Path, PathBuf};

use repot_infer::{Corpus, Options, infer};
use repot_model::language::{check, print_with_header};

struct Folder(PathBuf);

fn walk(dir: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, out)? } else { out.push(path) }
    }
    Ok(())
}

impl Folder {
    fn files(&self) -> std::io::Result<Vec<(String, PathBuf)>> {
        let mut out = Vec::new();
        walk(&self.0, &mut out)?;
        Ok(out
            .into_iter()
            .filter_map(|path| Some((path.strip_prefix(&self.0).ok()?.to_str()?.to_owned(), path)))
            .collect())
    }
}

impl Corpus for Folder {
    type Error = std::io::Error;

    fn paths(&self, each: &mut dyn FnMut(&str, u64)) -> std::io::Result<()> {
        for (name, path) in self.files()? {
            each(&name, path.metadata()?.len());
        }
        Ok(())
    }

    fn contents(&self, each: &mut dyn FnMut(&str, Result<&[u8], &str>)) -> std::io::Result<()> {
        for (name, path) in self.files()? {
            match std::fs::read(path) {
                Ok(bytes) => each(&name, Ok(&bytes)),
                Err(error) => each(&name, Err(&error.to_string())),
            }
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "an example for people")]
fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let inferred = infer(&Folder(PathBuf::from(&dir)), &Options::new("./data"))?;
    for found in &inferred.found {
        println!(
            "{:<28} {:>8} {:<5} {}",
            found.collection,
            found.count,
            if found.files { "files" } else { "rows" },
            found.place
        );
    }
    for notice in &inferred.notices {
        println!("! {notice}");
    }
    for problem in check(&inferred.model, "repot.toml") {
        println!("{problem}");
    }
    println!("\n{}", print_with_header(&inferred.model, &inferred.header.join("\n")));
    for (collection, lines) in inferred.comments.iter().filter(|(_, lines)| lines.len() > 1) {
        println!("# {collection}: {}", lines.join("; "));
    }
    Ok(())
}
