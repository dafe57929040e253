//! Values inside strings: variables, durations, sizes, rates, `30d after created_at`.

use super::{After, Rate};

/// What the caller's variables are.
pub(super) type Variables<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// What a text should have been.
pub(super) struct Wrong {
    pub message: String,
    pub hint: String,
}

fn wrong<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), hint: hint.into() })
}

/// Units of time in seconds.
const UNITS: [(&str, u64); 6] =
    [("y", 365 * 86_400), ("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Replaces `${NAME}` and `${NAME:-default}`; a variable that is empty counts as not set.
pub(super) fn expand(text: &str, variables: &Variables<'_>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, after)) = left.split_once("${") {
        let Some((inside, rest)) = after.split_once('}') else {
            return wrong("a `${` without its `}`", "Write `${NAME}` or `${NAME:-default}`.");
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return wrong(
                format!("`{name}` is no name of a variable"),
                "Write `${NAME}` or `${NAME:-default}`.",
            );
        }
        let value = variables(name).filter(|value| !value.is_empty());
        let Some(value) = value.or_else(|| default.map(str::to_owned)) else {
            return wrong(
                format!("the variable `{name}` is not set"),
                format!("Set {name}, or give it a default: `${{{name}:-...}}`."),
            );
        };
        out.push_str(before);
        out.push_str(&value);
        left = rest;
    }
    out.push_str(left);
    Ok(out)
}

/// How many seconds a time such as `5s`, `10m`, `24h`, `30d`, `2w` or `1y` has; `None`: it is written otherwise.
#[must_use]
pub fn duration_seconds(text: &str) -> Option<u64> {
    duration(text).ok()
}

/// `5s`, `10m`, `24h`, `30d`, `2w`, `1y` in seconds.
pub(super) fn duration(text: &str) -> Result<u64, Wrong> {
    let hint = "Write a whole number and a unit: `5s`, `10m`, `24h`, `30d`, `2w` or `1y`.";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim();
    let factor = UNITS.iter().find(|known| known.0 == unit).map(|known| known.1);
    let count = digits.parse::<u64>().ok().filter(|_| digits.chars().all(|c| c.is_ascii_digit()));
    match (count, factor) {
        (Some(0), _) => wrong(format!("`{text}` is no time at all"), hint),
        (Some(count), Some(factor)) => {
            match count.checked_mul(factor).filter(|&seconds| i64::try_from(seconds).is_ok()) {
                Some(seconds) => Ok(seconds),
                None => wrong(format!("`{text}` is too long"), hint),
            }
        }
        _ => wrong(format!("`{text}` is no duration"), hint),
    }
}

/// `10 MB`, `500 KB`, `1 GiB` in bytes.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let hint = "Write a whole number and a unit: `500 KB`, `10 MB`, `1 GiB`.";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text.strip_prefix(digits).unwrap_or_default().trim() {
        "B" => Some(1_u64),
        "KB" | "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    match digits.parse::<u64>().ok().zip(factor).and_then(|(count, factor)| count.checked_mul(factor)) {
        Some(bytes) => Ok(bytes),
        None => wrong(format!("`{text}` is no size"), hint),
    }
}

/// `500 per minute`.
pub(super) fn rate(text: &str) -> Result<Rate, Wrong> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [count, "per", period] = words.as_slice() else {
        return wrong(format!("`{text}` is no rate"), "Write for example `500 per minute`.");
    };
    let per_seconds = match *period {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => {
            return wrong(
                format!("`{period}` is no period"),
                "Write `per second`, `per minute`, `per hour` or `per day`.",
            );
        }
    };
    match count.parse::<u64>() {
        Ok(count) if count > 0 => Ok(Rate { count, per_seconds }),
        _ => wrong(format!("`{count}` is no number of times"), "Write for example `500 per minute`."),
    }
}

/// `read write`.
pub(super) fn rights(text: &str) -> Result<String, Wrong> {
    match text.split_whitespace().find(|word| !["read", "write", "admin"].contains(word)) {
        Some(word) => wrong(
            format!("`{word}` is no right"),
            "Write `read`, `write`, `admin`, or several with spaces between.",
        ),
        None => Ok(text.to_owned()),
    }
}

/// `30d after created_at when status = completed`.
pub(super) fn after(text: &str) -> Result<After, Wrong> {
    let hint =
        "Write for example `30d after created_at` or `30d after completed_at when status = completed`.";
    let Some((time, rest)) = text.split_once(" after ") else {
        return wrong(format!("`{text}` does not say after what"), hint);
    };
    let seconds = duration(time.trim())?;
    let (field, when) = match rest.split_once(" when ") {
        Some((field, condition)) => {
            let Some((name, value)) = condition.split_once('=') else {
                return wrong(format!("`{condition}` is no condition"), hint);
            };
            (field, Some((name.trim().to_owned(), value.trim().to_owned())))
        }
        None => (rest, None),
    };
    let field = field.trim().to_owned();
    if field.is_empty()
        || field.contains(char::is_whitespace)
        || when.as_ref().is_some_and(|(name, value)| name.is_empty() || value.is_empty())
    {
        return wrong(format!("`{text}` cannot be read"), hint);
    }
    Ok(After { seconds, field, when })
}

/// `HH:MM`.
pub(super) fn time_of_day(text: &str) -> Result<(), Wrong> {
    let parts = text.split_once(':');
    let number =
        |text: &str, most: u8| text.len() == 2 && text.parse::<u8>().is_ok_and(|number| number <= most);
    match parts {
        Some((hours, minutes)) if number(hours, 23) && number(minutes, 59) => Ok(()),
        _ => wrong(format!("`{text}` is no time of day"), "Write hours and minutes in UTC, such as `02:00`."),
    }
}

#[cfg(test)]
mod tests {
    use super::{after, duration, expand, rate, size, time_of_day};

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds) in [
            ("5s", 5),
            ("10m", 600),
            ("24h", 86_400),
            ("30d", 2_592_000),
            ("1y", 31_536_000),
            ("2 w", 1_209_600),
        ] {
            assert_eq!(duration(text).ok(), Some(seconds), "{text}");
        }
        for text in ["", "5", "s", "0d", "-1d", "1.5h", "5 minutes", "99999999999999999y", "1d2h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_rates_and_times() {
        assert_eq!(size("10 MB").ok(), Some(10_000_000));
        assert_eq!(size("1 GiB").ok(), Some(1 << 30));
        assert!(size("10").is_err() && size("MB").is_err() && size("1 mb").is_err());
        assert_eq!(rate("500 per minute").ok().map(|rate| (rate.count, rate.per_seconds)), Some((500, 60)));
        assert!(rate("0 per minute").is_err() && rate("5 a minute").is_err() && rate("5 per week").is_err());
        assert!(
            time_of_day("02:00").is_ok() && time_of_day("24:00").is_err() && time_of_day("2:00").is_err()
        );
    }

    #[test]
    fn after_reads_its_condition() {
        let read = after("30d after completed_at when status = completed").ok().expect("readable");
        assert_eq!((read.field.as_str(), read.seconds), ("completed_at", 2_592_000));
        assert_eq!(read.when, Some(("status".to_owned(), "completed".to_owned())));
        assert!(
            after("30d").is_err() && after("30d after a b").is_err() && after("30d after a when b").is_err()
        );
    }

    #[test]
    fn variables_and_their_defaults() {
        let variables = |name: &str| (name == "DAYS").then(|| "7".to_owned());
        assert_eq!(expand("${DAYS:-30}d and ${MORE:-x}", &variables).ok().as_deref(), Some("7d and x"));
        assert_eq!(expand("a $ b", &variables).ok().as_deref(), Some("a $ b"));
        assert!(expand("${MORE}", &variables).is_err() && expand("${MORE", &variables).is_err());
        assert!(expand("${1A}", &variables).is_err());
    }
}
