//! What operators watch: how many operations there are, how long they take, and how they end.

use std::fmt;
use std::future::Future;
use std::time::Instant;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use session_core::{Decorator, SessionStore, StoreError, Verb};

const OPERATIONS: &str = "session_store_operations_total";
const SECONDS: &str = "session_store_operation_seconds";

/// Tells the recorder of the `metrics` crate about each operation of a store.
///
/// | metric | kind | what |
/// | --- | --- | --- |
/// | `session_store_operations_total` | counter | operations that are over |
/// | `session_store_operation_seconds` | histogram | how long they took, in seconds |
///
/// Both have two labels. `operation` is the name of the method, such as `load`. `outcome` is
/// - `ok`: the store answered, be it that there is no such session, or that another request was faster;
/// - `error`: the store failed, or took too long;
/// - `unreadable`: the store is well, but what it had under the key is no record;
/// - `dropped`: nobody waited for the answer any more, because the visitor left.
///
/// Put it around everything else, a time limit too: what is given up is then an `error`. Where no recorder is installed it
/// does nothing.
///
/// ```
/// use session_core::{MemoryStore, SessionStore};
/// use session_stores::Measured;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Measured::new(session_stores::connect("memory:").await?);
/// assert_eq!(store.sweep(100).await?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Measured<S>(S);

impl<S> Measured<S> {
    /// Measures what `inner` is asked for. Install the recorder before, so that it hears what the two metrics mean.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// # use session_stores::Measured;
    /// assert_eq!(format!("{:?}", Measured::new(MemoryStore::new())), "Measured");
    /// ```
    #[must_use]
    pub fn new(inner: S) -> Self {
        describe_counter!(OPERATIONS, Unit::Count, "Operations of the session store that are over.");
        describe_histogram!(SECONDS, Unit::Seconds, "How long operations of the session store took.");
        Self(inner)
    }
}

impl<S: SessionStore> Decorator for Measured<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let mut running = Running { verb, start: Instant::now(), outcome: "dropped" };
        let outcome = operation.await;
        running.outcome = match &outcome {
            Ok(_) => "ok",
            Err(error) if error.is_unreadable() => "unreadable",
            Err(_) => "error",
        };
        outcome
    }
}

/// An operation that reports when it is over, also if it is dropped on its way.
struct Running {
    verb: Verb,
    start: Instant,
    outcome: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        counter!(OPERATIONS, "operation" => self.verb.name(), "outcome" => self.outcome).increment(1);
        histogram!(SECONDS, "operation" => self.verb.name(), "outcome" => self.outcome).record(seconds);
    }
}

impl<S> fmt::Debug for Measured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}
