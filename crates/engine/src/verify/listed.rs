//! What a proof covered, object by object, in the state that was proved.

use std::collections::VecDeque;

use repot_core::{Reader, Result, Status, StoredObject, Target};
use sha2::{Digest as _, Sha256};

use super::verifier::{Proof, Verify};
use crate::frame;
use crate::route::Routes;
use crate::stored::{assemble, each_whole};
use crate::text::Unpacker;

/// Objects, and paths with changes beside their text, read at once.
const PAGE: usize = 1_024;

/// An object that was proved, as it would be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedObject {
    /// Its path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: Vec<u8>,
}

impl Verify<'_> {
    /// Verifies everything, and shows `each`, in path order, what was proved, where the proof holds.
    ///
    /// # Errors
    /// As [`Verify::run`], or when `each` fails.
    pub fn run_listing(
        &self,
        target: &dyn Target,
        each: &mut dyn FnMut(ProvedObject) -> Result<()>,
    ) -> Result<Proof> {
        let routes = Routes::new(self.model, self.plan)?;
        let mut readers = target.reader_pair()?;
        let proof = self.everything(&mut readers, &routes, &mut |_| Ok(()))?;
        if proof.holds() {
            // the same state: what was written since is not seen
            let [reader, _] = &mut readers;
            list(reader.as_mut(), each)?;
        }
        Ok(proof)
    }
}

fn list(reader: &mut dyn Reader, each: &mut dyn FnMut(ProvedObject) -> Result<()>) -> Result<()> {
    let mut unpacker = Unpacker::new(&reader.dictionaries()?)?;
    let (mut kept, mut kept_after) = (VecDeque::new(), Some(String::new()));
    let mut after: Option<String> = None;
    loop {
        let page = reader.objects(after.as_deref(), PAGE, true)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.record.path.clone());
        for object in page {
            if !matches!(object.record.status, Status::Moved | Status::SetAside) {
                continue;
            }
            let path = object.record.path.as_str();
            let is_kept = is_among(reader, (&mut kept, &mut kept_after), path)?;
            // the hash that was proved is of the whole, unless there is more beside it
            if is_kept || frame::is_by_parts(&object.record.sha256) {
                each(whole(reader, object, &mut unpacker)?)?;
            } else {
                let StoredObject { record, .. } = object;
                each(ProvedObject { path: record.path, size: record.size, sha256: record.sha256 })?;
            }
        }
    }
}

/// Whether changes are kept beside the text of the object at this path, which comes after those that were asked for.
fn is_among(
    reader: &mut dyn Reader,
    (kept, after): (&mut VecDeque<String>, &mut Option<String>),
    path: &str,
) -> Result<bool> {
    loop {
        match (kept.front(), after.as_deref()) {
            (Some(own), _) if own.as_str() < path => {
                kept.pop_front();
            }
            (Some(own), _) => return Ok(own == path),
            (None, None) => return Ok(false),
            (None, Some(last)) => {
                *kept = reader.kept(last, PAGE)?.into();
                *after = kept.back().cloned();
            }
        }
    }
}

/// An object as it would be exported.
fn whole(reader: &mut dyn Reader, object: StoredObject, unpacker: &mut Unpacker) -> Result<ProvedObject> {
    let (path, mut found) = (object.record.path.clone(), None);
    each_whole(reader, vec![object], &mut |whole| {
        found = Some(assemble(&whole, unpacker)?.bytes);
        Ok(())
    })?;
    let bytes = found.unwrap_or_default();
    Ok(ProvedObject { path, size: bytes.len() as u64, sha256: Sha256::digest(&bytes).to_vec() })
}
