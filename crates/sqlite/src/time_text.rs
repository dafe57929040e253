//! Times and dates as SQLite columns hold them: `YYYY-MM-DDTHH:MM:SS.ffffffZ` and `YYYY-MM-DD`, which sort as
//! they follow each other. Years before 0 and after 9999 have a sign and as many digits as they need.

use repot_model::plan::time::{civil_from_days, days_from_civil, parse_time};

const DAY_US: i64 = 86_400_000_000;

fn digits(out: &mut Vec<u8>, value: u32, width: usize) {
    let mut buffer = [b'0'; 10];
    let mut left = value;
    let mut at = buffer.len();
    while left > 0 {
        at -= 1;
        buffer[at] = b'0' + u8::try_from(left % 10).expect("a remainder of ten is below ten");
        left /= 10;
    }
    out.extend_from_slice(&buffer[at.min(buffer.len() - width)..]);
}

/// Appends a date given in days since 1970-01-01.
pub(crate) fn push_date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil_from_days(days);
    if year < 0 {
        out.push(b'-');
    } else if year > 9999 {
        out.push(b'+');
    }
    digits(out, year.unsigned_abs(), 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
}

/// Appends a time given in microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn push_time(out: &mut Vec<u8>, micros: i64) {
    let days = i32::try_from(micros.div_euclid(DAY_US)).expect("i64 microseconds are fewer than 2^31 days");
    let of_day = micros.rem_euclid(DAY_US);
    let seconds = u32::try_from(of_day / 1_000_000).expect("a day has 86,400 seconds");
    let fraction = u32::try_from(of_day % 1_000_000).expect("below a million");
    push_date(out, days);
    out.push(b'T');
    digits(out, seconds / 3600, 2);
    out.push(b':');
    digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    digits(out, seconds % 60, 2);
    out.push(b'.');
    digits(out, fraction, 6);
    out.push(b'Z');
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes
        .iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

/// The one spelling that [`push_date`] writes, and what follows it.
fn date_prefix(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, unsigned) = match text.split_first()? {
        (sign @ (b'-' | b'+'), rest) => (*sign, rest),
        _ => (b' ', text),
    };
    let width = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (year, rest) = unsigned.split_at(width);
    let fits = match sign {
        b'+' => (5..=6).contains(&width) && year.first() != Some(&b'0'),
        b'-' => width == 4 || ((5..=6).contains(&width) && year.first() != Some(&b'0')),
        _ => width == 4,
    };
    let year = i32::try_from(number(year)?).ok().filter(|year| fits && (sign != b'-' || *year > 0))?;
    let year = if sign == b'-' { -year } else { year };
    let (rest, tail) = rest.split_at_checked(6)?;
    let [b'-', m1, m2, b'-', d1, d2] = *rest else { return None };
    let (month, day) = (number(&[m1, m2])?, number(&[d1, d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    (1..=last).contains(&day).then(|| (days_from_civil(year, month, day), tail))
}

/// The days of a date in the one spelling.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    date_prefix(text).filter(|(_, rest)| rest.is_empty()).map(|(days, _)| days)
}

/// The microseconds of a time: in our spelling, or in another that says exactly one (without a zone: UTC, as
/// SQLite's own functions mean it).
pub(crate) fn time(text: &[u8]) -> Option<i64> {
    canonical(text).or_else(|| foreign(text))
}

fn canonical(text: &[u8]) -> Option<i64> {
    let (days, rest) = date_prefix(text)?;
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', fraction @ .., b'Z'] = rest else { return None };
    let (hours, minutes, seconds) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    let fraction = (fraction.len() == 6).then(|| number(fraction))??;
    let fits = hours <= 23 && minutes <= 59 && seconds <= 59;
    let of_day = i64::from(hours * 3600 + minutes * 60 + seconds) * 1_000_000 + i64::from(fraction);
    // the first day of all begins before the first i64
    let micros = i128::from(days) * i128::from(DAY_US) + i128::from(of_day);
    i64::try_from(micros).ok().filter(|_| fits)
}

fn foreign(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    // what a microsecond cannot hold is a difference, so it is not cut off here
    let beyond = text.split_once(['.', ',']).is_some_and(|(_, fraction)| {
        fraction.bytes().take_while(u8::is_ascii_digit).skip(6).any(|digit| digit != b'0')
    });
    parse_time(text).filter(|_| !beyond)
}

#[cfg(test)]
mod tests {
    use super::{canonical, date, push_date, push_time, time};

    fn text(micros: i64) -> String {
        let mut out = Vec::new();
        push_time(&mut out, micros);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_come_back_and_sort() {
        let mut before = String::new();
        for micros in (-62_167_219_200_000_000..253_402_300_800_000_000_i64).step_by(86_311_117_333_331) {
            let now = text(micros);
            assert_eq!(now.len(), 27, "{now}");
            assert!(before < now, "{before} {now}");
            assert_eq!(canonical(now.as_bytes()), Some(micros), "{now}");
            before = now;
        }
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        for micros in [i64::MIN, i64::MAX, -62_167_219_200_000_001, 253_402_300_800_000_000] {
            assert_eq!(canonical(text(micros).as_bytes()), Some(micros), "{}", text(micros));
        }
        assert_eq!(text(253_402_300_800_000_000), "+10000-01-01T00:00:00.000000Z");
        assert_eq!(text(-62_167_219_200_000_001), "-0001-12-31T23:59:59.999999Z");
    }

    #[test]
    fn other_spellings_of_a_time() {
        let noon = Some(1_709_294_400_000_000);
        for same in [
            "2024-03-01 12:00:00",
            "2024-03-01T12:00Z",
            "2024-03-01T14:00:00+02:00",
            "2024-03-01T12:00:00.000Z",
        ] {
            assert_eq!(time(same.as_bytes()), noon, "{same}");
        }
        assert_eq!(time(b"2024-03-01T12:00:00.0000000Z"), noon);
        for bad in [
            "2024-03-01T12:00:00.0000001Z",
            "2024-02-30T12:00:00.000000Z",
            "2024-03-01",
            "noon",
            "",
            "2024-03-01T25:00:00.000000Z",
        ] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn dates_come_back() {
        for days in (-719_529..2_932_897).step_by(97) {
            let mut out = Vec::new();
            push_date(&mut out, days);
            assert_eq!(date(&out), Some(days));
        }
        for bad in [
            "2024-1-01",
            "2023-02-29",
            "2024-01-01 ",
            "02024-01-01",
            "+2024-01-01",
            "-0000-01-01",
            "24-01-01",
        ] {
            assert_eq!(date(bad.as_bytes()), None, "{bad}");
        }
    }
}
