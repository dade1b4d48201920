//! The load: users who log in, read, write, renew and log out, at two labs in turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_testing::http::Jar;
use tokio::time::sleep;

use super::connection::Connection;
use super::history::{Answer, CookieLine, Deed, Event, Outcome, Story};
use super::play::Stage;
use crate::common::{COOKIE, Numbers, ask};

/// How many dead cookies a user keeps to try them later.
const GRAVES: usize = 200;

/// One user, with a connection to each lab.
pub(crate) struct User {
    stage: Arc<Stage>,
    number: usize,
    numbers: Numbers,
    connections: [Connection; 2],
    stories: Vec<Story>,
    /// Cookies whose session ended, with their story and their number in it.
    graves: Vec<(usize, usize, String)>,
    /// The last cookie of each session that goes on.
    alive: Vec<(usize, usize, String)>,
    /// Whether the last request failed.
    failed: bool,
}

/// The session that a user is in.
struct Here {
    story: usize,
    number: usize,
    cookie: String,
}

impl User {
    pub(crate) fn new(stage: &Arc<Stage>, number: usize) -> Self {
        let numbers = Numbers::new(0x5e55_1015 + 7_919 * number as u64);
        let connections = Default::default();
        let stage = Arc::clone(stage);
        Self { stage, number, numbers, connections, stories: vec![], graves: vec![], alive: vec![], failed: false }
    }

    /// Lives one session after the other until the stage is closed, then looks at all of them once more.
    pub(crate) async fn run(mut self) -> Vec<Story> {
        while !self.stage.is_closed() {
            if let Some(here) = self.log_in().await {
                self.live(here).await;
            }
            self.pause().await;
        }
        for (story, number, cookie) in std::mem::take(&mut self.alive) {
            let here = Here { story, number, cookie };
            for node in 0..2 {
                self.ask(&here, node, Deed::ReadMark).await;
                self.ask(&here, node, Deed::ReadCount).await;
            }
        }
        while let Some(()) = self.visit_a_grave(0).await {}
        self.stories
    }

    async fn log_in(&mut self) -> Option<Here> {
        let story = self.stories.len();
        let mark = format!("mark-{}-{story}", self.number);
        self.stories.push(Story { user: format!("user-{}", self.number), mark, events: Vec::new() });
        let mut here = Here { story, number: 0, cookie: String::new() };
        let node = self.numbers.below(2);
        here.cookie = self.ask(&here, node, Deed::Login).await.1?;
        Some(here)
    }

    async fn live(&mut self, mut here: Here) {
        let first = self.numbers.below(2);
        let mut goes_on = self.ask(&here, first, Deed::Mark).await.0;
        for _ in 0..10 + self.numbers.below(30) {
            if !goes_on || self.stage.is_closed() {
                break;
            }
            self.pause().await;
            let node = self.numbers.below(2);
            goes_on = match self.numbers.below(100) {
                0..20 => self.ask(&here, node, Deed::ReadMark).await.0,
                20..35 => self.ask(&here, node, Deed::ReadCount).await.0,
                35..45 => self.ask(&here, node, Deed::Who).await.0,
                45..70 => self.ask(&here, node, Deed::Increment).await.0,
                70..85 => self.both(&here, [Deed::Increment, Deed::Increment]).await,
                85..90 => self.renew(&mut here, node).await,
                _ => {
                    let grave = self.numbers.below(usize::MAX >> 1);
                    self.visit_a_grave(grave).await;
                    true
                }
            };
        }
        if !goes_on {
            return;
        }
        match self.numbers.below(4) {
            0 | 1 => self.alive.push((here.story, here.number, here.cookie)),
            2 => {
                let node = self.numbers.below(2);
                self.ask(&here, node, Deed::Logout).await;
                self.bury(&here).await;
            }
            // A logout that meets a read, a write or another logout.
            _ => {
                let other = [Deed::ReadMark, Deed::Increment, Deed::Logout][self.numbers.below(3)];
                self.both(&here, [Deed::Logout, other]).await;
                self.bury(&here).await;
            }
        }
    }

    /// A renewal takes the session along; of one whose outcome is unknown, the cookie is.
    async fn renew(&mut self, here: &mut Here, node: usize) -> bool {
        let (_, cookie) = self.ask(here, node, Deed::Renew).await;
        self.bury(here).await;
        let Some(cookie) = cookie else { return false };
        here.number += 1;
        here.cookie = cookie;
        true
    }

    /// Is the cookie as dead as it should be, at both labs? If its end was not acknowledged, it may be alive.
    async fn bury(&mut self, here: &Here) {
        for node in 0..2 {
            self.ask(here, node, Deed::Who).await;
        }
        if self.graves.len() < GRAVES {
            self.graves.push((here.story, here.number, here.cookie.clone()));
        }
    }

    async fn visit_a_grave(&mut self, number: usize) -> Option<()> {
        if self.graves.is_empty() {
            return None;
        }
        let (story, number, cookie) = self.graves.swap_remove(number % self.graves.len());
        let deed = [Deed::Who, Deed::ReadMark][self.numbers.below(2)];
        let node = self.numbers.below(2);
        self.ask(&Here { story, number, cookie }, node, deed).await;
        Some(())
    }

    /// Two requests at once, one at each lab. Whether the session goes on.
    async fn both(&mut self, here: &Here, [one, other]: [Deed; 2]) -> bool {
        let user = &self.stories[here.story].user;
        let mark = &self.stories[here.story].mark;
        let [a, b] = &mut self.connections;
        let swapped = self.numbers.below(2);
        let [one, other] = if swapped == 0 { [one, other] } else { [other, one] };
        let outcomes = tokio::join!(
            request(&self.stage, a, 0, user, mark, here, one),
            request(&self.stage, b, 1, user, mark, here, other),
        );
        let outcomes = [outcomes.0, outcomes.1];
        let goes_on = outcomes.iter().all(|(event, _)| goes_on(event));
        self.failed = outcomes.iter().any(|(event, _)| event.failed());
        self.stories[here.story].events.extend(outcomes.map(|(event, _)| event));
        goes_on
    }

    /// One request, written down. Whether the session goes on, and the cookie that came.
    async fn ask(&mut self, here: &Here, node: usize, deed: Deed) -> (bool, Option<String>) {
        let Story { user, mark, .. } = &self.stories[here.story];
        let connection = &mut self.connections[node];
        let (event, cookie) = request(&self.stage, connection, node, user, mark, here, deed).await;
        let goes_on = goes_on(&event);
        self.failed = event.failed();
        self.stories[here.story].events.push(event);
        (goes_on, cookie)
    }

    /// As a user does, and for longer after an error.
    async fn pause(&mut self) {
        let longest = if self.failed { 100 } else { 15 };
        sleep(Duration::from_millis(2 + self.numbers.below(longest) as u64)).await;
    }
}

/// Who is told to be nobody begins anew. Who is told to come later does.
fn goes_on(event: &Event) -> bool {
    match event.answer() {
        None => true,
        Some(Answer { status: 503, .. }) => true,
        Some(Answer { status, cookie, said }) => match event.deed {
            Deed::Login | Deed::Renew => *cookie == CookieLine::Set,
            Deed::Logout => false,
            Deed::Who | Deed::ReadMark | Deed::ReadCount => said["user"].is_string(),
            Deed::Increment | Deed::Mark => *status == 200 && *cookie == CookieLine::None,
        },
    }
}

async fn request(
    stage: &Stage,
    connection: &mut Connection,
    node: usize,
    user: &str,
    mark: &str,
    here: &Here,
    deed: Deed,
) -> (Event, Option<String>) {
    let line = match deed {
        Deed::Increment => "POST /incr?k=count".to_owned(),
        Deed::Login => format!("POST /login?u={user}"),
        Deed::Logout => "POST /logout".to_owned(),
        Deed::Mark => format!("POST /set?k=mark&v={mark}"),
        Deed::ReadCount => "GET /peek?k=count".to_owned(),
        Deed::ReadMark => "GET /peek?k=mark".to_owned(),
        Deed::Renew => "POST /renew".to_owned(),
        Deed::Who => "GET /me".to_owned(),
    };
    let client = stage.client(node);
    let address: SocketAddr = client.address();
    let mut jar = Jar::default();
    if deed != Deed::Login {
        jar.put(COOKIE, &here.cookie);
    }
    let began = stage.now();
    let response = connection.send(address, &ask(&client, &line).jar(&jar)).await;
    let ended = stage.now();
    let cookie = response.as_ref().ok().and_then(|response| response.cookie(COOKIE));
    let cookie = cookie.filter(|cookie| !cookie.removes()).map(|cookie| cookie.value);
    let outcome = match &response {
        Ok(response) => Outcome::Answered(response.into()),
        Err(error) => Outcome::Lost(error.to_string()),
    };
    let event = Event { deed, cookie: here.number, node, began, ended, outcome };
    stage.saw(&event);
    (event, cookie)
}
