//! Lengths of time and numbers, as one would say them.

use std::fmt;
use std::time::{Duration, SystemTime};

pub(crate) fn span(length: Duration) -> String {
    match (length.as_secs() + 30) / 60 {
        0 => "less than a minute".to_owned(),
        minutes if minutes < 120 => counted(minutes, "minute"),
        minutes => counted((minutes + 30) / 60, "hour"),
    }
}

/// How long it is since `then`; nothing, if the clocks say it is to come.
pub(crate) fn since(then: SystemTime) -> String {
    span(then.elapsed().unwrap_or_default())
}

pub(crate) fn counted(count: impl fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_said_as_people_say_it() {
        for (seconds, words) in [
            (0, "less than a minute"),
            (29, "less than a minute"),
            (30, "1 minute"),
            (7_140, "119 minutes"),
            (7_200, "2 hours"),
            (43_200, "12 hours"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
