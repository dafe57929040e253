//! How long, and how often, a request is tried.

use http::{HeaderMap, StatusCode, header};

/// The pause behind the first try, milliseconds; it doubles with each.
const FIRST_MS: u64 = 200;
/// The longest pause that nobody asked for, milliseconds.
const LONGEST_MS: u64 = 5_000;

/// The server says that it may go better later.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause that an answer asks for, milliseconds; `None`: it does not say, or as a date.
pub(crate) fn asked_for_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

/// The pause after so many tries: between half of the step and all of it, so that clients do not come back together.
pub(crate) fn pause_ms(tries: u32, chance: u64) -> u64 {
    let step = FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(LONGEST_MS);
    step / 2 + chance % (step / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::{asked_for_ms, pause_ms};
    use http::{HeaderMap, HeaderValue, header};

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!([pause_ms(1, 0), pause_ms(1, 100), pause_ms(1, 101)], [100, 200, 100]);
        assert_eq!([pause_ms(2, 0), pause_ms(3, 0), pause_ms(60, 0)], [200, 400, 2_500]);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_read() {
        for (text, expected) in
            [("1", Some(1_000)), (" 20 ", Some(20_000)), ("soon", None), ("Sun, 06 Nov 1994", None)]
        {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(asked_for_ms(&headers), expected, "{text}");
        }
    }
}
