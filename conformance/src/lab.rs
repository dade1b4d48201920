//! The start of a lab, the same for all four.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use session_testing::stores::Counting;
use tracing_subscriber::EnvFilter;

use crate::admin::{self, Admin};
use crate::config::{Config, Refusal, Store};
use crate::stats::Stats;

/// What a framework's part of a lab needs.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The manager of the sessions, for the framework's door.
    pub manager: SessionManager,
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
        let store = MemoryStore::new().capacity(config.max_sessions);
        let counted = Counting::new(store.clone());
        let stats = Arc::new(Stats::new(counted.clone()));
        let manager = config.manager(keys, counted, |builder| builder.observer(Arc::clone(&stats)))?;
        let admin = config.admin.map(|address| admin::bind(address).map_err(|error| Refusal::new("LAB_ADMIN", error)));
        let admin = admin.transpose()?;

        // From here on nothing is refused any more, so that a refusal stays the only line on standard error.
        stats.count_panics();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .init();
        if config.secrets.is_none() {
            tracing::warn!("LAB_SECRETS is not set, so this lab made up a secret: its sessions end with it");
        }
        if config.store != Store::Memory {
            tracing::warn!("no revocation: a copied cookie works until its deadline, also after a logout");
        }
        if let Some(listener) = admin {
            let live = (config.store == Store::Memory).then_some(store);
            admin::serve(listener, Admin { manager: manager.clone(), stats, live });
        }
        Ok(Self { manager, bind: config.bind })
    }
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
