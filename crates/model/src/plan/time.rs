//! Times and dates as numbers, by the proleptic Gregorian calendar ("days from civil" of Howard Hinnant's
//! chrono-compatible date algorithms). A time without a zone is read as UTC; digits beyond the microsecond
//! are cut off in the column (the stored text keeps them).

const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01.
#[must_use]
pub fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = i32::try_from(month).unwrap_or(1);
    let day = i32::try_from(day).unwrap_or(1);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month, day of days since 1970-01-01.
#[must_use]
pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (
        i32::try_from(year).unwrap_or(i32::MAX),
        u32::try_from(month).unwrap_or(1),
        u32::try_from(day).unwrap_or(1),
    )
}

struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let value = head.iter().try_fold(0_u32, |value, &byte| {
            byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
        })?;
        self.0 = tail;
        Some(value)
    }

    fn eat(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, tail) = self.0.split_first()?;
        bytes.contains(&first).then(|| {
            self.0 = tail;
            first
        })
    }

    fn date(&mut self) -> Option<i32> {
        let year = i32::try_from(self.digits(4)?).ok()?;
        self.eat(b"-")?;
        let month = self.digits(2)?;
        self.eat(b"-")?;
        let day = self.digits(2)?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => return None,
        };
        (1..=last).contains(&day).then(|| days_from_civil(year, month, day))
    }

    /// Microseconds of the fraction; further digits are read and cut off.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (head, tail) = self.0.split_at_checked(digits)?;
        self.0 = tail;
        let mut value = 0_i64;
        for place in 0..6 {
            value = value * 10 + head.get(place).map_or(0, |byte| i64::from(byte - b'0'));
        }
        (digits > 0).then_some(value)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.eat(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.eat(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2)?;
        let colon = self.eat(b":").is_some();
        let minutes = if colon || !self.0.is_empty() { self.digits(2)? } else { 0 };
        (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60))
    }
}

/// Microseconds since 1970-01-01T00:00:00Z of an ISO 8601 date and time: `T` or a blank between them, seconds
/// and fraction optional, zone `Z`, `+02:00`, `+0200`, `+02` or none (UTC).
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let mut reader = Reader(text.as_bytes());
    let days = reader.date()?;
    reader.eat(b"Tt ")?;
    let hours = reader.digits(2)?;
    reader.eat(b":")?;
    let minutes = reader.digits(2)?;
    let mut seconds = 0;
    let mut micros = 0;
    if reader.eat(b":").is_some() {
        seconds = reader.digits(2)?;
        if reader.eat(b".,").is_some() {
            micros = reader.fraction()?;
        }
    }
    let zone = reader.zone()?;
    let fits = hours <= 23 && minutes <= 59 && seconds <= 60 && reader.0.is_empty();
    let of_day = i64::from(hours * 3600 + minutes * 60 + seconds) - zone;
    fits.then(|| i64::from(days) * DAY_US + of_day * 1_000_000 + micros)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    let mut reader = Reader(text.as_bytes());
    let days = reader.date()?;
    reader.0.is_empty().then_some(days)
}

/// `YYYY-MM-DD`.
#[must_use]
pub fn date_text(days: i32) -> String {
    let mut out = String::with_capacity(32);
    push_date(days, &mut out);
    out
}

fn push_date(days: i32, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    match i64::from(year) {
        year @ 0..=9_999 => push_digits(year, 1_000, out),
        year => out.push_str(&format!("{year:04}")),
    }
    out.push('-');
    push_digits(month.into(), 10, out);
    out.push('-');
    push_digits(day.into(), 10, out);
}

/// The digits of a number, the first of them worth `unit`.
fn push_digits(number: i64, mut unit: i64, out: &mut String) {
    while unit > 0 {
        out.push(char::from(b'0' + u8::try_from(number / unit % 10).unwrap_or(0)));
        unit /= 10;
    }
}

/// Milliseconds since 1970 as RFC 3339 has it: UTC, whole milliseconds.
#[must_use]
pub fn utc_text(ms: i64) -> String {
    time_text(ms.saturating_mul(1_000), 'T', 3) + "Z"
}

/// `YYYY-MM-DDTHH:MM:SS`, with the fraction's digits given (0 to 6) and no zone.
#[must_use]
pub fn time_text(micros: i64, separator: char, digits: usize) -> String {
    let days = i32::try_from(micros.div_euclid(DAY_US)).unwrap_or(i32::MAX);
    let of_day = micros.rem_euclid(DAY_US);
    let seconds = of_day / 1_000_000;
    let mut out = String::with_capacity(32);
    push_date(days, &mut out);
    for (before, number) in [(separator, seconds / 3600), (':', seconds / 60 % 60), (':', seconds % 60)] {
        out.push(before);
        push_digits(number, 10, &mut out);
    }
    if digits > 0 {
        out.push('.');
        push_digits(of_day % 1_000_000, 100_000, &mut out);
        out.truncate(out.len() - 6_usize.saturating_sub(digits));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{civil_from_days, date_text, days_from_civil, parse_date, parse_time, time_text};

    #[test]
    fn days_and_civil_are_inverse() {
        for days in (-800_000..3_000_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-02-29"), Some(11_016));
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(parse_date("1900-02-29"), None);
        assert_eq!(parse_date("2024-13-01"), None);
    }

    #[test]
    fn spellings_of_one_instant() {
        let instant = parse_time("2024-03-01T10:20:30Z");
        for same in [
            "2024-03-01 10:20:30",
            "2024-03-01T12:20:30+02:00",
            "2024-03-01T05:20:30-0500",
            "2024-03-01T10:20:30.000000000Z",
            "2024-03-01t11:20:30+01",
        ] {
            assert_eq!(parse_time(same), instant, "{same}");
        }
        assert_eq!(parse_time("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(time_text(-1, 'T', 6), "1969-12-31T23:59:59.999999");
        for bad in [
            "2024-03-01",
            "2024-03-01T24:00:00",
            "2024-03-01T10:20:30 Z",
            "2024-03-01T10",
            "2024-3-1T10:20",
            "x",
            "2024-03-01T10:20:30.Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
