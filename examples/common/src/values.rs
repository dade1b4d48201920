//! What visitors may put into their session by hand.

use session_core::Session;

/// The session key of the counter.
pub const COUNTER: &str = "visits";
/// The session key of the coins that were sent.
pub const SENT: &str = "sent";
/// The session key of the cart: a field of the struct `Shop` of each example.
pub(crate) const CART: &str = "cart";

/// In one transfer.
pub(crate) const MOST_COINS: u64 = 1_000;

/// All together stay far below the 64 KiB a session may take, however the characters are written.
pub(crate) const LONGEST_KEY: usize = 40;
pub(crate) const LONGEST_VALUE: usize = 200;
const MOST_VALUES: usize = 20;

/// Why this pair can't be kept, as a sentence for the visitor; nothing if it can. Whoever lets people write into
/// their session has to say how much: a session beyond its limit is an error of the program.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
///
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().expect("defaults");
/// let session = manager.begin();
/// assert_eq!(example_common::refusal(&session, "colour", "green"), None);
/// assert!(example_common::refusal(&session, "visits", "a million").is_some());
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn refusal(session: &Session, key: &str, value: &str) -> Option<String> {
    if key.trim().is_empty() {
        Some("A value needs a key to be found by.".to_owned())
    } else if is_taken(key) {
        Some(format!("The key “{key}” belongs to this demo itself. Choose another one."))
    } else if key.chars().count() > LONGEST_KEY {
        Some(format!("A key may be {LONGEST_KEY} characters long, and no longer."))
    } else if value.chars().count() > LONGEST_VALUE {
        Some(format!("A value may be {LONGEST_VALUE} characters long, and no longer."))
    } else if session.len() >= MOST_VALUES && !session.contains(key) {
        Some(format!("Your session has {MOST_VALUES} values already. Remove one first."))
    } else {
        None
    }
}

/// Whether a key of the session is one that other parts of the demo read.
pub(crate) fn is_taken(key: &str) -> bool {
    [COUNTER, SENT, CART].contains(&key)
}

/// Why so many coins can't be sent, as a sentence for the visitor; nothing if they can.
///
/// ```
/// assert_eq!(example_common::too_many(5), None);
/// assert!(example_common::too_many(0).is_some() && example_common::too_many(5_000).is_some());
/// ```
#[must_use]
pub fn too_many(coins: u64) -> Option<String> {
    let unfit = !(1..=MOST_COINS).contains(&coins);
    unfit.then(|| format!("Send at least one coin, and at most {MOST_COINS} at once."))
}

#[cfg(test)]
mod tests {
    use session_core::{KeyRing, MemoryStore, Secret, SessionManager};

    use super::*;

    fn session() -> Session {
        let keys = KeyRing::new(Secret::random().unwrap());
        SessionManager::stored(MemoryStore::new(), keys).build().unwrap().begin()
    }

    #[test]
    fn what_would_break_a_page_is_refused() {
        let session = session();
        let long = "ü".repeat(LONGEST_VALUE);
        assert_eq!(refusal(&session, "k", &long), None);
        assert!(refusal(&session, "k", &format!("{long}ü")).is_some());
        assert!(refusal(&session, &"k".repeat(LONGEST_KEY + 1), "v").is_some());
        for key in ["", " \t", COUNTER, SENT, CART] {
            assert!(refusal(&session, key, "v").is_some(), "{key:?}");
        }
    }

    #[test]
    fn a_full_session_can_be_changed_but_takes_no_more() {
        let session = session();
        // U+0001 is six bytes in JSON, the most a character takes.
        let (key, value) = ("\u{1}".repeat(LONGEST_KEY - 2), "\u{1}".repeat(LONGEST_VALUE));
        for n in 10..10 + MOST_VALUES {
            let key = format!("{n}{key}");
            assert_eq!(refusal(&session, &key, &value), None);
            session.insert(key, &value).unwrap();
        }
        assert!(refusal(&session, "one more", "v").is_some());
        assert_eq!(refusal(&session, &format!("10{key}"), "v"), None);
        let bytes: usize = session.keys().iter().map(|key| 6 * (key.len() + LONGEST_VALUE) + 6).sum();
        assert!(bytes < 64 * 1024 / 2, "{bytes}");
    }
}
