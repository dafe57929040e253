//! Templates and the router: both directions, against a slow reference.

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use repot_model::place::{Router, Template};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn matched(text: &str, path: &str) -> Option<String> {
    template(text).matches(path).map(|values| values.join(" "))
}

#[test]
fn paths_are_split_and_put_together() {
    for (text, path, values) in [
        ("{user_id}/{id}.json", "u/1.json", Some("u 1")),
        ("{user_id}/{id}.json", "u/v/1.json", None),
        ("{user_id}/{id}.json", "u/.json", None),
        ("{name}.{ext}", "a.tar.gz", Some("a.tar gz")),
        ("{id}_{outcome=output|error}.jsonl", "b_output_error.jsonl", Some("b_output error")),
        ("{id}_{outcome=output|error}.jsonl", "b_other.jsonl", None),
        ("{kind=a|ab}/{x}", "ab/c", Some("ab c")),
        ("x/{path...}", "x/a/b/c.md", Some("a/b/c.md")),
        ("{path...}/{name}.md", "a/b/c.md", Some("a/b c")),
        ("{path...}", "../x", None),
        ("{a}/x", "../x", None),
        ("{{{id}}}.json", "{7}.json", Some("7")),
        ("día/{x}-é.json", "día/é-é.json", Some("é")),
        ("{x}é", "ééé", Some("éé")),
        ("{x}-é", "a/-é", None),
        ("{x}-{y}é", "ü-é-éé", Some("ü-é é")),
        ("usage.json", "usage.json", Some("")),
        ("{id}", "a", Some("a")),
        ("{id}", "", None),
    ] {
        assert_eq!(matched(text, path).as_deref(), values, "{text} on {path}");
    }
}

#[test]
fn render_refuses_values_that_would_be_read_back_otherwise() {
    let two = template("{a}_{b}.json");
    assert_eq!(two.render(&["x_y", "z"]).as_deref(), Some("x_y_z.json"));
    assert_eq!(two.render(&["x", "y_z"]), None, "the path of the other pair");
    assert_eq!(two.render(&["x", ""]), None);
    assert_eq!(two.render(&["x"]), None);
    let one = template("dramas/{id}/drama.json");
    assert_eq!(one.render(&[".."]), None);
    assert_eq!(one.render(&["a/b"]), None);
    assert_eq!(template("{k=a|b}/x").render(&["c"]), None);
}

#[test]
fn faults_of_templates_are_at_their_character() {
    let fault = |text: &str| Template::parse(text).expect_err(text).to_string();
    insta::assert_snapshot!(fault("{id"), @"a `{` without its `}` (at character 1)");
    insta::assert_snapshot!(fault("a}"), @"a `}` without its `{` (at character 2)");
    insta::assert_snapshot!(fault("{a}{b}"), @"two captures with nothing between them (at character 4)");
    insta::assert_snapshot!(fault("{a b}"), @"`a b` is no name for a capture (at character 2)");
    insta::assert_snapshot!(fault("x/{a=b||c}"), @"`` is no word for a capture (at character 4)");
    insta::assert_snapshot!(fault("{a...=b}"), @"a capture with `...` and with words (at character 2)");
    insta::assert_snapshot!(fault("{a}/{a}"), @r"{a} twice in one template (at character 6)");
    insta::assert_snapshot!(fault(""), @"an empty template (at character 1)");
    insta::assert_snapshot!(fault("/a"), @"a template that begins with `/` (at character 1)");
    insta::assert_snapshot!(fault("./{id}.json"), @"`.` as a part of the path (at character 1)");
    insta::assert_snapshot!(fault("{a=x|x}"), @"a word twice in one capture (at character 2)");
}

#[test]
fn a_hostile_path_takes_no_time() {
    let many = template("{a}_{b}_{c}_{d}_{e}_{f}.json");
    let path = "_".repeat(3_000) + ".jsonx.json/";
    assert_eq!(many.matches(&path), None);
    let inner = template("{a...}_{b...}_{c...}_{d...}/x/{e}.json");
    let path = format!("{}/y/z.json", "_".repeat(600));
    assert_eq!(inner.matches(&path), None);
}

fn router(lists: &[(usize, &str)]) -> Result<Router, String> {
    let templates: Vec<(usize, Template)> = lists.iter().map(|(at, text)| (*at, template(text))).collect();
    Router::new(templates.iter().map(|(at, template)| (*at, vec![template])).collect())
        .map_err(|overlap| overlap.to_string())
}

#[test]
fn the_more_literal_template_wins_and_ties_are_refused() {
    let router_of = router(&[
        (0, "{user}/{id}.json"),
        (1, "{user}/usage.json"),
        (2, "{path...}"),
        (3, "{user}/{k=a|b}.json"),
    ])
    .expect("no tie");
    let find = |path| router_of.route(path).map(|route| route.collections.to_vec());
    assert_eq!(find("u/usage.json"), Some(vec![1]));
    assert_eq!(find("u/b.json"), Some(vec![3]));
    assert_eq!(find("u/7.json"), Some(vec![0]));
    assert_eq!(find("u/7.txt"), Some(vec![2]));
    assert_eq!(find(""), None);

    assert!(router(&[(0, "{a}/{b}.json"), (1, "{c}/{d}.json")]).is_err());
    assert!(router(&[(0, "{a}/xy.json"), (1, "ab/{b}.json")]).is_err(), "ab/xy.json");
    assert!(router(&[(0, "{a}/{k=x|y}.json"), (1, "{a}/{k=y|z}.json")]).is_err());
    assert!(router(&[(0, "{a}/{k=x|y}.json"), (1, "{a}/{k=v|z}.json")]).is_ok());
    assert!(router(&[(0, "a/{b}.json"), (1, "b/{b}.json")]).is_ok());
    assert!(router(&[(0, "{a}/{b}.json"), (1, "{b}.json")]).is_ok());
    assert!(router(&[(0, "{a}-{b}.json"), (1, "{b}.json")]).is_ok(), "the first is part of the second");
}

#[test]
fn one_template_of_several_collections_is_no_tie() {
    let shared = router(&[(4, "db.json"), (7, "db.json"), (5, "{x}.json")]).expect("no tie");
    let route = shared.route("db.json").expect("a route");
    assert_eq!((route.collections, route.templates), (&[4, 7][..], &[0, 0][..]));
}

/// Pieces of templates over a small alphabet; adjacent captures are parted.
fn small_templates() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "b",
        "/",
        "ab",
        "{x}",
        "{x}",
        "{x...}",
        "{x=a|ab}",
        "{x=b|a/|bb}",
        "{x=b|bb|aa}",
    ]);
    vec(pieces, 1..6).prop_map(|pieces| {
        let mut out = String::new();
        for (index, piece) in pieces.iter().enumerate() {
            if out.ends_with('}') && piece.starts_with('{') {
                out.push('b');
            }
            out.push_str(&piece.replace('x', &format!("c{index}")).replace("a/", "ba"));
        }
        if out.starts_with('/') { format!("a{out}") } else { out }
    })
}

/// All ways to split the path, the slow way; the first is the one with the longest values from the left.
fn all_ways(template: &Template, path: &str) -> Vec<Vec<String>> {
    let mut ways = vec![(Vec::new(), path.to_owned())];
    let mut text = template.text().to_owned();
    let mut captures = template.captures().iter();
    while !text.is_empty() {
        if let Some(inside) = text.strip_prefix('{') {
            let capture = captures.next().expect("a capture for each brace");
            text = inside.split_once('}').expect("closed").1.to_owned();
            ways = ways
                .into_iter()
                .flat_map(|(values, left)| {
                    (1..=left.len()).rev().map(move |length| (values.clone(), left.clone(), length))
                })
                .filter_map(|(mut values, left, length)| {
                    let value = left.get(..length)?.to_owned();
                    let fits = if capture.words.is_empty() {
                        capture.rest || !value.contains('/')
                    } else {
                        capture.words.contains(&value)
                    };
                    values.push(value);
                    fits.then(|| (values, left.get(length..).expect("ascii").to_owned()))
                })
                .collect();
        } else {
            let literal = text.remove(0);
            ways = ways
                .into_iter()
                .filter_map(|(values, left)| Some((values, left.strip_prefix(literal)?.to_owned())))
                .collect();
        }
    }
    ways.into_iter().filter(|(_, left)| left.is_empty()).map(|(values, _)| values).collect()
}

/// Every path of up to six characters over `a`, `b` and `/`.
fn all_paths() -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut last = paths.clone();
    for _ in 0..6 {
        last = last.iter().flat_map(|path| ["a", "b", "/"].map(|more| format!("{path}{more}"))).collect();
        paths.extend(last.clone());
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matching_is_the_leftmost_longest_way_and_a_bijection(text in small_templates(), path in "[ab/]{1,12}") {
        let template = template(&text);
        let ways = all_ways(&template, &path);
        let found = template.matches(&path);
        prop_assert_eq!(found.clone().map(|values| values.iter().map(|&value| value.to_owned()).collect()), ways.first().cloned());
        if let Some(values) = found {
            prop_assert_eq!(template.render(&values), Some(path.clone()));
        }
        for other in ways.iter().skip(1) {
            let other: Vec<&str> = other.iter().map(String::as_str).collect();
            prop_assert_eq!(template.render(&other), None);
        }
    }

    #[test]
    fn a_part_of_another_comes_before_it_and_ties_are_exact(one in small_templates(), other in small_templates()) {
        let (left, right) = (template(&one), template(&other));
        let paths = all_paths();
        let ours: Vec<bool> = paths.iter().map(|path| left.matches(path).is_some()).collect();
        let theirs: Vec<bool> = paths.iter().map(|path| right.matches(path).is_some()).collect();
        let common = ours.iter().zip(&theirs).any(|(one, other)| *one && *other);
        // paths with characters that neither template names stand for all the others
        let fresh = |template: &Template| {
            let values: Vec<&str> = template.captures().iter().map(|capture| capture.words.first().map_or("zq", String::as_str)).collect();
            template.render(&values)
        };
        let order = left.specificity(&right);
        if let Some(path) = fresh(&left)
            && right.matches(&path).is_some()
            && fresh(&right).is_some_and(|path| left.matches(&path).is_none())
        {
            let inside = ours.iter().zip(&theirs).all(|(one, other)| !one || *other);
            let words = left.captures().iter().any(|capture| !capture.words.is_empty());
            prop_assert!(!inside || words || order == Ordering::Less, "{} and {}", one, other);
        }
        let refused = Router::new(vec![(0, vec![&left]), (1, vec![&right])]).is_err();
        if order == Ordering::Equal && one != other && common {
            prop_assert!(refused, "{} and {} share a path", one, other);
        }
        if refused {
            prop_assert_eq!(order, Ordering::Equal);
        }
    }
}
