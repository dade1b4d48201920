//! Sessions for many machines, kept in Redis or Valkey: on a single server, on the primary that sentinels name, or in a cluster.
//!
//! ```
//! use session_core::{KeyRing, Secret, SessionManager};
//! use session_redis::RedisStore;
//!
//! # let Some(redis) = session_testing::servers::Redis::start() else { return };
//! # let url = redis.url();
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // In a program: "redis://:password@host", in TLS "rediss://:password@host".
//! let store = RedisStore::connect(&url).await?.prefix("shop:session")?;
//! let manager = SessionManager::stored(store, KeyRing::new(Secret::random()?)).build()?;
//! assert_eq!(manager.sweep(100).await?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Features
//!
//! - `cluster`: `RedisStore::cluster`.
//! - `sentinel`: `RedisStore::sentinel`.
//! - `tls`: addresses with `rediss://`, by rustls with the certificates that the system trusts.
//!
//! # What it needs
//!
//! Redis 7 or newer, or any Valkey, with its scripts in Lua. It was tested with Redis 7.0 and Valkey 9.1: its tests take the first
//! `redis-server` in `PATH`, whichever that is.
//!
//! The user of an access list needs the names below and the commands `EVALSHA`, `EVAL`, `TIME`, `TYPE`, `EXISTS`, `DEL`, `PTTL`,
//! `PEXPIREAT`, `GET`, `SET`, `HGET`, `HMGET`, `HSET`, `HDEL`, `ZADD`, `ZREM`, `ZRANGE`, `ZREVRANGE` and `ZRANDMEMBER`; for
//! [`RedisStore::wait_for_replicas`] `WAIT`, for [`NearCache`] `CLIENT TRACKING`, in a cluster also `CLUSTER SLOTS`, `ASKING`, `ZSCORE`
//! and `ZRANGEBYSCORE`; to be counted `SCAN` and `HSTRLEN`, and to be swept `SCAN`. On a single server the scripts reach keys that they
//! don't declare, such as those of sessions that a limit ends.
//!
//! Let the server evict nothing (`maxmemory-policy noeviction`): an index that is evicted no longer knows of its sessions. When it
//! is full it refuses logins and changes, and people can still be let in and out.
//!
//! # What is on the server
//!
//! | name | type | what |
//! | --- | --- | --- |
//! | `session:`*key* | hash | a session: `version`, `created`, `seen`, `idle`, `lifetime`, `subject`, and `record`, which is JSON |
//! | | hash | a former key: `moved` says where the session went |
//! | `session:{of:`*subject*`}` | sorted set | the keys of a subject's sessions by the time of their creation |
//! | `session:{`*key*`}:revoked` | string | the moment of a revocation |
//! | `session:{of:`*subject*`}:revoked` | string | the moment up to which everything of a subject is revoked |
//!
//! `redis-cli HGETALL` shows a session to a person. `session` is the [prefix](RedisStore::prefix), a *key* is 64 hexadecimal digits: the hash of
//! an id, which opens no session. All times are milliseconds, by the server's clock. Everything has a deadline of its own, so
//! nothing stays that nobody wants, and there is nothing to sweep; a deadline is kept to the millisecond, whenever the server gets
//! to it. Who wants to be told of each end lets what has expired [be kept](RedisStore::keep_expired) until it is swept. In a cluster
//! keep the nodes' clocks together, as for anything.
//!
//! A record is longer than the 64 bytes up to which Redis keeps a hash in its compact form. `hash-max-listpack-value 4096` in its
//! configuration saves a quarter to a half of the memory; the manual has the numbers.
//!
//! # What it costs
//!
//! In commands to the server, each of them one script that it knows by its hash; who finds that it has lost them tells it again.
//!
//! | | single server, Sentinel | cluster |
//! | --- | --- | --- |
//! | load, touch, update | 1 | 1 |
//! | create, for nobody | 1 | 1 |
//! | create, for a subject | 1 | 3 |
//! | rename, for nobody | 1 | 4 |
//! | rename, a login | 1 | 5 |
//! | rename, of a subject's session | 1 | 6 |
//! | the same two at the limit | 1 | 2 more, 1 for each session that counts, 1 for each that ends |
//! | delete, by the present key | 1 | 1, of a subject's session 2 |
//! | delete, by a former key | 1 | 1 more for each rename |
//! | list the *n* sessions of a subject | 1 | 1 + 2*n* |
//! | end the *n* sessions of a subject | 1 | 2 + *n*, or 2 + 2*n* if one of them stays |
//! | revoke, revoke all of a subject | 1 | 1 |
//! | ask for *n* revocations | 1 | *n*, at once |
//! | sweep | 0 | 0 |
//! | sweep, of [what is kept](RedisStore::keep_expired) | 1 for each 20 keys | 1 for each 20 keys of a node |
//! | count a stretch of some thousand keys | 1 | 1 |
//!
//! A thousand sessions of one subject take another command. In a cluster a login of a subject with other sessions looks at two of
//! them by the way, and takes those that are dead out of the index.
//!
//! # What it promises
//!
//! On a single server each verb is one script, so each is atomic. In a cluster a script reaches the keys of one slot only, and a
//! session's keys and its index are in different ones. There:
//!
//! - **A session is in its index before it is alive**, so a subject's list and the end of all its sessions miss none. A new session is
//!   first reserved under its key, then entered, then there. What the index has and nobody finds is dead, and goes by the way.
//! - **A rename has one moment**: when the old key, in its slot, becomes a pointer to the new one, where the session lies ready. Before
//!   it only the old key is alive, after it only the new one. Who meets a key that lies ready asks the old one, and finishes what
//!   was not finished.
//! - **A limit is kept by the index**, which decides about all logins of a subject one after another: it condemns the oldest, and
//!   nobody finds the new session until these are dead. At no moment are there more.
//! - **A list is of one moment**: all that it has were alive at once.
//!
//! A process may end between any two steps; then the session is what it was or what it was to become, and the next who
//! comes by finishes or forgets the rest. What it may leave behind: a login that was condemning others may have ended them though it
//! didn't happen, and for a minute it counts as a session. The same if another request changes the session in the instant of
//! its login.
//!
//! # What an acknowledged write is worth
//!
//! What its server makes of it, and no more.
//!
//! - A server without a log (`appendonly no`, the default) forgets at a crash what came since its last snapshot, and **sessions that
//!   were ended since are alive again**. With `appendfsync everysec` it is about a second if the machine falls, with `always` nothing.
//! - **A failover may forget the last writes, a logout too**: Redis tells its replicas after it has answered. Such a session is alive
//!   again until its deadline. [`RedisStore::wait_for_replicas`] makes this unlikely; it doesn't make it impossible. If a logout must
//!   hold whatever happens, use a database that commits to several machines.
//! - A primary that was cut off from the others goes on for a moment before it knows. `min-replicas-to-write` shortens it; then this
//!   server serves nobody, readers neither.
//!
//! # When servers are away
//!
//! An operation takes as long as its [timeout](RedisStore::timeout), half a second if you don't say otherwise, and is then an error: never an
//! answer that there is no session. Where nobody listens it is an error at once. Service resumes by itself with the first request
//! that finds a server: connections are made anew when they break, when an answer is late, or when the server turns out to be a
//! replica, which serves nobody, not even readers; then the sentinels or the other nodes are asked who has what.
//!
//! A write is sent once. It is sent again only if the server has said that it did not run it, because it is not the primary,
//! doesn't have the key, or has lost the script; otherwise the error means that nobody knows. What only reads, or does nothing
//! new when it is repeated, as a touch, is sent once more. The driver repeats nothing by itself.

#[cfg(feature = "cluster")]
mod cluster;
mod count;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod halfway;
mod link;
mod names;
mod near;
#[cfg(feature = "cluster")]
mod nodes;
mod operation;
mod reply;
mod scripts;
#[cfg(feature = "sentinel")]
mod sentinel;
mod single;
#[cfg(feature = "cluster")]
mod steps;
mod store;
mod sweep;
mod topology;

pub use crate::near::{NearCache, NearStats};
pub use crate::store::RedisStore;
