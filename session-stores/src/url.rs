//! The parts of a store's URL.

use std::time::Duration;

use crate::error::ConnectError;

const TIMEOUT: &str = "timeout_ms";
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

/// What kinds of stores there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
    MySql,
    Redis,
    RedisCluster,
    RedisSentinel,
}

const SCHEMES: [(&str, Kind); 12] = [
    ("memory", Kind::Memory),
    ("sqlite", Kind::Sqlite),
    ("postgres", Kind::Postgres),
    ("postgresql", Kind::Postgres),
    ("mysql", Kind::MySql),
    ("mariadb", Kind::MySql),
    ("redis", Kind::Redis),
    ("rediss", Kind::Redis),
    ("redis-cluster", Kind::RedisCluster),
    ("rediss-cluster", Kind::RedisCluster),
    ("redis-sentinel", Kind::RedisSentinel),
    ("rediss-sentinel", Kind::RedisSentinel),
];
const ALL: &str = "memory:, sqlite:, postgres:, mysql:, redis:, rediss:, redis-cluster: or redis-sentinel:";

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'static str,
    pub(crate) kind: Kind,
    /// What is between the scheme and the options, with its slashes.
    pub(crate) rest: &'a str,
    options: Vec<(&'a str, &'a str)>,
}

#[allow(dead_code, reason = "a build without any driver takes no options")]
impl<'a> Url<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, ConnectError> {
        let (scheme, rest) = text.split_once(':').ok_or(ConnectError::UnknownScheme(ALL))?;
        let known = SCHEMES.into_iter().find(|(known, _)| *known == scheme);
        let (scheme, kind) = known.ok_or(ConnectError::UnknownScheme(ALL))?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let options = options.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
        Ok(Self { scheme, kind, rest, options })
    }

    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(option, _)| *option == name).map(|(_, value)| *value)
    }

    /// The URL with those options that the driver knows, which are taken out.
    pub(crate) fn for_driver(&mut self, knows: impl Fn(&str) -> bool) -> String {
        let (known, rest) =
            std::mem::take(&mut self.options).into_iter().partition::<Vec<_>, _>(|(name, _)| knows(name));
        self.options = rest;
        let options: Vec<_> = known.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}:{}?{}", self.scheme, self.rest, options.join("&"))
    }

    /// Takes an option out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let place = self.options.iter().position(|(option, _)| *option == name)?;
        Some(self.options.remove(place).1)
    }

    /// Takes a number out that is not zero.
    pub(crate) fn take_number(&mut self, name: &'static str) -> Result<Option<u64>, ConnectError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        // Rust reads a plus sign too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        number.map(Some).ok_or_else(|| self.refused(format!("{name} has to be a whole number, and not zero")))
    }

    /// How long one operation may take.
    pub(crate) fn take_timeout(&mut self) -> Result<Duration, ConnectError> {
        Ok(self.take_number(TIMEOUT)?.map_or(DEFAULT_TIMEOUT, Duration::from_millis))
    }

    /// No option is left over. They are not named, for a question mark in a password begins them too.
    pub(crate) fn ends(&self, options: &str) -> Result<(), ConnectError> {
        if self.options.is_empty() {
            return Ok(());
        }
        Err(self.refused(format!(
            "there is an option that it doesn't have; it takes {options}, each once (a ? in a password is written %3F)"
        )))
    }

    pub(crate) fn refused(&self, rule: impl Into<String>) -> ConnectError {
        ConnectError::Refused { scheme: self.scheme, rule: rule.into() }
    }

    pub(crate) fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectError {
        ConnectError::Failed { scheme: self.scheme, source: source.into() }
    }

    pub(crate) fn not_built_in(&self, name: &'static str, feature: &'static str) -> ConnectError {
        ConnectError::NotBuiltIn { scheme: self.scheme, name, feature }
    }
}
