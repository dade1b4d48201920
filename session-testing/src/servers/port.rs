//! Ports on loopback that nobody has.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below what Linux gives to outgoing connections (from 32,768): a server that is killed and started again finds its port
/// free. Ten thousand above is the port on which the nodes of a Redis cluster talk, so that has to be free and below as well.
const FIRST: u16 = 10_000;
const SPAN: u16 = 10_000;

/// A port on which nobody listens and that this process has not had before; nor does anybody on the one 10,000 above.
pub(super) fn free() -> u16 {
    static HAD: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1_000 {
        let port = FIRST + (random() % u64::from(SPAN)) as u16;
        if is_free(port) && is_free(port + SPAN) && HAD.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + SPAN)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The standard library seeds every hasher anew: random enough for names and ports of tests.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_and_given_once() {
        let taken: Vec<_> = (0..100).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, free())).unwrap()).collect();
        let ports: BTreeSet<_> = taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|&port| (FIRST..FIRST + SPAN).contains(&port) && !is_free(port)));
        drop(taken);
        assert!((0..100).all(|_| !ports.contains(&free())));
    }
}
