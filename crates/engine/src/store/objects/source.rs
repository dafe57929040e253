//! The objects of a database as the source of a copy.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use repot_core::store::{ObjectMeta, Objects as _};
use repot_core::{Listed, Object, Read, ReadError, Result, Source, SourceHealth};

use super::OWN;
use super::row_objects::RowObjects;
use super::view::{etag_of, is_in_pieces};
use crate::store::writing::lost;
use crate::text::Unpacker;

/// Objects listed at once.
const PAGE: usize = 1_000;
/// Pieces that wait for who takes them.
const PIECES_AHEAD: usize = 2;

/// The documents of a database, to be copied: each object is read in one state of the database.
#[derive(Debug, Clone)]
pub struct RowSource {
    objects: Arc<RowObjects>,
}

impl RowSource {
    /// The documents of this view.
    #[must_use]
    pub const fn new(objects: Arc<RowObjects>) -> Self {
        Self { objects }
    }

    fn page(&self, after: Option<&str>) -> Result<Vec<ObjectMeta>> {
        // what is beside the documents is no part of them
        wait(self.objects.list("", after, PAGE))
    }

    fn size(&self, path: &str) -> Result<u64, ReadError> {
        let listed = wait(self.objects.list(path, None, 1)).map_err(ReadError::Source)?;
        listed
            .first()
            .filter(|meta| meta.path == path)
            .map_or(Err(ReadError::Gone), |meta| Ok(meta.size_bytes))
    }
}

impl fmt::Display for RowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

fn object(meta: ObjectMeta) -> Object {
    let ObjectMeta { path, size_bytes, modified_ns, etag } = meta;
    Object { path, size: size_bytes, modified_ns, etag: etag.map(|etag| etag.as_str().to_owned()) }
}

impl Source for RowSource {
    fn check(&self) -> Result<SourceHealth> {
        wait(self.objects.probe())?;
        Ok(SourceHealth { message: format!("{self} readable"), warnings: Vec::new() })
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<Listed>> + Send + '_>> {
        let mut page = self.page(None)?.into_iter();
        let (mut last, mut ended) = (None::<String>, page.len() < PAGE);
        Ok(Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(meta) = page.next() {
                    last = Some(meta.path.clone());
                    if meta.path.starts_with(OWN) {
                        continue;
                    }
                    return Some(Ok(Listed::Object(object(meta))));
                }
                if ended {
                    return None;
                }
                match self.page(last.as_deref()) {
                    Ok(next) => {
                        ended = next.len() < PAGE;
                        page = next.into_iter();
                    }
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
            }
        })))
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Read, ReadError> {
        match wait(self.objects.view(path, bytes_max)) {
            Ok(Some(view)) => {
                let meta = view.meta(path.to_owned());
                Ok(Read { bytes: view.bytes, object: object(meta) })
            }
            Ok(None) => Err(ReadError::Gone),
            Err(error) if error.code() == "R0213" => Err(ReadError::TooLarge { size: self.size(path)? }),
            Err(error) => Err(ReadError::Source(error)),
        }
    }

    fn read_pieces(
        &self,
        path: &str,
        piece_bytes: usize,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Object, ReadError> {
        let (to, from) = sync_channel::<Vec<u8>>(PIECES_AHEAD);
        let own = path.to_owned();
        // in one state of the database, a piece at a time
        let reading = self.objects.rows.read(move |desk, layout| {
            let reader = desk.reader();
            reader.hold()?;
            let Some(stored) = reader.object(&own)? else { return Ok(None) };
            if !is_in_pieces(&stored.record) {
                let members = reader.members(&[stored.id])?;
                let Some(view) = desk.viewed(layout, stored, &members)? else { return Ok(None) };
                let meta = view.meta(own);
                let _nobody_listens = to.send(view.bytes);
                return Ok(Some(meta));
            }
            let mut unpacker = Unpacker::new(&[])?;
            reader.pieces(&own, &mut |piece| {
                let _nobody_listens = to.send(unpacker.unpack_piece(&piece.bytes)?);
                Ok(())
            })?;
            let etag = etag_of(&stored.record, std::iter::empty())?;
            let (size_bytes, modified_ns) = (stored.record.size, stored.record.modified_ns);
            Ok(Some(ObjectMeta { path: own, size_bytes, modified_ns, etag: Some(etag) }))
        });
        thread::scope(|scope| {
            let reading = scope.spawn(|| wait(reading));
            let mut failed = None;
            for piece in from {
                let mut parts = piece.chunks(piece_bytes.max(1));
                if failed.is_none() {
                    failed = parts.find_map(|part| each(part).err());
                }
            }
            let read = reading.join().unwrap_or_else(|_panic| Err(lost(path)));
            match (failed, read) {
                (Some(error), _) => Err(ReadError::Unreadable(error.to_string())),
                (None, Ok(Some(meta))) => Ok(object(meta)),
                (None, Ok(None)) => Err(ReadError::Gone),
                (None, Err(error)) => Err(ReadError::Source(error)),
            }
        })
    }
}

/// Wakes the thread that waits.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for what a store's threads answer; who copies has threads of its own, and no runtime.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let (mut answer, waker) = (pin!(answer), Waker::from(Arc::new(Waiting(thread::current()))));
    let mut context = Context::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}
