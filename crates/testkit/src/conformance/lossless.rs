//! Bytes in, bytes out.

use repot_core::store::{DocumentKey, StoreExt as _};

use super::subject::{Subject, note};

/// Members that are awkward for databases and JSON libraries.
const AWKWARD: [&str; 18] = [
    r#""n": 9007199254740993"#,
    r#""n": 18446744073709551617"#,
    r#""n": 1e400"#,
    r#""n": -0.0"#,
    r#""n": 1.10, "m": 1.0, "o": 1E2"#,
    r#""twice": 1, "twice": 2"#,
    r#""zulu": 1, "alpha": 2"#,
    r#""nul": "a\u0000b""#,
    r#""half": "\ud800""#,
    r#""pair": "\ud83d\ude00", "plain": "😀""#,
    r#""escapes": "\/\u002f\n\u000A""#,
    r#""empty": {}, "list": [], "text": "", "null": null"#,
    r#""deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
    r#""nfc": "é", "nfd": "é""#,
    r#""": "empty name", " ": "blank name""#,
    r#""rtl": "\u202e", "direction": "\u200b""#,
    "\t\"tab\"\t:\t1\r\n",
    r#""time": "2025-01-01T00:00:00.000000+02:00""#,
];

/// Every awkward text comes back as the bytes that were put, with or without a final line break.
pub async fn awkward_documents_come_back_byte_for_byte(subject: Subject) {
    let store = subject.store;
    for (at, member) in AWKWARD.iter().enumerate() {
        for end in ["", "\n", " \r\n\t"] {
            let text = format!("{{\"id\":\"a{at}\",  {member}}}{end}");
            store.put(&note(&format!("a{at}")), text.clone()).await.unwrap();
            let read = store.require(&note(&format!("a{at}"))).await.unwrap();
            assert_eq!(read.body, text, "{member}");
        }
    }
    let large = format!("{{\"id\": \"large\", \"filler\": \"{}\"}}", "0123456789".repeat(500_000));
    store.put(&note("large"), large.clone()).await.unwrap();
    assert!(store.require(&note("large")).await.unwrap().body == large, "5 MB");
    let page = DocumentKey::new("pages", "odd");
    for text in ["", "\u{feff}text", "a\r\nb\rc\n\n", "\0"] {
        store.put(&page, text).await.unwrap();
        assert_eq!(store.require(&page).await.unwrap().body, text);
    }
}
