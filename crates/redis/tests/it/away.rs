//! A server that goes and comes back.

use std::sync::Arc;

use repot_core::{Cache as _, Kind};
use repot_redis::{RedisCache, RedisOptions};
use repot_testkit::{HandClock, OwnRedis, QuickPacing, cache_name, cache_value, own_space};

use crate::cache;

#[tokio::test]
async fn a_server_that_went_is_left_alone_and_then_asked_again() {
    let Some(mut own) = OwnRedis::start() else { return };
    let clock = HandClock::at(1_000_000);
    let cache = cache(&own.url(), &clock);
    let space = own_space(None);
    let name = cache_name(&space, "k");
    cache.put(&name, cache_value("a/b", "1"), 600_000).await.unwrap();
    own.stop();
    // each of them is told
    for code in [
        cache.get(&name).await.unwrap_err(),
        cache.put(&name, cache_value("a/b", "2"), 600_000).await.unwrap_err(),
        cache.delete(&name).await.unwrap_err(),
        cache.purge(&space).await.unwrap_err(),
    ] {
        assert_eq!((code.code(), code.kind()), ("R0448", Kind::Unavailable), "{code}");
    }
    own.start_again();
    clock.turn(29_999);
    let skipped = cache.get(&name).await.unwrap_err();
    assert!(skipped.message().contains("is not asked"), "{skipped}");
    clock.turn(1);
    assert_eq!(cache.get(&name).await.unwrap(), None, "the server kept nothing");
    cache.put(&name, cache_value("a/b", "3"), 600_000).await.unwrap();
    assert_eq!(cache.get(&name).await.unwrap(), Some(cache_value("a/b", "3")));
    // a short absence is met by trying again
    own.stop();
    own.start_again();
    assert_eq!(cache.get(&name).await.unwrap(), None);
    cache.put(&name, cache_value("a/b", "4"), 600_000).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_keep_the_server_away() {
    let Some(mut own) = OwnRedis::start() else { return };
    let clock = HandClock::at(1_000_000);
    let cache = cache(&own.url(), &clock);
    let name = cache_name(&own_space(None), "k");
    own.stop();
    cache.get(&name).await.unwrap_err();
    own.start_again();
    clock.set(500_000);
    assert_eq!(cache.get(&name).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_never_was_there_is_no_reason_not_to_begin() {
    let clock = HandClock::at(0);
    // nothing listens on a port that was just given back
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cache = cache(&format!("redis://user:canary@127.0.0.1:{port}/3"), &clock);
    let shown = format!("{cache} {cache:?}");
    assert!(shown.contains(&format!("127.0.0.1:{port}/3")) && !shown.contains("canary"), "{shown}");
    let error = cache.get(&cache_name(&own_space(None), "k")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    let options = RedisOptions::default();
    let wrong =
        RedisCache::new("redis:/canary@x", options, Arc::new(clock), Arc::new(QuickPacing::default()));
    let wrong = wrong.unwrap_err();
    assert!(wrong.code() == "R0100" && !format!("{wrong} {wrong:?}").contains("canary"), "{wrong:?}");
}

/// A server that takes connections and never answers holds up a bounded number of calls, not all of them.
#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    let options = RedisOptions { patience_ms: 20, ..RedisOptions::default() };
    let clock = HandClock::at(0);
    let cache =
        RedisCache::new(&url, options, Arc::new(clock.clone()), Arc::new(QuickPacing::default())).unwrap();
    let cache = Arc::new(cache);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let cache = Arc::clone(&cache);
        calls.spawn(async move { cache.get(&cache_name(&own_space(None), "k")).await.unwrap_err().code() });
    }
    while let Some(code) = calls.join_next().await {
        assert_eq!(code.unwrap(), "R0448");
    }
    let skipped = cache.get(&cache_name(&own_space(None), "k")).await.unwrap_err();
    assert!(skipped.message().contains("is not asked"), "{skipped}");
    accepted.abort();
}
