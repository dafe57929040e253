//! When counters of `[x.quota]` begin anew.

use super::{Collection, FieldKind, Quota, Scalar};

/// How long a counter counts before it begins anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From one full hour to the next.
    Hourly,
    /// From midnight to midnight.
    Daily,
    /// From Monday to Monday.
    Weekly,
    /// From the first of a month to the next.
    Monthly,
    /// From 1 January to the next.
    Yearly,
}

impl Period {
    /// The words that name periods, for hints.
    pub const WORDS: &'static str = "hourly, daily, weekly, monthly or yearly";

    fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "hour" | "hourly" => Self::Hourly,
            "day" | "daily" => Self::Daily,
            "week" | "weekly" => Self::Weekly,
            "month" | "monthly" => Self::Monthly,
            "year" | "yearly" => Self::Yearly,
            _ => return None,
        })
    }

    /// The periods that a name has as words between `_`; of equal ones the first.
    fn of_name(name: &str) -> Vec<Self> {
        let mut found: Vec<Self> = name.split('_').filter_map(Self::of_word).collect();
        found.dedup();
        found
    }

    /// The period of a counter: a word of its name, else of the name of its `reset` field. `None`: neither says, or that
    /// which does says several.
    #[must_use]
    pub fn of(counter: &str, quota: &Quota) -> Option<Self> {
        let own = Self::of_name(counter);
        let said = if own.is_empty() { Self::of_name(quota.reset.as_deref()?) } else { own };
        if let [period] = said.as_slice() { Some(*period) } else { None }
    }

    /// Why a counter of this collection cannot begin anew, and what to do; `None`: it can, or never does.
    #[must_use]
    pub fn wrong(collection: &Collection, counter: &str, quota: &Quota) -> Option<(String, String)> {
        let reset = quota.reset.as_deref()?;
        let Some(period) = Self::of(counter, quota) else {
            let message =
                format!("nobody can say when the counter `{counter}` of {} begins anew", collection.name);
            let hint = format!(
                "Let the counter, or its `reset` field, have one of the words {} in its name; or leave `reset` out.",
                Self::WORDS
            );
            return Some((message, hint));
        };
        let is_date = collection.field(reset)?.kind == FieldKind::Scalar(Scalar::Date);
        (period == Self::Hourly && is_date).then(|| {
            let message = format!("`{reset}` in {} is a date, which says no hour", collection.name);
            (message, "An hourly counter needs a `time`.".to_owned())
        })
    }
}
