//! The cache in memory.

use std::sync::Arc;

use repot_core::{Cache as _, SystemClock};
use repot_engine::MemoryCache;
use repot_testkit::{
    HandClock, a_cache_gives_back_what_was_put, a_purge_takes_all_of_its_namespace, cache_name, cache_value,
    nothing_old_comes_back, own_space,
};

#[tokio::test]
async fn the_cache_in_memory_keeps_the_promises_of_caches() {
    let cache = Arc::new(MemoryCache::new(64 << 20, Arc::new(SystemClock)).unwrap());
    a_cache_gives_back_what_was_put(cache.as_ref()).await;
    a_purge_takes_all_of_its_namespace(cache.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_old_comes_back_from_memory() {
    nothing_old_comes_back(Arc::new(MemoryCache::new(64 << 20, Arc::new(SystemClock)).unwrap())).await;
}

#[tokio::test]
async fn a_value_is_gone_when_its_time_is_over() {
    let clock = HandClock::at(1_000_000);
    let cache = MemoryCache::new(1 << 20, Arc::new(clock.clone())).unwrap();
    let space = own_space(None);
    let (short, long) = (cache_name(&space, "short"), cache_name(&space, "long"));
    cache.put(&short, cache_value("a/b", "s"), 1_000).await.unwrap();
    cache.put(&long, cache_value("a/b", "l"), u64::MAX).await.unwrap();
    clock.turn(999);
    assert!(cache.get(&short).await.unwrap().is_some());
    clock.turn(1);
    assert_eq!(cache.get(&short).await.unwrap(), None);
    assert_eq!(cache.usage().unwrap().entries, 1, "what was found to be over takes no room any more");
    clock.turn(365 * 24 * 60 * 60 * 1_000);
    assert!(cache.get(&long).await.unwrap().is_some());
    clock.turn(24 * 60 * 60 * 1_000);
    assert_eq!(cache.get(&long).await.unwrap(), None, "nothing stays longer than the longest life");
}

#[tokio::test]
async fn the_cache_in_memory_never_takes_more_than_it_may() {
    let cache = MemoryCache::new(1 << 20, Arc::new(SystemClock)).unwrap();
    let space = own_space(None);
    let hot = cache_name(&space, "hot");
    for round in 0..2_000_u32 {
        // of all sizes, the largest an eighth of the cache
        let bytes = usize::try_from(round * 7_919).unwrap() % cache.value_bytes_max();
        let name = cache_name(&space, &format!("k{round}"));
        cache.put(&name, cache_value("a/b", vec![0; bytes]), 60_000).await.unwrap();
        assert!(cache.get(&name).await.unwrap().is_some(), "what was just put is there ({bytes} bytes)");
        let usage = cache.usage().unwrap();
        assert!(usage.bytes <= usage.bytes_max && usage.bytes_max == 1 << 20, "{usage:?}");
        if cache.get(&hot).await.unwrap().is_none() {
            cache.put(&hot, cache_value("a/b", "h"), 60_000).await.unwrap();
        }
    }
    assert!(cache.usage().unwrap().entries > 5);
}

#[tokio::test]
async fn more_purged_namespaces_than_are_remembered_bring_nothing_back() {
    let cache = MemoryCache::new(1 << 20, Arc::new(SystemClock)).unwrap();
    let first = own_space(None);
    let name = cache_name(&first, "k");
    cache.put(&name, cache_value("a/b", "old"), 60_000).await.unwrap();
    cache.purge(&first).await.unwrap();
    for _ in 0..10_050 {
        cache.purge(&own_space(None)).await.unwrap();
    }
    assert_eq!(cache.get(&name).await.unwrap(), None);
    cache.put(&name, cache_value("a/b", "new"), 60_000).await.unwrap();
    assert_eq!(cache.get(&name).await.unwrap(), Some(cache_value("a/b", "new")));
}
