//! A page of the listing: prefix, delimiter, opaque continuation tokens, and key escapes for what XML cannot carry.

use std::collections::BTreeMap;
use std::ops::Bound;

use s3s::dto::{CommonPrefix, EncodingType, ListObjectsV2Input, ListObjectsV2Output, Object as Listed};
use s3s::{S3Result, s3_error};

use crate::bucket::Object;

enum Entry<'a> {
    Object(&'a str, &'a Object),
    Prefix(String),
}

impl Entry<'_> {
    fn name(&self) -> &str {
        match self {
            Entry::Object(key, _) => key,
            Entry::Prefix(prefix) => prefix,
        }
    }
}

/// Lists at most `page` entries.
pub(crate) fn list(
    objects: &BTreeMap<String, Object>,
    input: ListObjectsV2Input,
    page: usize,
) -> S3Result<ListObjectsV2Output> {
    let wanted = input.max_keys.map_or(page, |most| usize::try_from(most).unwrap_or(0));
    let limit = wanted.min(page);
    let after = match &input.continuation_token {
        Some(token) => {
            Some(from_token(token).ok_or_else(|| s3_error!(InvalidArgument, "not a token of this server"))?)
        }
        None => input.start_after.clone(),
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().filter(|text| !text.is_empty());
    let mut entries = entries(objects, &prefix, delimiter.as_deref(), after.as_deref(), limit + 1);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|entry| to_token(entry.name()));
    let escaped = input.encoding_type.as_ref().is_some_and(|kind| kind.as_str() == EncodingType::URL);
    let shown = |text: &str| if escaped { escape(text) } else { text.to_owned() };
    let count = i32::try_from(entries.len()).ok();
    let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Prefix(name) => prefixes.push(CommonPrefix { prefix: Some(shown(&name)) }),
            Entry::Object(key, object) => contents.push(Listed {
                key: Some(shown(key)),
                size: i64::try_from(object.body.len()).ok(),
                e_tag: Some(object.entity_tag()),
                last_modified: Some(object.modified.into()),
                ..Listed::default()
            }),
        }
    }
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix.as_deref().map(shown),
        delimiter: input.delimiter.as_deref().map(shown),
        encoding_type: input.encoding_type,
        max_keys: i32::try_from(wanted).ok(),
        key_count: count,
        is_truncated: Some(more),
        continuation_token: input.continuation_token,
        next_continuation_token: next,
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..ListObjectsV2Output::default()
    })
}

fn entries<'a>(
    objects: &'a BTreeMap<String, Object>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
    most: usize,
) -> Vec<Entry<'a>> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let mut found: Vec<Entry<'a>> = Vec::new();
    for (key, object) in objects.range::<str, _>((from, Bound::Unbounded)) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let folder =
            delimiter.and_then(|text| rest.split_once(text).map(|(part, _)| format!("{prefix}{part}{text}")));
        match folder {
            // The page before ended with this folder, so all of it has been told.
            Some(folder) if after.is_some_and(|after| after.starts_with(&folder)) => {}
            Some(folder) if found.last().is_some_and(|last| last.name() == folder) => {}
            Some(folder) => found.push(Entry::Prefix(folder)),
            None => found.push(Entry::Object(key, object)),
        }
        if found.len() == most {
            break;
        }
    }
    found
}

/// A token shows nothing of the key, so that no client comes to depend on it.
fn to_token(name: &str) -> String {
    name.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
}

fn from_token(token: &str) -> Option<String> {
    let digits: Vec<u32> = token.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok().map(|byte| byte ^ 0x5a),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_hide_the_key() {
        for name in ["a/b.json", "ä", "", "\u{1}\n"] {
            assert_eq!(from_token(&to_token(name)).as_deref(), Some(name));
        }
        assert!(!to_token("aaaa").contains("aaaa"));
        assert_eq!(from_token("xyz"), None);
        assert_eq!(from_token("5"), None);
    }

    #[test]
    fn keys_are_escaped_for_xml() {
        assert_eq!(escape("a b/ä\u{1}+"), "a%20b/%C3%A4%01%2B");
    }
}
