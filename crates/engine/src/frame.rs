//! The frame of an object that holds many documents: the bytes before, between and after them, so that the
//! object comes back whole.

use repot_core::{Error, Kind, Result};

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

fn push(out: &mut Vec<u8>, gap: &[u8]) {
    let mut length = gap.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(gap);
}

/// The gaps of an encoded frame, in order: one more than there are documents.
pub(crate) fn decode(frame: &[u8]) -> Result<Vec<&[u8]>> {
    let damaged = || Error::new(Kind::Corrupt, "R0803", "the stored frame of an object is damaged");
    let mut gaps = Vec::new();
    let mut rest = frame;
    while !rest.is_empty() {
        let mut length = 0_usize;
        let mut shift = 0;
        loop {
            let (&byte, tail) = rest.split_first().ok_or_else(damaged)?;
            rest = tail;
            length |= usize::from(byte & 0x7f).checked_shl(shift).ok_or_else(damaged)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (gap, tail) = rest.split_at_checked(length).ok_or_else(damaged)?;
        gaps.push(gap);
        rest = tail;
    }
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn gaps_come_back() {
        let long = vec![b' '; 300];
        let text = [b"[\n".as_slice(), b"{}", &long, b"{}", b"\n]"].concat();
        let frame = encode(&text, [2..4, 304..306].into_iter());
        assert_eq!(decode(&frame).unwrap(), [b"[\n".as_slice(), &long, b"\n]"]);
        assert!(decode(&frame[..frame.len() - 1]).is_err());
        assert_eq!(decode(&encode(b"", std::iter::empty())).unwrap(), [b"".as_slice()]);
    }
}
