//! What users did, and what they were told.

use std::time::Duration;

use serde_json::Value;
use session_testing::http::Response;

use crate::common::COOKIE;

/// One session from its login on, as its user saw it. Times are since the play began.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) user: String,
    /// What the user wrote into this session, and nobody into another one.
    pub(crate) mark: String,
    pub(crate) events: Vec<Event>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) deed: Deed,
    /// Which of the story's cookies went with it: 0 is the one that the login brings, each renewal brings the next.
    pub(crate) cookie: usize,
    /// Which of the two labs was asked.
    pub(crate) node: usize,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Increment,
    Login,
    Logout,
    Mark,
    ReadCount,
    ReadMark,
    Renew,
    Who,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// No answer came: what was asked for may have happened or not.
    Lost(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cookie: CookieLine,
    /// The body; null if it is no JSON.
    pub(crate) said: Value,
}

/// What the answer did to the session's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieLine {
    None,
    Removed,
    Set,
}

impl Event {
    pub(crate) const fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Lost(_) => None,
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.answer().is_none_or(|answer| answer.status >= 500)
    }
}

impl From<&Response> for Answer {
    fn from(response: &Response) -> Self {
        let cookie = match response.cookie(COOKIE) {
            None => CookieLine::None,
            Some(cookie) if cookie.removes() => CookieLine::Removed,
            Some(_) => CookieLine::Set,
        };
        Self { status: response.status, cookie, said: serde_json::from_slice(&response.body).unwrap_or_default() }
    }
}
