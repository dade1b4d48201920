//! Giving back room that a map no longer needs.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::MutexGuard;

/// A map whose entries can move to another one.
pub(super) trait Roomy {
    fn with_capacity(entries: usize) -> Self;
    fn capacity(&self) -> usize;
    fn len(&self) -> usize;
    fn move_to(&mut self, other: &mut Self);
}

/// Moves what a map behind a lock holds to one that fits, if it has far more room than it needs. Room comes from the allocator and
/// goes back to it while the lock isn't held: the allocator has locks, too, and whoever waits for one would let others wait.
pub(super) fn give_back<'a, T: 'a, M: Roomy>(lock: impl Fn() -> MutexGuard<'a, T>, map: impl Fn(&mut T) -> &mut M) {
    let spare = |map: &mut M| is_spacious(map).then(|| map.len());
    let Some(len) = spare(map(&mut lock())) else { return };
    let mut other = M::with_capacity(len);
    let mut locked = lock();
    let map = map(&mut locked);
    // Much may have come meanwhile.
    if is_spacious(map) && map.len() <= other.capacity() {
        map.move_to(&mut other);
        mem::swap(map, &mut other);
    }
    drop(locked);
}

/// Not before three quarters are spare: what was swept is soon filled again, and moving costs time and leaves holes.
fn is_spacious(map: &impl Roomy) -> bool {
    map.capacity() > 4 * map.len().max(8)
}

impl<K: Eq + Hash, T> Roomy for HashMap<K, T> {
    fn with_capacity(entries: usize) -> Self {
        Self::with_capacity(entries)
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn move_to(&mut self, other: &mut Self) {
        other.extend(self.drain());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn filled(entries: usize, capacity: usize) -> Mutex<HashMap<usize, usize>> {
        let mut map = HashMap::with_capacity(capacity);
        map.extend((0..entries).map(|entry| (entry, entry)));
        Mutex::new(map)
    }

    #[test]
    fn a_map_with_far_more_room_than_it_needs_gives_it_back_and_keeps_its_entries() {
        let map = filled(100, 1_000);
        give_back(|| map.lock().unwrap(), |map| map);
        let map = map.into_inner().unwrap();
        assert!((100..400).contains(&map.capacity()), "{}", map.capacity());
        assert!(map.len() == 100 && (0..100).all(|entry| map[&entry] == entry));
    }

    #[test]
    fn a_map_that_will_be_filled_again_keeps_its_room() {
        let map = filled(500, 1_000);
        give_back(|| map.lock().unwrap(), |map| map);
        assert!(map.into_inner().unwrap().capacity() >= 1_000);
    }

    #[test]
    fn what_came_while_room_was_sought_stays() {
        let (map, locked) = (filled(10, 1_000), Mutex::new(0));
        let come = || {
            let mut map = map.lock().unwrap();
            let mut locked = locked.lock().unwrap();
            *locked += 1;
            if *locked == 2 {
                map.extend((10..100).map(|entry| (entry, entry)));
            }
            map
        };
        give_back(come, |map| map);
        let map = map.into_inner().unwrap();
        assert!(map.len() == 100 && map.capacity() >= 1_000, "{} of {}", map.len(), map.capacity());
    }

    struct Watched {
        capacity: usize,
    }

    static WATCHED: Mutex<Watched> = Mutex::new(Watched { capacity: 1_000 });

    impl Roomy for Watched {
        fn with_capacity(capacity: usize) -> Self {
            assert!(WATCHED.try_lock().is_ok(), "room is taken under the lock");
            Self { capacity }
        }

        fn capacity(&self) -> usize {
            self.capacity
        }

        fn len(&self) -> usize {
            10
        }

        fn move_to(&mut self, _: &mut Self) {
            assert!(WATCHED.try_lock().is_err());
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            assert_eq!(self.capacity, 1_000);
            assert!(WATCHED.try_lock().is_ok(), "room is given back under the lock");
        }
    }

    #[test]
    fn no_lock_is_held_while_room_is_taken_and_given_back() {
        give_back(|| WATCHED.lock().unwrap(), |map| map);
        assert_eq!(WATCHED.lock().unwrap().capacity, 10);
    }
}
