//! What every cache promises, and what is so on this server.

use std::sync::Arc;

use repot_core::Cache as _;
use repot_testkit::{
    HandClock, OwnRedis, a_cache_gives_back_what_was_put, a_purge_takes_all_of_its_namespace, cache_name,
    cache_value, nothing_old_comes_back, own_space, redis,
};

use crate::cache;

#[tokio::test]
async fn the_cache_on_redis_keeps_the_promises_of_caches() {
    let Some(url) = redis() else { return };
    let cache = cache(&url, &HandClock::at(0));
    a_cache_gives_back_what_was_put(&cache).await;
    a_purge_takes_all_of_its_namespace(&cache).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_old_comes_back_from_redis() {
    let Some(url) = redis() else { return };
    nothing_old_comes_back(Arc::new(cache(&url, &HandClock::at(0)))).await;
}

#[tokio::test]
async fn processes_share_what_is_on_the_server() {
    let Some(url) = redis() else { return };
    let (one, other) = (cache(&url, &HandClock::at(0)), cache(&url, &HandClock::at(0)));
    let space = own_space(None);
    let name = cache_name(&space, "k");
    one.put(&name, cache_value("a/b", "1"), 60_000).await.unwrap();
    assert_eq!(other.get(&name).await.unwrap(), Some(cache_value("a/b", "1")));
    other.purge(&space).await.unwrap();
    assert_eq!(one.get(&name).await.unwrap(), None);
}

#[tokio::test]
async fn values_end_by_the_servers_clock_and_leave_nothing() {
    let Some(own) = OwnRedis::start() else { return };
    let cache = cache(&own.url(), &HandClock::at(0));
    let space = own_space(None);
    let (short, long) = (cache_name(&space, "short"), cache_name(&space, "long"));
    cache.put(&long, cache_value("a/b", "l"), 600_000).await.unwrap();
    cache.put(&short, cache_value("a/b", "s"), 1).await.unwrap();
    while cache.get(&short).await.unwrap().is_some() {}
    // a short life beside a long one does not take the long one along
    assert!(cache.get(&long).await.unwrap().is_some());
    let other = own_space(None);
    cache.put(&cache_name(&other, "k"), cache_value("a/b", "s"), 1).await.unwrap();
    while cache.get(&cache_name(&other, "k")).await.unwrap().is_some() {}
    // the mark of a namespace lives no longer than its values
    let client = redis::Client::open(own.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    loop {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        if keys.len() == 2 {
            assert!(keys.iter().all(|key| key.contains(&space.namespace)), "{keys:?}");
            break;
        }
    }
}

/// A server that is full may drop anything: also the mark of a namespace, which then takes its values along.
#[tokio::test]
async fn a_namespace_whose_mark_was_dropped_brings_nothing_back() {
    let Some(own) = OwnRedis::start() else { return };
    let cache = cache(&own.url(), &HandClock::at(0));
    let space = own_space(Some("t"));
    let name = cache_name(&space, "k");
    cache.put(&name, cache_value("a/b", "old"), 600_000).await.unwrap();
    let client = redis::Client::open(own.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mark = keys.iter().min_by_key(|key| key.len()).unwrap();
    let _: i64 = redis::cmd("DEL").arg(mark).query_async(&mut connection).await.unwrap();
    assert_eq!(cache.get(&name).await.unwrap(), None);
    cache.put(&cache_name(&space, "other"), cache_value("a/b", "new"), 600_000).await.unwrap();
    assert_eq!(cache.get(&name).await.unwrap(), None, "another mark is not the same one");
}

/// A server that is full and drops nothing refuses, and is asked again at once.
#[tokio::test]
async fn a_server_that_refuses_is_told_and_not_left_alone() {
    let Some(own) = OwnRedis::start() else { return };
    let cache = cache(&own.url(), &HandClock::at(0));
    let name = cache_name(&own_space(None), "k");
    let client = redis::Client::open(own.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let set = |bytes: &'static str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command
    };
    let _: String = set("1").query_async(&mut connection).await.unwrap();
    for _ in 0..10 {
        let refused = cache.put(&name, cache_value("a/b", "v"), 60_000).await.unwrap_err();
        assert_eq!(refused.code(), "R0448");
        assert!(refused.message().contains("refuses: OOM"), "{refused}");
    }
    let _: String = set("0").query_async(&mut connection).await.unwrap();
    cache.put(&name, cache_value("a/b", "v"), 60_000).await.unwrap();
    assert!(cache.get(&name).await.unwrap().is_some());
}
