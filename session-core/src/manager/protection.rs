//! What a manager keeps away from its application: requests from other sites, and sessions in other browsers.

use super::{SessionManager, SessionManagerBuilder};
use crate::binding::{Binding, UserAgentBinding};
use crate::error::{ConfigError, Error};
use crate::event::Event;
use crate::head::RequestHead;
use crate::key::KeyRing;
use crate::protect::CrossOrigin;

/// The settings as they were written.
#[derive(Debug, Default)]
pub(super) struct Protection {
    cross_origin: bool,
    trusted: Vec<String>,
    binding: Option<UserAgentBinding>,
}

impl Protection {
    pub(super) fn cross_origin(&self) -> Result<Option<CrossOrigin>, ConfigError> {
        if self.cross_origin {
            return CrossOrigin::new(&self.trusted).map(Some);
        }
        if self.trusted.is_empty() {
            return Ok(None);
        }
        Err(ConfigError::new(
            "trust_origin",
            "no origin is refused, so that none needs to be trusted",
            "add refuse_cross_origin or leave it out",
        ))
    }

    pub(super) fn binding(&self, keys: &KeyRing) -> Option<Binding> {
        self.binding.map(|mode| Binding::new(mode, keys))
    }
}

impl SessionManagerBuilder {
    /// Refuses requests that come from another site's page, before any handler runs and the store is asked, with
    /// [`Error::CrossOrigin`] (403). Default: off.
    ///
    /// It concerns all methods but `GET`, `HEAD`, `OPTIONS` and `TRACE`, which have to be safe: a route that changes
    /// something on `GET` is not protected, nor is the handshake of a web socket, whose `Origin` its handler should compare.
    /// Such a request is refused
    ///
    /// - if its `Sec-Fetch-Site` says neither `same-origin` nor `none`;
    /// - without that header, if its `Origin` is of another host or port than the one that was asked: the `Host`, or the
    ///   authority of HTTP/2. `null` always is;
    /// - without both, if its `Referer` is of another host or port;
    /// - if one of the three came on several lines, or with bytes that are not ASCII.
    ///
    /// A request with none of them passes: it is from no browser of today, and so from no other site's page. A proxy in front
    /// has to leave these headers and `Host` as they are. Browsers send `Sec-Fetch-Site` over HTTPS and to localhost only, and
    /// the scheme of an `Origin` is not compared, because a server behind a proxy doesn't know its own: serve HTTPS with HSTS
    /// (RFC 6797). Sources: OWASP Cross-Site Request Forgery Prevention Cheat Sheet; W3C Fetch Metadata Request Headers.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.refuse_cross_origin();
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn refuse_cross_origin(mut self) -> Self {
        self.protection.cross_origin = true;
        self
    }

    /// Takes requests from the pages of `origin` too, though [`refuse_cross_origin`](Self::refuse_cross_origin) is on: a scheme
    /// and a host, perhaps a port, in lower case. Call it once for each. A session's cookie comes along only as far as
    /// [`same_site`](Self::same_site) lets it.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.refuse_cross_origin().trust_origin("https://pay.example");
    /// assert!(builder.build().is_ok());
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let refused = builder.refuse_cross_origin().trust_origin("https://*.example").build().unwrap_err();
    /// assert_eq!(refused.field(), "trust_origin");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn trust_origin(mut self, origin: impl Into<String>) -> Self {
        self.protection.trusted.push(origin.into());
        self
    }

    /// Remembers in each session a keyed hash of the `User-Agent` that began it or last logged in, and looks whether later
    /// requests come with the same. Sessions from before this was on pass until their next login. Default: off, and nothing
    /// is remembered.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, UserAgentBinding};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.bind_user_agent(UserAgentBinding::Reject);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn bind_user_agent(mut self, binding: UserAgentBinding) -> Self {
        self.protection.binding = Some(binding);
        self
    }
}

impl SessionManager {
    /// Whether the request is to be answered with an error instead of being let in: [`Error::CrossOrigin`], where
    /// [`SessionManagerBuilder::refuse_cross_origin`] asks for it. A door asks first, and before any handler runs.
    ///
    /// ```
    /// use session_core::{Error, KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
    ///
    /// struct Post(&'static [u8]);
    /// impl RequestHead for Post {
    ///     fn method(&self) -> &str {
    ///         "POST"
    ///     }
    ///     fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
    ///         if name == "sec-fetch-site" {
    ///             line(self.0);
    ///         }
    ///     }
    /// }
    /// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).refuse_cross_origin();
    /// let manager = manager.build().unwrap();
    /// assert!(matches!(manager.refuses(&Post(b"cross-site")), Some(Error::CrossOrigin)));
    /// assert!(manager.refuses(&Post(b"same-origin")).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn refuses(&self, head: &impl RequestHead) -> Option<Error> {
        let refused = self.0.cross_origin.as_ref().is_some_and(|rule| rule.refuses(head));
        refused.then(|| {
            self.0.emit(Event::CrossOrigin);
            Error::CrossOrigin
        })
    }
}
