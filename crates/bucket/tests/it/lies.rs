//! A bucket whose server lies: one canned answer for each request.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use repot_bucket::{S3Config, S3Source};
use repot_core::{Error, ReadError, Source as _};

type Seen = Arc<Mutex<Vec<String>>>;

/// A server that gives what `answer` says to the head of each request.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> (S3Source, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).expect("text");
            let bytes = answer(&head);
            keep.lock().expect("unharmed").push(head);
            // a client that has enough goes away
            let _gone = stream.write_all(bytes.as_bytes());
        }
    });
    let config = S3Config {
        bucket: "b".to_owned(),
        endpoint: Some(endpoint),
        access_key: "key".to_owned(),
        secret_key: "canary-secret".to_owned(),
        session_token: Some("canary-token".to_owned()),
        retry_seconds: 1,
        ..S3Config::default()
    };
    (S3Source::open(config).expect("good settings"), seen)
}

fn respond(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn page(keys: &[&str], more: &str) -> String {
    let entries: String =
        keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")).collect();
    respond("200 OK", "", &format!("<ListBucketResult>{more}{entries}</ListBucketResult>"))
}

/// What a listing gave before it failed, and how.
fn until_error(source: &S3Source) -> (Vec<String>, Error) {
    let mut list = source.list().expect("it begins");
    let mut paths = Vec::new();
    loop {
        match list.next().expect("it ends with an error") {
            Ok(entry) => paths.push(entry.path().to_owned()),
            Err(error) => {
                assert!(list.next().is_none(), "nothing follows an error");
                return (paths, error);
            }
        }
    }
}

#[test]
fn a_listing_out_of_order_ends_with_an_error() {
    for keys in [&["b", "a"][..], &["b", "b"]] {
        let keys: Vec<&'static str> = keys.to_vec();
        let (source, _) = serve(move |_| page(&keys, ""));
        let (paths, error) = until_error(&source);
        assert_eq!((paths.as_slice(), error.code()), (&["b".to_owned()][..], "R0204"));
    }
    let token = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    // for ever the same page, then for ever the same empty page, then no word where to go on
    let (source, _) = serve(move |_| page(&["a"], token));
    assert_eq!(until_error(&source).1.code(), "R0204");
    let (source, _) = serve(move |_| page(&[], token));
    assert_eq!(until_error(&source).1.code(), "R0204");
    let (source, _) = serve(|_| page(&["a"], "<IsTruncated>true</IsTruncated>"));
    assert_eq!(until_error(&source).1.code(), "R0204");
}

#[test]
fn what_is_no_listing_is_out_of_reach() {
    let (source, _) = serve(|_| respond("200 OK", "", "<html>Welcome to the hotel's network</html>"));
    let (paths, error) = until_error(&source);
    assert_eq!((paths.len(), error.code()), (0, "R0102"));
}

#[test]
fn a_redirect_is_not_followed() {
    let (source, seen) = serve(|_| {
        respond(
            "301 Moved Permanently",
            "Location: http://127.0.0.1:1/\r\n",
            "<Error><Code>PermanentRedirect</Code></Error>",
        )
    });
    let error = source.check().expect_err("another region");
    assert_eq!(error.code(), "R0103");
    assert_eq!(seen.lock().expect("unharmed").len(), 1);
}

#[test]
fn secrets_are_not_told_even_when_the_server_echoes_them() {
    let (source, seen) = serve(|_| {
        respond(
            "403 Forbidden",
            "",
            "<Error><Code>AccessDenied</Code><Message>no canary-secret\ncanary-token.</Message></Error>",
        )
    });
    let error = source.check().expect_err("denied");
    assert_eq!(error.to_string().split(": ").last(), Some("AccessDenied (no *** ***)"));
    let Err(ReadError::Unreadable(reason)) = source.read("f", 10) else { panic!("this object is refused") };
    assert!(!format!("{error:?} {reason} {source:?}").contains("canary"), "{error:?} {reason}");
    let head = seen.lock().expect("unharmed").concat();
    assert!(
        head.contains("canary-token") && !head.contains("canary-secret"),
        "the token is sent, the secret key is not"
    );
}

#[test]
fn without_an_md5_the_length_is_asked_for() {
    let etag =
        "ETag: \"d41d8cd98f00b204e9800998ecf8427e-2\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    let get = move |body: &'static str, size: u64| {
        move |head: &str| {
            if head.starts_with("HEAD") {
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{etag}Content-Length: {size}\r\n\r\n")
            } else {
                respond("200 OK", etag, body)
            }
        }
    };
    let (source, _) = serve(get("content", 7));
    let read = source.read("f", 10).expect("it is whole");
    assert_eq!(
        (read.bytes.as_slice(), read.object.modified_ns),
        (&b"content"[..], 1_445_412_480_000_000_000)
    );
    assert_eq!(read.object.etag.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e-2"));
    let (source, _) = serve(get("conte", 7));
    assert!(
        matches!(source.read("f", 10), Err(ReadError::Unreadable(reason)) if reason == "5 bytes came instead of 7")
    );
    assert!(matches!(source.read_pieces("f", 10, &mut |_| Ok(())), Err(ReadError::Unreadable(_))));
}

#[test]
fn an_etag_of_an_encrypted_object_is_no_md5() {
    let headers = "ETag: \"00000000000000000000000000000000\"\r\nx-amz-server-side-encryption: aws:kms\r\n";
    let (source, _) = serve(move |_| respond("200 OK", headers, "content"));
    // the HEAD has the length of the same body
    assert_eq!(source.read("f", 10).expect("it is whole").bytes, b"content");
    let (source, _) =
        serve(|_| respond("200 OK", "ETag: \"00000000000000000000000000000000\"\r\n", "content"));
    assert!(matches!(source.read("f", 10), Err(ReadError::Unreadable(reason)) if reason.contains("MD5")));
}

#[test]
fn a_broken_answer_goes_on_at_the_byte_only_with_the_same_etag() {
    let go_on = |second: &'static str, headers: &'static str, body: &'static str| {
        serve(move |head| {
            if head.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"one-2\"\r\nContent-Length: 10\r\n\r\n"
                    .to_owned()
            } else if head.contains("range: ") {
                respond(second, headers, body)
            } else {
                "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"one-2\"\r\nContent-Length: 10\r\n\r\n01234"
                    .to_owned()
            }
        })
    };
    let read = |source: &S3Source| {
        let mut pieces = Vec::new();
        let state = source.read_pieces("f", 4, &mut |piece| {
            pieces.push(String::from_utf8_lossy(piece).into_owned());
            Ok(())
        });
        state.map(|object| (object.size, pieces))
    };
    let (source, seen) =
        go_on("206 Partial Content", "ETag: \"one-2\"\r\nContent-Range: bytes 5-9/10\r\n", "56789");
    let (size, pieces) = read(&source).expect("it goes on");
    assert_eq!((size, pieces.join("|").as_str()), (10, "0123|4567|89"));
    let asked = seen.lock().expect("unharmed")[1].to_ascii_lowercase();
    assert!(asked.contains("range: bytes=5-\r\n") && asked.contains("if-match: \"one-2\"\r\n"), "{asked}");
    let (source, _) = go_on("412 Precondition Failed", "", "");
    assert!(matches!(read(&source), Err(ReadError::Changing)));
    let (source, _) =
        go_on("206 Partial Content", "ETag: \"two-2\"\r\nContent-Range: bytes 5-9/10\r\n", "56789");
    assert!(matches!(read(&source), Err(ReadError::Changing)));
    for wrong in ["", "Content-Range: bytes 4-9/10\r\n"] {
        let (source, _) = go_on("200 OK", wrong, "0123456789");
        assert!(matches!(read(&source), Err(ReadError::Unreadable(_))));
    }
}
