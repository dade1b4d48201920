//! A running application, and the browsers that visit it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use session_core::{
    KeyRing, ManualClock, MemoryStore, Revocation, Secret, SessionManager, SessionManagerBuilder, Timestamp,
};
use tokio::time::sleep;

use crate::http::{Client, Jar, Request, Response};
use crate::stores::{Counting, Failing, Slow, Verb};

type Serve<'a> = dyn Fn(SessionManager) -> Pin<Box<dyn Future<Output = SocketAddr> + 'a>> + 'a;

/// Where the session is kept. What isn't said of one of them is true of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Stored,
    Sealed,
    Signed,
}

impl Carrier {
    pub(super) const ALL: [Self; 3] = [Self::Stored, Self::Sealed, Self::Signed];
}

/// Starts the author's application.
pub(super) struct Lab<'a> {
    serve: &'a Serve<'a>,
    /// What every site begins with.
    pub(super) secret: Secret,
}

impl<'a> Lab<'a> {
    pub(super) fn new(serve: &'a Serve<'a>) -> Self {
        Self { serve, secret: Secret::random().expect("the system has randomness") }
    }

    /// The application with all defaults.
    pub(super) async fn site(&self, carrier: Carrier) -> Site {
        self.site_with(carrier, |manager| manager).await
    }

    pub(super) async fn site_with(
        &self,
        carrier: Carrier,
        configure: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Site {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let failing = Failing::new(MemoryStore::new().clock(Arc::clone(&clock)));
        let slow = Slow::new(failing.clone());
        let site = Site {
            carrier,
            client: Client::new(([127, 0, 0, 1], 0).into()),
            name: String::new(),
            store: Counting::new(slow.clone()),
            slow,
            failing,
            clock,
        };
        self.again(&site, KeyRing::new(self.secret.clone()), configure).await
    }

    /// Another process of the same application, on the same store.
    pub(super) async fn again(
        &self,
        site: &Site,
        keys: KeyRing,
        configure: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Site {
        let manager = match site.carrier {
            Carrier::Stored => SessionManager::stored(site.store.clone(), keys),
            Carrier::Sealed => SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid),
            Carrier::Signed => SessionManager::signed(keys, Revocation::NoneCopiedCookiesStayValid),
        };
        let manager = manager.application("suite").clock(Arc::clone(&site.clock));
        let manager = configure(manager).build().expect("the suite's settings are fine");
        let name = manager.cookie_name().to_owned();
        let client = Client::new((self.serve)(manager).await);
        Site { client, name, ..site.clone() }
    }
}

/// The application on its address, and what it stands on.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) carrier: Carrier,
    pub(super) client: Client,
    /// Of the session's cookie.
    pub(super) name: String,
    pub(super) store: Counting<Slow<Failing<MemoryStore>>>,
    pub(super) slow: Slow<Failing<MemoryStore>>,
    pub(super) failing: Failing<MemoryStore>,
    pub(super) clock: Arc<ManualClock>,
}

impl Site {
    pub(super) fn is_stored(&self) -> bool {
        self.carrier == Carrier::Stored
    }

    /// Somebody who has never been here.
    pub(super) fn browser(&self) -> Browser {
        Browser { site: self.clone(), jar: Jar::default() }
    }

    /// Somebody who took these steps here.
    pub(super) async fn visitor(&self, steps: &str) -> Browser {
        let mut browser = self.browser();
        let response = browser.visit(steps).await;
        assert_eq!(response.status, 200, "{:?}: {steps}", self.carrier);
        assert!(browser.holds_cookie(), "{:?}: {steps} set no cookie", self.carrier);
        browser
    }

    /// Somebody with this cookie.
    pub(super) fn holder(&self, value: &str) -> Browser {
        let mut browser = self.browser();
        browser.jar.put(&self.name, value);
        browser
    }

    /// The route that takes steps.
    pub(super) fn steps(&self, steps: &str) -> Request {
        self.client.get(&format!("/session?{steps}"))
    }

    /// Whether the response says anything of our cookie.
    pub(super) fn sets_cookie(&self, response: &Response) -> bool {
        response.cookie(&self.name).is_some()
    }

    /// Waits until the store has been asked for `verb` so many times in all.
    pub(super) async fn asked_for(&self, verb: Verb, times: usize) {
        eventually(&format!("the store is asked for {verb:?}"), async || self.store.count(verb) >= times).await;
    }
}

/// A browser, for as long as it does what servers say.
#[derive(Clone)]
pub(super) struct Browser {
    pub(super) site: Site,
    pub(super) jar: Jar,
}

impl Browser {
    pub(super) async fn visit(&mut self, steps: &str) -> Response {
        let request = self.site.steps(steps);
        self.send(request).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Response {
        let request = self.site.client.get(path);
        self.send(request).await
    }

    pub(super) async fn send(&mut self, request: Request) -> Response {
        let response = request.jar(&self.jar).send().await.expect("the application answers");
        self.jar.keep(&response);
        response
    }

    /// The lines that these steps answer. They have to succeed.
    pub(super) async fn read(&mut self, steps: &str) -> String {
        let response = self.visit(steps).await;
        assert_eq!(response.status, 200, "{:?}: {steps}", self.site.carrier);
        response.text()
    }

    /// The same cookies, elsewhere.
    pub(super) fn at(&self, site: &Site) -> Self {
        Self { site: site.clone(), jar: self.jar.clone() }
    }

    pub(super) fn holds_cookie(&self) -> bool {
        self.jar.get(&self.site.name).is_some()
    }

    /// The value of the session's cookie.
    pub(super) fn cookie(&self) -> &str {
        self.jar.get(&self.site.name).expect("the browser has the session's cookie")
    }
}

/// Waits for what happens in the server by itself, five seconds at most.
pub(super) async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if happened().await {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    unreachable!("within five seconds it didn't happen that {what}");
}
