//! How long a session lives: two limits, both kept by the server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The two limits of one session. Both travel with its record, so a changed configuration applies to new
/// logins and never stretches a session that is already out there.
///
/// ```
/// use session_core::Expiry;
/// use std::time::Duration;
///
/// let expiry = Expiry { idle: Duration::from_secs(30 * 60), lifetime: Duration::from_secs(12 * 3600) };
/// assert_eq!(expiry, Expiry::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Longest time without a request; each one that reads the session moves this deadline.
    pub idle: Duration,
    /// Longest time since the session began, whatever happens in it.
    pub lifetime: Duration,
}

impl Default for Expiry {
    /// 30 minutes idle (OWASP session management: 15 to 30 minutes for low risk) and 12 hours in all
    /// (NIST SP 800-63B: 12 hours at AAL3, up to its third revision at AAL2 too).
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), lifetime: Duration::from_secs(12 * 60 * 60) }
    }
}

/// When a session began, when it was last used, when it ends: kept by the store, by its own clock.
///
/// ```
/// use session_core::{Expiry, Times, Timestamp};
/// use std::time::Duration;
///
/// let expiry = Expiry { idle: Duration::from_millis(30), lifetime: Duration::from_millis(50) };
/// let times = Times::begin(Timestamp::from_millis(100), expiry);
/// assert!(!times.is_over(Timestamp::from_millis(129)));
/// assert!(times.is_over(Timestamp::from_millis(130)));
///
/// let touched = times.touched(Timestamp::from_millis(129), expiry);
/// assert_eq!(touched.expires, Timestamp::from_millis(150)); // never beyond the lifetime
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When the session was created. Renewal and login keep it.
    pub created: Timestamp,
    /// When its idle deadline was last moved.
    pub seen: Timestamp,
    /// From this moment on the session is absent, swept or not.
    pub expires: Timestamp,
}

impl Times {
    /// The times of a session that begins now.
    ///
    /// ```
    /// # use session_core::{Expiry, Times, Timestamp};
    /// let now = Timestamp::from_millis(9);
    /// assert_eq!(Times::begin(now, Expiry::default()).created, now);
    /// ```
    #[must_use]
    pub fn begin(now: Timestamp, expiry: Expiry) -> Self {
        Self { created: now, seen: now, expires: now }.touched(now, expiry)
    }

    /// The same session, used now: the idle deadline moves, the lifetime doesn't.
    ///
    /// ```
    /// # use session_core::{Expiry, Times, Timestamp};
    /// let times = Times::begin(Timestamp::from_millis(0), Expiry::default());
    /// assert_eq!(times.touched(Timestamp::from_millis(5), Expiry::default()).seen.as_millis(), 5);
    /// ```
    #[must_use]
    pub fn touched(self, now: Timestamp, expiry: Expiry) -> Self {
        Self { seen: now, expires: now.plus(expiry.idle).min(self.ends(expiry)), ..self }
    }

    /// The absolute deadline.
    ///
    /// ```
    /// # use session_core::{Expiry, Times, Timestamp};
    /// let expiry = Expiry::default();
    /// let times = Times::begin(Timestamp::from_millis(0), expiry);
    /// assert_eq!(times.ends(expiry), Timestamp::from_millis(12 * 3_600_000));
    /// ```
    #[must_use]
    pub fn ends(self, expiry: Expiry) -> Timestamp {
        self.created.plus(expiry.lifetime)
    }

    /// Whether the session counts as absent.
    ///
    /// ```
    /// # use session_core::{Expiry, Times, Timestamp};
    /// let times = Times::begin(Timestamp::from_millis(0), Expiry::default());
    /// assert!(!times.is_over(Timestamp::from_millis(1)));
    /// ```
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn use_moves_the_idle_deadline_and_never_the_lifetime() {
        let expiry = Expiry { idle: Duration::from_millis(10), lifetime: Duration::from_millis(25) };
        let mut times = Times::begin(at(0), expiry);
        for now in [9, 18, 24] {
            assert!(!times.is_over(at(now)));
            times = times.touched(at(now), expiry);
            assert_eq!(times.seen, at(now));
        }
        assert!(times.is_over(at(25)));
        assert_eq!(times.created, at(0));
    }

    #[test]
    fn a_lifetime_shorter_than_the_idle_limit_wins() {
        let expiry = Expiry { idle: Duration::from_secs(9), lifetime: Duration::from_secs(1) };
        assert_eq!(Times::begin(at(0), expiry).expires, at(1_000));
    }
}
