//! The configuration of a lab, from `LAB_…` variables. What can't be read is refused, never guessed.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use session_core::{
    ConfigError, KeyRing, Revocation, SameSite, SessionManager, SessionManagerBuilder, SessionStore, SubjectLimit,
    UserAgentBinding,
};

/// All variables of the lab, read and checked.
///
/// ```
/// use session_conformance::{Config, Store};
///
/// let config = Config::read(|name| (name == "LAB_STORE").then(|| "sealed:".to_owned()))?;
/// assert_eq!(config.store, Store::Sealed);
/// let refused = Config::read(|name| (name == "LAB_IDLE_MS").then(|| "soon".to_owned())).unwrap_err();
/// assert!(refused.to_string().starts_with("LAB_IDLE_MS: "));
/// # Ok::<(), session_conformance::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the application listens: `LAB_BIND`.
    pub bind: SocketAddr,
    /// Where the counters are: `LAB_ADMIN`.
    pub admin: Option<SocketAddr>,
    /// Where sessions are kept: `LAB_STORE`.
    pub store: Store,
    /// How many sessions the memory store holds: `LAB_MAX_SESSIONS`.
    pub max_sessions: usize,
    /// None: the lab makes a secret up. `LAB_SECRETS`.
    pub secrets: Option<KeyRing>,
    /// The longest time for one store operation, in milliseconds: `LAB_STORE_TIMEOUT_MS`. Memory answers at once and needs
    /// none.
    pub store_timeout: u64,
    /// Where the revocations of cookie sessions are kept, if anywhere: `LAB_REVOCATION`.
    pub revocations: Option<Url>,
    cookie: Cookie,
    idle: Duration,
    lifetime: Duration,
    touch_every: Duration,
    application: String,
    max_bytes: usize,
    limit: SubjectLimit,
    binding: Option<UserAgentBinding>,
    cross_origin: bool,
}

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a store.
    At(Url),
    /// In an encrypted cookie.
    Sealed,
    /// In a signed cookie that everybody can read.
    Signed,
}

/// A store's URL. It may hold a password, so it doesn't print.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The memory of this process.
    pub(crate) const MEMORY: &str = "memory:";

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(…)")
    }
}

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    path: String,
    domain: Option<String>,
    same_site: SameSite,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    persistent: bool,
}

impl Config {
    /// Reads the variables; `variable` gives the value of one, or `None` where it isn't set.
    ///
    /// # Errors
    /// The first variable that can't be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Refusal> {
        let variables = Variables(variable);
        let config = Self {
            bind: variables.address("LAB_BIND")?.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))),
            admin: variables.address("LAB_ADMIN")?,
            store: variables.store()?,
            max_sessions: variables.number("LAB_MAX_SESSIONS", 1_000_000)?,
            secrets: variables.secrets()?,
            store_timeout: variables.number("LAB_STORE_TIMEOUT_MS", 500)?,
            revocations: variables.revocations()?,
            cookie: Cookie {
                name: variables.text("LAB_COOKIE", "__Host-id"),
                path: variables.text("LAB_PATH", "/"),
                domain: variables.get("LAB_DOMAIN"),
                same_site: variables.same_site()?,
                secure: variables.flag("LAB_SECURE", true)?,
                http_only: variables.flag("LAB_HTTP_ONLY", true)?,
                partitioned: variables.flag("LAB_PARTITIONED", false)?,
                persistent: variables.flag("LAB_PERSISTENT", false)?,
            },
            idle: variables.millis("LAB_IDLE_MS", 1_800_000)?,
            lifetime: variables.millis("LAB_ABSOLUTE_MS", 43_200_000)?,
            touch_every: variables.millis("LAB_TOUCH_MS", 0)?,
            application: variables.text("LAB_APP", "lab"),
            max_bytes: variables.number("LAB_MAX_BYTES", 65_536)?,
            limit: variables.limit()?,
            binding: variables.binding()?,
            cross_origin: variables.flag("LAB_CROSS_ORIGIN", false)?,
        };
        if config.revocations.is_some() && matches!(config.store, Store::At(_)) {
            return Err(Refusal::new(
                "LAB_REVOCATION",
                "it is for sealed: and signed:, a store ends sessions by itself",
            ));
        }
        Ok(config)
    }

    /// The variable that names the store of this lab, and the store: of sessions, or else of revocations.
    pub(crate) const fn named_store(&self) -> (&'static str, Option<&Url>) {
        match &self.store {
            Store::At(url) => ("LAB_STORE", Some(url)),
            Store::Sealed | Store::Signed => ("LAB_REVOCATION", self.revocations.as_ref()),
        }
    }

    /// The manager of this configuration. `store` keeps the sessions, or what is revoked of those in cookies.
    ///
    /// # Errors
    /// Settings that contradict each other or a rule that browsers keep.
    pub fn manager(
        &self,
        keys: KeyRing,
        store: impl SessionStore,
        refine: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Result<SessionManager, Refusal> {
        let revocation = |store| match self.revocations {
            Some(_) => Revocation::kept_in(store),
            None => Revocation::NoneCopiedCookiesStayValid,
        };
        let mut builder = match self.store {
            Store::At(_) => SessionManager::stored(store, keys),
            Store::Sealed => SessionManager::sealed(keys, revocation(store)),
            Store::Signed => SessionManager::signed(keys, revocation(store)),
        };
        let Cookie { name, path, domain, same_site, secure, http_only, partitioned, persistent } = &self.cookie;
        builder = builder.cookie_name(name).path(path).same_site(*same_site);
        if let Some(domain) = domain {
            builder = builder.domain(domain);
        }
        if !secure {
            builder = builder.insecure_over_plain_http();
        }
        if !http_only {
            builder = builder.insecure_readable_by_scripts();
        }
        if *partitioned {
            builder = builder.partitioned();
        }
        if *persistent {
            builder = builder.persistent();
        }
        builder = builder
            .application(&self.application)
            .idle(self.idle)
            .lifetime(self.lifetime)
            .touch_every(self.touch_every)
            .max_bytes(self.max_bytes)
            .sessions_per_subject(self.limit);
        if let Some(binding) = self.binding {
            builder = builder.bind_user_agent(binding);
        }
        if self.cross_origin {
            builder = builder.refuse_cross_origin();
        }
        Ok(refine(builder).build()?)
    }
}

/// Why a lab doesn't start: one line that begins with the variable's name. It never quotes the value, which may hold a
/// secret or a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// A refusal of `variable`, which has to be as `rule` says.
    pub fn new(variable: &str, rule: impl fmt::Display) -> Self {
        Self(format!("{variable}: {rule}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// A setting of the manager by the name of the variable it came from.
impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        let variable = match error.field() {
            "cookie_name" => "LAB_COOKIE",
            "path" => "LAB_PATH",
            "domain" => "LAB_DOMAIN",
            "same_site" => "LAB_SAMESITE",
            "partitioned" => "LAB_PARTITIONED",
            "idle" => "LAB_IDLE_MS",
            "lifetime" => "LAB_ABSOLUTE_MS",
            "touch_every" => "LAB_TOUCH_MS",
            "sessions_per_subject" => "LAB_MAX_PER_SUBJECT",
            "secret" => "LAB_SECRETS",
            other => other,
        };
        let text = error.to_string();
        let rule = text.strip_prefix(error.field()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
        Self::new(variable, rule)
    }
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, Refusal> {
        let Some(text) = self.get(name) else { return Ok(default) };
        // Rust reads a plus sign too; the contract says a number.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        number
            .ok_or_else(|| Refusal::new(name, "it has to be a whole number in digits, within the range of the machine"))
    }

    fn millis(&self, name: &str, default: u64) -> Result<Duration, Refusal> {
        self.number(name, default).map(Duration::from_millis)
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name).as_deref() {
            None => Ok(default),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Refusal::new(name, "it has to be 0 or 1")),
        }
    }

    fn address(&self, name: &str) -> Result<Option<SocketAddr>, Refusal> {
        let address = self.get(name).map(|text| text.parse()).transpose();
        address.map_err(|_| Refusal::new(name, "it has to be an address and a port, such as 127.0.0.1:3000"))
    }

    fn same_site(&self) -> Result<SameSite, Refusal> {
        match self.get("LAB_SAMESITE").as_deref() {
            None | Some("lax") => Ok(SameSite::Lax),
            Some("strict") => Ok(SameSite::Strict),
            Some("none") => Ok(SameSite::None),
            Some(_) => Err(Refusal::new("LAB_SAMESITE", "it has to be lax, strict or none")),
        }
    }

    fn secrets(&self) -> Result<Option<KeyRing>, Refusal> {
        let Some(text) = self.get("LAB_SECRETS") else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b',') {
            return Err(Refusal::new("LAB_SECRETS", "it has to be hexadecimal secrets with commas between them"));
        }
        Ok(Some(KeyRing::parse(&text)?))
    }

    fn store(&self) -> Result<Store, Refusal> {
        let text = self.text("LAB_STORE", Url::MEMORY);
        match text.as_str() {
            "sealed:" => Ok(Store::Sealed),
            "signed:" => Ok(Store::Signed),
            url if url.contains(':') => Ok(Store::At(Url(text))),
            _ => Err(Refusal::new("LAB_STORE", "it has to be sealed:, signed: or a store's URL, such as memory:")),
        }
    }

    fn revocations(&self) -> Result<Option<Url>, Refusal> {
        match self.get("LAB_REVOCATION") {
            None => Ok(None),
            Some(text) if text == "none" => Ok(None),
            Some(text) if text.contains(':') => Ok(Some(Url(text))),
            Some(_) => Err(Refusal::new("LAB_REVOCATION", "it has to be none or a store's URL, such as memory:")),
        }
    }

    fn limit(&self) -> Result<SubjectLimit, Refusal> {
        let most = self.number("LAB_MAX_PER_SUBJECT", 0_u32)?;
        match NonZeroU32::new(most) {
            Some(most) => Ok(SubjectLimit::EndOldest(most)),
            None if self.get("LAB_MAX_PER_SUBJECT").is_none() => Ok(SubjectLimit::None),
            None => Err(Refusal::new("LAB_MAX_PER_SUBJECT", "it has to be at least 1; leave it out for any number")),
        }
    }

    fn binding(&self) -> Result<Option<UserAgentBinding>, Refusal> {
        match self.get("LAB_BIND_UA").as_deref() {
            None | Some("off") => Ok(None),
            Some("observe") => Ok(Some(UserAgentBinding::Observe)),
            Some("reject") => Ok(Some(UserAgentBinding::Reject)),
            Some(_) => Err(Refusal::new("LAB_BIND_UA", "it has to be off, observe or reject")),
        }
    }
}

#[cfg(test)]
mod tests {
    use session_core::{MemoryStore, Secret};

    use super::*;

    const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";

    fn read(variables: &[(&str, &str)]) -> Result<Config, Refusal> {
        Config::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn build(variables: &[(&str, &str)]) -> Result<SessionManager, Refusal> {
        read(variables)?.manager(KeyRing::new(Secret::random().unwrap()), MemoryStore::new(), |builder| builder)
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        let config = read(&[]).unwrap();
        assert_eq!(config.bind.to_string(), "127.0.0.1:3000");
        assert_eq!((config.admin, config.max_sessions), (None, 1_000_000));
        assert_eq!(config.store, Store::At(Url("memory:".to_owned())));
        assert!(config.secrets.is_none() && config.revocations.is_none());
        assert_eq!((config.store_timeout, config.limit), (500, SubjectLimit::None));
        assert_eq!((config.idle, config.lifetime), (Duration::from_secs(1_800), Duration::from_secs(43_200)));
        assert_eq!((config.touch_every, config.max_bytes), (Duration::ZERO, 65_536));
        assert_eq!((config.binding, config.cross_origin), (None, false));
        assert_eq!((config.cookie.name.as_str(), config.application.as_str()), ("__Host-id", "lab"));
        assert_eq!(build(&[]).unwrap().cookie_name(), "__Host-id");
    }

    #[test]
    fn every_variable_is_taken_over() {
        let config = read(&[
            ("LAB_BIND", "[::1]:0"),
            ("LAB_ADMIN", "127.0.0.1:9"),
            ("LAB_STORE", "signed:"),
            ("LAB_SECRETS", SECRET),
            ("LAB_COOKIE", "id"),
            ("LAB_PATH", "/app"),
            ("LAB_DOMAIN", "example.com"),
            ("LAB_SAMESITE", "strict"),
            ("LAB_SECURE", "0"),
            ("LAB_HTTP_ONLY", "0"),
            ("LAB_PARTITIONED", "0"),
            ("LAB_PERSISTENT", "1"),
            ("LAB_IDLE_MS", "7"),
            ("LAB_ABSOLUTE_MS", "8"),
            ("LAB_TOUCH_MS", "6"),
            ("LAB_APP", "other"),
            ("LAB_REVOCATION", "redis://host"),
            ("LAB_BIND_UA", "reject"),
            ("LAB_CROSS_ORIGIN", "1"),
            ("LAB_MAX_SESSIONS", "5"),
            ("LAB_MAX_BYTES", "9"),
            ("LAB_MAX_PER_SUBJECT", "3"),
            ("LAB_STORE_TIMEOUT_MS", "4"),
        ])
        .unwrap();
        assert_eq!((config.bind.to_string(), config.store), ("[::1]:0".to_owned(), Store::Signed));
        assert_eq!(config.admin.unwrap().port(), 9);
        assert!(config.secrets.is_some());
        let Cookie { name, path, domain, same_site, secure, http_only, partitioned, persistent } = config.cookie;
        assert_eq!((name.as_str(), path.as_str(), domain.as_deref()), ("id", "/app", Some("example.com")));
        assert_eq!(
            (same_site, secure, http_only, partitioned, persistent),
            (SameSite::Strict, false, false, false, true)
        );
        assert_eq!((config.idle.as_millis(), config.lifetime.as_millis(), config.touch_every.as_millis()), (7, 8, 6));
        assert_eq!((config.max_sessions, config.max_bytes, config.application.as_str()), (5, 9, "other"));
        assert_eq!((config.store_timeout, config.limit.most()), (4, Some(3)));
        assert_eq!((config.binding, config.cross_origin), (Some(UserAgentBinding::Reject), true));
        assert_eq!(config.revocations, Some(Url("redis://host".to_owned())));
    }

    #[test]
    fn a_store_is_named_by_its_url_which_never_prints() {
        let url = "redis://:hunter2@host";
        for (variables, name) in [
            (&[("LAB_STORE", url)][..], "LAB_STORE"),
            (&[("LAB_STORE", "sealed:"), ("LAB_REVOCATION", url)], "LAB_REVOCATION"),
        ] {
            let config = read(variables).unwrap();
            assert_eq!(config.named_store(), (name, Some(&Url(url.to_owned()))));
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        for variables in [&[("LAB_STORE", "sealed:")][..], &[("LAB_STORE", "signed:"), ("LAB_REVOCATION", "none")]] {
            assert_eq!(read(variables).unwrap().named_store().1, None);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let cases = [
            ("LAB_BIND", &["", "3000", "localhost:3000", "127.0.0.1", "127.0.0.1:99999"][..]),
            ("LAB_ADMIN", &["", "9"]),
            ("LAB_STORE", &["", "memory", "redis"]),
            ("LAB_REVOCATION", &["", "memory", "yes"]),
            ("LAB_SECRETS", &["", ",", "secret", "ab", &SECRET[2..], "correct horse battery staple correct horse"]),
            ("LAB_SAMESITE", &["", "Lax", "no"]),
            ("LAB_SECURE", &["", "true", "2", " 1"]),
            ("LAB_HTTP_ONLY", &["yes"]),
            ("LAB_PARTITIONED", &["on"]),
            ("LAB_PERSISTENT", &["-1"]),
            ("LAB_IDLE_MS", &["", "soon", "-1", "+1", "1.5", " 1", "1s", "99999999999999999999999"]),
            ("LAB_ABSOLUTE_MS", &["x"]),
            ("LAB_TOUCH_MS", &["x"]),
            ("LAB_BIND_UA", &["", "on"]),
            ("LAB_CROSS_ORIGIN", &["yes"]),
            ("LAB_MAX_SESSIONS", &["many"]),
            ("LAB_MAX_BYTES", &["64k"]),
            ("LAB_MAX_PER_SUBJECT", &["", "0", "few", "-1", "99999999999"]),
            ("LAB_STORE_TIMEOUT_MS", &["500ms"]),
        ];
        for (name, values) in cases {
            for value in values {
                let line = read(&[(name, value)]).unwrap_err().to_string();
                assert!(line.starts_with(&format!("{name}: ")) && !line.contains('\n'), "{line}");
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_the_name_of_a_variable() {
        for (variables, name) in [
            (&[("LAB_DOMAIN", "example.com")][..], "LAB_DOMAIN"),
            (&[("LAB_PATH", "/app")], "LAB_PATH"),
            (&[("LAB_SECURE", "0")], "LAB_COOKIE"),
            (&[("LAB_COOKIE", "a b")], "LAB_COOKIE"),
            (&[("LAB_COOKIE", "")], "LAB_COOKIE"),
            (&[("LAB_COOKIE", "id"), ("LAB_SECURE", "0"), ("LAB_SAMESITE", "none")], "LAB_SAMESITE"),
            (&[("LAB_COOKIE", "id"), ("LAB_SECURE", "0"), ("LAB_PARTITIONED", "1")], "LAB_PARTITIONED"),
            (&[("LAB_IDLE_MS", "0")], "LAB_IDLE_MS"),
            (&[("LAB_ABSOLUTE_MS", "0")], "LAB_ABSOLUTE_MS"),
            (&[("LAB_IDLE_MS", "10"), ("LAB_TOUCH_MS", "10")], "LAB_TOUCH_MS"),
            (&[("LAB_STORE", "sealed:"), ("LAB_MAX_PER_SUBJECT", "3")], "LAB_MAX_PER_SUBJECT"),
            (&[("LAB_REVOCATION", "memory:")], "LAB_REVOCATION"),
        ] {
            let line = build(variables).unwrap_err().to_string();
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
        let twice = read(&[("LAB_SECRETS", &format!("{SECRET},{SECRET}"))]).unwrap_err().to_string();
        assert!(twice.starts_with("LAB_SECRETS: ") && !twice.contains(SECRET), "{twice}");
    }
}
