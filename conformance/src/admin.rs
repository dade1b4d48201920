//! The admin listener: the counters and the sweep over HTTP, apart from the framework under test.

use std::io;
use std::net::{SocketAddr, TcpListener as Listener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use session_core::{MemoryStore, SessionManager};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::time::timeout;

use crate::stats::Stats;

/// A request head is never longer.
const LONGEST_HEAD: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// What it shows and does.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) manager: SessionManager,
    pub(crate) stats: Arc<Stats>,
    /// The store that can count its live sessions, if there is one.
    pub(crate) live: Option<MemoryStore>,
}

pub(crate) fn bind(address: SocketAddr) -> io::Result<Listener> {
    let listener = Listener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves in a thread of its own, so that it answers while the framework's threads are busy.
pub(crate) fn serve(listener: Listener, admin: Admin) {
    thread::spawn(move || {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "the admin listener has no runtime"),
        };
        if let Err(error) = runtime.block_on(accept(listener, admin)) {
            tracing::error!(%error, "the admin listener ended");
        }
    });
}

async fn accept(listener: Listener, admin: Admin) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    tracing::info!("admin on http://{}", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some go.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let admin = admin.clone();
        tokio::spawn(async move { timeout(PATIENCE, answer(stream, admin)).await });
    }
}

/// One request a connection.
async fn answer(mut stream: TcpStream, admin: Admin) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let mut words = head.split(|byte| byte.is_ascii_whitespace());
    let (status, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/stats")) => ("200 OK", admin.stats.json(admin.live.as_ref().map(MemoryStore::live))),
        (Some(b"POST"), Some(b"/sweep")) => match admin.manager.sweep(usize::MAX).await {
            Ok(swept) => ("200 OK", json!({ "swept": swept })),
            Err(_) => ("503 Service Unavailable", json!({ "error": "the store failed" })),
        },
        _ => ("404 Not Found", json!({ "error": "not found" })),
    };
    write(&mut stream, status, &body).await?;
    // A connection that is closed over unread bytes is reset, and the answer lost on its way.
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < LONGEST_HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

async fn write(stream: &mut TcpStream, status: &str, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}
