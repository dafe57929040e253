//! Random documents in random styles, random edits: what comes out says what the rows say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::desk::{Desk, Row, json, plan, text};
use crate::plan::{ColumnKind, Plan};
use crate::row::Cell;

const MODEL: &str = r#"
[dramas]
file = "{id}.json"
[dramas.fields]
id = "text key"
title = "text"
note = "text?"
score = "float?"
made_at = "time?"
city = "text? from address.city"
zip = "int? from address.geo.zip"
tags = "[text]?"
meta = "json?"

[scenes]
in = "dramas.inner.scenes[]"
[scenes.fields]
drama_id = "-> dramas cascade auto"
position = "position"
id = "text key"
name = "text?"
lit = "bool?"

[assets]
in = ["scenes.assets[]", "dramas.assets[]"]
[assets.fields]
of = "-> scenes | dramas cascade auto"
position = "position"
url = "text?"
size = "int? from file.size"

[labels]
in = "dramas.labels{lang}"
[labels.fields]
drama_id = "-> dramas cascade auto"
lang = "text"
label = "text? from ."

[words]
in = "scenes.words{lang}[]"
[words.fields]
scene_id = "-> scenes cascade auto"
lang = "text"
position = "position"
word = "text?"
"#;

/// A source of choices that proptest can shrink.
struct Dice<'d> {
    throws: &'d [u16],
    at: usize,
}

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        let throw = self.throws.get(self.at % self.throws.len().max(1)).copied().unwrap_or(0);
        self.at += 1;
        // rounds through the throws differ
        (usize::from(throw) + self.at / self.throws.len().max(1) * 7) % sides
    }

    fn text(&mut self) -> String {
        ["", "a", "\u{e9}\n\"", "1", "\u{1f600}", "{}", "long text with / and \\"][self.roll(7)].to_owned()
    }
}

enum Json {
    Raw(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

struct Style {
    unit: &'static str,
    newline: &'static str,
    colon: &'static str,
    comma: &'static str,
}

const STYLES: [Style; 6] = [
    Style { unit: "  ", newline: "\n", colon: ": ", comma: "," },
    Style { unit: "    ", newline: "\n", colon: ": ", comma: "," },
    Style { unit: "\t", newline: "\n", colon: ": ", comma: "," },
    Style { unit: "  ", newline: "\r\n", colon: " : ", comma: "," },
    Style { unit: "", newline: "", colon: ":", comma: "," },
    Style { unit: "", newline: "", colon: ": ", comma: ", " },
];

fn print(value: &Json, style: &Style, depth: usize, out: &mut String) {
    let (open, close, children): (_, _, Vec<(Option<&String>, &Json)>) = match value {
        Json::Raw(raw) => return out.push_str(raw),
        Json::List(list) => ("[", "]", list.iter().map(|value| (None, value)).collect()),
        Json::Object(entries) => ("{", "}", entries.iter().map(|(key, value)| (Some(key), value)).collect()),
    };
    out.push_str(open);
    for (at, (key, child)) in children.iter().enumerate() {
        if at > 0 {
            out.push_str(style.comma);
        }
        write!(out, "{}{}", style.newline, style.unit.repeat(depth + 1)).unwrap();
        if let Some(key) = key {
            write!(out, "{}{}", repot_json::edit::quote(key), style.colon).unwrap();
        }
        print(child, style, depth + 1, out);
    }
    if !children.is_empty() {
        write!(out, "{}{}", style.newline, style.unit.repeat(depth)).unwrap();
    }
    out.push_str(close);
}

fn string(dice: &mut Dice<'_>) -> Json {
    Json::Raw(repot_json::edit::quote(&dice.text()))
}

fn maybe(
    dice: &mut Dice<'_>,
    name: &str,
    out: &mut Vec<(String, Json)>,
    make: impl FnOnce(&mut Dice<'_>) -> Json,
) {
    match dice.roll(4) {
        0 => {}
        1 => out.push((name.to_owned(), Json::Raw("null".to_owned()))),
        _ => {
            let value = make(dice);
            out.push((name.to_owned(), value));
        }
    }
}

fn assets(dice: &mut Dice<'_>) -> Json {
    let asset = |dice: &mut Dice<'_>| {
        let mut out = Vec::new();
        maybe(dice, "url", &mut out, string);
        maybe(dice, "file", &mut out, |dice| {
            let mut file = Vec::new();
            maybe(dice, "size", &mut file, |dice| Json::Raw(dice.roll(99).to_string()));
            Json::Object(file)
        });
        maybe(dice, "extra", &mut out, |dice| Json::Raw(format!("{}.50", dice.roll(9))));
        Json::Object(out)
    };
    Json::List((0..dice.roll(4)).map(|_| asset(dice)).collect())
}

fn words(dice: &mut Dice<'_>) -> Json {
    let mut out = Vec::new();
    for lang in ["de", "en"] {
        maybe(dice, lang, &mut out, |dice| {
            Json::List(
                (0..dice.roll(3)).map(|_| Json::Object(vec![("word".to_owned(), string(dice))])).collect(),
            )
        });
    }
    Json::Object(out)
}

fn scene(number: usize, dice: &mut Dice<'_>) -> Json {
    let mut out = vec![("id".to_owned(), Json::Raw(format!("\"s{number}\"")))];
    maybe(dice, "name", &mut out, string);
    maybe(dice, "lit", &mut out, |_| Json::Raw("true".to_owned()));
    maybe(dice, "assets", &mut out, assets);
    maybe(dice, "words", &mut out, words);
    maybe(dice, "other", &mut out, |_| Json::List(vec![Json::Raw("1E2".to_owned())]));
    Json::Object(out)
}

fn document(dice: &mut Dice<'_>) -> String {
    let mut out = vec![("id".to_owned(), Json::Raw("\"d\"".to_owned())), ("title".to_owned(), string(dice))];
    maybe(dice, "note", &mut out, string);
    maybe(dice, "score", &mut out, |dice| Json::Raw(["1", "1.50", "1e400", "-0"][dice.roll(4)].to_owned()));
    maybe(dice, "made_at", &mut out, |dice| {
        Json::Raw(
            ["\"2024-03-01T10:20:30Z\"", "\"2024-03-01 10:20\"", "\"2024-03-01T10:20:30.123+05:30\""]
                [dice.roll(3)]
            .to_owned(),
        )
    });
    maybe(dice, "address", &mut out, |dice| {
        let mut address = Vec::new();
        maybe(dice, "city", &mut address, string);
        maybe(dice, "geo", &mut address, |_| {
            Json::Object(vec![("zip".to_owned(), Json::Raw("5".to_owned()))])
        });
        Json::Object(address)
    });
    maybe(dice, "tags", &mut out, |dice| Json::List((0..dice.roll(3)).map(|_| string(dice)).collect()));
    maybe(dice, "meta", &mut out, words);
    maybe(dice, "inner", &mut out, |dice| {
        let mut inner = Vec::new();
        maybe(dice, "scenes", &mut inner, |dice| {
            Json::List((0..dice.roll(5)).map(|at| scene(at, dice)).collect())
        });
        Json::Object(inner)
    });
    maybe(dice, "assets", &mut out, assets);
    maybe(dice, "labels", &mut out, |dice| {
        Json::Object(
            ["en", "de", "f/r"]
                .iter()
                .take(dice.roll(4))
                .map(|lang| ((*lang).to_owned(), string(dice)))
                .collect(),
        )
    });
    let mut printed = String::new();
    let style = &STYLES[dice.roll(STYLES.len())];
    print(&Json::Object(out), style, 0, &mut printed);
    printed.push_str(style.newline);
    printed
}

fn value(kind: ColumnKind, dice: &mut Dice<'_>) -> Cell<'static> {
    match kind {
        ColumnKind::Int => Cell::Int(i64::try_from(dice.roll(1000)).unwrap()),
        ColumnKind::Float => Cell::Float([2.0, 0.1, -1e30][dice.roll(3)]),
        ColumnKind::Bool => Cell::Bool(dice.roll(2) == 0),
        ColumnKind::Time => Cell::Time([0, 1_700_000_000_000_000, 1_700_000_000_123_456][dice.roll(3)]),
        ColumnKind::Json => json(["[1, {\"a\": [2]}]", "{}", "\"x\"", "-1.50"][dice.roll(4)]),
        ColumnKind::TextList => {
            let mut payload = Vec::new();
            for _ in 0..dice.roll(3) {
                Cell::Text(dice.text().into()).encode(&mut payload);
            }
            Cell::List(payload.into())
        }
        _ => Cell::Text(dice.text().into()),
    }
}

/// Rows edited with plain SQL.
struct Table<'p> {
    plan: &'p Plan,
    rows: Vec<Row>,
    made: usize,
}

impl Table<'_> {
    fn number(&self, name: &str) -> usize {
        self.plan.table(name).unwrap()
    }

    fn scenes(&self) -> Vec<Cell<'static>> {
        let scenes = self.number("scenes");
        self.rows.iter().filter(|row| row.0 == scenes).map(|row| row.1[2].clone()).collect()
    }

    fn edit(&mut self, dice: &mut Dice<'_>) {
        let at = dice.roll(self.rows.len());
        let table = self.rows[at].0;
        match dice.roll(6) {
            0 | 1 => self.update(at, dice),
            2 if at > 0 => self.delete(at),
            3 => self.insert(dice),
            4 => self.relocate(at, dice),
            _ => {
                if let Some(position) = self.plan.tables[table].position {
                    self.rows[at].1[position] = Cell::Int(i64::try_from(dice.roll(5)).unwrap());
                }
            }
        }
    }

    fn update(&mut self, at: usize, dice: &mut Dice<'_>) {
        let table = self.rows[at].0;
        let program = &self.plan.programs[table];
        let free: Vec<usize> = (0..program.columns.len())
            .filter(|&column| {
                program.columns[column].path.is_some() && !self.plan.tables[table].key.contains(&column)
            })
            .collect();
        if !free.is_empty() {
            let column = free[dice.roll(free.len())];
            let null = !program.columns[column].required && dice.roll(3) == 0;
            self.rows[at].1[column] =
                if null { Cell::Null } else { value(program.columns[column].kind, dice) };
        }
    }

    fn delete(&mut self, at: usize) {
        let (table, cells) = self.rows.remove(at);
        if table == self.number("scenes") {
            let (assets, words, id) = (self.number("assets"), self.number("words"), cells[2].clone());
            self.rows.retain(|row| !(row.0 == words && row.1[0] == id || row.0 == assets && row.1[1] == id));
        }
    }

    fn insert(&mut self, dice: &mut Dice<'_>) {
        self.made += 1;
        let position = Cell::Int(i64::try_from(dice.roll(6)).unwrap());
        let drama = text("d");
        let scenes = self.scenes();
        let scene = (!scenes.is_empty()).then(|| scenes[dice.roll(scenes.len())].clone());
        let names = ["scenes", "assets", "labels", "words", "assets"];
        let name = names[dice.roll(names.len())];
        let said = text(&dice.text());
        let cells = match (name, scene) {
            ("scenes", _) => vec![drama, position, text(&format!("new{}", self.made)), said, Cell::Null],
            ("assets", Some(scene)) if dice.roll(2) == 0 => {
                vec![text("scenes"), scene, position, said, Cell::Int(1)]
            }
            ("assets", _) => vec![text("dramas"), drama, position, said, Cell::Null],
            ("words", Some(scene)) => vec![scene, text(["de", "fr"][dice.roll(2)]), position, said],
            _ => vec![drama, text(&format!("l{}", self.made)), said],
        };
        let name = if cells.len() == 3 { "labels" } else { name };
        self.rows.push((self.number(name), cells));
    }

    /// To another parent, or another key of its map.
    fn relocate(&mut self, at: usize, dice: &mut Dice<'_>) {
        let scenes = self.scenes();
        let table = self.rows[at].0;
        self.made += 1;
        if table == self.number("labels") {
            self.rows[at].1[1] = text(&format!("moved{}", self.made));
        } else if table == self.number("words") {
            self.rows[at].1[1] = text(["de", "en", "it"][dice.roll(3)]);
        } else if table == self.number("assets") && !scenes.is_empty() {
            self.rows[at].1[0] = text("scenes");
            self.rows[at].1[1] = scenes[dice.roll(scenes.len())].clone();
        }
    }

    /// Positions that differ in each list, `gap` apart; returns the rows with positions as lists count them.
    fn renumber(&mut self, gap: i64) -> Vec<Row> {
        let mut lists: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (table, cells)) in self.rows.iter().enumerate() {
            if let Some(position) = self.plan.tables[*table].position {
                let list: Vec<String> = cells[..position].iter().map(|cell| format!("{cell:?}")).collect();
                lists.entry(format!("{table} {list:?}")).or_default().push(at);
            }
        }
        let mut counted = self.rows.clone();
        for mut list in lists.into_values() {
            let position = self.plan.tables[self.rows[list[0]].0].position.unwrap();
            list.sort_by_key(|&at| match self.rows[at].1[position] {
                Cell::Int(position) => position,
                _ => 0,
            });
            for (rank, at) in list.into_iter().enumerate() {
                let rank = i64::try_from(rank).unwrap();
                self.rows[at].1[position] = Cell::Int(rank * gap);
                counted[at].1[position] = Cell::Int(rank);
            }
        }
        counted
    }
}

/// Rows as a sorted list of words; JSON columns by what they say.
fn words_of(rows: &[Row]) -> Vec<String> {
    let cell = |cell: &Cell<'_>| match cell {
        Cell::Json(text) => serde_json::from_str::<serde_json::Value>(text).unwrap().to_string(),
        other => format!("{other:?}"),
    };
    let mut out: Vec<String> = rows
        .iter()
        .map(|(table, cells)| format!("{table} {}", cells.iter().map(cell).collect::<Vec<_>>().join(" | ")))
        .collect();
    out.sort();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_says_what_the_rows_say(
        shape in proptest::collection::vec(any::<u16>(), 1..60),
        edits in proptest::collection::vec(any::<u16>(), 1..40),
        count in 0_usize..8,
        gap in 1_i64..3,
    ) {
        let plan = plan(MODEL);
        let desk = Desk::new(&plan, "d.json", &["d"]);
        let document = document(&mut Dice { throws: &shape, at: 0 });
        let (found, documents) = desk.split(&document);
        prop_assert_eq!(&found[0].misfit, &None);
        let same = desk.lay(&document, &[Some(documents[0].clone())]);
        prop_assert_eq!(String::from_utf8(same.bytes).unwrap(), document.clone());

        let mut table = Table { plan: &plan, rows: documents[0].clone(), made: 0 };
        let mut dice = Dice { throws: &edits, at: 0 };
        for _ in 0..count {
            table.edit(&mut dice);
        }
        let counted = table.renumber(gap);
        let mut rows = table.rows;
        rows.reverse();
        let laid = desk.lay(&document, &[Some(rows)]);
        prop_assert_eq!(&laid.notes, &Vec::<String>::new(), "{}", document);
        let out = String::from_utf8(laid.bytes).unwrap();
        let (found, documents) = desk.split(&out);
        prop_assert_eq!(&found[0].misfit, &None);
        prop_assert_eq!(words_of(&documents[0]), words_of(&counted), "{}\n{}", document, out);
        // settled: laying the rows that came out over it changes nothing
        let again = desk.lay(&out, &[Some(counted)]);
        prop_assert_eq!(String::from_utf8(again.bytes).unwrap(), out);
    }
}
