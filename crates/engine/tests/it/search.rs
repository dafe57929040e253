//! Full text search: long texts, bodies, plain SQL that is still under way, models that begin to search, mistakes.

use repot_core::Kind;
use repot_core::store::{
    DocumentKey, Filter, Precondition, Query, Queryable as _, Scope, Store as _, StoreExt as _, UnitOfWork,
    Write,
};

use crate::query::{Asked, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file   = "notes/{id}.json"
search = ["title", "text"]
unique = ["slug"]

[notes.fields]
id    = "text key"
slug  = "text?"
title = "text?"
text  = "text?"

[pages]
file   = "pages/{name}.md"
search = ["content"]

[pages.fields]
name    = "text key"
content = "body"
"#;

/// The same without search.
const BEFORE: &str = r#"
[repot]
source = "./data"

[notes]
file   = "notes/{id}.json"
unique = ["slug"]

[notes.fields]
id    = "text key"
slug  = "text?"
title = "text?"
text  = "text?"

[pages]
file   = "pages/{name}.md"

[pages.fields]
name    = "text key"
content = "body"
"#;

fn note(id: &str) -> DocumentKey {
    DocumentKey::new("notes", id)
}

async fn found(asked: &Asked, words: &str) -> Vec<String> {
    asked.column(&Query::of(Scope::of("notes")).search(words).limit(1_000), "id").await
}

#[test]
fn long_texts_are_searched_whole() {
    // more than PostgreSQL takes as one index entry; the first border between parts is where one word stands too often
    let words: Vec<String> = (0..60_000)
        .map(|at| if at % 5 == 0 { "the".to_owned() } else { format!("{at}aratherlongword{at}") })
        .collect();
    let text = words.join(" ");
    assert!(text.len() > 1 << 20);
    for asked in Asked::all(MODEL) {
        block_on(async {
            asked.put(&note("a"), format!(r#"{{"id":"a","text":"{text}"}}"#)).await;
            asked.put(&note("b"), r#"{"id":"b","text":"1aratherlongword1 the end"}"#).await;
            let first_and_last = format!("{} {}", words[1], words[59_999]);
            assert_eq!(found(&asked, &first_and_last).await, ["a"], "{}", asked.name);
            assert_eq!(found(&asked, &format!("{} the", words[1])).await, ["a", "b"], "{}", asked.name);
            assert_eq!(found(&asked, &format!("\"{first_and_last}\"")).await, Vec::<String>::new());
            for at in [1_190, 1_230].into_iter().chain([0, 59_936]) {
                let phrase = format!("\"{}\"", words[at..at + 64].join(" "));
                assert_eq!(found(&asked, &phrase).await, ["a"], "{at} on {}", asked.name);
            }
        });
    }
}

#[test]
fn bodies_are_searched() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            let key = DocumentKey::new("pages", "home");
            asked.put(&key, "# Title\n\nSome *bold* words\nlast").await;
            let query = Query::of(Scope::of("pages")).search("\"bold words last\" title").fields("name");
            assert_eq!(asked.column(&query, "name").await, ["home"], "{}", asked.name);
        });
    }
}

#[test]
fn words_of_ten_thousand_characters() {
    let long = "x".repeat(10_000);
    for asked in Asked::all(MODEL) {
        block_on(async {
            asked.put(&note("a"), format!(r#"{{"id":"a","text":"{long} {long}y"}}"#)).await;
            asked.put(&note("b"), format!(r#"{{"id":"b","text":"{long}y"}}"#)).await;
            assert_eq!(found(&asked, &long).await, ["a"], "{}", asked.name);
            assert_eq!(found(&asked, &format!("{long}y")).await, ["a", "b"], "{}", asked.name);
            assert_eq!(found(&asked, "xxx*").await, ["a", "b"], "{}", asked.name);
        });
    }
}

#[test]
fn what_is_refused_changes_no_index() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            asked.put(&note("a"), r#"{"id":"a","slug":"s","title":"apple"}"#).await;
            let put = |id: &str, body: &str| Write::Put {
                key: note(id),
                body: body.to_owned().into(),
                when: Precondition::Any,
            };
            let writes = vec![
                put("b", r#"{"id":"b","title":"banana"}"#),
                put("a", r#"{"id":"a","slug":"s","title":"cherry"}"#),
                put("c", r#"{"id":"c","slug":"s","title":"apple"}"#),
            ];
            let error = asked.store.apply(UnitOfWork { writes, ..UnitOfWork::default() }).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict, "{}", asked.name);
            assert_eq!(found(&asked, "apple").await, ["a"], "{}", asked.name);
            assert_eq!(found(&asked, "banana").await, Vec::<String>::new());
            assert_eq!(found(&asked, "cherry").await, Vec::<String>::new());
        });
    }
}

#[test]
fn a_model_may_begin_and_end_to_search() {
    for asked in Asked::all(BEFORE) {
        let name = asked.name;
        block_on(async {
            // more than are indexed in one step
            let writes = (0..300).map(|at| {
                let id = format!("n{at:03}");
                let body = format!(r#"{{"id":"{id}","title":"old {at}"}}"#).into();
                Write::Put { key: note(&id), body, when: Precondition::Any }
            });
            asked
                .store
                .apply(UnitOfWork { writes: writes.collect(), ..UnitOfWork::default() })
                .await
                .unwrap();
        });
        let asked = asked.reopened(MODEL);
        block_on(async {
            assert_eq!(found(&asked, "old").await.len(), 300, "{name}");
            assert_eq!(found(&asked, "old 17").await, ["n017"], "{name}");
        });
        // written by one that does not know the index any more
        let asked = asked.reopened(BEFORE);
        block_on(asked.put(&note("n017"), r#"{"id":"n017","title":"new 17"}"#));
        let asked = asked.reopened(MODEL);
        block_on(async {
            assert_eq!(found(&asked, "17").await, ["n017"], "{name}");
            assert_eq!(found(&asked, "old 17").await, Vec::<String>::new(), "{name}");
        });
        // opened again it stays as it is
        let asked = asked.reopened(MODEL);
        assert_eq!(block_on(found(&asked, "new")), ["n017"], "{name}");
    }
}

#[test]
fn sql_that_is_under_way_keeps_no_search_waiting_and_is_found_once_it_is_done() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            let Some(url) = asked.url() else { return };
            asked.put(&note("a"), r#"{"id":"a","title":"one"}"#).await;
            asked.put(&note("b"), r#"{"id":"b","title":"one"}"#).await;
            asked.sql("update notes set title = 'two' where id = 'b'");
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            client
                .batch_execute("begin; update notes set title = 'three' where id in ('a', 'b')")
                .await
                .unwrap();
            // what is committed is found, what is not yet is not; nobody waits
            assert_eq!(found(&asked, "one").await, ["a"]);
            assert_eq!(found(&asked, "two").await, ["b"]);
            client.batch_execute("commit").await.unwrap();
            assert_eq!(found(&asked, "three").await, ["a", "b"]);
            assert_eq!(found(&asked, "one").await, Vec::<String>::new());
            drop(client);
            connection.await.unwrap().unwrap();
        });
    }
}

#[test]
fn writers_and_sql_at_once_leave_the_index_as_the_rows_are() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    for asked in Asked::all(MODEL) {
        let mut others: Vec<_> = (0..2).map(|_| asked.another(MODEL)).collect();
        runtime.block_on(async {
            let asked = std::sync::Arc::new(asked);
            let mut tasks = Vec::new();
            for writer in 0..4_usize {
                let (asked, own) = (std::sync::Arc::clone(&asked), writer % 2 == 0);
                let other = if own { others.pop() } else { None };
                tasks.push(tokio::spawn(async move {
                    for at in 0..40_usize {
                        let id = format!("n{}", (at * 7 + writer) % 5);
                        let words = format!("w{writer}x{at}");
                        match &other {
                            Some(store) => {
                                let body = format!(r#"{{"id":"{id}","title":"{words}"}}"#);
                                store.put(&note(&id), body).await.unwrap();
                            }
                            None if at % 8 == 0 => {
                                let asked = std::sync::Arc::clone(&asked);
                                let sql = format!("update notes set title = '{words}' where id = '{id}'");
                                tokio::task::spawn_blocking(move || asked.sql(&sql)).await.unwrap();
                            }
                            None => {
                                found(&asked, "w0x1").await;
                            }
                        }
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            let all = Query::of(Scope::of("notes"));
            let titles = asked.column(&all, "title").await;
            assert_eq!(titles.len(), 5, "{}", asked.name);
            for (at, title) in titles.iter().enumerate() {
                assert_eq!(found(&asked, title).await, [format!("n{at}")], "{title} on {}", asked.name);
            }
            // and nothing of what was there before
            assert_eq!(found(&asked, "w*").await.len(), 5);
            for writer in 0..4 {
                let begins = format!("w{writer}x");
                let expected: Vec<String> = (0..5)
                    .filter(|&at: &usize| titles[at].starts_with(&begins))
                    .map(|at| format!("n{at}"))
                    .collect();
                assert_eq!(found(&asked, &format!("{begins}*")).await, expected, "{}", asked.name);
            }
        });
    }
}

#[test]
fn mistakes_are_named() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            for (words, said) in [
                (" -- ".to_owned(), "a search needs a word"),
                ("a ".repeat(33), "a search has at most 32 words or phrases"),
                ("a-".repeat(65), "a phrase has at most 64 words"),
                ("x".repeat(101) + "*", "at most 100 characters stand before *"),
            ] {
                let query = Query::of(Scope::of("notes")).search(&words);
                let error = asked.store.query(&query).await.unwrap_err();
                assert_eq!((error.code(), error.message()), ("R0412", said), "{}", asked.name);
            }
        });
    }
    for asked in Asked::all(BEFORE) {
        let query = Query::of(Scope::of("notes")).search("a");
        let error = block_on(asked.store.query(&query)).unwrap_err();
        assert_eq!(error.code(), "R0412", "{}", asked.name);
    }
}

#[test]
fn the_index_leads_to_the_rows() {
    for asked in Asked::all(MODEL) {
        block_on(async {
            let query = Query::of(Scope::of("notes")).filter(Filter::search("quick fox*"));
            let told = asked.store.explain(&query).await.unwrap();
            assert!(!told.reads_all && told.unindexed.is_empty(), "{told:?}");
            assert!(
                !told.statement.contains("quick") && !told.statement.contains("fox"),
                "{}",
                told.statement
            );
        });
    }
}
