//! Listings in pages, under prefixes, with folders.

use object_store::ObjectStore;
use object_store::path::Path;
use repot_s3lab::{Op, S3Lab};

use crate::client::{keys, lab, run};

fn fill(lab: &S3Lab) -> Vec<String> {
    let keys: Vec<String> = (0..25).map(|number| format!("d{}/f{number:02}.json", number % 3)).collect();
    for key in &keys {
        lab.put(key.as_str(), key);
    }
    lab.put("top.json", "{}");
    lab.put("d1x", "{}");
    lab.keys()
}

#[test]
fn every_page_size_lists_all_once_in_order() {
    let (lab, store) = lab(0);
    let all = fill(&lab);
    for page in [1, 2, 7, 26, 27, 28, 1000] {
        lab.limit_pages(page);
        let before = lab.requests().len();
        assert_eq!(run(keys(&store, "")), all, "pages of {page}");
        assert_eq!(lab.requests().len() - before, all.len().div_ceil(page), "pages of {page}");
    }
    assert!(lab.requests().iter().all(|request| request.op == Op::List && request.key.is_empty()));
}

#[test]
fn a_prefix_is_a_folder_of_keys() {
    let (lab, store) = lab(0);
    let all = fill(&lab);
    lab.limit_pages(3);
    let expected: Vec<String> = all.into_iter().filter(|key| key.starts_with("d1/")).collect();
    assert_eq!(run(keys(&store, "d1")), expected);
    assert_eq!(run(keys(&store, "nothing")), Vec::<String>::new());
}

#[test]
fn folders_are_told_once_however_the_pages_fall() {
    let (lab, store) = lab(0);
    fill(&lab);
    for page in [1, 2, 3, 1000] {
        lab.limit_pages(page);
        let listed = run(store.list_with_delimiter(None)).unwrap();
        let folders: Vec<String> = listed.common_prefixes.iter().map(Path::to_string).collect();
        let files: Vec<String> = listed.objects.iter().map(|meta| meta.location.to_string()).collect();
        assert_eq!(
            (folders.join(" "), files.join(" ")),
            ("d0 d1 d2".to_owned(), "d1x top.json".to_owned()),
            "pages of {page}"
        );
    }
}

#[test]
fn objects_that_come_and_go_between_pages_disturb_no_other() {
    let (lab, store) = lab(0);
    let all = fill(&lab);
    lab.limit_pages(10);
    let mut stream = store.list(None);
    let listed = run(async {
        use futures_util::TryStreamExt;
        let mut listed = vec![stream.try_next().await.unwrap().unwrap().location.to_string()];
        lab.remove("d0/f03.json");
        lab.put("d0/f031.json", "new, but before the second page");
        while let Some(meta) = stream.try_next().await.unwrap() {
            listed.push(meta.location.to_string());
        }
        listed
    });
    assert_eq!(listed, all);
}
