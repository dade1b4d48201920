//! How much a session may hold, and for how long.

use super::SessionManagerBuilder;

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
}
