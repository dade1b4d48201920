//! Settings that operators change without building the program anew.

use std::env;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::binding::UserAgentBinding;
use crate::cookie::SameSite;
use crate::error::ConfigError;
use crate::manager::SessionManagerBuilder;
use crate::store::SubjectLimit;

/// The settings of a [`SessionManagerBuilder`] that fit into a configuration file or the environment, by the names that they
/// have there. What is missing stays as it is; what is misspelt in a file is refused. Secrets have no place in it:
/// [`KeyRing::from_env`](crate::KeyRing::from_env) reads them.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager, Settings};
///
/// // As a part of the application's own configuration, in whatever format it has.
/// let settings: Settings = serde_json::from_str(r#"{ "cookie_name": "__Host-shop", "idle": 900 }"#)?;
/// let keys = KeyRing::new(Secret::random()?);
/// let manager = SessionManager::stored(MemoryStore::new(), keys).settings(&settings).build()?;
/// assert_eq!(manager.cookie_name(), "__Host-shop");
///
/// let misspelt = serde_json::from_str::<Settings>(r#"{ "cookie_nmae": "shop" }"#).unwrap_err();
/// assert!(misspelt.to_string().contains("cookie_nmae"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// [`SessionManagerBuilder::application`].
    pub application: Option<String>,
    /// [`SessionManagerBuilder::cookie_name`].
    pub cookie_name: Option<String>,
    /// [`SessionManagerBuilder::path`].
    pub path: Option<String>,
    /// [`SessionManagerBuilder::domain`].
    pub domain: Option<String>,
    /// [`SessionManagerBuilder::same_site`]: `lax`, `strict` or `none`.
    pub same_site: Option<SameSite>,
    /// [`SessionManagerBuilder::partitioned`], if true.
    pub partitioned: bool,
    /// [`SessionManagerBuilder::persistent`], if true.
    pub persistent: bool,
    /// [`SessionManagerBuilder::insecure_over_plain_http`], if true.
    pub insecure_over_plain_http: bool,
    /// [`SessionManagerBuilder::idle`], in seconds.
    pub idle: Option<u64>,
    /// [`SessionManagerBuilder::lifetime`], in seconds.
    pub lifetime: Option<u64>,
    /// [`SessionManagerBuilder::touch_every`], in seconds.
    pub touch_every: Option<u64>,
    /// [`SessionManagerBuilder::anonymous_idle`], in seconds.
    pub anonymous_idle: Option<u64>,
    /// [`SessionManagerBuilder::remember_at_most`], in seconds.
    pub remember_at_most: Option<u64>,
    /// [`SessionManagerBuilder::renew_every`], in seconds.
    pub renew_every: Option<u64>,
    /// [`SessionManagerBuilder::max_bytes`].
    pub max_bytes: Option<usize>,
    /// [`SessionManagerBuilder::max_keys`].
    pub max_keys: Option<usize>,
    /// [`SessionManagerBuilder::max_anonymous`].
    pub max_anonymous: Option<u32>,
    /// [`SessionManagerBuilder::chunked`], if true.
    pub chunked: bool,
    /// [`SessionManagerBuilder::refuse_cross_origin`], if true.
    pub refuse_cross_origin: bool,
    /// [`SessionManagerBuilder::trust_origin`], each of them; in a variable with commas between them.
    pub trusted_origins: Vec<String>,
    /// [`SessionManagerBuilder::bind_user_agent`]: `observe` or `reject`.
    pub bind_user_agent: Option<UserAgentBinding>,
    /// [`SessionManagerBuilder::sessions_per_subject`]: a login beyond so many ends the oldest. Zero: any number.
    pub sessions_per_subject: Option<u32>,
    /// [`SessionManagerBuilder::sessions_per_subject`] too: a login beyond so many is refused. Zero: any number. It counts if both
    /// are set.
    pub refuse_logins_beyond: Option<u32>,
}

/// How a field is written in a variable.
enum Kind {
    Flag,
    List,
    Number,
    Text,
    /// One of a few, as the rule says.
    Word(&'static str),
}

const FIELDS: &[(&str, Kind)] = &[
    ("application", Kind::Text),
    ("cookie_name", Kind::Text),
    ("path", Kind::Text),
    ("domain", Kind::Text),
    ("same_site", Kind::Word("it has to be lax, strict or none")),
    ("partitioned", Kind::Flag),
    ("persistent", Kind::Flag),
    ("insecure_over_plain_http", Kind::Flag),
    ("idle", Kind::Number),
    ("lifetime", Kind::Number),
    ("touch_every", Kind::Number),
    ("anonymous_idle", Kind::Number),
    ("remember_at_most", Kind::Number),
    ("renew_every", Kind::Number),
    ("max_bytes", Kind::Number),
    ("max_keys", Kind::Number),
    ("max_anonymous", Kind::Number),
    ("chunked", Kind::Flag),
    ("refuse_cross_origin", Kind::Flag),
    ("trusted_origins", Kind::List),
    ("bind_user_agent", Kind::Word("it has to be observe or reject")),
    ("sessions_per_subject", Kind::Number),
    ("refuse_logins_beyond", Kind::Number),
];

impl Settings {
    /// Reads the environment: the variable of a field is the prefix, `_` and the field's name in capitals, such as
    /// `SESSION_COOKIE_NAME` and `SESSION_IDLE`. Flags are `true` or `false`. Other variables are left alone.
    ///
    /// # Errors
    /// If a variable can't be read; the error names it.
    ///
    /// ```
    /// # use session_core::Settings;
    /// assert_eq!(Settings::from_env("SESSION_OF_NOBODY")?, Settings::default());
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        Self::from_variables(prefix, |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`Settings::from_env`], of variables that are elsewhere: `variable` gives the value of one.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    ///
    /// ```
    /// # use session_core::Settings;
    /// let variable = |name: &str| (name == "SESSION_IDLE").then(|| "900".to_owned());
    /// assert_eq!(Settings::from_variables("SESSION", variable)?.idle, Some(900));
    ///
    /// let refused = Settings::from_variables("SESSION", |name| (name == "SESSION_IDLE").then(|| "soon".to_owned()));
    /// assert!(refused.unwrap_err().to_string().starts_with("SESSION_IDLE: "));
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    pub fn from_variables(prefix: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut fields = Map::new();
        for (field, kind) in FIELDS {
            let name = format!("{prefix}_{}", field.to_uppercase());
            let Some(text) = variable(&name) else { continue };
            let (value, rule, fix) = match kind {
                Kind::Flag => (text.parse().ok().map(Value::Bool), "it has to be true or false", "write one of them"),
                Kind::Number => {
                    (number(&text), "it has to be a whole number in range", "write digits; times are in seconds")
                }
                Kind::List => (Some(text.split(',').collect()), "it has to be a list", "put commas between its parts"),
                Kind::Text => (Some(Value::String(text)), "it has to be text", "write some"),
                Kind::Word(rule) => (Some(Value::String(text)), *rule, "write one of them"),
            };
            let field = value.map(|value| Map::from_iter([((*field).to_owned(), value)]));
            let field = field.filter(|field| Self::deserialize(Value::Object(field.clone())).is_ok());
            fields.extend(field.ok_or_else(|| ConfigError::new(&name, rule, fix))?);
        }
        Self::deserialize(Value::Object(fields))
            .map_err(|_| ConfigError::new(prefix, "its variables don't fit each other", "set fewer of them"))
    }
}

fn number(text: &str) -> Option<Value> {
    text.parse::<u64>().ok().map(Value::from)
}

impl SessionManagerBuilder {
    /// Takes over what `settings` say; what they don't say stays as it is.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, Settings};
    /// let settings = Settings::from_env("SESSION")?;
    /// # let keys = KeyRing::new(Secret::random().unwrap());
    /// let manager = SessionManager::stored(MemoryStore::new(), keys).settings(&settings).build()?;
    /// assert_eq!(manager.cookie_name(), "__Host-id");
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    pub fn settings(mut self, settings: &Settings) -> Self {
        if let Some(name) = &settings.application {
            self = self.application(name);
        }
        if let Some(name) = &settings.cookie_name {
            self = self.cookie_name(name);
        }
        if let Some(path) = &settings.path {
            self = self.path(path);
        }
        if let Some(domain) = &settings.domain {
            self = self.domain(domain);
        }
        if let Some(same_site) = settings.same_site {
            self = self.same_site(same_site);
        }
        if settings.partitioned {
            self = self.partitioned();
        }
        if settings.persistent {
            self = self.persistent();
        }
        if settings.insecure_over_plain_http {
            self = self.insecure_over_plain_http();
        }
        if let Some(seconds) = settings.idle {
            self = self.idle(Duration::from_secs(seconds));
        }
        if let Some(seconds) = settings.lifetime {
            self = self.lifetime(Duration::from_secs(seconds));
        }
        if let Some(seconds) = settings.touch_every {
            self = self.touch_every(Duration::from_secs(seconds));
        }
        if let Some(seconds) = settings.anonymous_idle {
            self = self.anonymous_idle(Duration::from_secs(seconds));
        }
        if let Some(seconds) = settings.remember_at_most {
            self = self.remember_at_most(Duration::from_secs(seconds));
        }
        if let Some(seconds) = settings.renew_every {
            self = self.renew_every(Duration::from_secs(seconds));
        }
        if let Some(bytes) = settings.max_bytes {
            self = self.max_bytes(bytes);
        }
        if let Some(keys) = settings.max_keys {
            self = self.max_keys(keys);
        }
        if let Some(sessions) = settings.max_anonymous {
            self = self.max_anonymous(sessions);
        }
        if settings.chunked {
            self = self.chunked();
        }
        if settings.refuse_cross_origin {
            self = self.refuse_cross_origin();
        }
        for origin in &settings.trusted_origins {
            self = self.trust_origin(origin);
        }
        if let Some(binding) = settings.bind_user_agent {
            self = self.bind_user_agent(binding);
        }
        if let Some(most) = settings.sessions_per_subject {
            self = self.sessions_per_subject(NonZeroU32::new(most).map_or(SubjectLimit::None, SubjectLimit::EndOldest));
        }
        if let Some(most) = settings.refuse_logins_beyond {
            self = self.sessions_per_subject(NonZeroU32::new(most).map_or(SubjectLimit::None, SubjectLimit::Refuse));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyRing, Secret};
    use crate::manager::SessionManager;
    use crate::memory::MemoryStore;

    const VARIABLES: &[(&str, &str)] = &[
        ("APPLICATION", "shop"),
        ("COOKIE_NAME", "id"),
        ("PATH", "/shop"),
        ("DOMAIN", "example.com"),
        ("SAME_SITE", "strict"),
        ("PARTITIONED", "false"),
        ("PERSISTENT", "true"),
        ("INSECURE_OVER_PLAIN_HTTP", "true"),
        ("IDLE", "900"),
        ("LIFETIME", "3600"),
        ("TOUCH_EVERY", "0"),
        ("ANONYMOUS_IDLE", "450"),
        ("REMEMBER_AT_MOST", "86400"),
        ("RENEW_EVERY", "1200"),
        ("MAX_BYTES", "1000"),
        ("MAX_KEYS", "20"),
        ("MAX_ANONYMOUS", "900"),
        ("CHUNKED", "false"),
        ("REFUSE_CROSS_ORIGIN", "true"),
        ("TRUSTED_ORIGINS", "https://a.example,https://b.example"),
        ("BIND_USER_AGENT", "observe"),
        ("SESSIONS_PER_SUBJECT", "3"),
        ("REFUSE_LOGINS_BEYOND", "2"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let value = |name: &str| {
            let field = name.strip_prefix("X_").unwrap();
            variables.iter().find(|(key, _)| *key == field).map(|(_, value)| (*value).to_owned())
        };
        Settings::from_variables("X", value)
    }

    #[test]
    fn every_field_has_its_variable() {
        let settings = read(VARIABLES).unwrap();
        let expected = Settings {
            application: Some("shop".to_owned()),
            cookie_name: Some("id".to_owned()),
            path: Some("/shop".to_owned()),
            domain: Some("example.com".to_owned()),
            same_site: Some(SameSite::Strict),
            partitioned: false,
            persistent: true,
            insecure_over_plain_http: true,
            idle: Some(900),
            lifetime: Some(3_600),
            touch_every: Some(0),
            anonymous_idle: Some(450),
            remember_at_most: Some(86_400),
            renew_every: Some(1_200),
            max_bytes: Some(1_000),
            max_keys: Some(20),
            max_anonymous: Some(900),
            chunked: false,
            refuse_cross_origin: true,
            trusted_origins: vec!["https://a.example".to_owned(), "https://b.example".to_owned()],
            bind_user_agent: Some(UserAgentBinding::Observe),
            sessions_per_subject: Some(3),
            refuse_logins_beyond: Some(2),
        };
        assert_eq!(settings, expected);
        assert_eq!(VARIABLES.len(), FIELDS.len());
        let keys = KeyRing::new(Secret::random().unwrap());
        let manager = SessionManager::stored(MemoryStore::new(), keys).settings(&settings).build().unwrap();
        let shown = format!("{manager:?}");
        for part in [
            "\"id\"",
            "/shop",
            "example.com",
            "Strict",
            "persistent: true",
            "secure: false",
            "900s",
            "3600s",
            "0ns",
            "450s",
            "1200s",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        // A flag that says no to a store.
        let keys = KeyRing::new(Secret::random().unwrap());
        let chunked = read(&[("CHUNKED", "true")]).unwrap();
        let refused = SessionManager::stored(MemoryStore::new(), keys).settings(&chunked).build().unwrap_err();
        assert_eq!(refused.field(), "chunked");
    }

    /// How many of three logins of one subject are taken, and how many sessions it has then.
    async fn logins(variables: &[(&str, &str)]) -> (usize, usize) {
        let keys = KeyRing::new(Secret::random().unwrap());
        let builder = SessionManager::stored(MemoryStore::new(), keys).settings(&read(variables).unwrap());
        let manager = builder.build().unwrap();
        let mut taken = 0;
        for _ in 0..3 {
            let session = manager.begin();
            session.login("ada").unwrap();
            taken += usize::from(session.save().await.is_ok());
        }
        (taken, manager.sessions_of("ada").await.unwrap().len())
    }

    #[tokio::test]
    async fn beyond_a_limit_the_oldest_session_ends_or_the_login_is_refused() {
        assert_eq!(logins(&[]).await, (3, 3));
        assert_eq!(logins(&[("SESSIONS_PER_SUBJECT", "2")]).await, (3, 2));
        assert_eq!(logins(&[("REFUSE_LOGINS_BEYOND", "2")]).await, (2, 2));
        assert_eq!(logins(&[("SESSIONS_PER_SUBJECT", "2"), ("REFUSE_LOGINS_BEYOND", "1")]).await, (1, 1));
        assert_eq!(logins(&[("SESSIONS_PER_SUBJECT", "0"), ("REFUSE_LOGINS_BEYOND", "0")]).await, (3, 3));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_name_and_not_quoted() {
        for (field, value) in [
            ("IDLE", "soon"),
            ("IDLE", "-1"),
            ("LIFETIME", ""),
            ("TOUCH_EVERY", "1.5"),
            ("MAX_BYTES", "18446744073709551616"),
            ("SESSIONS_PER_SUBJECT", "4294967296"),
            ("SAME_SITE", "sometimes"),
            ("BIND_USER_AGENT", "perhaps"),
            ("PERSISTENT", "maybe"),
            ("REFUSE_LOGINS_BEYOND", "true"),
        ] {
            let error = read(&[(field, value)]).unwrap_err();
            assert_eq!(error.field(), format!("X_{field}"), "{value}");
            assert!(value.is_empty() || !error.to_string().contains(value), "{error}");
        }
    }
}
