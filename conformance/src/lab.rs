//! The start of a lab, the same for all four.

use std::error::Error;
use std::future::pending;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::{env, thread};

use session_core::{Counting, KeyRing, MemoryStore, Secret, SessionManager, SessionStore};
use tokio::runtime;
use tracing_subscriber::EnvFilter;

use crate::admin::{self, Admin};
use crate::config::{Config, Refusal, Url};
use crate::credentials::Credentials;
use crate::stats::Stats;

/// What a framework's part of a lab needs.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The manager of the sessions, for the framework's door.
    pub manager: SessionManager,
    /// The passwords that were changed.
    pub credentials: Credentials,
    /// Where to listen.
    pub bind: SocketAddr,
}

impl Lab {
    fn start() -> Result<Self, Refusal> {
        let config = Config::read(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?;
        let filter = env::var_os("RUST_LOG").map_or_else(
            || Ok(EnvFilter::new("info")),
            |filter| {
                EnvFilter::builder()
                    .parse(filter.to_string_lossy())
                    .map_err(|_| Refusal::new("RUST_LOG", "it has to be a filter such as info or session_core=debug"))
            },
        )?;

        let keys = match &config.secrets {
            Some(keys) => keys.clone(),
            None => KeyRing::new(Secret::random().map_err(|error| Refusal::new("LAB_SECRETS", error))?),
        };
        let memory = MemoryStore::new().capacity(config.max_sessions);
        let (store, live): (Arc<dyn SessionStore>, _) = match config.named_store() {
            (_, None) => (Arc::new(memory), None),
            ("LAB_STORE", Some(url)) if url.as_str() == Url::MEMORY => (Arc::new(memory.clone()), Some(memory)),
            (variable, Some(url)) => {
                (connect(url, config.store_timeout).map_err(|why| Refusal::new(variable, why))?, None)
            }
        };
        let counted = Counting::new(store);
        let stats = Arc::new(Stats::new(counted.clone()));
        let admin = config.admin.map(|address| admin::bind(address).map_err(|error| Refusal::new("LAB_ADMIN", error)));
        let admin = admin.transpose()?;

        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .init();
        // It speaks when all is well, and from here on nothing is refused any more, so that a refusal stays the only line on
        // standard error.
        let manager = config.manager(keys, counted, |builder| builder.observer(Arc::clone(&stats)))?;
        stats.count_panics();
        if config.secrets.is_none() {
            tracing::warn!("LAB_SECRETS is not set, so this lab made up a secret: its sessions end with it");
        }
        if let Some(listener) = admin {
            admin::serve(listener, Admin { manager: manager.clone(), stats, live });
        }
        Ok(Self { manager, credentials: Credentials::default(), bind: config.bind })
    }
}

/// Connects on a runtime of its own that runs as long as the process: drivers leave tasks on it, and the framework has none
/// yet.
fn connect(url: &Url, timeout: u64) -> Result<Arc<dyn SessionStore>, String> {
    let url = match url.as_str() {
        memory @ Url::MEMORY => memory.to_owned(),
        url => format!("{url}{}timeout_ms={timeout}", if url.contains('?') { '&' } else { '?' }),
    };
    let (connected, outcome) = mpsc::channel();
    thread::spawn(move || {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(connected.send(Err(error.to_string()))),
        };
        runtime.block_on(async {
            let store = session_stores::connect(&url).await.map_err(|error| with_sources(&error));
            if connected.send(store).is_ok() {
                pending().await
            }
        });
    });
    outcome.recv().unwrap_or_else(|_| Err("the thread that connects to it ended".to_owned()))
}

/// In one line.
fn with_sources(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source()).map(ToString::to_string);
    // Some errors say their cause themselves.
    let say = |text: String, cause: String| if text.ends_with(&cause) { text } else { format!("{text}: {cause}") };
    causes.fold(error.to_string(), say).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Says where the lab listens, now that it accepts connections: the only line on standard output.
///
/// # Errors
/// If nobody holds the other end of standard output.
pub fn listening(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}

/// Runs a lab to its end: reads the variables, starts the admin listener, and hands over to the framework.
pub fn run(serve: impl FnOnce(Lab) -> io::Result<()>) -> ExitCode {
    let outcome = Lab::start().and_then(|lab| serve(lab).map_err(|error| Refusal::new("LAB_BIND", error)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::FAILURE
        }
    }
}
