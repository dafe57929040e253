//! The times that a write sets, where a change of a part is made in the rows: how the text says them has to be known, since the
//! column is to have what can be read from there.

use repot_json::edit::quote;
use repot_json::patch::{Pointer, resolve};
use repot_json::{Limits, Tree, Value};

use super::{PartEditor, Row};
use crate::plan::lay_over::{now_like, precision_us};
use crate::plan::program::ColumnProgram;
use crate::plan::revise::{Spot, spot};
use crate::plan::rules::Filler;
use crate::plan::time::parse_time;
use crate::plan::{ColumnKind, Plan};
use crate::row::Cell;

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;
/// What the last digit of a time of a write stands for, microseconds.
const WRITE_US: i64 = 1_000;
/// A stored text was within its limits when it was accepted.
const NO_LIMITS: Limits = Limits { depth_max: usize::MAX, nodes_max: usize::MAX };

/// A time that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Where it stands in the document.
    pub at: Vec<String>,
    /// The time, microseconds since 1970-01-01T00:00:00Z, as exact as the text says it.
    pub micros: i64,
    /// What the last digit of the text stands for, microseconds.
    pub precision_us: i64,
    /// The text has none there: what comes to stand there, as JSON.
    pub missing: Option<String>,
}

/// How a text says a time.
enum Form {
    /// Its last digit stands for so many microseconds.
    Precision(i64),
    /// It does not; a write puts it there like this.
    Missing(String),
}

impl PartEditor<'_> {
    /// Sets the times that a write sets. Comes after all other changes. `now_us` is in whole milliseconds.
    ///
    /// What the last digit of a time stands for, microseconds, `precision_us` says where it is known; else the cell may say
    /// enough, and else the text of the document before this change is asked for, once at the most.
    ///
    /// # Errors
    /// Those of `text`.
    pub fn touch<E>(
        &mut self,
        now_us: i64,
        precision_us: &dyn Fn(&[String]) -> Option<i64>,
        text: &mut dyn FnMut() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Vec<Touched>>, E> {
        let (plan, mut touched, mut read) = (self.plan, Vec::new(), None);
        for number in 0..self.rows.len() {
            let table = self.rows[number].table;
            for filling in &plan.rules[table].fillings {
                let (row, column) = (&self.rows[number], filling.column);
                let by_path = number == 0 && self.captured.contains(&column);
                if filling.with != Filler::NowOnWrite || by_path || row.set.contains(&column) {
                    continue;
                }
                let program = &plan.programs[table].columns[column];
                let Some(at) = program.path.as_deref().map(|names| [&row.at, names].concat()) else {
                    return Ok(None);
                };
                if program.kind != ColumnKind::Time || now_us % WRITE_US != 0 {
                    return Ok(None);
                }
                let known = precision_us(&at).or_else(|| row.precision_us(column));
                let form = match known {
                    Some(known) => Some(Form::Precision(known)),
                    None => {
                        if read.is_none() {
                            read = Some(text()?.unwrap_or_default());
                        }
                        read.as_deref().and_then(|text| form(plan, (row, program), text, now_us))
                    }
                };
                let Some(time) = form.and_then(|form| form.at(at, now_us)) else { return Ok(None) };
                let new = Cell::Time(time.micros);
                if time.missing.is_some() || row.cell(column) != new {
                    self.rows[number].put(column, &new);
                    touched.push(time);
                }
            }
        }
        Ok(Some(touched))
    }
}

impl Row {
    /// What the last digit of the text of a time stands for at the most, as its cell shows: one of whole milliseconds with a last
    /// digit that is not 0 has three digits of a second at least.
    fn precision_us(&self, column: usize) -> Option<i64> {
        let Cell::Time(old) = self.cell(column) else { return None };
        (old.rem_euclid(SECOND_US) % (10 * WRITE_US) != 0).then_some(WRITE_US)
    }
}

impl Form {
    fn at(self, at: Vec<String>, now_us: i64) -> Option<Touched> {
        match self {
            Self::Precision(precision_us) => {
                let micros = now_us - now_us.rem_euclid(precision_us);
                Some(Touched { at, micros, precision_us, missing: None })
            }
            Self::Missing(time) => {
                let (micros, precision_us) = (parse_time(&time)?, precision_us(&time)?);
                Some(Touched { at, micros, precision_us, missing: Some(quote(&time)) })
            }
        }
    }
}

/// How the text says a time of this row, as a write of the text would leave it; `None` where that takes more than this row.
fn form(plan: &Plan, (row, program): (&Row, &ColumnProgram), text: &[u8], now_us: i64) -> Option<Form> {
    let mut tree = Tree::default();
    tree.scan(text, NO_LIMITS).ok()?;
    let element = resolve(tree.root(text)?, &Pointer::from_parts(&row.at))?;
    let names = program.path.as_deref()?;
    match spot(element, names) {
        Spot::There(value) => precision_us(&value.as_str()?).map(Form::Precision),
        Spot::Missing(_, depth) if depth + 1 == names.len() => like_others(plan, row, element, now_us),
        _ => None,
    }
}

/// A time that is missing is spelled like the first of its row.
fn like_others(plan: &Plan, row: &Row, element: Value<'_>, now_us: i64) -> Option<Form> {
    let columns = &plan.programs[row.table].columns;
    let is_time = |column: &usize| columns[*column].kind == ColumnKind::Time;
    if row.set.iter().any(is_time) {
        // that one is not in this text yet
        return None;
    }
    (0..columns.len()).filter(is_time).find_map(|column| {
        let Spot::There(value) = spot(element, columns[column].path.as_deref()?) else { return None };
        now_like(now_us, &value.as_str()?).map(Form::Missing)
    })
}
