//! The demo application's state and its pages. Each function gives a whole page; its status is for the handler to say.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use session_core::{Error, Session, SessionManager, SessionStore, Timestamp};

use crate::html::{escape, page};
use crate::kept::{Kept, Place, sweep_now_and_then};
use crate::people::PEOPLE;
use crate::sides::{Browser, Reference, Server, hex};
use crate::start::{Failure, log_to_stderr};
use crate::values::{COUNTER, LONGEST_KEY, LONGEST_VALUE};

/// The application: its session manager, and the manager's store once more, so that a page can show what is in it.
/// Clones are the same application.
#[derive(Clone)]
pub struct Demo {
    framework: &'static str,
    manager: SessionManager,
    store: Arc<dyn SessionStore>,
    place: Place,
}

impl Demo {
    /// The demo on this framework, its log on stderr. Sessions are kept where `STORE` says, a URL of
    /// [`connect`](session_stores::connect), or else in the file `sessions.db` of this directory: a restart logs nobody
    /// out. The secret comes from `SESSION_SECRET`, or else from the file `sessions.secret`, which is made at the first start.
    /// Call it from the runtime that serves.
    ///
    /// # Errors
    /// If there is no store at `STORE`, `SESSION_SECRET` is no good, or a file can't be read or written.
    pub async fn new(framework: &'static str) -> Result<Self, Failure> {
        log_to_stderr();
        let demo = Self::keeping(framework, Kept::by_environment().await?)?;
        sweep_now_and_then(demo.manager());
        Ok(demo)
    }

    /// The demo with its sessions in memory, as `STORE=memory:` makes it. The secret comes from `SESSION_SECRET`, or is made
    /// up with a warning that says what that means.
    ///
    /// # Errors
    /// If `SESSION_SECRET` is there and no good.
    ///
    /// ```
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// assert_eq!(demo.manager().cookie_name(), "id");
    /// ```
    pub fn in_memory(framework: &'static str) -> Result<Self, Failure> {
        Self::keeping(framework, Kept::in_memory()?)
    }

    fn keeping(framework: &'static str, Kept { store, keys, place }: Kept) -> Result<Self, Failure> {
        let manager = SessionManager::stored(Arc::clone(&store), keys)
            // Browsers want HTTPS for the default name, `__Host-id`. Leave both lines out when you have it.
            .cookie_name("id")
            .insecure_over_plain_http()
            .build()?;
        Ok(Self { framework, manager, store, place })
    }

    /// Prints the URL to open, and where the sessions are. Call it when the program listens, with the address it really has.
    ///
    /// ```
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// demo.welcome("127.0.0.1:3000".parse().expect("an address"));
    /// ```
    pub fn welcome(&self, address: SocketAddr) {
        println!("Open http://{address}/ in a browser. Sessions are kept {}.", self.place.words());
    }

    /// The manager, for the framework's layer, middleware, fairing or wrap.
    ///
    /// ```
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// assert_eq!(demo.manager().cookie_name(), "id");
    /// ```
    #[must_use]
    pub fn manager(&self) -> SessionManager {
        self.manager.clone()
    }

    /// Everything at a glance: who you are, the counter, the values, and both sides of the session. `cookies` are
    /// the `Cookie` lines of the request.
    ///
    /// # Errors
    /// [`Error::Store`] if the store can't be read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// let session = demo.manager().begin();
    /// assert!(demo.home(&session, []).await?.contains("You are an anonymous visitor."));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).expect("a page");
    /// ```
    pub async fn home<'a>(
        &self,
        session: &Session,
        cookies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<String, Error> {
        let browser = Browser::new(cookies, self.manager.cookie_name());
        let server = Server::look(&self.store, session, &browser).await?;
        let count: Value = session.get(COUNTER)?.unwrap_or_else(|| 0.into());
        let body = format!(
            r#"<h1>A session, seen from both sides</h1>
<p class="lead">A session is what a server remembers of one browser. Every button here changes yours; further down stands what your browser holds beside what the server holds.</p>
<div class="cards">
<section class="card" id="you"><h2>Who you are</h2>{you}</section>
<section class="card" id="counter"><h2>The counter</h2>
<p class="count">{count}</p>
<div class="row"><a class="button" href="/increment">Count</a><a class="button quiet" href="/clear">Clear the session</a></div>
<p class="soft">Open <a href="/increment">/increment</a> in a private window too: it starts at 1, for it is another browser with a session of its own. Here the count goes on.</p></section>
<section class="card wide" id="values"><h2>Your values</h2>{values}</section>
<section class="card wide" id="sides"><h2>What your browser holds, beside what the server holds</h2>
<div class="sides">
<div class="side browser"><h3>Your browser</h3>{browser_side}</div>
<div class="side server"><h3>The server</h3>{server_side}</div>
</div>
<p class="soft">{place}</p></section>
</div>"#,
            you = you(session),
            values = values(session)?,
            browser_side = browser_side(&browser),
            server_side = server_side(&browser, server.as_ref()),
            place = place(&self.place),
        );
        Ok(self.page("Home", &body))
    }

    /// The answer of `/increment` for browsers. Everybody else gets the bare number.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").counted(3).contains(r#"<p class="count">3</p>"#));
    /// ```
    #[must_use]
    pub fn counted(&self, count: u64) -> String {
        let body = format!(
            r#"<h1>The counter</h1>
<section class="card narrow"><p class="count">{count}</p>
<div class="row"><a class="button" href="/increment">Count once more</a><a class="button quiet" href="/clear">Clear the session</a><a href="/#counter">Home</a></div>
<p class="soft">A private window starts at 1. So does <code>curl</code>, which gets the bare number and keeps no cookie unless told to: <code>curl -c jar -b jar …/increment</code></p></section>"#
        );
        self.page("The counter", &body)
    }

    /// The answer of `/clear` for browsers. Everybody else gets the bare words.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").cleared().contains("Session cleared"));
    /// ```
    #[must_use]
    pub fn cleared(&self) -> String {
        let body = r#"<h1>Session cleared</h1>
<section class="card narrow"><p>Its record is gone from the server, and your browser was told to drop the cookie. If you were logged in, you aren’t any more.</p>
<p>The counter starts at 1 again, in a new session under a new id. Other browsers notice nothing.</p>
<div class="row"><a class="button" href="/increment">Count</a><a href="/">Home</a></div></section>"#;
        self.page("Session cleared", body)
    }

    /// The login page.
    ///
    /// ```
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// assert!(demo.login_page(&demo.manager().begin()).contains(r#"<form method="post" action="/login">"#));
    /// ```
    #[must_use]
    pub fn login_page(&self, session: &Session) -> String {
        self.login(session, "", "")
    }

    /// The login page once more, with the name that was typed and a sentence.
    ///
    /// ```
    /// let demo = example_common::Demo::in_memory("axum").expect("a demo");
    /// let page = demo.wrong_password(&demo.manager().begin(), "<ada>");
    /// assert!(page.contains("is not the password") && page.contains(r#"value="&lt;ada&gt;""#));
    /// ```
    #[must_use]
    pub fn wrong_password(&self, session: &Session, name: &str) -> String {
        let problem = r#"<p class="note" role="alert">That is not the password of anybody of this name.</p>"#;
        self.login(session, name, problem)
    }

    fn login(&self, session: &Session, name: &str, problem: &str) -> String {
        let already = session.subject().map(|subject| {
            format!(
                "<p>You are logged in as <strong>{0}</strong>. Whoever else logs in now gets a session without the values of {0}.</p>",
                escape(&subject)
            )
        });
        let people: String = PEOPLE
            .iter()
            .map(|person| {
                format!("<tr><td><code>{}</code></td><td><code>{}</code></td></tr>", person.name, person.password)
            })
            .collect();
        let body = format!(
            r#"<h1>Log in</h1>
<section class="card narrow">{problem}{already}
{form}
<h3>Who lives here</h3>
<table class="people"><thead><tr><th>Name</th><th>Password</th></tr></thead><tbody>{people}</tbody></table>
<p class="soft">This is a demo, so the passwords stand here. Logging in gives your session a new id: a cookie that somebody planted before is worth nothing after. What you gathered as a visitor stays.</p></section>"#,
            already = already.unwrap_or_default(),
            form = login_form(name),
        );
        self.page("Log in", &body)
    }

    /// The page for those who are logged in.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").private("ada").contains("Welcome, ada"));
    /// ```
    #[must_use]
    pub fn private(&self, subject: &str) -> String {
        let subject = escape(subject);
        let body = format!(
            r#"<h1>Welcome, {subject}</h1>
<section class="card narrow"><p>This page is for people who are logged in; anybody else is sent to the login page.</p>
<p>Your session got a new id when you logged in. When you log out, its record is deleted: whoever copied your cookie meanwhile holds nothing.</p>
<div class="row"><form method="post" action="/logout"><button>Log out</button></form><a href="/#sides">See both sides of your session</a></div></section>"#
        );
        self.page("Private page", &body)
    }

    /// For a request whose form isn't one of ours.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").bad_form().contains("can’t be read"));
    /// ```
    #[must_use]
    pub fn bad_form(&self) -> String {
        self.refused("This form can’t be read, or a field is missing in it.")
    }

    /// For a form that asks for something that can't be done, with the reason as a sentence.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").refused("No such field.").contains("No such field."));
    /// ```
    #[must_use]
    pub fn refused(&self, reason: &str) -> String {
        let body = format!(
            r#"<h1>That doesn’t work</h1>
<section class="card narrow"><p class="note" role="alert">{}</p><p>Nothing was changed.</p><p><a href="/">Home</a></p></section>"#,
            escape(reason)
        );
        self.page("That doesn’t work", &body)
    }

    /// For an address where there is nothing.
    ///
    /// ```
    /// assert!(example_common::Demo::in_memory("axum").expect("a demo").missing().contains("Nothing here"));
    /// ```
    #[must_use]
    pub fn missing(&self) -> String {
        let body = r#"<h1>Nothing here</h1>
<section class="card narrow"><p>There is no such page, or not for this kind of request.</p><p><a href="/">Home</a></p></section>"#;
        self.page("Nothing here", body)
    }

    fn page(&self, title: &str, body: &str) -> String {
        page(self.framework, title, body)
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("framework", &self.framework).finish_non_exhaustive()
    }
}

fn you(session: &Session) -> String {
    match session.subject() {
        Some(subject) => format!(
            r#"<p>You are <strong>{}</strong>.</p><p class="soft">Your session got a new id when you logged in.</p>
<div class="row"><a class="button" href="/private">Private page</a><form method="post" action="/logout"><button class="quiet">Log out</button></form></div>"#,
            escape(&subject)
        ),
        None => {
            let people: Vec<_> = PEOPLE
                .iter()
                .map(|person| format!("<code>{}</code> with <code>{}</code>", person.name, person.password))
                .collect();
            format!(
                r#"<p>You are an anonymous visitor.</p>{}<p class="soft">Try {}. What you gathered as a visitor stays.</p>"#,
                login_form(""),
                people.join(" or ")
            )
        }
    }
}

fn login_form(name: &str) -> String {
    format!(
        r#"<form method="post" action="/login"><label>Name <input name="name" value="{}" autocomplete="username" autocapitalize="none" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>"#,
        escape(name)
    )
}

fn values(session: &Session) -> Result<String, Error> {
    let mut rows = String::new();
    for key in session.keys() {
        let value: Value = session.get(&key)?.unwrap_or_default();
        let shown = escape(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let key = escape(&key);
        let change = if key == COUNTER {
            shown
        } else {
            format!(
                r#"<form method="post" action="/values"><input type="hidden" name="key" value="{key}"><input name="value" value="{shown}" maxlength="{LONGEST_VALUE}" aria-label="The value of {key}"><button class="quiet">Change</button></form>"#
            )
        };
        rows.push_str(&format!(
            r#"<tr><td><code>{key}</code></td><td>{change}</td><td><form method="post" action="/values/remove"><input type="hidden" name="key" value="{key}"><button class="quiet" aria-label="Remove {key}">Remove</button></form></td></tr>
"#
        ));
    }
    let list = if rows.is_empty() {
        r#"<p class="soft">There are none yet. Set the first one:</p>"#.to_owned()
    } else {
        format!(
            r#"<table class="values"><thead><tr><th>Key</th><th>Value</th><th></th></tr></thead><tbody>
{rows}</tbody></table>"#
        )
    };
    Ok(format!(
        r#"{list}
<form class="add" method="post" action="/values"><label>Key <input name="key" maxlength="{LONGEST_KEY}" placeholder="colour" autocapitalize="none" required></label>
<label>Value <input name="value" maxlength="{LONGEST_VALUE}" placeholder="green"></label><button>Set</button></form>"#
    ))
}

fn browser_side(browser: &Browser) -> String {
    match browser {
        Browser::Nothing => "<p>No cookie of this site.</p><p>It gets one when there is something to remember: count, log in, or set a value.</p>".to_owned(),
        Browser::Several => "<p>Several different cookies with the name <code>id</code>. Somebody may have planted one, and the order proves nothing, so unless exactly one is genuine all of them are ignored.</p>".to_owned(),
        Browser::Foreign(value) => format!(
            r#"<p>A cookie that isn’t in the form of ours. It is ignored.</p><div class="token">id={}</div>"#,
            escape(value)
        ),
        Browser::Reference(reference) => reference_side(reference),
    }
}

fn reference_side(Reference { raw, format, key_id, id, tag }: &Reference) -> String {
    format!(
        r#"<p>One cookie, kept until the browser is closed:</p>
<div class="token">id={raw}</div>
<p>It is 69 bytes in base64url, in four parts:</p>
<dl>
<dt>Version</dt><dd><code>{format}</code>: a signed reference. It names a session and holds nothing of it.</dd>
<dt>Key id</dt><dd><code>{key_id}</code>: which secret has signed it, so that secrets can be replaced.</dd>
<dt>Id</dt><dd><div class="token id">{id}</div>32 random bytes. They mean nothing, and nobody can guess them.</dd>
<dt>Signature</dt><dd><div class="token">{tag}</div>HMAC-SHA-256 over the rest. An invented cookie is refused without asking the store.</dd>
</dl>
<p class="soft">Scripts can’t read this cookie (<code>HttpOnly</code>), and other sites’ forms don’t send it (<code>SameSite=Lax</code>). It is printed here for you to look at; a real page never does that.</p>"#,
        raw = escape(raw),
        key_id = hex(key_id),
        id = hex(id),
        tag = hex(tag),
    )
}

fn server_side(browser: &Browser, server: Option<&Server>) -> String {
    match (browser, server) {
        (_, Some(server)) => format!(
            r#"<p>One record in its store, under this key:</p>
<div class="token key">{key}</div>
<p>That is SHA-256 of the <span class="id">id</span>. The store never sees the cookie, nor the id in it, and nobody can turn the key back: a stolen store gives no session away.</p>
<h3>The record</h3>
<pre>{json}</pre>
<p>Its limits are in milliseconds: it ends after {idle} without a request, and after {lifetime} in any case. This is version {version} of it, begun {age} ago; if you go now, it ends in {left}.</p>"#,
            key = server.key.to_hex(),
            json = escape(&server.json()),
            idle = span(server.found.record.expiry.idle.as_secs()),
            lifetime = span(server.found.record.expiry.lifetime.as_secs()),
            version = server.found.version.as_u64(),
            age = between(server.found.times.created, server.found.now),
            left = between(server.found.now, server.found.times.expires),
        ),
        (Browser::Nothing, None) => "<p>Nothing about you.</p><p>Looking around costs a visitor no session, and the server no memory.</p>".to_owned(),
        (Browser::Reference(_), None) => "<p>No session for this cookie. It was ended, it is too old, or the secret that signed it is not mine: a secret that was made up ends with its program.</p><p>You are a new visitor; your next session gets a new id, never this one.</p>".to_owned(),
        (_, None) => "<p>No session that you could be given for that.</p>".to_owned(),
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::Memory(store) => format!(
            "The server holds {} in all, everybody’s taken together. They are in its memory and end with it.",
            counted(store.live(), "session")
        ),
        Place::File(file) => format!(
            "The server keeps everybody’s sessions in the file <code>{}</code>. They outlive it: restart the program, and you are still who you are.",
            escape(file)
        ),
        Place::Server(scheme) => format!(
            "The server keeps everybody’s sessions in a store that others use too (<code>{}</code>). They outlive it: restart the program, and you are still who you are.",
            escape(scheme)
        ),
    }
}

fn between(from: Timestamp, to: Timestamp) -> String {
    span(to.since(from).as_secs())
}

/// A length of time as one would say it.
fn span(seconds: u64) -> String {
    match (seconds + 30) / 60 {
        0 => "less than a minute".to_owned(),
        minutes if minutes < 120 => counted(minutes, "minute"),
        minutes => counted((minutes + 30) / 60, "hour"),
    }
}

fn counted(count: impl fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
