//! The frame of an object that holds many documents: the bytes before, between and after them, so that the
//! object comes back whole.

use repot_core::{Error, Kind, Result};
use sha2::{Digest as _, Sha256};

/// Begins a frame whose gaps have counts: no length is written so.
const COUNTED: [u8; 2] = [0x80, 0x00];
/// Begins what stands in the place of an object's hash when only its frame and each document by itself have one.
const BY_PARTS: u8 = 1;

/// Encodes the gaps around documents that stand at `spans` (ascending, not overlapping) in `bytes`.
pub(crate) fn encode(bytes: &[u8], spans: impl Iterator<Item = std::ops::Range<usize>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for span in spans {
        push(&mut out, bytes.get(at..span.start).unwrap_or_default());
        at = span.end;
    }
    push(&mut out, bytes.get(at..).unwrap_or_default());
    out
}

/// Encodes gaps; a gap that stands several times in a row stands once, so that a list of many documents has a
/// frame of some bytes.
pub(crate) fn encode_gaps(gaps: &[Vec<u8>]) -> Vec<u8> {
    let mut out = COUNTED.to_vec();
    for run in gaps.chunk_by(|one, next| one == next) {
        let Some(gap) = run.first() else { continue };
        push(&mut out, gap);
        number(&mut out, run.len());
    }
    out
}

fn push(out: &mut Vec<u8>, gap: &[u8]) {
    number(out, gap.len());
    out.extend_from_slice(gap);
}

fn number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// The gaps of an encoded frame, in order: one more than there are documents.
pub(crate) fn decode(frame: &[u8]) -> Result<Vec<&[u8]>> {
    let mut gaps = Vec::new();
    let counted = frame.strip_prefix(&COUNTED);
    let mut rest = counted.unwrap_or(frame);
    while !rest.is_empty() {
        let length = take(&mut rest)?;
        let (gap, tail) = rest.split_at_checked(length).ok_or_else(damaged)?;
        rest = tail;
        let count = if counted.is_some() { take(&mut rest)? } else { 1 };
        if count > u32::MAX as usize {
            return Err(damaged());
        }
        gaps.extend(std::iter::repeat_n(gap, count));
    }
    Ok(gaps)
}

fn damaged() -> Error {
    Error::new(Kind::Corrupt, "R0803", "the stored frame of an object is damaged")
}

fn take(rest: &mut &[u8]) -> Result<usize> {
    let (mut number, mut shift) = (0_usize, 0);
    loop {
        let (&byte, tail) = rest.split_first().ok_or_else(damaged)?;
        *rest = tail;
        number |= usize::from(byte & 0x7f).checked_shl(shift).ok_or_else(damaged)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
}

/// What stands in the place of the hash of an object of which one document was written: its frame's hash. The documents
/// are proved by their `ETag`s. The hash of the whole would cost reading all of them for each write.
pub(crate) fn hash_by_parts(frame: Option<&[u8]>) -> Vec<u8> {
    let mut out = vec![BY_PARTS];
    out.extend(Sha256::digest(frame.unwrap_or_default()));
    out
}

/// Whether this stands in the place of an object's hash.
pub(crate) fn is_by_parts(sha256: &[u8]) -> bool {
    sha256.len() == 33 && sha256.first() == Some(&BY_PARTS)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encode_gaps, hash_by_parts, is_by_parts};

    #[test]
    fn gaps_come_back() {
        let long = vec![b' '; 300];
        let text = [b"[\n".as_slice(), b"{}", &long, b"{}", b"\n]"].concat();
        let frame = encode(&text, [2..4, 304..306].into_iter());
        assert_eq!(decode(&frame).unwrap(), [b"[\n".as_slice(), &long, b"\n]"]);
        assert!(decode(&frame[..frame.len() - 1]).is_err());
        assert_eq!(decode(&encode(b"", std::iter::empty())).unwrap(), [b"".as_slice()]);
    }

    #[test]
    fn many_equal_gaps_take_few_bytes() {
        let mut gaps = vec![b",\n  ".to_vec(); 100_000];
        gaps[0] = b"[\n  ".to_vec();
        gaps.push(b"\n]\n".to_vec());
        let frame = encode_gaps(&gaps);
        assert!(frame.len() < 40, "{}", frame.len());
        assert_eq!(decode(&frame).unwrap(), gaps);
        assert!(decode(&frame[..frame.len() - 1]).is_err());
        for few in [vec![Vec::new()], vec![Vec::new(), b"\n".to_vec()], vec![vec![b'x'; 200]; 3]] {
            assert_eq!(decode(&encode_gaps(&few)).unwrap(), few);
        }
    }

    #[test]
    fn a_hash_by_parts_is_no_hash() {
        assert!(is_by_parts(&hash_by_parts(None)) && !is_by_parts(&[1; 32]) && !is_by_parts(b""));
        assert_ne!(hash_by_parts(Some(b"a")), hash_by_parts(Some(b"b")));
    }
}
