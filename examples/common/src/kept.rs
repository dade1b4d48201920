//! Where the sessions are kept, and the secret that signs their cookies.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use session_core::{KeyRing, MemoryStore, OsRandom, Random as _, SessionManager, SessionStore};
use session_stores::{ConnectError, connect};
use tokio::time::sleep;

use crate::sides::hex;
use crate::start::Failure;

/// A file, so that a restart logs nobody out.
const DEFAULT_STORE: &str = "sqlite:sessions.db";
/// The secret has to outlive the program too.
const SECRET_FILE: &str = "sessions.secret";

const SWEEP_EVERY: Duration = Duration::from_secs(300);
const MOST_SWEPT: usize = 10_000;

/// The store, its secret, and how to speak of it.
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) keys: KeyRing,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory(MemoryStore),
    File(String),
    /// A server, by the scheme of its URL: the rest of it may hold a password.
    Server(String),
}

impl Kept {
    /// Where `STORE` says, or else in a file of this directory. The secret is that of `SESSION_SECRET`, or else in a file
    /// beside it.
    pub(crate) async fn by_environment() -> Result<Self, Failure> {
        let url = env::var("STORE").unwrap_or_else(|_| DEFAULT_STORE.to_owned());
        if url == "memory:" {
            return Self::in_memory();
        }
        let store = connect(&url).await.map_err(refused)?;
        let keys = if env::var_os("SESSION_SECRET").is_some() { KeyRing::from_env("SESSION_SECRET")? } else { own()? };
        let place = match url.split_once(':') {
            Some(("sqlite", file)) => Place::File(file.split('?').next().unwrap_or(file).to_owned()),
            Some((scheme, _)) => Place::Server(scheme.to_owned()),
            None => Place::Server(String::new()),
        };
        Ok(Self { store, keys, place })
    }

    pub(crate) fn in_memory() -> Result<Self, Failure> {
        let store = MemoryStore::new();
        let keys = KeyRing::from_env_or_random("SESSION_SECRET")?;
        Ok(Self { store: Arc::new(store.clone()), keys, place: Place::Memory(store) })
    }
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
    /// For the end of a sentence about the sessions, on a terminal.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Memory(_) => "in memory and end with this program".to_owned(),
            Self::File(file) => format!("in {file} and outlive this program"),
            Self::Server(scheme) => format!("in the {scheme} store that STORE names, and outlive this program"),
        }
    }
}
