//! Numbers compared by what they are worth, from their texts alone: no floating point, no bound.

/// Whether two numbers that the scanner accepted are worth the same.
pub(super) fn same_number(one: &str, other: &str) -> bool {
    one == other || Decimal::of(one) == Decimal::of(other)
}

/// `0.DIGITS` times ten to the power of `exponent`; each number has one such form, zero has no digits.
#[derive(Debug, PartialEq, Eq, Default)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: String,
}

impl Decimal {
    fn of(number: &str) -> Self {
        let (negative, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = format!("{whole}{fraction}");
        let led = written.trim_start_matches('0');
        let digits = led.trim_end_matches('0');
        if digits.is_empty() {
            return Self::default();
        }
        let zeros = written.len() - led.len();
        let shift = signed(whole.len()) - signed(zeros);
        Self { negative, digits: digits.to_owned(), exponent: shifted(exponent, shift) }
    }
}

/// Lengths of texts are below 2^32.
fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The sum of an exponent as it is written and a small number, without leading zeros.
fn shifted(exponent: &str, by: i64) -> String {
    if let Ok(small) = exponent.parse::<i64>()
        && let Some(sum) = small.checked_add(by)
    {
        return sum.to_string();
    }
    let (sign, digits, by) = match exponent.strip_prefix('-') {
        Some(digits) => ("-", digits, -by),
        None => ("", exponent.strip_prefix('+').unwrap_or(exponent), by),
    };
    let mut carry = by;
    let mut sum = Vec::with_capacity(digits.len() + 1);
    for digit in digits.bytes().rev() {
        carry += i64::from(digit - b'0');
        sum.push(u8::try_from(carry.rem_euclid(10)).unwrap_or_default() + b'0');
        carry = carry.div_euclid(10);
    }
    // The exponent is far beyond the shift, so at most one digit is carried and none is owed.
    if carry > 0 {
        sum.push(b'1');
    }
    let sum: String = sum.into_iter().rev().map(char::from).collect();
    format!("{sign}{}", sum.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::same_number;

    #[test]
    fn numbers_are_compared_by_worth() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("1", "0.1E1"),
            ("1", "1e0"),
            ("1", "1E+00"),
            ("-0", "0"),
            ("0e99999999999999999999", "-0.00"),
            ("1200", "1.2e3"),
            ("0.00120", "12e-4"),
            ("-1.5", "-15e-0001"),
            ("1e400", "10e399"),
            ("1e9223372036854775808", "10e9223372036854775807"),
            ("1e9223372036854775807", "10e9223372036854775806"),
            ("1e10000000000000000000000", "100e9999999999999999999998"),
            ("1e-10000000000000000000000", "0.1e-9999999999999999999999"),
            ("1e0000000000000000000000000000000000000001", "10"),
            ("1e-9223372036854775809", "0.01e-9223372036854775807"),
        ] {
            assert!(same_number(one, other), "{one} {other}");
            assert!(same_number(other, one), "{other} {one}");
        }
    }

    #[test]
    fn numbers_that_only_floats_take_for_equal_differ() {
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.1000000000000000055511151231257827"),
            ("1e400", "1e401"),
            ("1e400", "2e400"),
            ("1e-400", "0"),
            ("1", "-1"),
            ("1", "10"),
            ("1", "0.1"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("1e99999999999999999999", "1e-99999999999999999999"),
            ("1e99999999999999999999", "-1e99999999999999999999"),
            ("101", "11"),
        ] {
            assert!(!same_number(one, other), "{one} {other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_same_worth_in_any_writing(digits in -9_999_i128..9_999, point in 0..6_u32, zeros in 0..6_u32, other in -9_999_i128..9_999) {
            // digits * 10^-point, once with the point moved into the exponent, once with more zeros.
            let plain = format!("{digits}e-{point}");
            let padded = format!("{}e-{}", digits * 10_i128.pow(zeros), point + zeros);
            prop_assert!(same_number(&plain, &padded));
            let sign = if digits < 0 { "-" } else { "" };
            let power = 10_u128.pow(point);
            let (whole, rest) = (digits.unsigned_abs() / power, digits.unsigned_abs() % power);
            let width = point as usize;
            if point > 0 {
                let pointed = format!("{sign}{whole}.{rest:0width$}");
                prop_assert!(same_number(&plain, &pointed), "{} {}", plain, pointed);
            }
            prop_assert_eq!(same_number(&plain, &format!("{other}e-{point}")), digits == other);
        }
    }
}
