//! Time as an argument: what "now" is, so that a test can say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment in whole milliseconds since the Unix epoch, as records and stores write it.
///
/// Arithmetic saturates: a lifetime can be absurd, a deadline can't wrap around.
///
/// ```
/// use session_core::Timestamp;
/// use std::time::Duration;
///
/// let noon = Timestamp::from_millis(43_200_000);
/// assert_eq!(noon.plus(Duration::from_secs(1)).as_millis(), 43_201_000);
/// assert_eq!(noon.plus(Duration::from_secs(1)).since(noon), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    ///
    /// ```
    /// # use session_core::Timestamp;
    /// assert_eq!(Timestamp::from_millis(7).as_millis(), 7);
    /// ```
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    ///
    /// ```
    /// # use session_core::Timestamp;
    /// assert_eq!(Timestamp::from_millis(1_500).as_millis(), 1_500);
    /// ```
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment, `duration` later; the far end of time at most.
    ///
    /// ```
    /// # use session_core::Timestamp;
    /// # use std::time::Duration;
    /// let end = Timestamp::from_millis(u64::MAX);
    /// assert_eq!(end.plus(Duration::from_secs(1)), end);
    /// ```
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    ///
    /// ```
    /// # use session_core::Timestamp;
    /// # use std::time::Duration;
    /// let (early, late) = (Timestamp::from_millis(10), Timestamp::from_millis(30));
    /// assert_eq!(late.since(early), Duration::from_millis(20));
    /// assert_eq!(early.since(late), Duration::ZERO);
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        // A platform's SystemTime ends before u64 milliseconds do; such a deadline means "never".
        UNIX_EPOCH
            .checked_add(Duration::from_millis(timestamp.0))
            .unwrap_or(UNIX_EPOCH + Duration::from_secs(i32::MAX as u64))
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where the time comes from.
///
/// ```
/// use session_core::{Clock, SystemClock, Timestamp};
/// assert!(SystemClock.now() > Timestamp::from_millis(1_700_000_000_000));
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use session_core::{Clock, ManualClock, Timestamp};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(Timestamp::from_millis(0));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Timestamp::from_millis(60_000));
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    ///
    /// ```
    /// # use session_core::{Clock, ManualClock, Timestamp};
    /// let start = Timestamp::from_millis(5);
    /// assert_eq!(ManualClock::new(start).now(), start);
    /// ```
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves the clock forward.
    ///
    /// ```
    /// # use session_core::{Clock, ManualClock, Timestamp};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new(Timestamp::from_millis(0));
    /// clock.advance(Duration::from_millis(3));
    /// assert_eq!(clock.now().as_millis(), 3);
    /// ```
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_the_way_through_system_time() {
        let moment = Timestamp::from_millis(1_793_000_000_123);
        assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
    }

    #[test]
    fn the_end_of_time_is_a_time() {
        let _ = SystemTime::from(Timestamp::from_millis(u64::MAX));
    }
}
