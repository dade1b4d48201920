//! So many of something in any stretch of time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Timestamp, millis};

/// The stretch is counted in so many parts and one more, the one that has begun.
const PARTS: u64 = 15;

pub(crate) struct Quota {
    most: u32,
    /// Milliseconds.
    part: u64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// The number of the latest part, since the epoch.
    latest: u64,
    /// Of the part with the number `n` at the place `n % 16`.
    parts: [u32; PARTS as usize + 1],
}

/// The part that something was counted in.
pub(crate) struct Counted(u64);

impl Quota {
    pub(crate) fn new(most: u32, stretch: Duration) -> Self {
        Self { most, part: millis(stretch).div_ceil(PARTS).max(1), counts: Mutex::default() }
    }

    pub(crate) const fn most(&self) -> u32 {
        self.most
    }

    /// Counts one more, or `None` if there may be no more now.
    pub(crate) fn admit(&self, now: Timestamp) -> Option<Counted> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.advance(now.as_millis() / self.part);
        if counts.parts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count)) >= self.most {
            return None;
        }
        let part = counts.latest;
        *counts.of(part) += 1;
        Some(Counted(part))
    }

    /// It came to nothing.
    pub(crate) fn take_back(&self, Counted(part): Counted) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.latest.saturating_sub(part) <= PARTS {
            let count = counts.of(part);
            *count = count.saturating_sub(1);
        }
    }
}

impl Counts {
    fn of(&mut self, part: u64) -> &mut u32 {
        // The remainder is a place.
        &mut self.parts[(part % (PARTS + 1)) as usize]
    }

    /// Forgets what is over. A clock that goes back counts in the latest part.
    fn advance(&mut self, part: u64) {
        for over in (self.latest + 1..=part).take(PARTS as usize + 1) {
            *self.of(over) = 0;
        }
        self.latest = self.latest.max(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_has_more_than_the_quota_wherever_it_begins() {
        let quota = Quota::new(10, Duration::from_millis(1_500));
        let mut admitted = Vec::new();
        // Three a 70 ms, with a long silence.
        for step in 0..400_u64 {
            let now = 1_000_000 + step * 70 + if step > 200 { 9_000_000 } else { 0 };
            admitted.extend((0..3).filter_map(|_| quota.admit(Timestamp::from_millis(now))).map(|_| now));
        }
        assert!(admitted.len() > 100, "{}", admitted.len());
        for (from, start) in admitted.iter().enumerate() {
            let within = admitted[from..].iter().take_while(|time| **time < start + 1_500).count();
            assert!(within <= 10, "{within} from {start} on");
        }
        // What is refused now is admitted when the stretch is over, and at most one part later.
        let last = *admitted.last().unwrap();
        assert!(quota.admit(Timestamp::from_millis(last + 1_600)).is_some());
    }

    #[test]
    fn what_came_to_nothing_does_not_count() {
        let quota = Quota::new(1, Duration::from_secs(15));
        let at = Timestamp::from_millis;
        for _ in 0..3 {
            let counted = quota.admit(at(1_000)).unwrap();
            assert!(quota.admit(at(1_500)).is_none());
            quota.take_back(counted);
        }
        let old = quota.admit(at(1_000)).unwrap();
        assert!(quota.admit(at(90_000)).is_some());
        quota.take_back(old);
        assert!(quota.admit(at(90_000)).is_none(), "what is over is no longer counted");
        assert!(quota.admit(at(1_000)).is_none(), "nor does a clock that goes back begin anew");
    }

    #[test]
    fn a_quota_of_nothing_admits_nothing_and_no_stretch_is_too_short() {
        assert!(Quota::new(0, Duration::from_secs(1)).admit(Timestamp::from_millis(5)).is_none());
        let shortest = Quota::new(1, Duration::ZERO);
        assert!(shortest.admit(Timestamp::from_millis(0)).is_some());
        assert!(shortest.admit(Timestamp::from_millis(u64::MAX)).is_some());
    }
}
