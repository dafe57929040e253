//! Random texts of several scripts, random questions, own writes and plain SQL between them, compared with an
//! evaluation that knows the words of each text because it put them there.

use repot_core::store::{DocumentKey, Filter, Precondition, Query, Queryable as _, Scope, StoreExt as _};

use crate::numbers::Numbers;
use crate::query::{Asked, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[books]
file   = "{user}/{id}.json"
tenant = "user"
search = ["title", "story"]

[books.fields]
id    = "text key"
user  = "text"
title = "text?"
story = "text?"

[parts]
in     = "books.parts[]"
search = ["name"]

[parts.fields]
book_id = "-> books cascade auto"
order   = "position"
name    = "text?"
"#;

/// How something is written, and the words that it is.
const WRITTEN: [(&str, &[&str]); 26] = [
    ("house", &["house"]),
    ("House", &["house"]),
    ("houses", &["houses"]),
    ("RED", &["red"]),
    ("café", &["cafe"]),
    ("CAFE\u{301}", &["cafe"]),
    ("cafeteria", &["cafeteria"]),
    ("well-known", &["well", "known"]),
    ("wellness", &["wellness"]),
    ("don't", &["don", "t"]),
    ("3.14", &["3", "14"]),
    ("snake_case", &["snake", "case"]),
    ("Straße", &["straße"]),
    ("ﬁre", &["fire"]),
    ("ΟΔΟΣ", &["οδοσ"]),
    ("οδός", &["οδοσ"]),
    ("Ёлка", &["елка"]),
    ("елки", &["елки"]),
    ("שָׁלוֹם", &["שלום"]),
    ("سَلام", &["سلام"]),
    ("東京", &["東", "京"]),
    ("京都abc", &["京", "都", "abc"]),
    ("हिन्दी", &["हिन्दी"]),
    ("की", &["की"]),
    ("한국어", &["한국어"]),
    ("\u{1f600}", &[]),
];
const BETWEEN: [&str; 6] = [" ", ", ", " -- ", "\n", "!", " (\u{200b}"];
const BOOKS: usize = 20;
const ROUNDS: usize = 4;

type Field = Vec<&'static str>;

#[derive(Debug, Clone, Default)]
struct Book {
    user: &'static str,
    fields: [Field; 2],
    parts: Vec<Field>,
    json: String,
}

/// A text and its words.
fn text(numbers: &mut Numbers) -> (String, Field) {
    let (mut text, mut words) = (String::new(), Vec::new());
    for _ in 0..numbers.below(9) {
        let (written, own) = WRITTEN[numbers.below(WRITTEN.len())];
        text.push_str(written);
        text.push_str(BETWEEN[numbers.below(BETWEEN.len())]);
        words.extend(own);
    }
    (text, words)
}

fn book(at: usize, numbers: &mut Numbers) -> Book {
    let user = ["u", "v"][usize::from(at % 4 == 3)];
    let mut book = Book { user, ..Book::default() };
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let (title, story) = (text(numbers), text(numbers));
    let parts: Vec<(String, Field)> = (0..numbers.below(3)).map(|_| text(numbers)).collect();
    let list: Vec<String> = parts.iter().map(|part| format!(r#"{{"name":{}}}"#, quoted(&part.0))).collect();
    book.json = format!(
        r#"{{"id":"b{at}","user":"{user}","title":{},"story":{},"parts":[{}]}}"#,
        quoted(&title.0),
        quoted(&story.0),
        list.join(",")
    );
    book.fields = [title.1, story.1];
    book.parts = parts.into_iter().map(|part| part.1).collect();
    book
}

/// A question, and the terms it consists of: words in a row, and whether the last is a beginning.
fn question(numbers: &mut Numbers) -> (String, Vec<(Vec<String>, bool)>) {
    let (mut asked, mut terms) = (String::new(), Vec::new());
    while terms.is_empty() {
        for _ in 0..1 + numbers.below(2) {
            let (written, own) = WRITTEN[numbers.below(WRITTEN.len())];
            let mut own: Vec<String> = own.iter().map(|word| (*word).to_owned()).collect();
            if own.is_empty() {
                continue;
            }
            match numbers.below(4) {
                0 => {
                    let (more, words) = WRITTEN[numbers.below(WRITTEN.len())];
                    own.extend(words.iter().map(|word| (*word).to_owned()));
                    asked.push_str(&format!("\"{written} {more}\" "));
                    terms.push((own, false));
                }
                1 if written.is_ascii() => {
                    let last = own.pop().unwrap();
                    let beginning: String = last.chars().take(1 + numbers.below(4)).collect();
                    let written = own.iter().map(|word| format!("{word} ")).collect::<String>();
                    asked.push_str(&format!("\"{written}{beginning}*\" "));
                    own.push(beginning);
                    terms.push((own, true));
                }
                _ => {
                    asked.push_str(&format!("{written} "));
                    terms.push((own, false));
                }
            }
        }
    }
    (asked, terms)
}

fn holds(fields: &[&Field], terms: &[(Vec<String>, bool)]) -> bool {
    let fits = |window: &[&str], (words, prefix): &(Vec<String>, bool)| {
        let last = words.len() - 1;
        words.iter().enumerate().all(|(at, word)| {
            if at == last && *prefix {
                window[at].starts_with(word.as_str())
            } else {
                window[at] == word.as_str()
            }
        })
    };
    terms
        .iter()
        .all(|term| fields.iter().any(|field| field.windows(term.0.len()).any(|window| fits(window, term))))
}

fn key(at: usize, user: &str) -> DocumentKey {
    DocumentKey::new("books", &format!("b{at}")).in_tenant(user)
}

/// One change of one book, the same everywhere.
async fn change(stores: &[Asked], books: &mut [Option<Book>], numbers: &mut Numbers) {
    let at = numbers.below(BOOKS);
    let new = book(at, numbers);
    let way = numbers.below(7);
    for asked in stores {
        match (way, &books[at]) {
            (0, Some(old)) => {
                assert!(asked.store.delete(&key(at, old.user), Precondition::Any).await.unwrap());
            }
            (1, Some(_)) => asked.sql(&format!("delete from books where id = 'b{at}'")),
            (2 | 3, Some(_)) => {
                let (title, part) = (&new.json, "the RED house");
                let title: serde_json::Value = serde_json::from_str(title).unwrap();
                let title = title["title"].as_str().unwrap().replace('\'', "''");
                asked.sql(&format!(
                    "update books set title = '{title}', story = null where id = 'b{at}'; \
                     update parts set name = '{part}' where book_id = 'b{at}'"
                ));
            }
            _ => asked.put(&key(at, new.user), new.json.clone()).await,
        }
    }
    books[at] = match (way, books[at].take()) {
        (0 | 1, Some(_)) => None,
        (2 | 3, Some(old)) => Some(Book {
            fields: [new.fields[0].clone(), Vec::new()],
            parts: old.parts.iter().map(|_| vec!["the", "red", "house"]).collect(),
            ..old
        }),
        _ => Some(new),
    };
}

#[test]
fn the_same_answers_everywhere() {
    let stores = Asked::all(MODEL);
    block_on(async {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut books: Vec<Option<Book>> = vec![None; BOOKS];
        let mut found_at_all = 0;
        let rounds = if repot_testkit::full() { ROUNDS * 25 } else { ROUNDS };
        for round in 0..rounds {
            for _ in 0..if round == 0 { 2 * BOOKS } else { BOOKS / 4 } {
                change(&stores, &mut books, &mut numbers).await;
            }
            for _ in 0..12 {
                let (asked, terms) = question(&mut numbers);
                let user = ["u", "v"][numbers.below(2)];
                let shape = numbers.below(4);
                let filter = match shape {
                    0 => Filter::Holds { list: "parts".to_owned(), filter: Box::new(Filter::search(&asked)) },
                    1 => !Filter::search(&asked),
                    _ => Filter::search(&asked),
                };
                let matches = |book: &Book| match shape {
                    0 => book.parts.iter().any(|part| holds(&[part], &terms)),
                    1 => !holds(&book.fields.each_ref(), &terms),
                    _ => holds(&book.fields.each_ref(), &terms),
                };
                let mut expected: Vec<String> = (0..BOOKS)
                    .filter(|&at| books[at].as_ref().is_some_and(|book| book.user == user && matches(book)))
                    .map(|at| format!("b{at}"))
                    .collect();
                expected.sort();
                found_at_all += if shape == 1 { 0 } else { expected.len() };
                let query = Query::of(Scope::of("books").in_tenant(user)).filter(filter).limit(100);
                for one in &stores {
                    let page = one.store.query(&query).await.unwrap();
                    let found: Vec<&str> =
                        page.items.iter().map(|item| item.key.as_ref().unwrap().text()).collect();
                    assert_eq!(found, expected, "{} on {}", query.filter, one.name);
                }
            }
        }
        assert!(found_at_all > rounds * 12 / 2, "{found_at_all}");
    });
}
