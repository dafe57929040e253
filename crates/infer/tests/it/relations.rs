//! Keys and references hold for all rows, or are not claimed.

use crate::corpora::{Files, evidence, kind, look};

fn shop(order_user: impl Fn(usize) -> String) -> Files {
    let users =
        (0..12).map(|at| (format!("users/u{at:03}.json"), format!(r#"{{"id": "u{at:03}", "name": "N"}}"#)));
    let orders = (0..24).map(|at| {
        (
            format!("orders/{}.json", 100 + at),
            format!(
                r#"{{"id": {}, "userId": {}, "parent_id": {}}}"#,
                100 + at,
                order_user(at),
                if at == 0 { "null".into() } else { (99 + at).to_string() }
            ),
        )
    });
    Files::new(users.chain(orders).collect::<Vec<_>>())
}

#[test]
fn references_that_all_resolve() {
    let said = look(&shop(|at| format!("\"u{:03}\"", at % 12)));
    assert_eq!(kind(&said, "orders", "user_id"), "->users");
    assert_eq!(kind(&said, "orders", "parent_id"), "->orders?");
    assert_eq!(kind(&said, "orders", "id"), "int key");
}

#[test]
fn one_dangling_reference_and_none_is_claimed() {
    let said = look(&shop(|at| if at == 9 { "\"nobody\"".into() } else { "\"u001\"".into() }));
    assert_eq!(kind(&said, "orders", "user_id"), "text");
    let why = evidence(&said, "orders", "user_id");
    assert!(why.contains("23 of 24 found in users; first dangling in orders/109.json"), "{why}");
}

#[test]
fn an_id_that_repeats_is_no_key() {
    let files =
        Files::new((0..6).map(|at| {
            (format!("a/x{at:03}.json"), format!(r#"{{"id": {}, "items": [{{"id": 1}}]}}"#, at / 2))
        }));
    let said = look(&files);
    assert_eq!(kind(&said, "a", "id"), "int");
    assert_eq!(kind(&said, "a", "name"), "text key");
    assert!(evidence(&said, "a", "id").contains("3 different"), "{}", evidence(&said, "a", "id"));
    assert_eq!(kind(&said, "items", "item_key"), "int key auto");
}

#[test]
fn beyond_the_bound_no_key_is_claimed() {
    let files =
        Files::new((0..50).map(|at| (format!("a/b{at:03}.json"), format!(r#"{{"id": "i{at}", "n": 1}}"#))));
    let mut options = repot_infer::Options::new("./data");
    options.key_values_max = 40;
    let said = repot_infer::infer(&files, &options).unwrap();
    assert_eq!(kind(&said, "a", "id"), "text");
    assert!(evidence(&said, "a", "id").contains("too many to tell"));
    assert_eq!(kind(&said, "a", "name"), "text key");
}
