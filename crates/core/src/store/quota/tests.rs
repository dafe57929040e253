//! Counting in texts: all or none, and when it begins anew.

use std::sync::Arc;

use repot_json::Limits;
use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_model::plan::time::parse_time;

use super::{CounterState, Quotas, Spending};
use crate::store::{DocumentKey, Layout};

const MODEL: &str = r#"
[repot]
source = "./data"

[usage]
file = "{id}.json"

[usage.fields]
id         = "text key"
day_used   = "int = 0"
day_limit  = "int = 10"
reset_day  = "date = today"
mon_used   = "int = 0"
mon_limit  = "int?"
reset_mon  = "date?"
all        = "int = 0"

[usage.quota]
daily   = { used = "day_used", limit = "day_limit", reset = "reset_day" }
monthly = { used = "mon_used", limit = "mon_limit", reset = "reset_mon" }
total   = { used = "all" }

[deep]
file = "deep/{id}.json"

[deep.fields]
id     = "text key"
used   = "int from hours.used = 0"
limit  = "int from hours.limit = 3"
at     = "time? from hours.at"
weeks  = "int = 0"
since  = "date?"
years  = "int = 0"
yearly = "date?"

[deep.quota]
hourly  = { used = "used", limit = "limit", reset = "at" }
weekly  = { used = "weeks", limit = "limit", reset = "since" }
sum     = { used = "years", reset = "yearly" }

[plain]
file = "plain/{id}.json"

[plain.fields]
id = "text key"
"#;

fn layout() -> Layout {
    let model = parse(MODEL, "repot.toml", &|_| None).expect("the model is right");
    let plan = Plan::compile(&model).expect("the model compiles");
    Layout::new(Arc::new(model), Arc::new(plan), Limits::default()).expect("its places do not overlap")
}

fn quotas(collection: &str) -> Quotas {
    Quotas::of(&layout(), collection).expect("it has counters")
}

fn ms(time: &str) -> i64 {
    parse_time(time).expect("it is a time") / 1_000
}

fn count(text: &str, n: u32, at: &str) -> Spending {
    quotas("usage").count(text.as_bytes(), n, ms(at)).expect("the text is right")
}

fn text(spending: &Spending) -> &str {
    std::str::from_utf8(spending.text.as_deref().expect("something was counted")).expect("JSON is UTF-8")
}

fn counter<'s>(spending: &'s Spending, name: &str) -> &'s CounterState {
    spending.counters.iter().find(|state| state.name == name).expect("the counter is there")
}

fn state(spending: &Spending, name: &str) -> (i64, Option<i64>, Option<i64>) {
    let state = counter(spending, name);
    (state.used, state.limit, state.left)
}

const FULL: &str = "{\r\n  \"id\":\t\"u\",\r\n  \"day_used\": 9,\r\n  \"day_limit\": 10, \"reset_day\": \"2025-01-31\",\r\n  \
                    \"mon_used\": 99, \"mon_limit\": 100, \"reset_mon\": \"2025-01-02\",\r\n  \"all\": 1.0, \"more\": [1.10]\r\n}\r\n";

#[test]
fn all_counters_count_or_none_and_nothing_else_changes() {
    let spent = count(FULL, 1, "2025-01-31T23:59:59Z");
    let wanted = FULL
        .replace("\"day_used\": 9", "\"day_used\": 10")
        .replace("\"mon_used\": 99", "\"mon_used\": 100")
        .replace("\"all\": 1.0", "\"all\": 2");
    assert_eq!(text(&spent), wanted);
    assert_eq!(state(&spent, "daily"), (10, Some(10), Some(0)));
    assert_eq!(state(&spent, "monthly"), (100, Some(100), Some(0)));
    assert_eq!(state(&spent, "total"), (2, None, None));
    assert_eq!(counter(&spent, "daily").resets_at_ms, Some(ms("2025-02-01T00:00:00Z")));
    assert_eq!(counter(&spent, "total").resets_at_ms, None);
    // two are one too many for both; the month is over later than the day is here
    let refused = count(&FULL.replace("\"day_limit\": 10", "\"day_limit\": 50"), 2, "2025-01-31T23:59:59Z");
    assert_eq!((refused.used_up.as_deref(), &refused.text), (Some("monthly"), &None));
    assert_eq!(state(&refused, "daily"), (9, Some(50), Some(41)));
    let error = refused.granted(&DocumentKey::new("usage", "u")).expect_err("it is used up");
    assert_eq!(error.code(), "R0503");
    assert!(error.next_step().is_some_and(|hint| hint.contains("2025-02-01T00:00:00Z")), "{error:?}");
    // looking counts nothing
    let looked = count(&wanted, 0, "2025-01-31T23:59:59Z");
    assert_eq!((looked.used_up.as_deref(), &looked.text), (None, &None));
    assert_eq!(state(&looked, "daily"), (10, Some(10), Some(0)));
}

#[test]
fn of_several_the_one_that_begins_anew_last_is_named() {
    let both = count(FULL, 5, "2025-01-15T12:00:00Z");
    assert_eq!(both.used_up.as_deref(), Some("daily"), "a reset in the future is not taken back");
    let both = count(&FULL.replace("01-31", "01-15"), 5, "2025-01-15T12:00:00Z");
    assert_eq!(both.used_up.as_deref(), Some("monthly"));
}

/// From what was reset when to whether it begins anew.
#[test]
fn periods_end_where_the_calendar_says() {
    let cases = [
        // last reset, now, daily, monthly
        ("2025-01-31", "2025-01-31T23:59:59.999Z", false, false),
        ("2025-01-31", "2025-02-01T00:00:00Z", true, true),
        ("2024-02-28", "2024-02-29T00:00:00Z", true, false),
        ("2024-02-29", "2024-03-01T00:00:00Z", true, true),
        ("2023-02-28", "2023-03-01T00:00:00Z", true, true),
        ("2024-12-31", "2025-01-01T00:00:00Z", true, true),
        ("2024-06-15", "2025-06-15T10:00:00Z", true, true),
        ("1969-12-31", "1970-01-01T00:00:00Z", true, true),
        // the clock went back
        ("2025-02-01", "2025-01-31T23:59:00Z", false, false),
        ("2026-01-01", "2025-01-01T00:00:00Z", false, false),
    ];
    for (last, now, day, month) in cases {
        let text = FULL.replace("2025-01-31", last).replace("2025-01-02", last);
        let text = text
            .replace("\"day_limit\": 10", "\"day_limit\": 1000")
            .replace("\"mon_limit\": 100", "\"mon_limit\": 1000");
        let spent = count(&text, 1, now);
        let used = |anew: bool, before: i64| if anew { 1 } else { before + 1 };
        assert_eq!(counter(&spent, "daily").used, used(day, 9), "{last} {now}");
        assert_eq!(counter(&spent, "monthly").used, used(month, 99), "{last} {now}");
        let date = now.split('T').next().unwrap_or_default();
        let reset = if day { date } else { last };
        assert!(self::text(&spent).contains(&format!("\"reset_day\": \"{reset}\"")), "{last} {now}");
    }
}

/// Back and forth over midnight gives each day's quota once.
#[test]
fn a_clock_that_steps_back_gives_nothing_twice() {
    let mut document = FULL.replace("\"mon_limit\": 100,", "\"mon_limit\": null,");
    let mut granted = 0;
    for now in [
        "2025-02-01T00:00:01Z",
        "2025-01-31T23:59:59Z",
        "2025-02-01T00:00:02Z",
        "2025-01-30T00:00:00Z",
        "2025-02-01T10:00:00Z",
    ] {
        loop {
            let spent = count(&document, 1, now);
            if let Some(name) = &spent.used_up {
                assert_eq!(
                    (name.as_str(), counter(&spent, "daily").resets_at_ms),
                    ("daily", Some(ms("2025-02-02T00:00:00Z")))
                );
                break;
            }
            granted += 1;
            document = text(&spent).to_owned();
        }
    }
    assert_eq!(granted, 10);
}

#[test]
fn what_is_missing_is_what_the_model_says() {
    let spent = count("{\"id\": \"u\"}", 3, "2025-01-31T12:00:00Z");
    assert_eq!(
        text(&spent),
        "{\"id\": \"u\", \"day_used\": 3, \"reset_day\": \"2025-01-31\", \"mon_used\": 3, \"reset_mon\": \"2025-01-31\", \"all\": 3}"
    );
    assert_eq!(state(&spent, "daily"), (3, Some(10), Some(7)));
    assert_eq!(state(&spent, "monthly"), (3, None, None));
    // what was used before anybody noted when is used
    let text = "{\"id\": \"u\", \"day_used\": 10, \"reset_day\": null}";
    assert_eq!(count(text, 1, "2025-01-31T12:00:00Z").used_up.as_deref(), Some("daily"));
    // a limit below nothing allows nothing
    let text = "{\"id\": \"u\", \"day_limit\": -1}";
    assert_eq!(state(&count(text, 1, "2025-01-31T12:00:00Z"), "daily"), (0, Some(-1), Some(0)));
}

#[test]
fn values_deeper_in_the_document_and_other_periods() {
    let quotas = quotas("deep");
    let count = |text: &str, at: &str| quotas.count(text.as_bytes(), 1, ms(at)).expect("the text is right");
    let first = count("{\"id\": \"u\"}", "2025-01-05T10:30:00Z");
    assert_eq!(
        text(&first),
        "{\"id\": \"u\", \"hours\": {\"used\": 1, \"at\": \"2025-01-05T10:30:00Z\"}, \"years\": 1, \"yearly\": \"2025-01-05\", \"weeks\": 1, \"since\": \"2025-01-05\"}"
    );
    // the form that the time has stays; a Sunday is the last day of its week
    let blank = text(&first).replace("2025-01-05T10:30:00Z", "2025-01-05 10:30:00.000+00:00");
    let next = count(&blank, "2025-01-05T11:00:00Z");
    assert_eq!(state(&next, "hourly"), (1, Some(3), Some(2)));
    assert!(text(&next).contains("\"2025-01-05 11:00:00.000+00:00\""), "{}", text(&next));
    assert_eq!(state(&next, "weekly"), (2, Some(3), Some(1)));
    assert_eq!(counter(&next, "weekly").resets_at_ms, Some(ms("2025-01-06T00:00:00Z")));
    let monday = count(text(&next), "2025-01-06T00:00:00Z");
    assert_eq!((counter(&monday, "weekly").used, counter(&monday, "sum").used), (1, 3));
    let year = count(text(&monday), "2026-01-01T00:00:00Z");
    assert_eq!(
        (counter(&year, "sum").used, counter(&year, "sum").resets_at_ms),
        (1, Some(ms("2027-01-01T00:00:00Z")))
    );
}

#[test]
fn what_is_no_counter_is_refused() {
    let now = ms("2025-01-31T12:00:00Z");
    for text in [
        "",
        "[]",
        "{\"day_used\": \"9\"}",
        "{\"day_used\": 9.5}",
        "{\"reset_day\": 7}",
        "{\"reset_day\": \"soon\"}",
        "{\"all\": 9223372036854775807}",
    ] {
        let error = quotas("usage").count(text.as_bytes(), 1, now).expect_err(text);
        assert_eq!(error.code(), "R0404", "{text}: {error}");
    }
    let error = quotas("deep").count(b"{\"hours\": 7}", 1, now).expect_err("there is no room");
    assert_eq!(error.code(), "R0404", "{error}");
    assert_eq!(Quotas::of(&layout(), "plain").expect_err("it has none").code(), "R0506");
    assert_eq!(Quotas::of(&layout(), "nothing").expect_err("there is none").code(), "R0402");
}

#[test]
fn a_counter_whose_period_nobody_can_tell_is_no_model() {
    let wrong = |from: &str, to: &str| {
        let text = MODEL.replace(from, to);
        parse(&text, "repot.toml", &|_| None)
            .expect_err("the model is wrong")
            .iter()
            .map(|found| found.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong("reset = \"yearly\"", "reset = \"since\""), ["R0137"]);
    assert_eq!(wrong("daily   =", "daily_monthly ="), ["R0137"]);
    assert_eq!(wrong("weekly  =", "hour    ="), ["R0137"]);
}
