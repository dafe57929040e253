//! A receipt as it is written: parts of many lines each, one after the other, and a list of the parts last. Whatever is there
//! without the list, or with a list that the database does not name, is left by who died, and means nothing.

use repot_core::store::Precondition;
use repot_core::{Result, hex};
use repot_json::edit::quote;
use repot_model::plan::time::utc_text;
use sha2::{Digest as _, Sha256};

use super::super::member::Moving;
use super::left::LeftSource;
use super::lines::{push, push_hash};

/// Lines of one part at the most, and bytes after which a part ends.
const LINES_MAX: u64 = 50_000;
const BYTES_MAX: usize = 8 << 20;
/// The list of the parts: the object whose hash the database has.
pub(super) const LIST: &str = "all.sha256";
/// What people read first.
const HEADING: &str = "receipt.json";

/// What a receipt is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The app's name.
    pub app: String,
    /// The source, without secrets.
    pub source: String,
    /// The database, without secrets.
    pub database: String,
    /// When the database was proved, milliseconds since 1970.
    pub at_ms: i64,
    /// Until when the source is kept, milliseconds since 1970.
    pub kept_until_ms: i64,
}

/// An object of a receipt, to be written beside the old store: path and content.
pub type Written = (String, Vec<u8>);

/// A receipt that was written, for the end of the move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) left: LeftSource,
}

impl Receipt {
    /// How many objects it names, and how many bytes they have.
    #[must_use]
    pub const fn counted(&self) -> (u64, u64) {
        (self.left.objects, self.left.bytes)
    }
}

/// A receipt that is being written. What it holds at once is bounded by one part.
#[derive(Debug)]
pub struct ReceiptDraft {
    folder: String,
    part: u32,
    lines: u64,
    hashes: Vec<u8>,
    sizes: Vec<u8>,
    list: Vec<u8>,
    objects: u64,
    bytes: u64,
}

impl ReceiptDraft {
    /// In this folder, which nobody else has: a path ending in `/`.
    pub(super) fn new(folder: String) -> Self {
        let (hashes, sizes, list) = (Vec::new(), Vec::new(), Vec::new());
        Self { folder, part: 1, lines: 0, hashes, sizes, list, objects: 0, bytes: 0 }
    }

    /// Names an object, in byte order of the path; gives what is to be written before the next one.
    #[must_use = "what is full is to be written"]
    pub fn add(&mut self, path: &str, size_bytes: u64, sha256: &[u8]) -> Vec<Written> {
        push_hash(&mut self.hashes, sha256, path);
        push(&mut self.sizes, &size_bytes.to_string(), path);
        self.lines += 1;
        self.objects += 1;
        self.bytes += size_bytes;
        let is_full = self.lines >= LINES_MAX || self.hashes.len() >= BYTES_MAX;
        if is_full { self.close() } else { Vec::new() }
    }

    /// Ends a part.
    fn close(&mut self) -> Vec<Written> {
        if self.lines == 0 {
            return Vec::new();
        }
        let number = self.part;
        (self.part, self.lines) = (number + 1, 0);
        let (hashes, sizes) = (std::mem::take(&mut self.hashes), std::mem::take(&mut self.sizes));
        vec![
            self.listed(&format!("{number:06}.sha256"), hashes),
            self.listed(&format!("{number:06}.sizes"), sizes),
        ]
    }

    fn listed(&mut self, name: &str, content: Vec<u8>) -> Written {
        push_hash(&mut self.list, &Sha256::digest(&content), name);
        (format!("{}{name}", self.folder), content)
    }

    /// The end: what is to be written, in this order, and the receipt.
    #[must_use]
    pub fn end(mut self, about: &About) -> (Vec<Written>, Receipt) {
        let mut written = self.close();
        let heading = self.heading(about);
        written.push(self.listed(HEADING, heading));
        let list = std::mem::take(&mut self.list);
        let left = LeftSource::new(
            (self.folder.clone(), Sha256::digest(&list).into()),
            (about.at_ms, about.kept_until_ms),
            (self.objects, self.bytes),
        );
        written.push((format!("{}{LIST}", self.folder), list));
        (written, Receipt { left })
    }

    fn heading(&self, about: &About) -> Vec<u8> {
        let About { app, source, database, at_ms, kept_until_ms } = about;
        let line = |name: &str, value: String| format!("  {}: {value}", quote(name));
        let lines = [
            line("format", "1".to_owned()),
            line("app", quote(app)),
            line("source", quote(source)),
            line("database", quote(database)),
            line("proved", quote(&utc_text(*at_ms))),
            line("kept_until", quote(&utc_text(*kept_until_ms))),
            line("objects", self.objects.to_string()),
            line("bytes", self.bytes.to_string()),
        ];
        format!("{{\n{}\n}}\n", lines.join(",\n")).into_bytes()
    }
}

/// Objects listed at once.
const LISTED: usize = 1_000;

impl Moving {
    /// Begins a receipt, in a folder of its own: two who end a move at the same time do not meet.
    #[must_use]
    pub fn draft(&self) -> ReceiptDraft {
        let (at_ms, nonce) = (self.clock.now_ms(), hex(&self.pacing.random().to_be_bytes()));
        ReceiptDraft::new(format!("{}{at_ms}-{nonce}/", self.sides.beside.finished()))
    }

    /// Writes what a receipt consists of beside the old store; durable when it returns.
    ///
    /// # Errors
    /// When the old store is out of reach.
    pub async fn write_down(&self, written: Vec<Written>) -> Result<()> {
        for (path, content) in written {
            self.sides.beside.objects().put(&path, content.into(), &Precondition::Any, None).await?;
        }
        Ok(())
    }

    /// Removes receipts that nobody needs: those of ends that were given up, or died. All but this one.
    ///
    /// # Errors
    /// When the old store is out of reach.
    pub async fn forget_receipts(&self, but: Option<&Receipt>) -> Result<()> {
        let (objects, folder) = (self.sides.beside.objects(), self.sides.beside.finished());
        let mut after: Option<String> = None;
        loop {
            let page = objects.list(&folder, after.as_deref(), LISTED).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.path.clone());
            for meta in page {
                if but.is_none_or(|but| !meta.path.starts_with(&but.left.folder)) {
                    objects.delete(&meta.path, &Precondition::Any, None).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::read;
    use super::{About, LINES_MAX, ReceiptDraft, Sha256};
    use sha2::Digest as _;

    #[test]
    fn parts_are_bounded_and_the_list_names_them_all() {
        let mut draft = ReceiptDraft::new(".repot/finished/1/".to_owned());
        let mut written = Vec::new();
        for number in 0..=LINES_MAX {
            written.extend(draft.add(&format!("notes/{number:09}.json"), 3, &[7; 32]));
        }
        assert_eq!(written.len(), 2, "a full part is given away");
        let about = About {
            app: "a \"quoted\" app".to_owned(),
            source: "./data".to_owned(),
            database: "sqlite:///a.db".to_owned(),
            at_ms: 1_000,
            kept_until_ms: 2_000,
        };
        let (rest, receipt) = draft.end(&about);
        written.extend(rest);
        assert_eq!(receipt.counted(), (LINES_MAX + 1, 3 * (LINES_MAX + 1)));
        let (path, list) = written.pop().unwrap();
        assert_eq!(path, ".repot/finished/1/all.sha256");
        assert_eq!(receipt.left.sha256, <[u8; 32]>::from(Sha256::digest(&list)));
        let listed = read(&list).unwrap();
        assert_eq!(listed.len(), written.len());
        for (line, (path, content)) in listed.iter().zip(&written) {
            assert_eq!(format!(".repot/finished/1/{}", line.path), *path);
            assert_eq!(line.sha256, <[u8; 32]>::from(Sha256::digest(content)));
        }
        let heading = String::from_utf8(written.last().unwrap().1.clone()).unwrap();
        assert!(heading.contains(r#""app": "a \"quoted\" app""#), "{heading}");
        let names: Vec<&str> = listed.iter().map(|line| line.path.as_str()).collect();
        let wanted = ["000001.sha256", "000001.sizes", "000002.sha256", "000002.sizes", "receipt.json"];
        assert_eq!(names, wanted);
        assert_eq!(read(&written[0].1).unwrap().len() as u64, LINES_MAX);
    }
}
