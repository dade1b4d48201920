//! What a million sessions take up in the memory store. Only a program with the counting allocator can tell.

use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use tokio::runtime::Builder;

use crate::allocation::Allocations;
use crate::work::{BEGIN, KEY, Size, texts};

/// Prints the bytes of heap for each of `count` sessions, everything included.
pub fn print(count: usize) {
    println!("\nHeap for each of {count} sessions in the memory store, everything included");
    for size in Size::ALL {
        let before = Allocations::now().live;
        let (store, payload) = filled(count, size);
        let each = (Allocations::now().live - before) as f64 / count as f64;
        let share = each / payload as f64;
        println!("{:8} {each:>8.0} bytes each: {share:.2} × the {payload} bytes of its values as JSON", size.name());
        drop(store);
    }
}

/// A store with so many sessions, made as requests make them, and the length of each one's values as JSON.
fn filled(count: usize, size: Size) -> (MemoryStore, usize) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let store = MemoryStore::new().capacity(count);
    let keys = KeyRing::new(Secret::random().expect("randomness"));
    let manager = SessionManager::stored(store.clone(), keys).build().expect("the defaults are right");
    runtime.block_on(async {
        for _ in 0..count {
            let session = manager.begin();
            session.insert(KEY, BEGIN).expect("a number is a value");
            for (key, value) in texts(size.texts()) {
                session.insert(key, value).expect("a text is a value");
            }
            session.save().await.expect("there is room");
        }
    });
    let mut values: serde_json::Map<String, serde_json::Value> =
        texts(size.texts()).map(|(key, value)| (key, value.into())).collect();
    values.insert(KEY.to_owned(), BEGIN.into());
    (store, serde_json::to_string(&values).map_or(0, |json| json.len()))
}
