//! Which cache a server has, from the variables of the apps.

use std::sync::Arc;

use repot_core::{Cache, Error, Kind, Result, SystemClock, truth};
use repot_engine::{MemoryCache, TokioPacing};
use repot_redis::{RedisCache, RedisOptions};

use crate::settings::Environment;

/// Where a server of the Redis protocol is when nobody says.
const REDIS: &str = "redis://localhost:6379/0";
/// For how long values are kept when nobody says, seconds.
const LIFE_S: u64 = 300;

/// The cache, unless it is turned off; and for how long values are kept, milliseconds.
pub(crate) type Caching = (Option<Arc<dyn Cache>>, u64);

/// The cache that `CACHE_ENABLED` (or `ENABLE_CACHE`), `CACHE_PROVIDER`, `REDIS_URL`, `REDIS_MAX_RETRIES` and `CACHE_TTL` ask for;
/// `mebibytes` is how much of this process's memory one may take.
///
/// # Errors
/// `R0100` when one of them cannot be read. A server that is away is no error.
pub(crate) fn cache(environment: &Environment, mebibytes: usize) -> Result<Caching> {
    let value = |name: &str| environment.value(name);
    let life_ms = number(environment, "CACHE_TTL", LIFE_S)?.max(1).saturating_mul(1_000);
    if !is_enabled(environment) {
        return Ok((None, life_ms));
    }
    let provider = value("CACHE_PROVIDER").map(|provider| provider.to_ascii_lowercase());
    let cache: Arc<dyn Cache> = match (provider.as_deref(), value("REDIS_URL")) {
        (Some("redis"), url) => redis(environment, &url.unwrap_or_else(|| REDIS.to_owned()))?,
        (None, Some(url)) => redis(environment, &url)?,
        (Some("memory") | None, _) => {
            Arc::new(MemoryCache::new(mebibytes.saturating_mul(1 << 20), Arc::new(SystemClock))?)
        }
        (Some(other), _) => {
            return Err(wrong("CACHE_PROVIDER", other, "Say memory or redis."));
        }
    };
    Ok((Some(cache), life_ms))
}

fn redis(environment: &Environment, url: &str) -> Result<Arc<dyn Cache>> {
    let most = RedisOptions::default();
    let retries = number(environment, "REDIS_MAX_RETRIES", u64::from(most.retries))?;
    let options = RedisOptions { retries: u32::try_from(retries).unwrap_or(u32::MAX), ..most };
    Ok(Arc::new(RedisCache::new(url, options, Arc::new(SystemClock), Arc::new(TokioPacing))?))
}

/// Either name; that they do not disagree was checked.
fn is_enabled(environment: &Environment) -> bool {
    let said = |name| environment.value(name).as_deref().and_then(truth);
    said("CACHE_ENABLED").or_else(|| said("ENABLE_CACHE")).unwrap_or(true)
}

fn number(environment: &Environment, name: &str, default: u64) -> Result<u64> {
    let Some(text) = environment.value(name) else { return Ok(default) };
    text.parse().map_err(|_no_number| wrong(name, &text, "Say a whole number."))
}

fn wrong(name: &str, value: &str, hint: &str) -> Error {
    Error::new(Kind::Invalid, "R0100", format!("{name} is `{value}`, which it cannot be")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::cache;
    use crate::settings::Environment;

    fn of(variables: &str) -> Result<String, &'static str> {
        let (cache, life_ms) = cache(&Environment::of_text(variables), 8).map_err(|error| error.code())?;
        Ok(cache.map_or_else(|| "none".to_owned(), |cache| format!("{cache}, {life_ms}")))
    }

    #[test]
    fn the_variables_of_the_apps_choose_a_cache() {
        for (variables, expected) in [
            ("", Ok("memory, 8 MiB, 300000")),
            ("CACHE_TTL=60", Ok("memory, 8 MiB, 60000")),
            ("CACHE_ENABLED=false\nREDIS_URL=redis://h/1", Ok("none")),
            ("ENABLE_CACHE=0", Ok("none")),
            ("REDIS_URL=redis://user:canary@h:1/2", Ok("Redis at h:1/2, 300000")),
            ("CACHE_PROVIDER=redis", Ok("Redis at localhost:6379/0, 300000")),
            ("CACHE_PROVIDER=memory\nREDIS_URL=redis://h/1", Ok("memory, 8 MiB, 300000")),
            ("CACHE_PROVIDER=memcached", Err("R0100")),
            ("CACHE_TTL=5m", Err("R0100")),
            ("REDIS_URL=http://h/", Err("R0100")),
        ] {
            assert_eq!(of(variables).as_deref(), expected.as_deref(), "{variables}");
        }
    }
}
