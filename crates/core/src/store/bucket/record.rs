//! What stands in the journal: one unit of work that is being done, or that nothing is. As text with lengths, and the
//! bodies as they are.

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::store::etag::ETag;

const HEAD: &str = "repot-journal 1";

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing is being done. Named after the unit before, so that no two of these records are the same.
    Idle(String),
    /// This is decided, and done in part.
    Unit(Unit),
}

/// Writes that are decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Which no other unit has.
    pub(super) id: String,
    /// In the order in which they are done: new objects first, since those alone can be refused.
    pub(super) steps: Vec<Step>,
}

/// One object that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: String,
    /// The state it is in before; `None`: it is not there.
    pub(super) before: Option<ETag>,
    /// What it is after; `None`: it is gone.
    pub(super) after: Option<Bytes>,
}

impl Record {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Idle(id) => out.extend(format!("{HEAD}\nidle {id}\n").into_bytes()),
            Self::Unit(Unit { id, steps }) => {
                out.extend(format!("{HEAD}\nunit {id} {}\n", steps.len()).into_bytes());
                for Step { path, before, after } in steps {
                    let before = before.as_ref().map(ETag::as_str);
                    let length =
                        |bytes: Option<usize>| bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
                    let (etag, body) = (length(before.map(str::len)), length(after.as_ref().map(Bytes::len)));
                    out.extend(format!("{} {etag} {body}\n", path.len()).into_bytes());
                    out.extend(path.as_bytes());
                    out.extend(before.unwrap_or_default().as_bytes());
                    out.extend(after.as_deref().unwrap_or_default());
                    out.push(b'\n');
                }
            }
        }
        out.into()
    }

    /// # Errors
    /// [`Kind::Corrupt`], code `R0415`, when it is none.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self> {
        read(bytes).ok_or_else(|| {
            Error::new(Kind::Corrupt, "R0415", "what stands in the recovery journal is no record of it")
                .hint("Something else wrote there, or a newer Repot: use that one, or another place for the journal.")
        })
    }
}

fn read(bytes: &Bytes) -> Option<Record> {
    let mut rest = bytes.clone();
    if line(&mut rest)? != HEAD {
        return None;
    }
    let what = line(&mut rest)?;
    let mut words = what.split(' ');
    let record = match (words.next()?, words.next()?, words.next()) {
        ("idle", id, None) => Record::Idle(id.to_owned()),
        ("unit", id, Some(count)) => {
            let count: usize = count.parse().ok()?;
            let steps = (0..count).map(|_| step(&mut rest)).collect::<Option<_>>()?;
            Record::Unit(Unit { id: id.to_owned(), steps })
        }
        _ => return None,
    };
    rest.is_empty().then_some(record)
}

fn step(rest: &mut Bytes) -> Option<Step> {
    let lengths = line(rest)?;
    let mut lengths = lengths.split(' ');
    let path = text(&take(rest, lengths.next()?.parse().ok()?)?)?;
    let mut part = || {
        let length = lengths.next()?;
        if length == "-" { Some(None) } else { take(rest, length.parse().ok()?).map(Some) }
    };
    let before = part()?;
    let after = part()?;
    let before = match before {
        Some(etag) => Some(ETag::new(&text(&etag)?)),
        None => None,
    };
    (lengths.next().is_none() && take(rest, 1)? == "\n").then_some(Step { path, before, after })
}

fn line(rest: &mut Bytes) -> Option<String> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = take(rest, end + 1)?;
    text(&line[..end])
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::{ETag, Record, Step, Unit};

    #[test]
    fn what_was_written_down_is_read_and_nothing_else() {
        let steps = vec![
            Step { path: "a\nb.json".into(), before: None, after: Some("{}\n\u{0} \u{e9}".into()) },
            Step { path: String::new(), before: Some(ETag::new("e 1")), after: Some("".into()) },
            Step { path: "c".into(), before: Some(ETag::new("")), after: None },
        ];
        let unit = Record::Unit(Unit { id: "7".into(), steps });
        for record in [Record::Idle("x".into()), unit, Record::Unit(Unit { id: "8".into(), steps: vec![] })] {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes).unwrap(), record);
            for end in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes.slice(..end)).unwrap_err().code(), "R0415");
            }
            assert!(Record::decode(&[&bytes[..], b" "].concat().into()).is_err());
        }
    }
}
