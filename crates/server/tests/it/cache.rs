//! `/cache`: the same over memory and over Redis, by tenant, and where there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use repot_core::{Cache, CacheName, CacheSpace, CacheUsage, CacheValue, Error, Kind, Result, SystemClock};
use repot_engine::ledger::{ApiKeys, NewKey, Right, Rights, Tenants};
use repot_engine::{MemoryCache, SystemEntropy};
use repot_redis::{RedisCache, RedisOptions};
use repot_server::{Options, Outside, openapi};
use repot_testkit::{HandClock, OwnRedis, QuickPacing, redis};

use crate::broken::endless;
use crate::kit::{COUNCIL, Lab, outside};

const MODEL: &str = "[repot.cache]\nshort = \"5s\"\n\n[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\n";

async fn lab(cache: Option<Arc<dyn Cache>>, outside: Outside) -> Lab {
    let options = Options { cache, cache_life_ms: 60_000, ..Options::default() };
    Lab::with("sqlite", MODEL, (outside, options)).await.unwrap()
}

fn memory(clock: &HandClock) -> Arc<dyn Cache> {
    Arc::new(MemoryCache::new(1 << 20, Arc::new(clock.clone())).unwrap())
}

fn on_redis(url: &str, clock: &HandClock) -> Arc<dyn Cache> {
    let options = RedisOptions { patience_ms: 10_000, ..RedisOptions::default() };
    let pacing = Arc::new(QuickPacing::default());
    Arc::new(RedisCache::new(url, options, Arc::new(clock.clone()), pacing).unwrap())
}

/// Servers over each cache, with a namespace of the test's own.
async fn labs() -> Vec<(Lab, String)> {
    let clock = HandClock::at(0);
    let namespace = format!("it {}", std::process::id());
    let path = namespace.replace(' ', "%20");
    let mut labs = vec![(lab(Some(memory(&clock)), outside()).await, path.clone())];
    if let Some(url) = redis() {
        labs.push((lab(Some(on_redis(&url, &clock)), outside()).await, path));
    }
    labs
}

#[tokio::test]
async fn a_value_comes_back_with_its_type_until_it_is_deleted_or_purged() {
    for (lab, ns) in labs().await {
        let path = format!("/cache/{ns}/a%2Fb%3A%C3%BC");
        assert_eq!(lab.get(&path).await.is(404).code(), "R0402");
        let body = b"\0\xff bytes".to_vec();
        lab.send(&format!("PUT {path}"), &[("content-type", "image/x; q=1")], body.clone()).await.is(204);
        let there = lab.get(&path).await.is(200);
        assert_eq!((there.header("content-type"), &there.body[..]), (Some("image/x; q=1"), &body[..]));
        assert_eq!(there.header("content-security-policy"), Some("default-src 'none'; sandbox"));
        let head = lab.send(&format!("HEAD {path}"), &[], "").await.is(200);
        assert!(head.body.is_empty() && head.header("content-length") == Some("8"), "{head:?}");
        lab.send(&format!("PUT {path}?ttl=60"), &[], "plain").await.is(204);
        assert_eq!(lab.get(&path).await.header("content-type"), Some("application/octet-stream"));
        lab.send(&format!("DELETE {path}"), &[], "").await.is(204);
        lab.send(&format!("DELETE {path}"), &[], "").await.is(204);
        assert_eq!(lab.get(&path).await.status, StatusCode::NOT_FOUND);
        for key in ["x", "y"] {
            lab.send(&format!("PUT /cache/{ns}/{key}?ttl=10m"), &[], key).await.is(204);
        }
        lab.send(&format!("POST /cache/{ns}:purge"), &[], "").await.is(204);
        for key in ["x", "y"] {
            lab.get(&format!("/cache/{ns}/{key}")).await.is(404);
        }
        let metrics = lab.get("/metrics").await;
        for line in [
            "repot_cache_requests_total{outcome=\"hit\"} 3",
            "repot_cache_requests_total{outcome=\"miss\"} 4",
            "repot_cache_requests_total{outcome=\"kept\"} 4",
            "repot_cache_requests_total{outcome=\"purged\"} 1",
        ] {
            assert!(metrics.text().contains(line), "{line} is not in\n{}", metrics.text());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    for (lab, ns) in labs().await {
        let large = vec![b'x'; 5 << 20];
        for (line, status, code) in [
            (format!("PUT /cache/{ns}/k?ttl=0"), 400, "R0440"),
            (format!("PUT /cache/{ns}/k?ttl=-1"), 400, "R0440"),
            (format!("PUT /cache/{ns}/k?ttl=367d"), 400, "R0440"),
            (format!("PUT /cache/{ns}/k?ttl=18446744073709551615"), 400, "R0440"),
            (format!("PUT /cache/{ns}/k?ttl=5&ttl=6"), 400, "R0440"),
            (format!("PUT /cache/{ns}/k?life=5"), 400, "R0440"),
            (format!("GET /cache/{ns}/k?x"), 400, "R0440"),
            (format!("GET /cache/{ns}/%ff"), 400, "R0440"),
            (format!("GET /cache/{ns}/{}", "k".repeat(1_025)), 400, "R0440"),
            (format!("GET /cache/{}/k", "n".repeat(129)), 400, "R0440"),
            (format!("PATCH /cache/{ns}/k"), 405, "R0441"),
            (format!("GET /cache/{ns}:purge"), 405, "R0441"),
            (format!("POST /cache/{ns}"), 404, "R0402"),
            (format!("POST /cache/{ns}:purge?all=1"), 400, "R0440"),
            ("POST /cache/:purge".to_owned(), 400, "R0440"),
            (format!("PUT /cache/{ns}/large"), 413, "R0442"),
        ] {
            let body = if line.ends_with("large") { large.clone() } else { Vec::new() };
            let answer = lab.send(&line, &[], body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{line}");
        }
    }
}

#[tokio::test]
async fn a_life_is_asked_for_or_named_in_the_model_or_the_servers() {
    let clock = HandClock::at(0);
    let lab = lab(Some(memory(&clock)), outside()).await;
    let lives = [
        ("other", "", 60_000),
        ("short", "", 5_000),
        ("short", "?ttl=7", 7_000),
        ("other", "?ttl=1m", 60_000),
    ];
    for (at, (namespace, asked, life_ms)) in lives.into_iter().enumerate() {
        let path = format!("/cache/{namespace}/k{at}");
        lab.send(&format!("PUT {path}{asked}"), &[], "v").await.is(204);
        clock.turn(life_ms - 1);
        lab.get(&path).await.is(200);
        clock.turn(1);
        lab.get(&path).await.is(404);
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_others_values() {
    let clock = HandClock::at(0);
    let lab = lab(Some(memory(&clock)), outside()).await;
    let keys = ApiKeys::new(
        Arc::clone(lab.app.store()) as Arc<dyn repot_core::store::Store>,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let mut made = Vec::new();
    for (tenants, rights) in [
        (Tenants::One("u1".to_owned()), vec![Right::Read, Right::Write]),
        (Tenants::One("u2".to_owned()), vec![Right::Read, Right::Write]),
        (Tenants::None, vec![Right::Read]),
        (Tenants::Any, vec![Right::Read]),
    ] {
        let new =
            NewKey { name: "t".to_owned(), rights: Rights::of(&rights, &[]), tenants, expires_ms: None };
        made.push(format!("Bearer {}", keys.create(new).await.unwrap().text.reveal()));
    }
    let [u1, u2, nobody, any] = made.as_slice() else { unreachable!() };
    let with = |key: &str| vec![("authorization", key.to_owned())];
    let send = async |line: &str, key: &str, tenant: Option<&str>| {
        let mut headers = with(key);
        headers.extend(tenant.map(|tenant| ("repot-tenant", tenant.to_owned())));
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        lab.send(line, &headers, "of u1").await
    };
    assert_eq!(lab.get("/cache/n/k").await.is(401).code(), "R0445");
    send("PUT /cache/n/k", u1, None).await.is(204);
    assert_eq!(send("GET /cache/n/k", u1, None).await.is(200).text(), "of u1");
    for key in [u2, nobody, any] {
        send("GET /cache/n/k", key, None).await.is(404);
    }
    assert_eq!(send("GET /cache/n/k", u2, Some("u1")).await.is(403).code(), "R0446");
    send("GET /cache/n/k", any, Some("u1")).await.is(200);
    send("POST /cache/n:purge", u2, None).await.is(204);
    send("DELETE /cache/n/k", u2, None).await.is(204);
    send("GET /cache/n/k", u1, None).await.is(200);
    for line in ["PUT /cache/n/k", "DELETE /cache/n/k", "POST /cache/n:purge"] {
        assert_eq!(send(line, nobody, None).await.is(403).code(), "R0446", "{line}");
    }
    send("POST /cache/n:purge", u1, None).await.is(204);
    send("GET /cache/n/k", u1, None).await.is(404);
}

#[tokio::test]
async fn a_server_without_a_cache_says_so() {
    let lab = Lab::open("memory", COUNCIL).await.unwrap();
    for line in ["GET /cache/n/k", "PUT /cache/n/k", "DELETE /cache/n/k", "POST /cache/n:purge"] {
        assert_eq!(lab.send(line, &[], "").await.is(501).code(), "R0448", "{line}");
    }
}

#[tokio::test]
async fn without_redis_a_read_is_a_miss_and_a_write_is_told() {
    let Some(mut own) = OwnRedis::start() else { return };
    let clock = HandClock::at(1_000_000);
    let lab = lab(Some(on_redis(&own.url(), &clock)), outside()).await;
    lab.send("PUT /cache/n/k", &[], "v").await.is(204);
    lab.get("/cache/n/k").await.is(200);
    own.stop();
    assert_eq!(lab.get("/cache/n/k").await.is(404).code(), "R0402");
    for line in ["PUT /cache/n/k", "DELETE /cache/n/k", "POST /cache/n:purge"] {
        let told = lab.send(line, &[], "w").await.is(503);
        assert_eq!((told.code().as_str(), told.header("retry-after")), ("R0448", Some("1")), "{line}");
    }
    // the documents are served as ever
    lab.send("PUT /v1/notes/n1", &[], r#"{"id":"n1"}"#).await.is(201);
    own.start_again();
    clock.turn(30_000);
    lab.get("/cache/n/k").await.is(404);
    lab.send("PUT /cache/n/k", &[], "x").await.is(204);
    assert_eq!(lab.get("/cache/n/k").await.is(200).text(), "x");
    let metrics = lab.get("/metrics").await;
    assert!(
        metrics.text().contains("repot_cache_requests_total{outcome=\"failed\"} 4"),
        "{}",
        metrics.text()
    );
}

/// A cache that answers everything with an error of this kind.
#[derive(Debug)]
struct Broken(Kind);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl Broken {
    fn fail<T>(&self) -> Result<T> {
        Err(Error::new(self.0, "R0448", "broken"))
    }
}

#[async_trait]
impl Cache for Broken {
    async fn get(&self, _: &CacheName) -> Result<Option<CacheValue>> {
        self.fail()
    }
    async fn put(&self, _: &CacheName, _: CacheValue, _: u64) -> Result<()> {
        self.fail()
    }
    async fn delete(&self, _: &CacheName) -> Result<()> {
        self.fail()
    }
    async fn purge(&self, _: &CacheSpace) -> Result<()> {
        self.fail()
    }
    fn value_bytes_max(&self) -> usize {
        1
    }
    fn usage(&self) -> Option<CacheUsage> {
        None
    }
}

/// Every status that is documented of the cache's routes is seen, and no other.
#[tokio::test]
async fn the_cache_answers_what_is_documented() {
    let clock = HandClock::at(0);
    let good = lab(Some(memory(&clock)), outside()).await;
    let options = |cache| Options { cache: Some(cache), body_ms: 1, ..Options::default() };
    let hasty = Lab::with("memory", MODEL, (outside(), options(memory(&clock)))).await.unwrap();
    let away = lab(Some(Arc::new(Broken(Kind::Unavailable))), outside()).await;
    let failed = lab(Some(Arc::new(Broken(Kind::Failed))), outside()).await;
    let none = lab(None, outside()).await;
    let locked = lab(Some(memory(&clock)), outside()).await;
    let body = r#"{"name":"x","rights":["read"],"only":["notes"]}"#;
    let key = locked.send("POST /admin/keys", &[], body).await.is(201).json();
    let key = format!("Bearer {}", key["key"].as_str().unwrap());
    let document = openapi(good.app.layout());
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "delete", "post"] {
            let Some(own) = item.get(method).filter(|_| path.starts_with("/cache/")) else { continue };
            operations += 1;
            let line = path.replace("{namespace}", "n").replace("{key}", "k");
            let line = format!("{} {line}", method.to_uppercase());
            let mut seen = BTreeSet::new();
            good.send("PUT /cache/n/k", &[], "v").await.is(204);
            for lab in [&good, &hasty, &away, &failed, &none] {
                seen.insert(lab.send(&line, &[], "v").await.status.as_u16());
            }
            seen.insert(good.send(&format!("{line}?nothing=1"), &[], "").await.status.as_u16());
            seen.insert(locked.send(&line, &[("authorization", &key)], "").await.status.as_u16());
            if method == "put" {
                seen.insert(good.send(&line, &[], vec![0; 1 << 20]).await.status.as_u16());
                seen.insert(hasty.send(&line, &[], endless()).await.status.as_u16());
            }
            if method == "get" {
                // a store that fails when keys are looked up; a cache that fails is one in which nothing is
                seen.extend([500, 503]);
            }
            let responses = own["responses"].as_object().unwrap();
            // 401 is where a key is missing, which is another test's
            let documented =
                responses.keys().map(|status| status.parse().unwrap()).filter(|&status| status != 401);
            assert_eq!(seen, documented.collect::<BTreeSet<u16>>(), "{line}");
        }
    }
    assert_eq!(operations, 4);
}
