//! The demo application's state and its pages. Each function gives a whole page; its status is for the handler to say.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use minijinja::{Value, context};
use session_core::{Error, Session, SessionManager};

use crate::agents::is_phone;
use crate::goods::{lines, shelf};
use crate::people::{LONGEST_PASSWORD, PEOPLE, People, SHORTEST_PASSWORD};
use crate::setup::{Place, Setup, sweep_now_and_then};
use crate::sides::{Browser, Server, attributes};
use crate::templates::render;
use crate::values::{CART, COUNTER, LONGEST_KEY, LONGEST_VALUE, MOST_COINS, SENT, is_taken};
use crate::words::{counted, since};

/// The application: its pages, its people, and the store once more, so that a page can show what is in it. Clones are the
/// same application.
#[derive(Clone)]
pub struct Demo {
    framework: &'static str,
    setup: Setup,
}

/// A demo whose sessions are in memory, and somebody's session in it, for examples like the ones below.
///
/// # Panics
/// If the variables `SESSION_…` of the environment are no good.
///
/// ```
/// let (_, session) = example_common::visit();
/// assert!(session.is_new());
/// ```
#[must_use]
pub fn visit() -> (Demo, Session) {
    let setup = Setup::in_memory().expect("the environment sets nothing that is no good");
    let manager = SessionManager::stored(setup.store(), setup.keys()).settings(setup.settings()).build();
    let session = manager.expect("these settings are good").begin();
    (Demo { framework: "axum", setup }, session)
}

impl Demo {
    /// The demo on this framework. What has expired is swept now and then, so call it from the runtime that serves.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
    /// # let (demo, _) = example_common::visit();
    /// # let setup = demo.setup().clone();
    /// use example_common::Demo;
    /// use session_core::SessionManager;
    ///
    /// let manager = SessionManager::stored(setup.store(), setup.keys()).settings(setup.settings()).build()?;
    /// let demo = Demo::new("warp", setup, &manager);
    /// assert!(demo.missing().contains("warp"));
    /// # Ok::<(), session_core::ConfigError>(()) }).expect("a demo");
    /// ```
    #[must_use]
    pub fn new(framework: &'static str, setup: Setup, manager: &SessionManager) -> Self {
        sweep_now_and_then(manager.clone());
        Self { framework, setup }
    }

    /// What it was made with.
    ///
    /// ```
    /// let (demo, _) = example_common::visit();
    /// assert!(demo.setup().settings().cookie_name.is_some());
    /// ```
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Who can log in.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, _) = example_common::visit();
    /// assert!(!demo.people().hash("ada").await?.is_empty());
    /// # Ok::<(), session_core::Error>(()) }).expect("people");
    /// ```
    #[must_use]
    pub const fn people(&self) -> &People {
        &self.setup.people
    }

    /// Prints the URL to open, and where the sessions are. Call it when the program listens, with the address it really has.
    ///
    /// ```
    /// let (demo, _) = example_common::visit();
    /// demo.welcome("127.0.0.1:3000".parse().expect("an address"));
    /// ```
    pub fn welcome(&self, address: SocketAddr) {
        println!("Open http://{address}/ in a browser. Sessions are kept {}.", self.setup.place.words());
    }

    /// Everything at a glance: who you are, the counter, the values, and both sides of the session. `cookies` are
    /// the `Cookie` lines of the request.
    ///
    /// # Errors
    /// [`Error::Store`] if the store can't be read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, session) = example_common::visit();
    /// assert!(demo.home(&session, []).await?.contains("You are an anonymous visitor."));
    /// # Ok::<(), session_core::Error>(()) }).expect("a page");
    /// ```
    pub async fn home<'a>(
        &self,
        session: &Session,
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<String, Error> {
        let Setup { store, settings, place, .. } = &self.setup;
        let browser = Browser::new(cookies, settings.cookie_name.as_deref().unwrap_or_default());
        let server = Server::look(store, session, &browser).await?;
        let with = context! {
            count => session.get::<u64>(COUNTER)?.unwrap_or_default(),
            values => values(session)?,
            longest_key => LONGEST_KEY,
            longest_value => LONGEST_VALUE,
            browser => browser.shown(),
            cookie => attributes(settings),
            server => server.map(|server| server.shown(place)),
            place => shown(place),
            people => self.people_shown().await?,
        };
        self.page("home.html", "/", session, with)
    }

    /// The answer of `/increment` for browsers. Everybody else gets the bare number.
    ///
    /// # Errors
    /// As [`Session::flashes`].
    ///
    /// ```
    /// let (demo, session) = example_common::visit();
    /// assert!(demo.counted(&session, 3)?.contains(r#"<p class="count">3</p>"#));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn counted(&self, session: &Session, count: u64) -> Result<String, Error> {
        self.page("counted.html", "/", session, context! { count })
    }

    /// The answer of `/clear` for browsers. Everybody else gets the bare words.
    ///
    /// ```
    /// assert!(example_common::visit().0.cleared().contains("Session cleared"));
    /// ```
    #[must_use]
    pub fn cleared(&self) -> String {
        self.bare("cleared.html", context! {})
    }

    /// The shelf and the cart.
    ///
    /// # Errors
    /// As [`Session::flashes`].
    ///
    /// ```
    /// let (demo, session) = example_common::visit();
    /// let cart = [("tea".to_owned(), 2)].into();
    /// assert!(demo.cart(&session, &cart)?.contains("6 coins"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn cart(&self, session: &Session, cart: &BTreeMap<String, u32>) -> Result<String, Error> {
        let (lines, together) = lines(cart);
        self.page("cart.html", "/cart", session, context! { goods => shelf(), lines, together })
    }

    /// The form with a token, and the one without.
    ///
    /// # Errors
    /// As [`Session::csrf_token`].
    ///
    /// ```
    /// let (demo, session) = example_common::visit();
    /// assert!(demo.transfer(&session)?.contains("You have sent none so far."));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn transfer(&self, session: &Session) -> Result<String, Error> {
        let sent: u64 = session.get(SENT)?.unwrap_or_default();
        let with = context! { sent, most => MOST_COINS, csrf_token => session.csrf_token()? };
        self.page("transfer.html", "/transfer", session, with)
    }

    /// The login page.
    ///
    /// # Errors
    /// As [`Session::flashes`], and [`Error::Store`] if the people can't be read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, session) = example_common::visit();
    /// assert!(demo.login(&session).await?.contains(r#"<form method="post" action="/login""#));
    /// # Ok::<(), session_core::Error>(()) }).expect("a page");
    /// ```
    pub async fn login(&self, session: &Session) -> Result<String, Error> {
        let people = self.people_shown().await?;
        self.page("login.html", "/login", session, context! { people, wrong => false })
    }

    /// The login page once more, with the name that was typed and a sentence.
    ///
    /// # Errors
    /// As [`Demo::login`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, session) = example_common::visit();
    /// let page = demo.wrong_password(&session, "<ada>").await?;
    /// assert!(page.contains("is not the password") && page.contains(r#"value="&lt;ada&gt;""#));
    /// # Ok::<(), session_core::Error>(()) }).expect("a page");
    /// ```
    pub async fn wrong_password(&self, session: &Session, typed: &str) -> Result<String, Error> {
        let people = self.people_shown().await?;
        self.page("login.html", "/login", session, context! { people, wrong => true, typed })
    }

    /// The page for those who are logged in.
    ///
    /// # Errors
    /// As [`Session::flashes`].
    ///
    /// ```
    /// let (demo, session) = example_common::visit();
    /// session.login("ada")?;
    /// assert!(demo.private(&session)?.contains("Welcome, ada"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn private(&self, session: &Session) -> Result<String, Error> {
        let since = session.authenticated_at().map(since);
        self.page("private.html", "/private", session, context! { since })
    }

    /// All sessions of who is logged in here.
    ///
    /// # Errors
    /// As [`Session::devices`] and [`Session::csrf_token`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, session) = example_common::visit();
    /// session.login("ada")?;
    /// session.label("Firefox on Linux")?;
    /// session.save().await?;
    /// let page = demo.devices(&session).await?;
    /// assert!(page.contains("Firefox on Linux") && page.contains("There are no others."));
    /// # Ok::<(), session_core::Error>(()) }).expect("a page");
    /// ```
    pub async fn devices(&self, session: &Session) -> Result<String, Error> {
        let devices = session.devices().await?.into_iter().map(|device| {
            let name = device.label.unwrap_or_else(|| "Some browser".to_owned());
            context! {
                phone => is_phone(&name),
                name,
                current => device.current,
                handle => device.handle.to_string(),
                created => since(device.created),
                seen => since(device.seen),
            }
        });
        let devices: Vec<_> = devices.collect();
        self.page("devices.html", "/devices", session, context! { devices, csrf_token => session.csrf_token()? })
    }

    /// The form for a new password, after a first attempt with what was wrong about it.
    ///
    /// # Errors
    /// As [`Session::csrf_token`].
    ///
    /// ```
    /// let (demo, session) = example_common::visit();
    /// session.login("ada")?;
    /// assert!(demo.password(&session, None)?.contains("At least 8 characters."));
    /// assert!(demo.password(&session, Some("Too short."))?.contains("Too short."));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn password(&self, session: &Session, problem: Option<&str>) -> Result<String, Error> {
        let with = context! {
            problem,
            shortest => SHORTEST_PASSWORD,
            longest => LONGEST_PASSWORD,
            csrf_token => session.csrf_token()?,
        };
        self.page("password.html", "/password", session, with)
    }

    /// For a request whose form isn't one of ours.
    ///
    /// ```
    /// assert!(example_common::visit().0.bad_form().contains("can’t be read"));
    /// ```
    #[must_use]
    pub fn bad_form(&self) -> String {
        self.refused("This form can’t be read, or a field is missing in it.")
    }

    /// For a form that asks for something that can't be done, with the reason as a sentence.
    ///
    /// ```
    /// assert!(example_common::visit().0.refused("No such field.").contains("No such field."));
    /// ```
    #[must_use]
    pub fn refused(&self, reason: &str) -> String {
        self.notice("That doesn’t work", true, reason, Some("Nothing was changed."))
    }

    /// For an address where there is nothing.
    ///
    /// ```
    /// assert!(example_common::visit().0.missing().contains("Nothing here"));
    /// ```
    #[must_use]
    pub fn missing(&self) -> String {
        self.notice("Nothing here", false, "There is no such page, or not for this kind of request.", None)
    }

    /// For an error of the session, by its [status](Error::status).
    ///
    /// ```
    /// assert!(example_common::visit().0.failed(403).contains("didn’t come from a page of yours"));
    /// ```
    #[must_use]
    pub fn failed(&self, status: u16) -> String {
        match status {
            403 => self.notice(
                "Refused",
                true,
                "This form didn’t come from a page of yours: its token is missing or too old, or it was on another site.",
                Some("Nothing was changed. Load the page with the form again, and send it from there."),
            ),
            503 => self.notice(
                "Not now",
                true,
                "The place where sessions are kept doesn’t answer.",
                Some("You are still who you are. Try again in a moment."),
            ),
            _ => self.notice("Something went wrong", true, "The program’s log says what.", Some("Nothing was changed.")),
        }
    }

    fn notice(&self, title: &str, alert: bool, reason: &str, after: Option<&str>) -> String {
        self.bare("notice.html", context! { title, alert, reason, after })
    }

    /// A page that knows its visitor, and shows the messages that wait for them.
    fn page(&self, template: &str, here: &str, session: &Session, with: Value) -> Result<String, Error> {
        let cart: BTreeMap<String, u32> = session.get(CART)?.unwrap_or_default();
        let visitor = context! {
            name => session.subject(),
            items => cart.values().fold(0, |sum: u32, count| sum.saturating_add(*count)),
            flashes => session.flashes()?.into_iter().map(|flash| context! { level => flash.level.name(), text => flash.text }).collect::<Vec<_>>(),
        };
        Ok(self.render(template, here, visitor, with))
    }

    /// A page that knows nobody.
    fn bare(&self, template: &str, with: Value) -> String {
        self.render(template, "", context! { name => (), items => 0, flashes => Vec::<Value>::new() }, with)
    }

    fn render(&self, template: &str, here: &str, visitor: Value, with: Value) -> String {
        render(template, context! { framework => self.framework, here, visitor, ..with })
    }

    /// Whoever still has the first password, with it.
    async fn people_shown(&self) -> Result<Vec<Value>, Error> {
        let mut shown = Vec::new();
        for person in &PEOPLE {
            let password = self.people().is_first(person).await?.then_some(person.password);
            shown.push(context! { name => person.name, password });
        }
        Ok(shown)
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("framework", &self.framework).finish_non_exhaustive()
    }
}

fn values(session: &Session) -> Result<Vec<Value>, Error> {
    let value = |key: String| {
        let value: serde_json::Value = session.get(&key)?.unwrap_or_default();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(context! { editable => !is_taken(&key), key, text })
    };
    session.keys().into_iter().map(value).collect()
}

fn shown(place: &Place) -> Value {
    match place {
        Place::Memory(store) => context! { kind => "memory", live => counted(store.live(), "session") },
        Place::File(name) => context! { kind => "file", name },
        Place::Database(name) | Place::Redis(name, _) => context! { kind => "server", name },
    }
}
