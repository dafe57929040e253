//! What names and values are called on the server.
//!
//! A namespace has a mark: a random number that stands under a name of its own. A value begins with the mark of its namespace
//! and counts only while that is the same. So to purge a namespace is to remove its mark, and a mark that the server dropped
//! for want of memory takes its values with it, instead of bringing purged ones back.

use bytes::Bytes;
use repot_core::{CacheName, CacheSpace, CacheValue};

/// Bytes of a mark.
pub(crate) const MARK: usize = 16;

/// Keeps a value: finds or makes the mark (`ARGV[1]`), and sees that it lives as long as its values. `ARGV[2]` is the life in
/// milliseconds, `ARGV[3]` what follows the mark.
pub(crate) const PUT: &str = "local mark = redis.call('get', KEYS[1])
if not mark then
  mark = ARGV[1]
  redis.call('set', KEYS[1], mark, 'px', ARGV[2])
elseif redis.call('pttl', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('pexpire', KEYS[1], ARGV[2])
end
redis.call('set', KEYS[2], mark .. ARGV[3], 'px', ARGV[2])
return 1";

/// The name of a namespace's mark. Lengths stand before what callers name, so that no two are the same.
pub(crate) fn mark(space: &CacheSpace) -> String {
    let CacheSpace { tenant, namespace } = space;
    match tenant {
        None => format!("repot:cache:-:{}:{namespace}", namespace.len()),
        Some(tenant) => {
            format!("repot:cache:{}:{tenant}:{}:{namespace}", tenant.len(), namespace.len())
        }
    }
}

/// The name of a value.
pub(crate) fn value(name: &CacheName) -> String {
    format!("{}:{}", mark(&name.space), name.key)
}

/// What follows the mark: the length of the media type, the media type, the bytes.
pub(crate) fn pack(value: &CacheValue) -> Vec<u8> {
    // a header of HTTP, so shorter than that
    let media = value.media.as_bytes();
    let media = media.get(..usize::from(u16::MAX)).unwrap_or(media);
    let length = u16::try_from(media.len()).unwrap_or(u16::MAX);
    let mut packed = Vec::with_capacity(2 + media.len() + value.body.len());
    packed.extend_from_slice(&length.to_be_bytes());
    packed.extend_from_slice(media);
    packed.extend_from_slice(&value.body);
    packed
}

/// A stored value, where it has this mark; nothing for what nobody of us wrote.
pub(crate) fn unpack(mark: &[u8], stored: Vec<u8>) -> Option<CacheValue> {
    let stored = Bytes::from(stored);
    if mark.len() != MARK || stored.get(..MARK)? != mark {
        return None;
    }
    let length: [u8; 2] = stored.get(MARK..MARK + 2)?.try_into().ok()?;
    let begin = MARK + 2 + usize::from(u16::from_be_bytes(length));
    let media = std::str::from_utf8(stored.get(MARK + 2..begin)?).ok()?.to_owned();
    Some(CacheValue { media, body: stored.slice(begin..) })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use repot_core::{CacheName, CacheSpace, CacheValue};

    use super::{MARK, mark, pack, unpack, value};

    fn name(tenant: Option<&str>, namespace: &str, key: &str) -> CacheName {
        let space = CacheSpace { tenant: tenant.map(str::to_owned), namespace: namespace.to_owned() };
        CacheName { space, key: key.to_owned() }
    }

    #[test]
    fn no_two_names_are_the_same() {
        let names = [
            name(None, "a", "b"),
            name(None, "a:1:b", "c"),
            name(None, "a", "1:b:c"),
            name(Some("a"), "b", "c"),
            name(Some("a:1:b"), "c", "d"),
            name(Some(""), "b", "c"),
            name(Some("-"), "b", "c"),
        ];
        let all: std::collections::BTreeSet<String> = names.iter().map(value).collect();
        assert_eq!(all.len(), names.len());
        let marks: std::collections::BTreeSet<String> = names.iter().map(|name| mark(&name.space)).collect();
        assert_eq!(marks.len(), names.len() - 1, "two of them are in one namespace");
        assert!(all.is_disjoint(&marks));
    }

    #[test]
    fn values_come_back_as_they_were_and_only_with_their_mark() {
        let kept =
            CacheValue { media: "text/x; a=\"ü\"".to_owned(), body: Bytes::from_static(b"\0\xff\r\n") };
        let stored = |mark: &[u8]| [mark, &pack(&kept)].concat();
        let mark = [7; MARK];
        assert_eq!(unpack(&mark, stored(&mark)), Some(kept.clone()));
        assert_eq!(unpack(&[8; MARK], stored(&mark)), None);
        assert_eq!(unpack(b"", stored(&mark)), None);
        for length in 0..MARK + 2 + kept.media.len() {
            assert_eq!(unpack(&mark, stored(&mark)[..length].to_vec()), None, "{length}");
        }
    }
}
