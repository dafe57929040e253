//! Reading and writing objects.

use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use crate::client::{client, keys, lab, run};

#[test]
fn bodies_come_back_byte_for_byte() {
    let (lab, store) = lab(0);
    run(async {
        for (key, body) in [
            ("a.json", &b"{\"a\": 1}"[..]),
            ("deep/er/b", b"\xff\0\n"),
            ("empty", b""),
            ("sp ce/\u{e4}+%", b"x"),
        ] {
            store.put(&Path::parse(key).unwrap(), body.to_vec().into()).await.unwrap();
            assert_eq!(lab.get(key).unwrap(), body, "{key}");
            let read = store.get(&Path::parse(key).unwrap()).await.unwrap();
            assert_eq!(read.meta.size, body.len() as u64);
            assert_eq!(read.bytes().await.unwrap(), body, "{key}");
        }
        let part = store.get_range(&Path::from("a.json"), 2..6).await.unwrap();
        assert_eq!(&part[..], b"a\": ");
        let missing = store.get(&Path::from("missing")).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    });
}

#[test]
fn the_etag_is_the_md5_of_the_body() {
    let (lab, store) = lab(0);
    lab.put("a", "abc");
    let meta = run(store.head(&Path::from("a"))).unwrap();
    assert_eq!(meta.e_tag.as_deref(), Some("\"900150983cd24fb0d6963f7d28e17f72\""));
    assert_eq!(meta.size, 3);
}

#[test]
fn removed_and_copied_objects() {
    let (lab, store) = lab(0);
    lab.put("from", "body");
    run(async {
        store.copy(&Path::from("from"), &Path::from("to/here")).await.unwrap();
        store.delete(&Path::from("from")).await.unwrap();
        assert_eq!(keys(&store, "").await, ["to/here"]);
    });
    assert_eq!(lab.get("to/here").unwrap(), b"body");
    assert!(lab.remove("to/here") && !lab.remove("to/here"));
}

#[test]
fn a_wrong_key_is_refused() {
    let (lab, _) = lab(0);
    lab.put("a", "x");
    let stranger = client(&lab, "another secret", 0);
    let error = run(stranger.get(&Path::from("a"))).unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    assert_eq!(lab.requests(), []);
}

#[test]
fn of_two_hundred_who_create_one_wins() {
    let (lab, store) = lab(0);
    let won = run(async {
        let tries = (0..200).map(|writer| {
            let (store, body) = (store.clone(), format!("{writer}"));
            tokio::spawn(async move {
                let options = PutOptions::from(PutMode::Create);
                store.put_opts(&Path::from("one"), body.clone().into(), options).await.map(|_| body)
            })
        });
        let mut won = Vec::new();
        for task in tries.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(body) => won.push(body),
                Err(error) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error}"),
            }
        }
        won
    });
    assert_eq!(won.len(), 1);
    assert_eq!(lab.get("one").unwrap(), won[0].as_bytes());
}

#[test]
fn a_stale_etag_changes_nothing() {
    let (lab, store) = lab(0);
    run(async {
        let path = Path::from("a");
        let first = store.put(&path, "1".into()).await.unwrap();
        store.put(&path, "2".into()).await.unwrap();
        let update = PutMode::Update(UpdateVersion { e_tag: first.e_tag.clone(), version: None });
        let error = store.put_opts(&path, "3".into(), update.into()).await.unwrap_err();
        assert!(matches!(error, Error::Precondition { .. }), "{error}");
        let unchanged = GetOptions { if_match: first.e_tag, ..GetOptions::default() };
        assert!(store.get_opts(&path, unchanged).await.is_err());
    });
    assert_eq!(lab.get("a").unwrap(), b"2");
}
