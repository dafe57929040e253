//! PostgreSQL's binary `numeric`: digits to base 10,000 with a weight and a scale, from and to plain notation.

/// Sign words of the format.
const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0;

/// Appends the binary form of a decimal in plain notation; `false` when it is none or has too many digits.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) -> bool {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    // groups of four digits, aligned to the decimal point
    let lead = (4 - whole.len() % 4) % 4;
    let tail = (4 - fraction.len() % 4) % 4;
    let padded: Vec<u8> = std::iter::repeat_n(b'0', lead)
        .chain(whole.bytes())
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', tail))
        .collect();
    let groups: Vec<u16> = padded
        .chunks_exact(4)
        .map(|chunk| chunk.iter().fold(0, |value, byte| value * 10 + u16::from(byte - b'0')))
        .collect();
    let Some(first) = groups.iter().position(|&group| group != 0) else {
        header(out, 0, 0, POSITIVE, 0);
        return true;
    };
    let last = groups.iter().rposition(|&group| group != 0).unwrap_or(first);
    let kept = &groups[first..=last];
    let whole_groups = (lead + whole.len()) / 4;
    let (Ok(count), Ok(whole_groups), Ok(first), Ok(scale)) = (
        u16::try_from(kept.len()),
        i16::try_from(whole_groups),
        i16::try_from(first),
        u16::try_from(fraction.len()),
    ) else {
        return false;
    };
    header(out, count, whole_groups - 1 - first, if negative { NEGATIVE } else { POSITIVE }, scale);
    for group in kept {
        out.extend_from_slice(&group.to_be_bytes());
    }
    true
}

fn header(out: &mut Vec<u8>, count: u16, weight: i16, sign: u16, scale: u16) {
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
}

/// Plain notation without needless zeros; `Err` with a word for what is no number (`NaN`, `Infinity`).
pub(crate) fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    const BROKEN: &str = "no numeric";
    let word =
        |at: usize| bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok()).map(u16::from_be_bytes);
    let weight =
        bytes.get(2..4).and_then(|pair| pair.try_into().ok()).map(i16::from_be_bytes).ok_or(BROKEN)?;
    let sign = word(4).ok_or(BROKEN)?;
    match sign {
        POSITIVE | NEGATIVE => {}
        0xd000 => return Err("Infinity"),
        0xf000 => return Err("-Infinity"),
        _ => return Err("NaN"),
    }
    let count = usize::from(word(0).ok_or(BROKEN)?);
    let mut groups = Vec::with_capacity(count);
    for at in 0..count {
        groups.push(word(8 + 2 * at).ok_or(BROKEN)?);
    }
    let group = |power: i32| {
        let at = i32::from(weight) - power;
        usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let lowest = i32::from(weight) - i32::try_from(count).unwrap_or(0) + 1;
    let mut whole = String::new();
    for power in (0..=i32::from(weight).max(0)).rev() {
        push(&mut whole, group(power));
    }
    let mut fraction = String::new();
    for power in (lowest.min(0)..0).rev() {
        push(&mut fraction, group(power));
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let mut out = String::with_capacity(whole.len() + fraction.len() + 3);
    if sign == NEGATIVE && !(whole.is_empty() && fraction.is_empty()) {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(out)
}

fn push(out: &mut String, group: u16) {
    let mut rest = group;
    for power in [1000, 100, 10, 1] {
        let digit = rest / power;
        rest %= power;
        out.push(char::from_digit(u32::from(digit), 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn there_and_back() {
        for text in [
            "0",
            "1",
            "-1",
            "10000",
            "9999",
            "12345678.9",
            "0.1",
            "0.0001",
            "0.00001",
            "-0.000000000000000000000000000001",
            "123456789012345678901234567890123456789012345678901234567890",
            "100000000000000000000",
            "1.00010001",
            "-99999999.99999999",
        ] {
            let mut bytes = Vec::new();
            assert!(encode(text, &mut bytes), "{text}");
            assert_eq!(decode(&bytes).as_deref(), Ok(text));
        }
        for bad in ["", "x", "1e5", "-", "."] {
            assert!(!encode(bad, &mut Vec::new()), "{bad}");
        }
    }
}
