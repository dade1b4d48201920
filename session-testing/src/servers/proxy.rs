//! A network that fails when told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use super::port;

/// How late a connection may notice another fault.
const TICK: Duration = Duration::from_millis(10);

/// How long it may take until the proxy does what it was told.
const LIMIT: Duration = Duration::from_secs(10);

/// How much a silent proxy keeps for later, in bytes; then it doesn't read any more, as a full network.
const HELD: usize = 1 << 20;

/// What a [`Proxy`] does to the connections that go through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: every byte goes through.
    None,
    /// Nobody listens: who connects is refused. Connections that are open stay so; for a server that is gone call
    /// [`Proxy::drop_all`] as well.
    Refuse,
    /// Every byte arrives later by this time, in both directions.
    Delay(Duration),
    /// Of what the server says, this many bytes arrive, and then the connection is cut. It counts for each connection
    /// from the moment the fault was set.
    CutMidReply(usize),
    /// Connections are accepted and stay open, and no byte arrives on either side, until there is another fault: then all
    /// that was held back does.
    Silent,
}

/// A proxy between a store and its server, on a free port of the loopback interface, with faults that a test switches while
/// it runs. It has threads of its own, so it needs no runtime and stands still with none. It ends when it is dropped.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
///
/// use session_testing::servers::{Fault, Proxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = Proxy::to(server.local_addr()?);
/// let mut client = TcpStream::connect(proxy.addr())?;
/// let (mut session, _) = server.accept()?;
///
/// client.write_all(b"question")?;
/// session.read_exact(&mut [0; 8])?;
/// proxy.set(Fault::CutMidReply(3));
/// session.write_all(b"answer")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "ans");
///
/// proxy.set(Fault::Refuse);
/// assert!(TcpStream::connect(proxy.addr()).is_err());
/// # std::io::Result::Ok(())
/// ```
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// Which of the faults in a row, so that the same one set twice counts anew.
    number: u64,
    ended: bool,
    listens: bool,
    /// The ends of each connection, by the order in which they came: the client, and the server once it is reached.
    open: BTreeMap<u64, Vec<TcpStream>>,
    last: u64,
}

impl Proxy {
    /// A proxy to `server`, without a fault.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let listener = (0..5).find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, port::free())).ok());
        let listener = listener.expect("a free port");
        let addr = listener.local_addr().expect("a listener has an address");
        let state =
            State { fault: Fault::None, number: 0, ended: false, listens: true, open: BTreeMap::new(), last: 0 };
        let shared = Arc::new(Shared { to: server, state: Mutex::new(state), changed: Condvar::new() });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&shared, listener, addr)
        });
        Self { addr, shared, listening: Some(listening) }
    }

    /// Where it listens: what a test gives to the store in place of the server's address.
    ///
    /// ```
    /// # use session_testing::servers::Proxy;
    /// let proxy = Proxy::to(([127, 0, 0, 1], 9).into());
    /// assert!(proxy.addr().ip().is_loopback());
    /// ```
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on does this, to the connections that are open and to new ones.
    ///
    /// ```
    /// # use session_testing::servers::{Fault, Proxy};
    /// let proxy = Proxy::to(([127, 0, 0, 1], 9).into());
    /// proxy.set(Fault::Refuse);
    /// assert!(std::net::TcpStream::connect(proxy.addr()).is_err());
    /// proxy.set(Fault::Silent);
    /// assert!(std::net::TcpStream::connect(proxy.addr()).is_ok());
    /// ```
    ///
    /// # Panics
    /// If somebody has taken the port meanwhile.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = fault;
        state.number += 1;
        let (number, listens) = (state.number, fault != Fault::Refuse);
        self.shared.changed.notify_all();
        if state.listens && !listens {
            drop(state);
            // Who waits for a connection looks at the fault when there is one.
            let _ = TcpStream::connect(self.addr);
            state = self.shared.state();
        }
        let changes = |state: &mut State| state.number == number && state.listens != listens;
        let waited = self.shared.changed.wait_timeout_while(state, LIMIT, changes);
        let waited = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.1.timed_out(), "the proxy could not take up its port again");
    }

    /// Cuts all connections that are open now, as a server that falls or a network that forgets them.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// # use session_testing::servers::Proxy;
    /// let server = TcpListener::bind("127.0.0.1:0")?;
    /// let proxy = Proxy::to(server.local_addr()?);
    /// let mut client = TcpStream::connect(proxy.addr())?;
    /// let session = server.accept()?;
    /// proxy.drop_all();
    /// assert_eq!(client.read(&mut [0])?, 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn drop_all(&self) {
        let open = mem::take(&mut self.shared.state().open);
        open.into_values().for_each(cut);
    }

    /// How many connections are open.
    ///
    /// ```
    /// # use session_testing::servers::Proxy;
    /// assert_eq!(Proxy::to(([127, 0, 0, 1], 9).into()).connections(), 0);
    /// ```
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().open.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.addr);
        let _ = self.listening.take().map(JoinHandle::join);
        self.drop_all();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("addr", &self.addr).field("to", &self.shared.to).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, id: u64) {
        let ends = self.state().open.remove(&id);
        ends.into_iter().for_each(cut);
    }
}

/// Accepts connections until the proxy ends; while they are to be refused there is no listener at all.
fn listen(shared: &Arc<Shared>, mut listener: TcpListener, addr: SocketAddr) {
    loop {
        let accepted = listener.accept();
        let mut state = shared.state();
        if state.fault == Fault::Refuse {
            drop(accepted);
            drop(listener);
            state.listens = false;
            shared.changed.notify_all();
            let refuses = |state: &mut State| state.fault == Fault::Refuse && !state.ended;
            state = shared.changed.wait_while(state, refuses).unwrap_or_else(PoisonError::into_inner);
            if state.ended {
                return;
            }
            let Ok(again) = TcpListener::bind(addr) else { return };
            listener = again;
            state.listens = true;
            shared.changed.notify_all();
            continue;
        }
        if state.ended {
            return;
        }
        drop(state);
        if let Ok((client, _)) = accepted {
            let shared = Arc::clone(shared);
            thread::spawn(move || join(&shared, client));
        }
    }
}

/// Joins a client with the server, until one of them leaves. Without a server the client is cut.
fn join(shared: &Arc<Shared>, client: TcpStream) {
    let id = {
        let Ok(end) = client.try_clone() else { return };
        let mut state = shared.state();
        state.last += 1;
        let id = state.last;
        // Before the server sees it: who has accepted it there, finds it among the open ones here.
        state.open.insert(id, vec![end]);
        id
    };
    let server = TcpStream::connect(shared.to);
    if let Some((mut there, mut back)) = server.ok().and_then(|server| pumps(shared, id, client, server)) {
        thread::spawn({
            let shared = Arc::clone(shared);
            move || back.run(&shared)
        });
        there.run(shared);
    }
    shared.cut(id); // also where it never came so far
}

/// Both directions of a connection, unless it was cut before the server was reached.
fn pumps(shared: &Shared, id: u64, client: TcpStream, server: TcpStream) -> Option<(Pump, Pump)> {
    for end in [&client, &server] {
        end.set_nodelay(true).ok()?;
    }
    shared.state().open.get_mut(&id)?.push(server.try_clone().ok()?);
    let (from, to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let back = Pump { id, from, to, from_server: true, held: VecDeque::new() };
    Some((Pump { id, from: client, to: server, from_server: false, held: VecDeque::new() }, back))
}

fn cut(ends: Vec<TcpStream>) {
    for end in ends {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// One direction of one connection.
struct Pump {
    id: u64,
    from: TcpStream,
    to: TcpStream,
    from_server: bool,
    /// What has been read and not yet been passed on, with the time it was read.
    held: VecDeque<(Instant, Vec<u8>)>,
}

impl Pump {
    /// Until one of the ends leaves or the connection is cut; then it is cut on both ends.
    fn run(&mut self, shared: &Shared) {
        self.pass(shared);
        shared.cut(self.id);
    }

    fn pass(&mut self, shared: &Shared) {
        let mut buffer = vec![0; 64 * 1_024];
        let mut ended = false;
        let (mut counted, mut passed) = (0, 0);
        loop {
            let room = self.held.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < HELD;
            if ended || !room {
                thread::sleep(self.pause(Fault::None).min(TICK));
            } else {
                let _ = self.from.set_read_timeout(Some(self.pause(shared.state().fault)));
                match self.from.read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(length) => self.held.push_back((Instant::now(), buffer[..length].to_vec())),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => return,
                }
            }
            let (fault, number) = {
                let state = shared.state();
                if !state.open.contains_key(&self.id) {
                    return;
                }
                (state.fault, state.number)
            };
            if counted != number {
                (counted, passed) = (number, 0);
            }
            // The client sees no end of the connection through a silent network; the client's own end ends it.
            if fault == Fault::Silent {
                if ended && !self.from_server {
                    return;
                }
                continue;
            }
            while let Some(bytes) = self.due(fault) {
                let allowed = match fault {
                    Fault::CutMidReply(bytes) if self.from_server => bytes - passed,
                    _ => usize::MAX,
                };
                passed += bytes.len();
                if self.to.write_all(&bytes[..bytes.len().min(allowed)]).is_err() || bytes.len() >= allowed {
                    return;
                }
            }
            if ended && self.held.is_empty() {
                return;
            }
        }
    }

    /// What has waited long enough.
    fn due(&mut self, fault: Fault) -> Option<Vec<u8>> {
        let (read, _) = self.held.front()?;
        if matches!(fault, Fault::Delay(delay) if read.elapsed() < delay) {
            return None;
        }
        self.held.pop_front().map(|(_, bytes)| bytes)
    }

    /// How long there is nothing to do but read.
    fn pause(&self, fault: Fault) -> Duration {
        let Fault::Delay(delay) = fault else { return TICK };
        let due = self.held.front().map_or(TICK, |(read, _)| delay.saturating_sub(read.elapsed()));
        due.clamp(Duration::from_millis(1), TICK)
    }
}
