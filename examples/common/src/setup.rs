//! What the environment says of an example: where the sessions are kept, the secret that signs their cookies, their settings.

use std::env;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use session_core::{KeyRing, MemoryStore, OsRandom, Random as _, SessionManager, SessionStore, Settings};
use session_stores::{ConnectError, connect};
use tokio::time::sleep;

use crate::people::People;
use crate::sides::hex;
use crate::start::{Failure, log_to_stderr};

/// A file, so that a restart logs nobody out.
const DEFAULT_STORE: &str = "sqlite:sessions.db";
/// The secret has to outlive the program too.
const SECRET_FILE: &str = "sessions.secret";

const SWEEP_EVERY: Duration = Duration::from_secs(300);
const MOST_SWEPT: usize = 10_000;

/// What the environment says of an example: where its sessions are kept, the secret that signs their cookies, and the settings of
/// its sessions; and the people, who are kept beside them.
#[derive(Clone)]
pub struct Setup {
    pub(crate) store: Arc<dyn SessionStore>,
    keys: KeyRing,
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    pub(crate) people: People,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory(MemoryStore),
    /// A file of SQLite.
    File(String),
    /// A database, by the scheme of its URL: the rest of it may hold a password.
    Database(String),
    /// As a database, and what the names of its keys begin with.
    Redis(String, String),
}

impl Setup {
    /// Sessions are kept where `STORE` says, a URL of [`connect`], or else in the file `sessions.db` of this directory: a
    /// restart logs nobody out. The secret comes from `SESSION_SECRET`, or else from the file `sessions.secret`, which is made at
    /// the first start. The settings are those of [`Settings::from_env`] with the prefix `SESSION`; a cookie whose name
    /// isn't among them is called `id` and goes over plain HTTP. The log goes to stderr.
    ///
    /// # Errors
    /// If there is no store at `STORE`, a variable is no good, or a file can't be read or written.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// # if std::env::var("STORE").is_ok_and(|url| url == "memory:") {
    /// let setup = example_common::Setup::by_environment().await?;
    /// assert_eq!(setup.settings().cookie_name.as_deref(), Some("id"));
    /// # }
    /// # Ok::<(), example_common::Failure>(()) }).expect("a setup");
    /// ```
    pub async fn by_environment() -> Result<Self, Failure> {
        log_to_stderr();
        let url = env::var("STORE").unwrap_or_else(|_| DEFAULT_STORE.to_owned());
        if url == "memory:" {
            return Self::in_memory();
        }
        let store = connect(&url).await.map_err(refused)?;
        let keys = if env::var_os("SESSION_SECRET").is_some() { KeyRing::from_env("SESSION_SECRET")? } else { own()? };
        Ok(Self { store, keys, settings: settings()?, place: Place::of(&url), people: People::in_files() })
    }

    pub(crate) fn in_memory() -> Result<Self, Failure> {
        let store = MemoryStore::new();
        let keys = KeyRing::from_env_or_random("SESSION_SECRET")?;
        let place = Place::Memory(store.clone());
        Ok(Self { store: Arc::new(store), keys, settings: settings()?, place, people: People::in_memory() })
    }

    /// Where the sessions are kept.
    ///
    /// ```
    /// let (demo, _) = example_common::visit();
    /// assert!(std::sync::Arc::strong_count(&demo.setup().store()) > 1);
    /// ```
    #[must_use]
    pub fn store(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.store)
    }

    /// What signs their cookies.
    ///
    /// ```
    /// let (demo, _) = example_common::visit();
    /// assert_eq!(format!("{:?}", demo.setup().keys()), "KeyRing(1 current, 0 retired)");
    /// ```
    #[must_use]
    pub fn keys(&self) -> KeyRing {
        self.keys.clone()
    }

    /// What the environment sets, for [`SessionManagerBuilder::settings`](session_core::SessionManagerBuilder::settings).
    ///
    /// ```
    /// let (demo, _) = example_common::visit();
    /// assert!(demo.setup().settings().cookie_name.is_some());
    /// ```
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("place", &self.place).field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings::from_env("SESSION")?;
    if settings.cookie_name.is_none() {
        // Not every browser takes the default, `__Host-id`, from this machine without HTTPS. Leave both out when you have it.
        settings.cookie_name = Some("id".to_owned());
        settings.insecure_over_plain_http = true;
    }
    Ok(settings)
}

fn refused(error: ConnectError) -> Failure {
    match error {
        ConnectError::NotBuiltIn { .. } => {
            Failure::new(format!("STORE: {error}; for this example: cargo run --features all-stores"))
        }
        error => Failure::new(format!("STORE: {}", Failure::from(error))),
    }
}

/// The secret of this directory, made up at the first start. Your application gets one from wherever its other secrets are.
fn own() -> Result<KeyRing, Failure> {
    let text = match fs::read_to_string(SECRET_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            OsRandom.fill(&mut secret).map_err(|error| Failure::new(error.to_string()))?;
            let text = hex(&secret);
            create(&text).map_err(|error| Failure::new(format!("can't write {SECRET_FILE}: {error}")))?;
            text
        }
        text => text.map_err(|error| Failure::new(format!("can't read {SECRET_FILE}: {error}")))?,
    };
    Ok(KeyRing::parse(&text)?)
}

/// A new file that only its owner can read.
fn create(secret: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(SECRET_FILE)?.write_all(secret.as_bytes())
}

/// What has expired is absent at once; this gives its room back.
pub(crate) fn sweep_now_and_then(manager: SessionManager) {
    tokio::spawn(async move {
        loop {
            sleep(SWEEP_EVERY).await;
            if let Err(error) = manager.sweep(MOST_SWEPT).await {
                tracing::warn!(%error, "the sweep is tried again in five minutes");
            }
        }
    });
}

impl Place {
    fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        if scheme == "sqlite" {
            Self::File(path.to_owned())
        } else if scheme.starts_with("redis") {
            let prefix = options.split('&').find_map(|option| option.strip_prefix("prefix="));
            Self::Redis(scheme.to_owned(), prefix.unwrap_or("session").to_owned())
        } else {
            Self::Database(scheme.to_owned())
        }
    }

    /// For the end of a sentence about the sessions, on a terminal.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Memory(_) => "in memory and end with this program".to_owned(),
            Self::File(file) => format!("in {file} and outlive this program"),
            Self::Database(scheme) | Self::Redis(scheme, _) => {
                format!("in the {scheme} store that STORE names, and outlive this program")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_what_is_no_secret_is_kept() {
        for (url, place) in [
            ("sqlite:sessions.db?timeout_ms=9", r#"File("sessions.db")"#),
            ("postgres://ada:engine@host/database", r#"Database("postgres")"#),
            ("redis://:engine@host:6379/0", r#"Redis("redis", "session")"#),
            ("rediss-cluster://:engine@host?timeout_ms=9&prefix=shop", r#"Redis("rediss-cluster", "shop")"#),
        ] {
            assert_eq!(format!("{:?}", Place::of(url)), place);
        }
    }
}
