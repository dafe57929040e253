//! Names of files and objects as text. Names that are no UTF-8 are text too: each byte that is none becomes one
//! character of the private range U+F780..U+F7FF, and such a character in a name is itself written as its bytes
//! that way, so that two names never become one and every name comes back.

/// The text of a name given as bytes.
#[must_use]
pub fn encode(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_escape(character) {
                let mut buffer = [0; 4];
                out.extend(character.encode_utf8(&mut buffer).bytes().map(escape));
            } else {
                out.push(character);
            }
        }
        out.extend(chunk.invalid().iter().copied().map(escape));
    }
    out
}

/// The bytes of a name given as text: the inverse of [`encode`].
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        if is_escape(character) {
            out.push(u8::try_from(u32::from(character) - 0xf700).expect("the range holds 0x80..=0xff"));
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out
}

const fn is_escape(character: char) -> bool {
    matches!(character, '\u{f780}'..='\u{f7ff}')
}

fn escape(byte: u8) -> char {
    char::from_u32(0xf700 + u32::from(byte)).expect("U+F700..U+F7FF are characters")
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn names_come_back_and_stay_apart() {
        let names: [&[u8]; 6] = [
            b"a/b.json",
            b"caf\xe9",
            "caf\u{e9}".as_bytes(),
            "\u{f7e9}".as_bytes(),
            b"\xff\xfe",
            b"\xed\xa0\x80",
        ];
        let mut texts: Vec<String> = names.iter().map(|name| encode(name)).collect();
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(&decode(text), name);
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), names.len());
    }
}
