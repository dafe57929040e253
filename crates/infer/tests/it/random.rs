//! Documents nobody would write: whatever they are, the model takes all of them.

use std::fmt::Write as _;

use repot_model::language::Place;

use crate::corpora::{Files, found, look};
use crate::shuffled::Dice;
use crate::splits::takes_all;

const KEYS: [&str; 24] = [
    "id",
    "Id",
    "order",
    "position",
    "name",
    "value",
    "entity",
    "entity_id",
    "parent_id",
    "user_id",
    "type",
    "status",
    "größe",
    "a b",
    "",
    "1001",
    "1002",
    "1003",
    "2024-01-01",
    "items",
    "children",
    "ctid",
    "it's",
    "k.v",
];
const SCALARS: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "17",
    "1.0",
    "1E2",
    "1e400",
    "9223372036854775808",
    "0.1",
    "\"\"",
    "\"x\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"2024-01-02\"",
    "\"2024-01-02T03:04:05Z\"",
    "\"4b9e0c1f-4f3a-4a51-9f7e-0c9b8f1f2a11\"",
    "\"open\"",
    "\"done\"",
    "\"long text with 'quotes' and \\\"more\\\"\"",
];

fn value(dice: &mut Dice, depth: usize, out: &mut String) {
    match if depth == 0 { 0 } else { dice.roll(9) } {
        0..=4 => out.push_str(SCALARS[dice.roll(SCALARS.len())]),
        5 | 6 => object(dice, depth - 1, out),
        _ => {
            out.push('[');
            let kind = dice.roll(3);
            for at in 0..dice.roll(4) {
                out.push_str(if at > 0 { "," } else { "" });
                match kind {
                    0 => value(dice, depth - 1, out),
                    1 => object(dice, depth - 1, out),
                    _ => out.push_str(SCALARS[dice.roll(SCALARS.len())]),
                }
            }
            out.push(']');
        }
    }
}

fn object(dice: &mut Dice, depth: usize, out: &mut String) {
    out.push('{');
    for at in 0..dice.roll(6) {
        let key = KEYS[dice.roll(KEYS.len())];
        write!(out, "{}\"{key}\":", if at > 0 { "," } else { "" }).expect("a String takes everything");
        value(dice, depth, out);
    }
    out.push('}');
}

/// What documents of one kind have in common.
enum Shape {
    Scalar(usize),
    Object(Vec<(usize, Self)>),
    List(Box<Self>),
    Map(Box<Self>),
    Anything,
}

fn shape(dice: &mut Dice, depth: usize) -> Shape {
    match if depth == 0 { dice.roll(3) } else { dice.roll(10) } {
        0..=2 => Shape::Scalar(dice.roll(SCALARS.len())),
        3 | 4 => Shape::Object(
            (0..=dice.roll(6)).map(|_| (dice.roll(KEYS.len()), shape(dice, depth - 1))).collect(),
        ),
        5..=7 => Shape::List(Box::new(shape(dice, depth - 1))),
        8 => Shape::Map(Box::new(shape(dice, depth - 1))),
        _ => Shape::Anything,
    }
}

/// A value of this shape, `noise` in a thousand times something else.
fn shaped(dice: &mut Dice, shape: &Shape, noise: usize, out: &mut String) {
    if dice.roll(1000) < noise {
        return value(dice, 2, out);
    }
    match shape {
        Shape::Anything => value(dice, 2, out),
        Shape::Scalar(at) => out.push_str(SCALARS[*at]),
        Shape::Object(fields) => {
            out.push('{');
            let mut first = true;
            for (key, inner) in fields {
                if dice.roll(1000) >= noise {
                    write!(out, "{}\"{}\":", if first { "" } else { "," }, KEYS[*key])
                        .expect("a String takes everything");
                    shaped(dice, inner, noise, out);
                    first = false;
                }
            }
            out.push('}');
        }
        Shape::List(inner) => {
            out.push('[');
            for at in 0..dice.roll(4) {
                out.push_str(if at > 0 { "," } else { "" });
                shaped(dice, inner, noise, out);
            }
            out.push(']');
        }
        Shape::Map(inner) => {
            out.push('{');
            for at in 0..dice.roll(5) {
                let comma = if at > 0 { "," } else { "" };
                write!(out, "{comma}\"{}\":", 5000 + dice.roll(900)).expect("a String takes everything");
                shaped(dice, inner, noise, out);
            }
            out.push('}');
        }
    }
}

fn files(seed: u64) -> Files {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut all = std::collections::BTreeMap::new();
    let layout = dice.roll(4);
    let common = Shape::Object((0..5).map(|_| (dice.roll(KEYS.len()), shape(&mut dice, 4))).collect());
    let noise = [0, 5, 40, 1000][dice.roll(4)];
    for at in 0..(3 + dice.roll(40)) {
        let mut text = String::new();
        match dice.roll(12) {
            0 if noise > 5 => value(&mut dice, 4, &mut text),
            1 if noise == 1000 => object(&mut dice, 4, &mut text),
            _ => shaped(&mut dice, &common, noise, &mut text),
        }
        let path = match layout {
            0 => format!("docs/{at}.json"),
            1 => format!("u{}/d{at:03}.json", at % 3),
            2 => format!(
                "{}/{}.json",
                ["red", "green", "blue"][at % 3],
                ["one", "two", "three", "four"][dice.roll(4)]
            ),
            _ => ["a.json", "b.json", "c.jsonl", "d/e.txt", "d/f/g.json", "d/h", "k.ndjson"][dice.roll(7)]
                .to_owned(),
        };
        all.insert(path, text.into_bytes());
    }
    Files(all.into_iter().collect())
}

#[test]
fn whatever_the_documents_are_the_model_takes_them() {
    let (mut columns, mut inside) = (0, 0);
    for seed in 0..300 {
        let mut files = files(seed);
        let said = look(&files);
        let problems = repot_model::language::check(&said.model, "repot.toml");
        assert!(problems.is_empty(), "seed {seed}: {:?}\n{problems:#?}", found(&said));
        takes_all(&format!("seed {seed}"), &said.model, &files);
        columns += said.model.collections.iter().map(|one| one.fields.len()).sum::<usize>();
        Dice(seed + 77).shuffle(&mut files.0);
        assert_eq!(
            format!("{:?}", look(&files)),
            format!("{said:?}"),
            "seed {seed}: another order, another model"
        );
        inside += said.model.collections.iter().filter(|one| matches!(one.place, Place::In(_))).count();
    }
    // The documents must not have gone by as bodies.
    assert!(columns > 2_000 && inside > 200, "{columns} columns, {inside} collections inside others");
}

/// Lines of JSON, of text and of neither, put together at random.
fn torn(dice: &mut Dice) -> Vec<u8> {
    const LINES: [&[u8]; 14] = [
        b"{\"id\": \"a\", \"n\": 1}",
        b"{\"id\": \"b\", \"n\": 2}",
        b"[1, 2]",
        b"17",
        b"null",
        b"\"text\"",
        b"",
        b"  ",
        b"\xef\xbb\xbf{\"id\": \"c\"}",
        b"{\"id\": ",
        b"[a link](there)",
        b"# words",
        b"\x89PNG\0\x1a",
        b"\xff{\0}",
    ];
    // Some files are of a few kinds of lines, so that all forms come up often.
    let (from, most) = (dice.roll(LINES.len()), 1 + dice.roll(LINES.len()));
    let lines = (0..dice.roll(7)).map(|_| LINES[(from + dice.roll(most)) % LINES.len()]);
    lines.collect::<Vec<_>>().join(&b"\n"[..])
}

#[test]
fn files_without_json_need_not_be_seen_again() {
    let (mut kept, mut gone) = (0, 0);
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let extension = ["json", "jsonl", "txt", "png", "log"][dice.roll(5)];
        let files =
            Files((0..1 + dice.roll(12)).map(|at| (format!("of/{at}.{extension}"), torn(dice))).collect());
        for (_, bytes) in &files.0 {
            let whole = repot_infer::essence(bytes).len() == bytes.len();
            *if whole { &mut kept } else { &mut gone } += 1;
        }
        // It compares the model with the one of the essences.
        look(&files);
    }
    assert!(kept > 500 && gone > 500, "{kept} files kept, {gone} not");
}
