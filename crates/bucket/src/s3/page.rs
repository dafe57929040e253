//! One page of a listing, and the error document, out of their XML.

use quick_xml::Reader;
use quick_xml::events::Event;

/// One page of `ListObjectsV2`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub entries: Vec<Entry>,
    pub is_truncated: bool,
    pub token: Option<String>,
}

/// One listed key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: String,
    pub size: u64,
    /// Whole seconds, as the answer to a GET has them.
    pub modified_ns: i64,
    pub etag: Option<String>,
}

/// Takes the names down to an element, and its text where it has no children.
type Each<'e> = &'e mut dyn FnMut(&[String], Option<String>) -> Result<(), String>;

/// Gives each element at its end: the names down to it, and its text where it has no children.
fn elements(xml: &[u8], each: Each<'_>) -> Result<(), String> {
    let mut reader = Reader::from_reader(xml);
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut is_leaf = false;
    let broken = |what: &dyn std::fmt::Display| format!("the answer is no XML: {what}");
    loop {
        match reader.read_event().map_err(|error| broken(&error))? {
            Event::Start(start) => {
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                text.clear();
                is_leaf = true;
            }
            Event::Empty(start) => {
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                each(&path, Some(String::new()))?;
                path.pop();
            }
            Event::Text(found) => text.push_str(&found.decode().map_err(|error| broken(&error))?),
            Event::CData(found) => text.push_str(&found.decode().map_err(|error| broken(&error))?),
            Event::GeneralRef(found) => {
                let character = found.resolve_char_ref().map_err(|error| broken(&error))?;
                let name = found.decode().map_err(|error| broken(&error))?;
                text.push(match (character, name.as_ref()) {
                    (Some(character), _) => character,
                    (_, "lt") => '<',
                    (_, "gt") => '>',
                    (_, "amp") => '&',
                    (_, "quot") => '"',
                    (_, "apos") => '\'',
                    (_, other) => return Err(broken(&format!("the entity {other} is not known"))),
                });
            }
            Event::End(_) => {
                each(&path, is_leaf.then(|| std::mem::take(&mut text)))?;
                is_leaf = false;
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(broken(&"it is cut off")),
            _ => {}
        }
    }
}

impl Page {
    /// Reads a page.
    pub(crate) fn parse(xml: &[u8]) -> Result<Self, String> {
        let mut page = Self::default();
        // key and size as found; servers differ in the order of an entry's elements
        let (mut entry, mut found) = (Entry::default(), (false, false));
        let (mut url_encoded, mut is_listing) = (false, false);
        elements(xml, &mut |path, text| {
            let text = text.unwrap_or_default();
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            is_listing |= names.first() == Some(&"ListBucketResult");
            match names.as_slice() {
                [_, "IsTruncated"] => page.is_truncated = text.trim() == "true",
                [_, "NextContinuationToken"] => page.token = Some(text).filter(|token| !token.is_empty()),
                [_, "EncodingType"] => url_encoded = text.trim() == "url",
                [_, "Contents", "Key"] => (entry.key, found.0) = (text, true),
                [_, "Contents", "Size"] => {
                    entry.size =
                        text.trim().parse().map_err(|_wrong| format!("the size {text} is no number"))?;
                    found.1 = true;
                }
                [_, "Contents", "ETag"] => entry.etag = plain_etag(&text),
                [_, "Contents", "LastModified"] => entry.modified_ns = time_ns(text.trim())?,
                [_, "Contents"] if std::mem::take(&mut found) == (true, true) => {
                    page.entries.push(std::mem::take(&mut entry));
                }
                [_, "Contents"] => return Err("a listed object has no key or no size".to_owned()),
                _ => {}
            }
            Ok(())
        })?;
        if !is_listing {
            return Err("the answer is no listing".to_owned());
        }
        if url_encoded {
            for entry in &mut page.entries {
                entry.key = url_decoded(&entry.key)?;
            }
        }
        Ok(page)
    }
}

/// Code and message of an error document; empty where it is none.
pub(crate) fn error_of(xml: &[u8]) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    // what was read before the XML broke is used; a proxy's page in HTML is no error document at all
    let _broken = elements(xml, &mut |path, text| {
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["Error", "Code"] => code = text.unwrap_or_default(),
            ["Error", "Message"] => message = text.unwrap_or_default(),
            _ => {}
        }
        Ok(())
    });
    (code, message)
}

/// An ETag without quotes and weakness.
pub(crate) fn plain_etag(text: &str) -> Option<String> {
    let plain = text.trim().trim_start_matches("W/").trim_matches('"');
    Some(plain.to_owned()).filter(|plain| !plain.is_empty())
}

fn time_ns(text: &str) -> Result<i64, String> {
    let time: jiff::Timestamp =
        text.parse().map_err(|error| format!("the time {text} cannot be read: {error}"))?;
    Ok(time.as_second().saturating_mul(1_000_000_000))
}

/// Percent signs decoded, and `+` as a space, which is how S3 writes keys with `encoding-type=url`.
fn url_decoded(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(format!("the key {text} is badly encoded"));
                };
                u8::try_from(high * 16 + low).expect("two hex digits make a byte")
            }
            other => other,
        });
    }
    String::from_utf8(out).map_err(|error| format!("the key {text} is not UTF-8: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Page, error_of};

    #[test]
    fn keys_come_out_exactly() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>
            <IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken>
            <Contents><ETag>&quot;00ff&quot;</ETag><Key> a&amp;b&lt;&#13;&#x1F600; </Key>
            <LastModified>2024-05-06T07:08:09.123Z</LastModified><Size>12</Size><Owner><ID>x</ID></Owner></Contents></ListBucketResult>"#;
        let page = Page::parse(xml).expect("a page");
        assert!(page.is_truncated && page.token.as_deref() == Some("t&1"));
        let entry = Entry {
            key: " a&b<\r\u{1F600} ".to_owned(),
            size: 12,
            modified_ns: 1_714_979_289_000_000_000,
            etag: Some("00ff".to_owned()),
        };
        assert_eq!(page.entries, [entry]);
    }

    #[test]
    fn encoded_keys_are_decoded() {
        let keys = |encoding: &str| {
            let xml = format!(
                "<ListBucketResult><Contents><Key>a+b%2Bc%2F%00%C3%A9%25</Key><Size>0</Size></Contents>{encoding}</ListBucketResult>"
            );
            Page::parse(xml.as_bytes()).map(|page| page.entries[0].key.clone())
        };
        assert_eq!(keys("<EncodingType>url</EncodingType>").as_deref(), Ok("a b+c/\0\u{e9}%"));
        assert_eq!(keys("").as_deref(), Ok("a+b%2Bc%2F%00%C3%A9%25"));
    }

    #[test]
    fn other_answers_are_no_listing() {
        let others: [&[u8]; 5] = [
            b"",
            b"<html><body>Hello</body></html>",
            b"<ListBucketResult><Contents><Key>a</Key>",
            b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Size>many</Size></Contents></ListBucketResult>",
        ];
        for other in others {
            assert!(Page::parse(other).is_err(), "{}", String::from_utf8_lossy(other));
        }
        assert_eq!(
            error_of(b"<Error><Code>SlowDown</Code><Message>m</Message></Error>"),
            ("SlowDown".into(), "m".into())
        );
        assert_eq!(error_of(b"<html>no"), (String::new(), String::new()));
    }
}
