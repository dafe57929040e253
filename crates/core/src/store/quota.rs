//! Counters in documents (`[x.quota]`): checked and counted in one step.
//!
//! What counts is decided by a function from a text to a text, so that each store makes it exact by its own way of
//! changing a document.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use repot_json::edit::Editor;
use repot_json::{Kind as JsonKind, Limits, Tree, Value};
use repot_model::language::{Collection, DefaultValue, FieldKind, Period, Quota, Scalar};
use repot_model::plan::now_like;
use repot_model::plan::time::{
    civil_from_days, date_text, days_from_civil, parse_date, parse_time, time_text,
};

use super::contract::Store;
use super::document::{Edit, UnitOfWork, Write};
use super::etag::Precondition;
use super::key::DocumentKey;
use super::layout::Layout;
use crate::error::{Error, Kind, Result, Retry};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Tries where each write must name the state that it replaces.
const TRIES_MAX: usize = 1_000;

/// Where a counter's value stands in the document.
#[derive(Debug, Clone)]
struct Place {
    path: Vec<String>,
    /// What it is where it is missing.
    missing: Option<i64>,
}

#[derive(Debug, Clone)]
struct Counter {
    name: String,
    used: Place,
    limit: Option<Place>,
    reset: Option<Reset>,
}

/// When a counter was reset.
#[derive(Debug, Clone)]
struct Reset {
    path: Vec<String>,
    is_date: bool,
    period: Period,
}

/// The counters of one collection.
#[derive(Debug, Clone)]
pub struct Quotas {
    collection: String,
    counters: Vec<Counter>,
    limits: Limits,
    etag_required: bool,
}

/// A counter after, or before, something was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterState {
    /// Its name in the model.
    pub name: String,
    /// How much was used in this period.
    pub used: i64,
    /// How much may be; `None`: it only counts.
    pub limit: Option<i64>,
    /// How much is left; never below 0.
    pub left: Option<i64>,
    /// When it begins anew, milliseconds since 1970; `None`: never.
    pub resets_at_ms: Option<i64>,
}

/// What became of something to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// All counters: with what was counted, or as they are when something was used up.
    pub counters: Vec<CounterState>,
    /// The counter that has not enough left, and so nothing was counted; of several the one that begins anew last.
    pub used_up: Option<String>,
    /// The document's text with what was counted; `None`: it stays as it is.
    pub text: Option<Bytes>,
}

impl Spending {
    /// The counters, when everything was counted.
    ///
    /// # Errors
    /// [`Kind::Refused`], code `R0503`, when a counter has not enough left.
    pub fn granted(self, key: &DocumentKey) -> Result<Vec<CounterState>> {
        let Some(name) = self.used_up else { return Ok(self.counters) };
        let mut error = Error::new(Kind::Refused, "R0503", format!("the quota `{name}` of {key} is used up"));
        let mut hint = "It does not begin anew; raise its limit.".to_owned();
        if let Some(state) = self.counters.iter().find(|state| state.name == name) {
            let limit = state.limit.unwrap_or_default();
            error = error.detail(format!("{name}: {} of {limit} used", state.used));
            if let Some(at_ms) = state.resets_at_ms {
                let at = time_text(at_ms.saturating_mul(1_000), 'T', 0);
                error = error.detail(format!("{name} begins anew at {at}Z"));
                hint = format!("Wait until {at}Z, or raise its limit.");
            }
        }
        Err(error.hint(hint))
    }
}

impl Quotas {
    /// The counters that the model gives a collection.
    ///
    /// # Errors
    /// `R0402` when there is no such collection; [`Kind::Unsupported`], code `R0506`, when it has no counters.
    pub fn of(layout: &Layout, collection: &str) -> Result<Self> {
        let (_, found) = layout.collection(collection)?;
        if found.quota.is_empty() {
            let message = format!("{collection} has no quota");
            return Err(Error::new(Kind::Unsupported, "R0506", message)
                .hint("Give the collection counters in the model, under `[NAME.quota]`."));
        }
        let counters = found.quota.iter().map(|(name, quota)| counter(found, name, quota));
        Ok(Self {
            collection: collection.to_owned(),
            counters: counters.collect::<Option<Vec<_>>>().ok_or_else(|| {
                Error::new(Kind::Internal, "R0901", format!("the quota of {collection} was not checked"))
            })?,
            limits: layout.limits(),
            etag_required: found.etag_required,
        })
    }

    /// Counts `n` in every counter of a document, or in none, as of `now_ms` (milliseconds since 1970). Counters whose period is
    /// over begin anew first; the clock going back gives nothing again. A missing value is the model's default, else 0, and a
    /// missing limit none. `n` of 0 only looks.
    ///
    /// # Errors
    /// [`Kind::Invalid`], code `R0404`, when the text is no JSON object or a value is not what the model says.
    pub fn count(&self, text: &[u8], n: u32, now_ms: i64) -> Result<Spending> {
        let wrong = |what: String| {
            Error::new(Kind::Invalid, "R0404", format!("{}: {what}", self.collection))
                .hint("Mend the document; counters and limits are whole numbers, resets dates or times.")
        };
        let tree =
            Tree::parse(text, self.limits).map_err(|error| wrong("no JSON".to_owned()).cause(error))?;
        let root = tree.root(text).filter(|root| root.kind() == JsonKind::Object);
        let root = root.ok_or_else(|| wrong("no object".to_owned()))?;
        let (mut states, mut changes) = (Vec::new(), Changes::new(root));
        let mut used_up: Option<(Option<i64>, String)> = None;
        for counter in &self.counters {
            let turn = counter.turn(root, now_ms).map_err(wrong)?;
            let used = whole(root, &counter.used).map_err(wrong)?.unwrap_or(0);
            let used = if turn.begins_anew { 0 } else { used };
            let limit = match &counter.limit {
                Some(place) => whole(root, place).map_err(wrong)?,
                None => None,
            };
            let after =
                used.checked_add(n.into()).ok_or_else(|| wrong(format!("`{}` overflows", counter.name)))?;
            if n > 0 && limit.is_some_and(|limit| after > limit) {
                let later = used_up.as_ref().is_none_or(|(other, _)| ends_later(turn.ends_ms, *other));
                if later {
                    used_up = Some((turn.ends_ms, counter.name.clone()));
                }
            }
            changes.set(&counter.used.path, after.to_string());
            if let (Some(reset), Some(spelled)) = (&counter.reset, &turn.spelled) {
                changes.set(&reset.path, repot_json::edit::quote(spelled));
            }
            states.push((counter.name.clone(), used, after, limit, turn.ends_ms));
        }
        let counted = n > 0 && used_up.is_none();
        let state =
            |(name, before, after, limit, resets_at_ms): (String, i64, i64, Option<i64>, Option<i64>)| {
                let used = if counted { after } else { before };
                let left = limit.map(|limit| limit.saturating_sub(used).max(0));
                CounterState { name, used, limit, left, resets_at_ms }
            };
        Ok(Spending {
            counters: states.into_iter().map(state).collect(),
            used_up: used_up.map(|(_, name)| name),
            text: if counted { Some(changes.finish().map_err(wrong)?.into()) } else { None },
        })
    }

    /// Checks all counters of a document and counts `n`, all or none, exactly, whoever else does so; says what became of
    /// it. `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// [`Kind::NotFound`], code `R0402`, when the document is not there; as [`Quotas::count`] and [`Store::apply`].
    pub async fn spend<S: Store + ?Sized>(
        &self,
        store: &S,
        key: &DocumentKey,
        n: u32,
        now_ms: i64,
    ) -> Result<Spending> {
        self.spend_in(store, key, (n, now_ms), UnitOfWork::default()).await
    }

    /// [`Quotas::spend`] as a part of a unit of work, all of which happens if it is counted: what the unit notes, and messages
    /// that are done with it. Where a limit is used up, and where `n` is 0, nothing of the unit happens.
    ///
    /// # Errors
    /// As [`Quotas::spend`].
    pub async fn spend_in<S: Store + ?Sized>(
        &self,
        store: &S,
        key: &DocumentKey,
        (n, now_ms): (u32, i64),
        unit: UnitOfWork,
    ) -> Result<Spending> {
        if n == 0 {
            return self.peek(store, key, now_ms).await;
        }
        if self.etag_required {
            return self.spend_on_state(store, key, (n, now_ms), unit).await;
        }
        let (quotas, last) = (self.clone(), Arc::new(Mutex::new(None)));
        let (seen, missing) = (Arc::clone(&last), key.clone());
        let edit = Edit::new(move |text| {
            let spending = quotas.count(text.ok_or_else(|| absent(&missing))?, n, now_ms)?;
            let text = spending.text.clone();
            // a unit that failed leaves nothing behind
            let refused = spending.clone().granted(&missing).err();
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(spending);
            refused.map_or(Ok(text), Err)
        });
        let write = Write::Update { key: key.clone(), edit, when: Precondition::Any };
        let applied = store.apply(unit.with(write)).await;
        let spending = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (applied, spending) {
            (Err(_refused), Some(spending)) if spending.used_up.is_some() => Ok(spending),
            (Err(error), _) => Err(error),
            (Ok(_), spending) => spending.ok_or_else(|| absent(key)),
        }
    }

    /// The same where each write must name the state that it replaces.
    async fn spend_on_state<S: Store + ?Sized>(
        &self,
        store: &S,
        key: &DocumentKey,
        (n, now_ms): (u32, i64),
        unit: UnitOfWork,
    ) -> Result<Spending> {
        for _ in 0..TRIES_MAX {
            let found = store.get(key).await?.ok_or_else(|| absent(key))?;
            let spending = self.count(&found.body, n, now_ms)?;
            let Some(body) = spending.text.clone() else { return Ok(spending) };
            let write = Write::Put { key: key.clone(), body, when: Precondition::Matches(found.etag) };
            match store.apply(unit.clone().with(write)).await {
                // not for a fact of the unit
                Err(error) if error.code() == "R0401" && error.kind() == Kind::Conflict => {}
                done => return done.map(|_| spending),
            }
        }
        let message = format!("others wrote {key} {TRIES_MAX} times meanwhile");
        Err(Error::new(Kind::Unavailable, "R0411", message).retry(Retry::Safe).hint("Send it again."))
    }

    /// The counters of a document as they are; nothing is counted or written.
    ///
    /// # Errors
    /// As [`Quotas::spend`].
    pub async fn peek<S: Store + ?Sized>(
        &self,
        store: &S,
        key: &DocumentKey,
        now_ms: i64,
    ) -> Result<Spending> {
        let found = store.get(key).await?.ok_or_else(|| absent(key))?;
        self.count(&found.body, 0, now_ms)
    }
}

fn absent(key: &DocumentKey) -> Error {
    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
        .hint("Create the document first; the model's defaults fill in its counters.")
}

/// Nothing is later than never.
fn ends_later(one: Option<i64>, other: Option<i64>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

fn counter(collection: &Collection, name: &str, quota: &Quota) -> Option<Counter> {
    let path = |field: &str| {
        let field = collection.field(field)?;
        Some(field.from.clone().unwrap_or_else(|| vec![field.name.clone()]))
    };
    let place = |field: &str| {
        let missing = match &collection.field(field)?.default {
            Some(DefaultValue::Constant(text)) => text.parse().ok(),
            _ => None,
        };
        Some(Place { path: path(field)?, missing })
    };
    let reset = |field: &str| {
        Some(Reset {
            path: path(field)?,
            is_date: collection.field(field)?.kind == FieldKind::Scalar(Scalar::Date),
            period: Period::of(name, quota)?,
        })
    };
    Some(Counter {
        name: name.to_owned(),
        used: place(&quota.used)?,
        limit: optional(quota.limit.as_deref(), place)?,
        reset: optional(quota.reset.as_deref(), reset)?,
    })
}

/// What a field gives where one is named; `None`: it gives nothing.
fn optional<T>(field: Option<&str>, of: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    field.map_or(Some(None), |field| of(field).map(Some))
}

/// Where a counter is in time.
struct Turn {
    /// Its last period is over.
    begins_anew: bool,
    /// When this one is over, milliseconds since 1970.
    ends_ms: Option<i64>,
    /// What its `reset` is from now on, where that changes.
    spelled: Option<String>,
}

impl Counter {
    fn turn(&self, root: Value<'_>, now_ms: i64) -> Result<Turn, String> {
        let Some(reset) = &self.reset else {
            return Ok(Turn { begins_anew: false, ends_ms: None, spelled: None });
        };
        let was = match find(root, &reset.path) {
            None => None,
            Some(value) => {
                let name = reset.path.join(".");
                let text = value.as_str().ok_or_else(|| format!("`{name}` is no text"))?;
                let at_ms = parse_date(&text)
                    .map(|days| i64::from(days) * DAY_MS)
                    .or_else(|| parse_time(&text).map(|micros| micros.div_euclid(1_000)))
                    .ok_or_else(|| format!("`{name}` is no date and no time"))?;
                Some((at_ms, text))
            }
        };
        let (now_starts, now_ends) = bounds(reset.period, now_ms);
        // who never began begins now, with what was used until now
        let Some((was_ms, was_text)) = was else {
            return Ok(Turn {
                begins_anew: false,
                ends_ms: Some(now_ends),
                spelled: Some(reset.spell(now_ms, None)),
            });
        };
        let (was_starts, was_ends) = bounds(reset.period, was_ms);
        let begins_anew = was_starts < now_starts;
        Ok(Turn {
            begins_anew,
            // after the clock went back the period that was begun goes on
            ends_ms: Some(if begins_anew { now_ends } else { was_ends }),
            spelled: begins_anew.then(|| reset.spell(now_ms, Some(&was_text))),
        })
    }
}

impl Reset {
    /// Now, as the document spells it.
    fn spell(&self, now_ms: i64, was: Option<&str>) -> String {
        let micros = now_ms.saturating_mul(1_000);
        let day = || date_text(i32::try_from(now_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX));
        if self.is_date || was.is_some_and(|was| parse_date(was).is_some()) {
            return day();
        }
        was.and_then(|was| now_like(micros, was)).unwrap_or_else(|| time_text(micros, 'T', 0) + "Z")
    }
}

/// The period that a moment is in: its first millisecond, and that of the next one.
fn bounds(period: Period, at_ms: i64) -> (i64, i64) {
    let day = i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
    let at = |days: i32| i64::from(days) * DAY_MS;
    let (year, month, _) = civil_from_days(day);
    match period {
        Period::Hourly => {
            let start = at_ms.div_euclid(HOUR_MS) * HOUR_MS;
            (start, start + HOUR_MS)
        }
        Period::Daily => (at(day), at(day) + DAY_MS),
        Period::Weekly => {
            // 1970-01-01 was a Thursday
            let monday = day - (day + 3).rem_euclid(7);
            (at(monday), at(monday) + 7 * DAY_MS)
        }
        Period::Monthly => {
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            (at(days_from_civil(year, month, 1)), at(days_from_civil(next.0, next.1, 1)))
        }
        Period::Yearly => (at(days_from_civil(year, 1, 1)), at(days_from_civil(year + 1, 1, 1))),
    }
}

/// The value at a place; missing and null are the same.
fn find<'t>(root: Value<'t>, path: &[String]) -> Option<Value<'t>> {
    let mut here = root;
    for name in path {
        here = Some(here).filter(|here| here.kind() == JsonKind::Object)?.get(name)?;
    }
    Some(here).filter(|value| value.kind() != JsonKind::Null)
}

/// A whole number, also one that is written with a fraction of zeros.
fn whole(root: Value<'_>, place: &Place) -> Result<Option<i64>, String> {
    let Some(value) = find(root, &place.path) else { return Ok(place.missing) };
    let (head, tail) = value.raw().split_once('.').unwrap_or((value.raw(), ""));
    let number = head.parse().ok().filter(|_| tail.bytes().all(|digit| digit == b'0'));
    match number {
        Some(number) if value.kind() == JsonKind::Number => Ok(Some(number)),
        _ => Err(format!("`{}` is no whole number", place.path.join("."))),
    }
}

/// Values that are set in a document.
struct Changes<'t> {
    root: Value<'t>,
    editor: Editor<'t>,
    /// Values whose places are missing: the object that is there, the names below it, and the JSON text.
    missing: Vec<(u32, Vec<String>, String)>,
    blocked: Option<String>,
}

impl<'t> Changes<'t> {
    fn new(root: Value<'t>) -> Self {
        Self { root, editor: Editor::new(root), missing: Vec::new(), blocked: None }
    }

    fn set(&mut self, path: &[String], json: String) {
        let mut here = self.root;
        for (depth, name) in path.iter().enumerate() {
            if here.kind() != JsonKind::Object {
                self.blocked = Some(path.join("."));
                return;
            }
            match here.get(name) {
                Some(inner) => here = inner,
                None => {
                    let rest = path.get(depth..).unwrap_or_default().to_vec();
                    self.missing.push((here.index(), rest, json));
                    return;
                }
            }
        }
        self.editor.replace(here.index(), &json);
    }

    fn finish(mut self) -> Result<Vec<u8>, String> {
        if let Some(path) = self.blocked {
            return Err(format!("there is no room for `{path}`"));
        }
        while let Some((object, path, _)) = self.missing.first() {
            let (object, name) = (*object, path.first().cloned().unwrap_or_default());
            let here = |one: &(u32, Vec<String>, String)| one.0 == object && one.1.first() == Some(&name);
            let (own, rest) = std::mem::take(&mut self.missing).into_iter().partition(here);
            self.missing = rest;
            let below = Vec::from_iter(Vec::into_iter(own).map(below));
            self.editor.insert_entry(object, &name, &nested(below));
        }
        Ok(self.editor.finish())
    }
}

fn below((_, path, json): (u32, Vec<String>, String)) -> (Vec<String>, String) {
    (path.into_iter().skip(1).collect(), json)
}

/// The JSON text that holds these values below it.
fn nested(mut values: Vec<(Vec<String>, String)>) -> String {
    if let [(path, json)] = values.as_slice()
        && path.is_empty()
    {
        return json.clone();
    }
    let mut entries = Vec::new();
    while let Some(name) = values.first().and_then(|(path, _)| path.first().cloned()) {
        let (own, rest) = values.into_iter().partition(|(path, _)| path.first() == Some(&name));
        values = rest;
        let deeper = Vec::into_iter(own)
            .map(|(path, json): (Vec<String>, String)| (path.into_iter().skip(1).collect(), json));
        entries.push(format!("{}: {}", repot_json::edit::quote(&name), nested(deeper.collect())));
    }
    format!("{{{}}}", entries.join(", "))
}

#[cfg(test)]
mod tests;
