//! `redis:`, `redis-cluster:` and `redis-sentinel:`, each also with TLS.

use std::sync::Arc;
use std::time::Duration;

use session_core::Countable;
use session_redis::{NearCache, RedisStore};

use super::server::{in_time, secured};
use crate::error::ConnectError;
use crate::url::{Kind, Url};

pub(super) async fn connect(mut url: Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
    secured(&url, url.scheme.starts_with("rediss"))?;
    let settings = Settings::take(&mut url)?;
    let store = match url.kind {
        #[cfg(feature = "redis-cluster")]
        Kind::RedisCluster => {
            let (urls, _) = address(&url, "", "host:6379,host:6379")?;
            in_time(&url, RedisStore::cluster(&urls)).await?
        }
        #[cfg(feature = "redis-sentinel")]
        Kind::RedisSentinel => {
            let (urls, service) = address(&url, ":26379", "host:26379,host:26379/service")?;
            in_time(&url, RedisStore::sentinel(&urls, service)).await?
        }
        _ => {
            let (urls, _) = address(&url, "", "host:6379")?;
            in_time(&url, RedisStore::connect(&urls[0])).await?
        }
    };
    settings.apply(store, &url)
}

struct Settings<'a> {
    limit: Duration,
    prefix: Option<&'a str>,
    kept: Duration,
    near_cache: Option<usize>,
}

impl<'a> Settings<'a> {
    fn take(url: &mut Url<'a>) -> Result<Self, ConnectError> {
        let (limit, prefix) = (url.take_timeout()?, url.take("prefix"));
        let kept = Duration::from_secs(url.take_number("keep_expired_s")?.unwrap_or(0));
        let mut settings = Self { limit, prefix, kept, near_cache: None };
        if url.kind == Kind::RedisCluster {
            url.ends("timeout_ms, prefix and keep_expired_s")?;
            return Ok(settings);
        }
        let megabytes = url.take_number("near_cache_mb")?;
        settings.near_cache =
            megabytes.map(|number| usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(1 << 20));
        url.ends("timeout_ms, prefix, keep_expired_s and near_cache_mb")?;
        Ok(settings)
    }

    /// The store bounds the time of its operations by itself.
    fn apply(self, store: RedisStore, url: &Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
        let mut store = store.timeout(self.limit).keep_expired(self.kept);
        if let Some(prefix) = self.prefix {
            store = store.prefix(prefix).map_err(|error| url.failed(error))?;
        }
        let Some(bytes) = self.near_cache else { return Ok(Arc::new(store)) };
        let near = NearCache::new(store).map_err(|error| url.failed(error))?;
        Ok(Arc::new(near.memory(bytes)))
    }
}

/// One URL for each server, node or sentinel that is named, and the service that the sentinels know. It is written
/// `//credentials@host,host/service/database`, the service for sentinels only and the database not for a cluster.
fn address<'a>(url: &Url<'a>, port: &str, form: &str) -> Result<(Vec<String>, &'a str), ConnectError> {
    let refused = || url.refused(format!("this is no address; write {}://user:password@{form}", url.scheme));
    let rest = url.rest.strip_prefix("//").ok_or_else(refused)?;
    let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (service, database) = match url.kind {
        Kind::RedisSentinel => path.split_once('/').unwrap_or((path, "")),
        _ => ("", path),
    };
    let hosts: Vec<_> = hosts.split(',').collect();
    let fits = match url.kind {
        Kind::RedisCluster => database.is_empty(),
        Kind::RedisSentinel => !service.is_empty(),
        _ => hosts.len() == 1,
    };
    if !fits || hosts.contains(&"") || database.contains('/') {
        return Err(refused());
    }
    let scheme = if url.scheme.starts_with("rediss") { "rediss" } else { "redis" };
    let at = if credentials.is_empty() { "" } else { "@" };
    let whole = |host: &&str| {
        // Behind the brackets of an IPv6 address, if there are any.
        let port = if host[host.rfind(']').unwrap_or(0)..].contains(':') { "" } else { port };
        format!("{scheme}://{credentials}{at}{host}{port}/{database}")
    };
    Ok((hosts.iter().map(whole).collect(), service))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(text: &'a str, port: &str) -> Option<(Vec<String>, &'a str)> {
        address(&Url::read(text).unwrap(), port, "host").ok()
    }

    #[test]
    fn an_address_names_each_server_with_what_is_common_to_all() {
        for (url, port, urls, service) in [
            ("redis://h", "", &["redis://h/"][..], ""),
            ("redis://:p@h:1/2", "", &["redis://:p@h:1/2"], ""),
            ("rediss://u:p@[::1]:1/2", "", &["rediss://u:p@[::1]:1/2"], ""),
            ("redis-cluster://a:1,b", "", &["redis://a:1/", "redis://b/"], ""),
            ("rediss-cluster://u:p@a:1,b:2/", "", &["rediss://u:p@a:1/", "rediss://u:p@b:2/"], ""),
            ("redis-sentinel://a,b:2/s", ":9", &["redis://a:9/", "redis://b:2/"], "s"),
            ("redis-sentinel://:p@[::1],c/s/3", ":9", &["redis://:p@[::1]:9/3", "redis://:p@c:9/3"], "s"),
        ] {
            let urls = urls.iter().map(|url| (*url).to_owned()).collect();
            assert_eq!(read(url, port), Some((urls, service)), "{url}");
        }
    }

    #[test]
    fn what_names_no_server_or_too_many_is_no_address() {
        for url in [
            "redis:",
            "redis:h",
            "redis://",
            "redis://:p@",
            "redis://a,b",
            "redis://h/0/1",
            "redis-cluster://",
            "redis-cluster://a,",
            "redis-cluster://a/0",
            "redis-sentinel://a,b",
            "redis-sentinel://a,b/",
            "redis-sentinel:///s",
            "redis-sentinel://a/s/0/1",
        ] {
            assert_eq!(read(url, ""), None, "{url}");
        }
    }
}
