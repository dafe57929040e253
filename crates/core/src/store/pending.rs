//! Changes that are kept beside a document's text until the text is written again, so that a change of one field or one
//! element more in a list neither reads nor writes the whole document. The rows have them already; whoever reads the text
//! lays them over it, with the same result as if each had been made in the text at once.

mod at_once;

use std::collections::BTreeMap;

use bytes::Bytes;
use repot_json::edit::quote;
use repot_json::patch::{self, PatchError, Pointer};
use repot_json::{Limits, Tree};
use repot_model::plan::now_like;

use self::at_once::at_once;
use crate::error::{Error, Kind, Result};

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value at this place is this JSON text.
    Set(Pointer, Bytes),
    /// This JSON text comes last in the list at this place.
    Append(Pointer, Bytes),
    /// The time at this place is this one, microseconds since 1970-01-01T00:00:00Z, spelled like the one that was there.
    Time(Pointer, i64),
}

/// What all changes that are kept for a document come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bytes of their values.
    pub size_bytes: u64,
    /// How many of them set something; reading costs a walk over the text for each.
    pub sets: u32,
    /// Lists that grew, and their lengths.
    pub lengths: Vec<(Pointer, i64)>,
    /// Times that were set, and what the last digit of their text stands for, microseconds.
    pub times: Vec<(Pointer, i64)>,
}

const SET: u8 = 1;
const APPEND: u8 = 2;
const TIME: u8 = 3;
const TIME_TO: u8 = 4;
const MADE: u8 = 5;

/// Bytes of a kept change that say when it was made, from its first on.
pub const MADE_BYTES: usize = 9;

/// When a kept change was made, milliseconds since 1970; `None`: it does not say. Its first [`MADE_BYTES`] are enough.
#[must_use]
pub fn made_ms(change: &[u8]) -> Option<i64> {
    let (&MADE, mut rest) = change.split_first()? else { return None };
    fixed(&mut rest).map(i64::from_le_bytes)
}

/// No bounds: what is laid over a text was within them when it was accepted.
const UNBOUNDED: Limits = Limits { depth_max: usize::MAX, nodes_max: usize::MAX };

impl Step {
    /// Steps as they are stored.
    #[must_use]
    pub fn encode(steps: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        for step in steps {
            let time;
            let (tag, at, value) = match step {
                Self::Set(at, value) => (SET, at, value.as_ref()),
                Self::Append(at, value) => (APPEND, at, value.as_ref()),
                Self::Time(at, micros) => {
                    time = micros.to_le_bytes();
                    (TIME, at, time.as_slice())
                }
            };
            out.push(tag);
            put(&mut out, at.to_string().as_bytes());
            put(&mut out, value);
        }
        out
    }

    /// The same, with when they were made, milliseconds since 1970.
    #[must_use]
    pub fn encode_made(steps: &[Self], made_ms: i64) -> Vec<u8> {
        [&[MADE][..], &made_ms.to_le_bytes(), &Self::encode(steps)].concat()
    }

    /// What [`Step::encode`] or [`Step::encode_made`] stored; `None`: it is something else.
    fn decode(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut steps = Vec::new();
        if made_ms(bytes).is_some() {
            bytes = bytes.get(MADE_BYTES..)?;
        }
        while let Some((&tag, rest)) = bytes.split_first() {
            bytes = rest;
            let at = Pointer::parse(std::str::from_utf8(take(&mut bytes)?).ok()?).ok()?;
            let value = take(&mut bytes)?;
            steps.push(match tag {
                SET => Self::Set(at, Bytes::copy_from_slice(value)),
                APPEND => Self::Append(at, Bytes::copy_from_slice(value)),
                TIME => Self::Time(at, i64::from_le_bytes(value.try_into().ok()?)),
                _ => return None,
            });
        }
        Some(steps)
    }
}

impl Standing {
    /// With these steps more; lengths are told by [`Standing::set_length`], forms of times by [`Standing::set_precision`].
    pub fn add(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Append(_, value) => self.size_bytes += value.len() as u64,
                Step::Set(at, value) => {
                    self.size_bytes += value.len() as u64;
                    self.sets += 1;
                    self.times.retain(|(time, _)| time != at);
                }
                Step::Time(..) => {}
            }
        }
    }

    /// The length of a list, where it is known.
    #[must_use]
    pub fn length(&self, list: &Pointer) -> Option<i64> {
        self.lengths.iter().find(|(at, _)| at == list).map(|&(_, length)| length)
    }

    /// The list is so long now.
    pub fn set_length(&mut self, list: &Pointer, length: i64) {
        match self.lengths.iter_mut().find(|(at, _)| at == list) {
            Some(known) => known.1 = length,
            None => self.lengths.push((list.clone(), length)),
        }
    }

    /// What the last digit of the time at this place stands for, microseconds, where it is known.
    #[must_use]
    pub fn precision_us(&self, time: &[String]) -> Option<i64> {
        self.times.iter().find(|(at, _)| at.parts() == time).map(|&(_, precision_us)| precision_us)
    }

    /// The last digit of the time at this place stands for so many microseconds.
    pub fn set_precision(&mut self, time: &Pointer, precision_us: i64) {
        match self.times.iter_mut().find(|(at, _)| at == time) {
            Some(known) => known.1 = precision_us,
            None => self.times.push((time.clone(), precision_us)),
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.size_bytes.to_le_bytes());
        out.extend_from_slice(&self.sets.to_le_bytes());
        for (at, length) in &self.lengths {
            out.push(APPEND);
            put(&mut out, at.to_string().as_bytes());
            out.extend_from_slice(&length.to_le_bytes());
        }
        for (at, precision_us) in &self.times {
            out.push(TIME_TO);
            put(&mut out, at.to_string().as_bytes());
            out.extend_from_slice(&precision_us.to_le_bytes());
        }
        out
    }

    /// What [`Standing::encode`] stored; `None`: it is something else.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut standing = Self { size_bytes: u64::from_le_bytes(fixed(&mut bytes)?), ..Self::default() };
        standing.sets = u32::from_le_bytes(fixed(&mut bytes)?);
        while let Some((&tag, rest)) = bytes.split_first() {
            bytes = rest;
            let at = Pointer::parse(std::str::from_utf8(take(&mut bytes)?).ok()?).ok()?;
            match tag {
                APPEND => standing.lengths.push((at, i64::from_le_bytes(fixed(&mut bytes)?))),
                TIME_TO => standing.times.push((at, i64::from_le_bytes(fixed(&mut bytes)?))),
                _ => return None,
            }
        }
        Some(standing)
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(u64::from_le_bytes(fixed(bytes)?)).ok()?;
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_at_checked(N)?;
    *bytes = tail;
    head.try_into().ok()
}

/// The text with the changes that are kept for it, in their order, each as [`Step::encode`] gave it. Elements of one list
/// are added together, and of a time only the last value counts, so that a long row of them costs little more than one.
///
/// # Errors
/// [`Kind::Corrupt`], code `R0803`, when they are no changes of this text.
pub fn lay<'e>(text: Vec<u8>, kept: impl IntoIterator<Item = &'e [u8]>) -> Result<Vec<u8>> {
    let damaged = || {
        Error::new(Kind::Corrupt, "R0803", "what is kept beside a text is no change of it")
            .hint("Somebody changed Repot's own tables; restore the database from a backup.")
    };
    let mut steps = Vec::new();
    for change in kept {
        steps.extend(Step::decode(change).ok_or_else(damaged)?);
    }
    match at_once(&text, &steps) {
        Some(laid) => Ok(laid),
        None => one_by_one(text, steps).map_err(|error| damaged().cause(error)),
    }
}

fn one_by_one(text: Vec<u8>, steps: Vec<Step>) -> Result<Vec<u8>, PatchError> {
    let mut laid = Laid { text, grown: BTreeMap::new(), times: BTreeMap::new() };
    steps.into_iter().try_for_each(|step| laid.step(step))?;
    laid.finish()
}

struct Laid {
    text: Vec<u8>,
    grown: BTreeMap<Pointer, Vec<Bytes>>,
    times: BTreeMap<Pointer, i64>,
}

impl Laid {
    fn step(&mut self, step: Step) -> Result<(), PatchError> {
        match step {
            Step::Append(list, element) => self.grown.entry(list).or_default().push(element),
            Step::Time(at, micros) => drop(self.times.insert(at, micros)),
            Step::Set(at, value) => {
                self.grow()?;
                self.times.remove(&at);
                self.text = patch::set(&self.text, &at, &value, UNBOUNDED)?;
            }
        }
        Ok(())
    }

    fn grow(&mut self) -> Result<(), PatchError> {
        for (list, elements) in std::mem::take(&mut self.grown) {
            let elements: Vec<&[u8]> = elements.iter().map(AsRef::as_ref).collect();
            self.text = patch::append_all(&self.text, &list, &elements, UNBOUNDED)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, PatchError> {
        self.grow()?;
        for (at, micros) in std::mem::take(&mut self.times) {
            let mut tree = Tree::default();
            let spelled = tree.scan(&self.text, UNBOUNDED).ok().and_then(|()| {
                let old = patch::resolve(tree.root(&self.text)?, &at)?;
                now_like(micros, &old.as_str()?)
            });
            let Some(spelled) = spelled else { return Err(PatchError::NoSuchPlace(at.into())) };
            self.text = patch::set(&self.text, &at, quote(&spelled).as_bytes(), UNBOUNDED)?;
        }
        Ok(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pointer, Standing, Step, at_once, lay, one_by_one};

    fn at(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    const TEXT: &str = "{\n  \"title\": \"a\",\n  \"at\": \"2026-01-02 03:04:05.123+02:00\",\n  \"list\": [\n    1\n  ]\n}\n";

    #[test]
    fn laid_over_as_if_each_was_made_at_once() {
        let steps = [
            vec![Step::Append(at("/list"), "2".into()), Step::Time(at("/at"), 1_000)],
            vec![Step::Set(at("/list/1"), "[5]".into())],
            vec![Step::Append(at("/list"), "3".into()), Step::Time(at("/at"), 4_567_000)],
            vec![Step::Set(at("/title"), "\"b\"".into())],
        ];
        let kept: Vec<Vec<u8>> = steps.iter().map(|steps| Step::encode(steps)).collect();
        let laid = lay(TEXT.into(), kept.iter().map(Vec::as_slice)).unwrap();
        let mut one_by_one: Vec<u8> = TEXT.into();
        for kept in &kept {
            one_by_one = lay(one_by_one, [kept.as_slice()]).unwrap();
        }
        let laid = String::from_utf8(laid).unwrap();
        assert_eq!(laid.as_bytes(), one_by_one);
        assert!(laid.contains("\"at\": \"1970-01-01 02:00:04.567+02:00\""), "{laid}");
        assert!(laid.contains("\"title\": \"b\""), "{laid}");
    }

    /// Pseudo-random numbers (xorshift64, Marsaglia 2003).
    struct Random(u64);

    impl Random {
        fn pick<T: Copy>(&mut self, values: &[T]) -> T {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            values[usize::try_from(self.0 % values.len() as u64).unwrap()]
        }
    }

    /// Read and written once, a text is what it is after one step after the other, to the byte, or that is not tried.
    #[test]
    fn at_once_is_as_one_by_one() {
        let texts = [
            TEXT,
            r#"{"title":"caf\u00e9","at":"2026-01-02T03:04Z","list":[],"more":{"x":{"y":[1,{}]}},"n":1.0}"#,
            "{\n\t\"list\": [{\"text\": \"a\"},{}],\n\t\"other\": [\n\t\t[1]\n\t],\n\t\"title\": \"x\",\n\t\"more\": {}\n}",
            r#"{"title": "a", "title": "b", "list": [ 1 , 2 ], "at": "2026-01-02 03:04:05,1"}"#,
            r#"{"title": "\u00E0\/", "list": [], "other": ["\u003C"], "at": "2026-01-02 03:04:05"}"#,
            r#"{"title": "a", "list": ["\u00e0"], "other": [], "at": "2026-01-02 03:04:05"}"#,
            "{}",
            "[]",
        ];
        let values = [
            "1",
            "\"caf\u{e9}\"",
            "\"2026-01-02T03:04:05Z\"",
            "{\"a\": [1,  2]}",
            "[]",
            " 1.0 ",
            "null",
            "\"a\"",
            "\"\\u00e9\"",
            "\"\\u00e0\\n<\\/\"",
            "\"\\u00C0\\u003c\"",
            "\"a/<\"",
            "{\n \"x\": {\"y\": [ ]}}",
        ];
        let places = [
            "/title",
            "/at",
            "/n",
            "/more",
            "/more/x",
            "/more/x/y",
            "/new",
            "/more/z",
            "/list/0",
            "/list/0/text",
            "/list/2",
        ];
        let lists = ["/list", "/other", "/more/x/y", "/title", "/list/0"];
        let (mut random, mut made) = (Random(0x9e37_79b9_7f4a_7c15), 0);
        for round in 0..20_000_i64 {
            let text = random.pick(&texts).as_bytes().to_vec();
            // few places, so that they often meet
            let (places, lists) =
                ([(); 2].map(|()| random.pick(&places)), [(); 2].map(|()| random.pick(&lists)));
            let steps: Vec<Step> = (0..random.pick(&[1, 2, 3, 5]))
                .map(|_| match random.pick(&[0, 1, 1, 2]) {
                    0 => Step::Append(at(random.pick(&lists)), random.pick(&values).into()),
                    1 => Step::Set(at(random.pick(&places)), random.pick(&values).into()),
                    _ => Step::Time(at(random.pick(&places)), round * 123_457_000),
                })
                .collect();
            let Some(laid) = at_once(&text, &steps) else { continue };
            made += 1;
            let expected = one_by_one(text.clone(), steps.clone()).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&laid),
                String::from_utf8_lossy(&expected),
                "{steps:?} over {}",
                String::from_utf8_lossy(&text)
            );
        }
        assert!(made > 1_000, "{made} of 20,000");
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let kept = Step::encode(&[Step::Append(at("/title"), "2".into())]);
        assert_eq!(lay(TEXT.into(), [kept.as_slice()]).unwrap_err().code(), "R0803");
        assert_eq!(lay(TEXT.into(), [[9].as_slice()]).unwrap_err().code(), "R0803");
        let time = Step::encode(&[Step::Time(at("/title"), 0)]);
        assert_eq!(lay(TEXT.into(), [time.as_slice()]).unwrap_err().code(), "R0803");
    }

    #[test]
    fn a_standing_comes_back() {
        let standing = Standing {
            size_bytes: 7,
            sets: 2,
            lengths: vec![(at("/a~1b"), 9), (at("/c"), 1)],
            times: vec![(at("/x/y"), 1_000_000)],
        };
        assert_eq!(Standing::decode(&standing.encode()), Some(standing));
        assert_eq!(Standing::decode(&[1]), None);
    }
}
