//! The faults of the proxy are what they say, and end when they are told to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod wire;

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use session_testing::servers::{Fault, Proxy};
use wire::{eventually, is_cut, is_silent, read, read_to_end};

const DELAY: Duration = Duration::from_millis(100);

/// A client, a server, and the proxy between.
struct Line {
    server: TcpListener,
    proxy: Proxy,
}

impl Line {
    fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(server.local_addr().unwrap());
        Self { server, proxy }
    }

    /// Both ends of a new connection.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.addr()).unwrap();
        (client, self.server.accept().unwrap().0)
    }
}

#[test]
fn without_a_fault_every_byte_goes_through() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    let much: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(&much).unwrap());
        assert_eq!(read(&mut server, much.len()), much);
    });
    server.write_all(b"answer").unwrap();
    assert_eq!(read(&mut client, 6), b"answer");
}

#[test]
fn who_leaves_ends_the_connection_of_the_other() {
    let line = Line::new();
    let (client, mut server) = line.connect();
    let (mut other, other_server) = line.connect();
    assert_eq!(line.proxy.connections(), 2);
    drop(client);
    assert!(is_cut(&mut server));
    drop(other_server);
    assert!(is_cut(&mut other));
    eventually("no connection is open", || line.proxy.connections() == 0);
}

#[test]
fn what_was_said_before_leaving_arrives() {
    let line = Line::new();
    let (client, mut server) = line.connect();
    line.proxy.set(Fault::Delay(DELAY));
    (&client).write_all(b"goodbye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(&mut server, 7), b"goodbye");
}

#[test]
fn nobody_listens_while_connections_are_refused() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    line.proxy.set(Fault::Refuse);
    line.proxy.set(Fault::Refuse);
    assert_eq!(TcpStream::connect(line.proxy.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    server.write_all(b"still here").unwrap();
    assert_eq!(read(&mut client, 10), b"still here");
    assert_eq!(line.proxy.connections(), 1);
    for _ in 0..20 {
        line.proxy.set(Fault::None);
        let _ = line.connect();
        line.proxy.set(Fault::Refuse);
        assert!(TcpStream::connect(line.proxy.addr()).is_err());
    }
}

#[test]
fn a_delay_is_one_of_each_direction() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    line.proxy.set(Fault::Delay(DELAY));
    let started = Instant::now();
    client.write_all(b"?").unwrap();
    read(&mut server, 1);
    assert!(started.elapsed() >= DELAY);
    server.write_all(b"!").unwrap();
    read(&mut client, 1);
    assert!(started.elapsed() >= DELAY * 2);
}

#[test]
fn delayed_bytes_travel_together() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    line.proxy.set(Fault::Delay(Duration::from_millis(400)));
    let started = Instant::now();
    for _ in 0..4 {
        client.write_all(b"?").unwrap();
        sleep(Duration::from_millis(20));
    }
    read(&mut server, 4);
    assert!(started.elapsed() < Duration::from_millis(1_200), "one delay after another: {:?}", started.elapsed());
}

#[test]
fn an_endless_delay_ends_with_the_fault() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    line.proxy.set(Fault::Delay(Duration::MAX));
    client.write_all(b"?").unwrap();
    assert!(is_silent(&mut server));
    line.proxy.set(Fault::None);
    assert_eq!(read(&mut server, 1), b"?");
}

#[test]
fn a_reply_is_cut_where_it_is_told() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    server.write_all(b"before").unwrap();
    assert_eq!(read(&mut client, 6), b"before");
    line.proxy.set(Fault::CutMidReply(4));
    client.write_all(b"a long question").unwrap();
    assert_eq!(read(&mut server, 15), b"a long question");
    server.write_all(b"an").unwrap();
    assert_eq!(read(&mut client, 2), b"an");
    server.write_all(b"swer").unwrap();
    assert_eq!(read_to_end(&mut client), b"sw");
    assert!(is_cut(&mut server));
    eventually("no connection is open", || line.proxy.connections() == 0);
}

#[test]
fn each_connection_is_cut_for_itself_and_none_when_the_fault_is_over() {
    let line = Line::new();
    line.proxy.set(Fault::CutMidReply(1));
    for answer in [&b"answer"[..], b"a"] {
        let (mut client, mut server) = line.connect();
        server.write_all(answer).unwrap();
        assert_eq!(read_to_end(&mut client), b"a");
    }
    line.proxy.set(Fault::CutMidReply(0));
    let (mut client, mut server) = line.connect();
    assert!(is_silent(&mut client), "it is cut when there is a reply, not before");
    server.write_all(b"answer").unwrap();
    assert!(is_cut(&mut client));
    line.proxy.set(Fault::None);
    let (mut client, mut server) = line.connect();
    server.write_all(b"answer").unwrap();
    assert_eq!(read(&mut client, 6), b"answer");
}

#[test]
fn a_silent_network_keeps_everything_for_later() {
    let line = Line::new();
    let (mut client, mut server) = line.connect();
    line.proxy.set(Fault::Silent);
    client.write_all(b"question").unwrap();
    server.write_all(b"answer").unwrap();
    assert!(is_silent(&mut client) && is_silent(&mut server));
    let late = TcpStream::connect(line.proxy.addr()).unwrap();
    eventually("it is accepted", || line.proxy.connections() == 2);
    line.proxy.set(Fault::None);
    assert_eq!(read(&mut server, 8), b"question");
    assert_eq!(read(&mut client, 6), b"answer");
    drop(late);
}

#[test]
fn nobody_sees_an_end_through_a_silent_network() {
    let line = Line::new();
    let (mut client, server) = line.connect();
    line.proxy.set(Fault::Silent);
    drop(server);
    assert!(is_silent(&mut client));
    drop(client);
    eventually("who has left is forgotten", || line.proxy.connections() == 0);
}

#[test]
fn a_silent_network_takes_no_more_than_it_can_keep() {
    let line = Line::new();
    let (mut client, _server) = line.connect();
    line.proxy.set(Fault::Silent);
    client.set_write_timeout(Some(DELAY)).unwrap();
    let chunk = vec![0; 1 << 20];
    let written = (0..256).take_while(|_| client.write_all(&chunk).is_ok()).count();
    assert!(written < 256, "{written} MiB");
}

#[test]
fn all_open_connections_are_cut_and_new_ones_are_not() {
    let line = Line::new();
    let mut open: Vec<_> = (0..5).map(|_| line.connect()).collect();
    line.proxy.set(Fault::Silent);
    line.proxy.drop_all();
    assert_eq!(line.proxy.connections(), 0);
    for (client, server) in &mut open {
        client.set_nonblocking(true).unwrap(); // at once
        assert!(is_cut(client) && is_cut(server));
    }
    line.proxy.set(Fault::None);
    let (mut client, mut server) = line.connect();
    server.write_all(b"answer").unwrap();
    assert_eq!(read(&mut client, 6), b"answer");
}

#[test]
fn a_server_that_is_gone_is_a_cut_and_one_that_is_back_is_reached() {
    let Line { server, proxy } = Line::new();
    let addr = server.local_addr().unwrap();
    drop(server);
    assert!(is_cut(&mut TcpStream::connect(proxy.addr()).unwrap()));
    let server = TcpListener::bind(addr).unwrap();
    let _client = TcpStream::connect(proxy.addr()).unwrap();
    assert!(server.accept().is_ok());
}

#[test]
fn a_dropped_proxy_leaves_nothing_open() {
    for fault in [Fault::None, Fault::Refuse, Fault::Silent, Fault::Delay(Duration::MAX)] {
        let line = Line::new();
        let (mut client, mut server) = line.connect();
        line.proxy.set(fault);
        let addr = line.proxy.addr();
        drop(line.proxy);
        assert!(is_cut(&mut client) && is_cut(&mut server), "{fault:?}");
        assert!(TcpStream::connect(addr).is_err(), "{fault:?}");
    }
}
