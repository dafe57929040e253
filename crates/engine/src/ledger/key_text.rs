//! The text of an API key: `rpt_`, 12 letters and digits that name it, 43 that are secret (256 bits), 6 that sum up the rest.

use std::fmt;

use repot_core::{Entropy, Result};
use sha2::{Digest as _, Sha256};

/// Every key begins so, which scanners for secrets look for.
const PREFIX: &str = "rpt_";
/// Letters and digits of the name, of the secret, of the sum.
const ID_LETTERS: usize = 12;
const SECRET_LETTERS: usize = 43;
const SUM_LETTERS: usize = 6;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The whole text of a key, which gives its rights to whoever has it. It is shown once; debugging does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({PREFIX}{}...)", self.id())
    }
}

impl KeyText {
    /// Makes a new one.
    pub(super) fn make(entropy: &dyn Entropy) -> Result<Self> {
        let mut text = PREFIX.to_owned();
        let letters = PREFIX.len() + ID_LETTERS + SECRET_LETTERS;
        while text.len() < letters {
            let mut bytes = [0; 64];
            entropy.fill(&mut bytes)?;
            // each letter is as likely as every other: what is left over of 256 counts for none
            let drawn = bytes.into_iter().filter(|&byte| byte < 248);
            text.extend(drawn.take(letters - text.len()).map(|byte| letter(u64::from(byte))));
        }
        let sum = sum(&text);
        Ok(Self(text + &sum))
    }

    /// Reads one. `None`: it is none, or cut off or mistyped.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (body, said) = text.split_at_checked(PREFIX.len() + ID_LETTERS + SECRET_LETTERS)?;
        let letters = body.strip_prefix(PREFIX)?;
        let proper = letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) && sum(body) == said;
        proper.then(|| Self(text.to_owned()))
    }

    /// Its name, which is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.get(PREFIX.len()..PREFIX.len() + ID_LETTERS).unwrap_or_default()
    }

    /// The text itself: for the one who is to have it, and nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// All that is kept of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn letter(number: u64) -> char {
    let at = usize::try_from(number % 62).unwrap_or_default();
    LETTERS.get(at).copied().map_or('0', char::from)
}

/// Sums up a text, so that a typing error is told from a key that is not known.
fn sum(text: &str) -> String {
    let hash: [u8; 32] = Sha256::digest([b"sum of a key: ", text.as_bytes()].concat()).into();
    let [a, b, c, d, ..] = hash;
    let mut rest = u64::from(u32::from_be_bytes([a, b, c, d]));
    let mut out = String::new();
    for _ in 0..SUM_LETTERS {
        out.push(letter(rest));
        rest /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::ops::Range;

    use repot_core::{Entropy, Result};

    use super::{KeyText, LETTERS};
    use crate::SystemEntropy;

    fn part(text: &str, range: Range<usize>) -> &str {
        text.get(range).unwrap()
    }

    #[test]
    fn a_key_is_read_back_and_typing_errors_are_told() {
        let key = KeyText::make(&SystemEntropy).unwrap();
        let text = key.reveal().to_owned();
        assert_eq!((text.len(), text.starts_with("rpt_"), key.id().len()), (65, true, 12));
        assert_eq!(KeyText::read(&text).as_ref(), Some(&key));
        assert!(!format!("{key:?}").contains(part(&text, 16..65)), "{key:?}");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(KeyText::read(&String::from_utf8(bytes).unwrap()), None, "{at}");
            assert_eq!(KeyText::read(part(&text, 0..at)), None, "{at}");
        }
        let swapped: String = [0..20, 21..22, 20..21, 22..65].map(|range| part(&text, range)).concat();
        assert_eq!(KeyText::read(&swapped).is_none(), part(&text, 20..21) != part(&text, 21..22));
        for wrong in ["", "rpt_", "ä".repeat(33).as_str(), &format!("{text} "), &format!("{text}a")] {
            assert_eq!(KeyText::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_are_unlike_and_use_every_letter() {
        let keys: Vec<String> =
            (0..200).map(|_| KeyText::make(&SystemEntropy).unwrap().reveal().to_owned()).collect();
        let ids: HashSet<&str> = keys.iter().map(|key| part(key, 4..16)).collect();
        assert_eq!(ids.len(), keys.len());
        let used: HashSet<u8> = keys.iter().flat_map(|key| part(key, 4..59).bytes()).collect();
        assert_eq!(used.len(), LETTERS.len());
    }

    /// Counts up, so that some bytes are no letters.
    #[derive(Debug)]
    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            bytes.iter_mut().zip(220..=u8::MAX).for_each(|(byte, number)| *byte = number);
            Ok(())
        }
    }

    #[test]
    fn bytes_that_would_favour_letters_are_left_out() {
        let key = KeyText::make(&Counting).unwrap();
        assert_eq!(part(key.reveal(), 4..34), "YZabcdefghijklmnopqrstuvwxyz00");
    }
}
