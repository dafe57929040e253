//! Records that are written once and then read in their order any number of times. Few stay in memory, more go
//! into a file without a name, which the system drops with the process, however that ends.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use repot_core::{Error, Kind, Result};
use tempfile::SpooledTempFile;
use zstd::bulk::{Compressor, Decompressor};

/// Packed bytes that stay in memory.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Records are packed together until they are this long: small ones alone would hardly shrink.
const BLOCK_BYTES: usize = 1 << 20;
/// The fastest: what is packed here is unpacked a few times and forgotten.
const LEVEL: i32 = 1;

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'r> {
    /// What the body is, as the writer counts.
    pub(crate) tag: u8,
    pub(crate) path: &'r str,
    pub(crate) body: &'r [u8],
}

/// Records, packed. A block is its packed and its plain length (8 bytes each) and a zstd frame of whole records.
pub(crate) struct Spool<F = SpooledTempFile> {
    store: F,
    folder: PathBuf,
    plain: Vec<u8>,
    packed: Vec<u8>,
    packer: Compressor<'static>,
}

impl<F> fmt::Debug for Spool<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Spool {
    /// Nothing yet. `folder` is where the file is made, once one is needed.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        Self::over(tempfile::spooled_tempfile_in(MEMORY_BYTES_MAX, folder), folder)
    }
}

impl<F: Read + Write + Seek> Spool<F> {
    fn over(store: F, folder: &Path) -> Result<Self> {
        let packer = Compressor::new(LEVEL).map_err(|error| unwritten(folder, error))?;
        Ok(Self { store, folder: folder.to_owned(), plain: Vec::new(), packed: Vec::new(), packer })
    }

    /// Appends a record.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> Result<()> {
        self.plain.push(record.tag);
        for length in [record.path.len(), record.body.len()] {
            self.plain.extend_from_slice(&(length as u64).to_le_bytes());
        }
        self.plain.extend_from_slice(record.path.as_bytes());
        self.plain.extend_from_slice(record.body);
        if self.plain.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.write_block().map_err(|error| unwritten(&self.folder, error))
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        self.packer.compress_to_buffer(&self.plain, &mut self.packed)?;
        for length in [self.packed.len(), self.plain.len()] {
            self.store.write_all(&(length as u64).to_le_bytes())?;
        }
        self.store.write_all(&self.packed)?;
        self.plain.clear();
        Ok(())
    }

    /// All records are written: from now on they are read.
    pub(crate) fn finish(mut self) -> Result<Spooled<F>> {
        if !self.plain.is_empty() {
            self.flush()?;
        }
        Ok(Spooled { store: self.store, folder: self.folder })
    }
}

/// A finished [`Spool`].
pub(crate) struct Spooled<F = SpooledTempFile> {
    store: F,
    folder: PathBuf,
}

impl<F> fmt::Debug for Spooled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<F: Read + Seek> Spooled<F> {
    /// Calls `each` with every record, in the order they were written, until one of the calls fails.
    pub(crate) fn each(&mut self, each: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        let unread = |error| unread(&self.folder, error);
        self.store.seek(SeekFrom::Start(0)).map_err(unread)?;
        let mut unpacker = Decompressor::new().map_err(unread)?;
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        while let Some(length) = read_length(&mut self.store).map_err(unread)? {
            let plain_length = read_length(&mut self.store).map_err(unread)?.unwrap_or(0);
            packed.resize(length, 0);
            self.store.read_exact(&mut packed).map_err(unread)?;
            plain.clear();
            plain.reserve(plain_length);
            unpacker.decompress_to_buffer(&packed, &mut plain).map_err(unread)?;
            let mut rest = plain.as_slice();
            while !rest.is_empty() {
                let record = take_record(&mut rest);
                each(record.ok_or_else(|| unread(io::ErrorKind::InvalidData.into()))?)?;
            }
        }
        Ok(())
    }
}

/// A length, or nothing at the end.
fn read_length(store: &mut impl Read) -> io::Result<Option<usize>> {
    let mut bytes = Vec::with_capacity(8);
    store.take(8).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some(bytes) = bytes.first_chunk() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    usize::try_from(u64::from_le_bytes(*bytes)).map(Some).map_err(io::Error::other)
}

fn take_record<'r>(rest: &mut &'r [u8]) -> Option<Record<'r>> {
    let tag = *rest.split_off_first()?;
    let mut length = || {
        let (bytes, more) = rest.split_first_chunk::<8>()?;
        *rest = more;
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let (path, body) = (length()?, length()?);
    let path = std::str::from_utf8(rest.split_off(..path)?).ok()?;
    Some(Record { tag, path, body: rest.split_off(..body)? })
}

fn unwritten(folder: &Path, error: io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let what = if full { "is full" } else { "cannot be written" };
    Error::new(Kind::Failed, "R0119", format!("the temporary folder {} {what}", folder.display()))
        .hint(
            "What is read is kept there, packed, until the model is made. Make space, or set TMPDIR to a folder \
             with enough of it, and run the same command again.",
        )
        .cause(error)
}

fn unread(folder: &Path, error: io::Error) -> Error {
    let folder = folder.display();
    Error::new(
        Kind::Failed,
        "R0119",
        format!("what was written to the temporary folder {folder} cannot be read"),
    )
    .hint("Look at the disk, or set TMPDIR to a folder on another one, and run the same command again.")
    .cause(error)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Takes so many bytes and is full then.
    struct Small(Cursor<Vec<u8>>, usize);

    impl Read for Small {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.get_ref().len() + bytes.len() > self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Bytes that do not shrink.
    fn noise(length: usize, mut seed: u64) -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn records() -> Vec<(u8, String, Vec<u8>)> {
        let lengths = (0..2_000).map(|at| at % 70).chain([0, BLOCK_BYTES, 1, 3 * BLOCK_BYTES + 7, 0, 5]);
        let one = |(at, length): (u64, usize)| {
            ((at % 3) as u8, format!("größe/{at}.json").repeat(length % 3), noise(length, at))
        };
        (0..).zip(lengths).map(one).collect()
    }

    fn filled<F: Read + Write + Seek>(mut spool: Spool<F>, times: usize) -> Result<Spooled<F>> {
        for _ in 0..times {
            for (tag, path, body) in &records() {
                spool.push(&Record { tag: *tag, path, body })?;
            }
        }
        spool.finish()
    }

    fn all<F: Read + Seek>(spool: &mut Spooled<F>) -> Vec<(u8, String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut keep = |record: Record<'_>| {
            found.push((record.tag, record.path.to_owned(), record.body.to_vec()));
            Ok(())
        };
        spool.each(&mut keep).unwrap();
        found
    }

    #[test]
    fn records_come_back_in_memory_and_from_a_file_that_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        for (times, in_file) in [(0, false), (1, false), (3, true)] {
            let mut spool = filled(Spool::new(folder.path()).unwrap(), times).unwrap();
            assert_eq!(spool.store.is_rolled(), in_file, "{times}");
            let expected: Vec<_> = (0..times).flat_map(|_| records()).collect();
            assert!(all(&mut spool) == expected && all(&mut spool) == expected, "{times}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a kill would leave it behind");
        }
    }

    #[test]
    fn a_full_or_missing_folder_is_named_with_what_to_do() {
        let small = Small(Cursor::default(), 4 << 20);
        let full = filled(Spool::over(small, Path::new("/some/where")).unwrap(), 3).unwrap_err();
        assert_eq!((full.code(), full.message()), ("R0119", "the temporary folder /some/where is full"));
        assert!(full.next_step().unwrap().contains("set TMPDIR to a folder"), "{full:?}");
        let nowhere = tempfile::tempdir().unwrap().path().join("none");
        filled(Spool::new(&nowhere).unwrap(), 1).unwrap();
        let missing = filled(Spool::new(&nowhere).unwrap(), 3).unwrap_err();
        assert_eq!(missing.code(), "R0119");
        assert_eq!(
            missing.message(),
            format!("the temporary folder {} cannot be written", nowhere.display())
        );
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        let memory = Cursor::new(Vec::new());
        let mut spool = filled(Spool::over(memory, Path::new("/some/where")).unwrap(), 1).unwrap();
        let whole = spool.store.get_ref().clone();
        for cut in [1, 8, 15, 16, 17, whole.len() - 1] {
            spool.store = Cursor::new(whole.get(..cut).unwrap().to_vec());
            assert_eq!(spool.each(&mut |_| Ok(())).unwrap_err().code(), "R0119", "{cut}");
        }
    }
}
