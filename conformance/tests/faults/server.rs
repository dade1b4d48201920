//! What happens to the server of a store.

use std::ops::Deref;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use session_testing::servers::Server;

use super::play::{Node, Play, nodes};

/// Ended without a warning, and started again with what it has on disk. The labs go on.
pub(crate) async fn killed_and_started_again<S>(turn: usize, url: &str, server: S) -> ([Arc<Node>; 2], S)
where
    S: Deref<Target = Server> + Send + 'static,
{
    let nodes = nodes(turn, url);
    let kill = move || {
        server.kill();
        sleep(Duration::from_millis(500));
        server.restart();
        server
    };
    let (summary, server) = Play::new(&nodes).run(kill).await;
    summary.failed_in_time();
    (nodes, server)
}

/// Connections stay, and nobody answers.
pub(crate) async fn stopped_for_two_seconds<S>(turn: usize, url: &str, server: S) -> ([Arc<Node>; 2], S)
where
    S: Deref<Target = Server> + Send + 'static,
{
    let nodes = nodes(turn, url);
    let stop = move || {
        server.stop();
        sleep(Duration::from_secs(2));
        server.resume();
        server
    };
    let (summary, server) = Play::new(&nodes).run(stop).await;
    summary.failed_in_time();
    (nodes, server)
}
