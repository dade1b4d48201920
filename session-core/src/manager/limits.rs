//! How much a session may hold, and for how long.

use std::time::Duration;

use super::SessionManagerBuilder;
use crate::error::ConfigError;
use crate::expiry::Expiry;
use crate::plan::Policy;

impl SessionManagerBuilder {
    /// Lets a session that doesn't fit into one cookie take up to four: the cookie itself and `-1`, `-2`, `-3` behind
    /// its name, each of at most 4,096 bytes with name and attributes. Only for [`sealed`](crate::SessionManager::sealed) and
    /// [`signed`](crate::SessionManager::signed) sessions. Beyond four the save fails with
    /// [`Error::TooLarge`](crate::Error::TooLarge), and the cookies that are there stay. Default: one cookie.
    ///
    /// The browser sends all of it with every request, and many servers and proxies refuse a header of more than 8 KB
    /// (RFC 6265bis, 4.2.1 speaks of 8,192 bytes): who needs more than that keeps sessions in a store. If this is turned off
    /// again, visitors whose session is in several cookies are anonymous.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Revocation, Secret, SessionManager};
    /// # let keys = KeyRing::new(Secret::random()?);
    /// # let builder = SessionManager::sealed(keys.clone(), Revocation::NoneCopiedCookiesStayValid);
    /// let builder = builder.chunked();
    /// assert!(builder.build().is_ok());
    ///
    /// let refused = SessionManager::stored(MemoryStore::new(), keys).chunked().build().unwrap_err();
    /// assert_eq!(refused.field(), "chunked");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn chunked(mut self) -> Self {
        self.attributes.chunked = true;
        self
    }

    /// The most keys a session may have. A save beyond it fails with
    /// [`Error::TooManyKeys`](crate::Error::TooManyKeys), and what is stored stays. Default: 1,000.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.max_keys(50);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// The most sessions without a subject that begin in this process within the time of
    /// [`anonymous_idle`](Self::anonymous_idle), wherever that time begins. So of sessions that nobody comes back to, as robots
    /// make them, a process never has more alive, and a flood of them can't fill a store that others share. One that comes back
    /// lives on and isn't counted again; who logs in is let in, counted or not. A save beyond it fails with
    /// [`Error::TooManyAnonymous`](crate::Error::TooManyAnonymous), and nothing is stored. Default: any number.
    ///
    /// It is counted in this process, a fifteenth of the time apart, and costs the store nothing. Several processes have a
    /// quota each. [`MemoryStore::capacity`](crate::MemoryStore::capacity) is a limit of its own.
    ///
    /// ```
    /// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let manager = builder.max_anonymous(1).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// for refused in [false, true] {
    ///     let session = manager.begin();
    ///     session.insert("cart", "tea")?;
    ///     assert_eq!(matches!(session.save().await, Err(Error::TooManyAnonymous { limit: 1 })), refused);
    /// }
    /// # Ok::<(), Error>(()) })?; Ok::<(), Error>(())
    /// ```
    pub fn max_anonymous(mut self, sessions: u32) -> Self {
        self.max_anonymous = Some(sessions);
        self
    }

    /// The longest time without a request for a session without a subject, so that a crowd of visitors and robots takes up
    /// less room. A login starts the usual limits. A session that has begun keeps the limits it began with. Default: as
    /// [`idle`](Self::idle).
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.anonymous_idle(Duration::from_secs(5 * 60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn anonymous_idle(mut self, idle: Duration) -> Self {
        self.anonymous_idle = Some(idle);
        self
    }

    /// The longest that [`Session::remember`](crate::Session::remember) lets a session live. Where sessions are in cookies and
    /// revocations are kept, each is kept for as long, because a cookie that somebody copied may be remembered: a shorter time
    /// makes that store smaller. Default: 30 days.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.remember_at_most(Duration::from_secs(90 * 24 * 60 * 60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn remember_at_most(mut self, lifetime: Duration) -> Self {
        self.remember_at_most = lifetime;
        self
    }

    /// Gives a session whose id is as old as this a new one, with the next response for which it is written or its idle
    /// deadline moved: the renewal timeout of OWASP's session management, which is optional. It costs no store operation
    /// of its own, but for a cookie session whose revocations are kept. A save in the midst of a handler, a request that fails
    /// and one that nobody waits for any more renew nothing. Default: ids are renewed by logins and by
    /// [`renew`](crate::Session::renew) alone.
    ///
    /// The old id is dead at once, as with every renewal. Of several requests that a page sends at the same moment those
    /// that come late with the old one are anonymous, and what they write is lost with the event
    /// [`Event::Gone`](crate::Event::Gone); a response that never arrives takes the session with it. Choose a time much longer
    /// than a page takes, such as an hour.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.renew_every(Duration::from_secs(60 * 60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn renew_every(mut self, age: Duration) -> Self {
        self.renew_every = Some(age);
        self
    }

    /// What is said about time, if it holds together, and about room.
    pub(super) fn policy(&self) -> Result<Policy, ConfigError> {
        let error = |field, rule, fix| Err(ConfigError::new(field, rule, fix));
        let Expiry { idle, .. } = self.expiry;
        let runs_out = "a session in use would run out before its idle deadline is moved";
        let touch_every = self.touch_every.unwrap_or(idle / 30);
        if touch_every >= idle {
            return error("touch_every", runs_out, "write less than the idle time");
        }
        let anonymous_idle = self.anonymous_idle.unwrap_or(idle);
        if anonymous_idle > idle {
            return error(
                "anonymous_idle",
                "an anonymous session would outlive one with a subject",
                "write at most the idle time",
            );
        }
        let touch_anonymous_every = self.touch_every.unwrap_or(anonymous_idle / 30);
        if touch_anonymous_every >= anonymous_idle {
            return error("anonymous_idle", runs_out, "write more than touch_every");
        }
        if self.renew_every.is_some_and(|age| age.is_zero()) {
            return error(
                "renew_every",
                "with a new id for each write, requests at the same time would end each other's session",
                "write a duration such as an hour, or leave it out",
            );
        }
        if self.max_anonymous.is_some() && self.store.is_none() {
            return error(
                "max_anonymous",
                "sessions in cookies take up no room of yours",
                "leave it out or keep the sessions in a store",
            );
        }
        if self.attributes.chunked && self.store.is_some() {
            return error(
                "chunked",
                "the cookie of a session in a store carries its id alone, which always fits",
                "leave it out, or set max_bytes",
            );
        }
        Ok(Policy {
            remember_at_most: self.remember_at_most,
            expiry: self.expiry,
            anonymous: Expiry { idle: anonymous_idle, ..self.expiry },
            touch_every,
            touch_anonymous_every,
            renew_every: self.renew_every,
        })
    }
}
