//! The promises that every cache keeps.

#![expect(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use repot_core::{CACHE_KEY_MAX, CACHE_LIFE_MAX_MS, Cache, CacheName, CacheSpace, CacheValue};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A part of the cache that no other test uses, on a server that they share.
#[must_use]
pub fn own_space(tenant: Option<&str>) -> CacheSpace {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let tenant = tenant.map(str::to_owned);
    CacheSpace { tenant, namespace: format!("test:{}:{number}", std::process::id()) }
}

/// The name of a key there.
#[must_use]
pub fn cache_name(space: &CacheSpace, key: &str) -> CacheName {
    CacheName { space: space.clone(), key: key.to_owned() }
}

/// Some bytes of a type.
#[must_use]
pub fn cache_value(media: &str, body: impl Into<Bytes>) -> CacheValue {
    CacheValue { media: media.to_owned(), body: body.into() }
}

/// What is put is there as it was, until it is replaced or forgotten; nobody else's is.
///
/// # Panics
/// When a promise is broken.
pub async fn a_cache_gives_back_what_was_put(cache: &dyn Cache) {
    let space = own_space(None);
    let name = cache_name(&space, "a/b:c %\u{fc}\n\0");
    assert_eq!(cache.get(&name).await.unwrap(), None);
    for value in [
        cache_value("application/octet-stream", &b"\0\xff\r\n$-1\r\n"[..]),
        cache_value("", Bytes::new()),
        cache_value("text/plain; charset=utf-8", vec![b'x'; cache.value_bytes_max()]),
    ] {
        cache.put(&name, value.clone(), CACHE_LIFE_MAX_MS).await.unwrap();
        assert_eq!(cache.get(&name).await.unwrap(), Some(value));
    }
    let longest = cache_name(&space, &"k".repeat(CACHE_KEY_MAX));
    longest.check().unwrap();
    cache.put(&longest, cache_value("a/b", "long"), 60_000).await.unwrap();
    assert_eq!(cache.get(&longest).await.unwrap(), Some(cache_value("a/b", "long")));
    let large = cache_value("text/plain", vec![0; cache.value_bytes_max() + 1]);
    assert_eq!(cache.put(&name, large, 60_000).await.unwrap_err().code(), "R0442");
    cache.delete(&name).await.unwrap();
    assert_eq!(cache.get(&name).await.unwrap(), None);
    cache.delete(&name).await.unwrap();
    for (name, code) in [(cache_name(&space, ""), "R0440"), (cache_name(&space, &"k".repeat(2_000)), "R0440")]
    {
        assert_eq!(name.check().unwrap_err().code(), code);
    }
}

/// A purge takes all of its namespace and nothing of another one or another tenant.
///
/// # Panics
/// When a promise is broken.
pub async fn a_purge_takes_all_of_its_namespace(cache: &dyn Cache) {
    let space = own_space(None);
    let spaces = [
        space.clone(),
        CacheSpace { tenant: Some("t1".to_owned()), ..space.clone() },
        CacheSpace { tenant: Some("t2".to_owned()), ..space.clone() },
        own_space(None),
    ];
    let value = |at: usize| cache_value("text/plain", format!("{at}"));
    for (at, space) in spaces.iter().enumerate() {
        for key in ["a", "b"] {
            cache.put(&cache_name(space, key), value(at), 60_000).await.unwrap();
        }
    }
    cache.purge(&spaces[1]).await.unwrap();
    for (at, space) in spaces.iter().enumerate() {
        for key in ["a", "b"] {
            let expected = (at != 1).then(|| value(at));
            assert_eq!(cache.get(&cache_name(space, key)).await.unwrap(), expected, "{at} {key}");
        }
    }
    // what comes after it stays, and an empty one can be purged
    cache.put(&cache_name(&spaces[1], "a"), value(7), 60_000).await.unwrap();
    assert_eq!(cache.get(&cache_name(&spaces[1], "a")).await.unwrap(), Some(value(7)));
    assert_eq!(cache.get(&cache_name(&spaces[1], "b")).await.unwrap(), None);
    cache.purge(&own_space(Some("t1"))).await.unwrap();
}

/// Whatever others do at the same time: after a purge, a delete or another put came back, nobody sees what was there before.
///
/// # Panics
/// When a promise is broken.
pub async fn nothing_old_comes_back(cache: Arc<dyn Cache>) {
    let space = own_space(Some("t"));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let (cache, space) = (Arc::clone(&cache), space.clone());
        tasks.spawn(async move {
            let name = cache_name(&space, &format!("k{task}"));
            for round in 0..200 {
                let value = |round: i32| cache_value("text/plain", format!("{task}/{round}"));
                cache.put(&name, value(round), 60_000).await.unwrap();
                // another's purge may have taken it, and no older one may be there
                let found = cache.get(&name).await.unwrap();
                assert!(found.is_none() || found == Some(value(round)), "{found:?} in round {round}");
                match (round + task) % 3 {
                    0 => cache.purge(&space).await.unwrap(),
                    1 => cache.delete(&name).await.unwrap(),
                    _ => continue,
                }
                assert_eq!(cache.get(&name).await.unwrap(), None, "{task} in round {round}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
