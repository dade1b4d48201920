//! One sentence of a contract: told to its end, whatever it does.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

/// A store or a server that never answers fails its sentence; it doesn't hang the suite.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether the sentence holds, and prints it. A panic in it is caught. `name` is that of its function.
pub(crate) async fn holds(name: &str, mut sentence: Pin<Box<dyn Future<Output = ()> + '_>>) -> bool {
    let name = name.replace('_', " ");
    let caught = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| sentence.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(reason(&*panic))),
    });
    let outcome = timeout(LIMIT, caught).await.unwrap_or_else(|_| Err(format!("not within {} s", LIMIT.as_secs())));
    match &outcome {
        Ok(()) => println!("{name} ... ok"),
        Err(reason) => println!("{name} ... FAILED: {reason}"),
    }
    outcome.is_ok()
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sentence_that_panics_or_hangs_fails_and_the_next_is_told() {
        assert!(!holds("a_bad_one", Box::pin(async { std::panic::resume_unwind(Box::new("so")) })).await);
        tokio::time::pause();
        assert!(!holds("an_endless_one", Box::pin(std::future::pending())).await);
        assert!(holds("a_good_one", Box::pin(std::future::ready(()))).await);
    }
}
