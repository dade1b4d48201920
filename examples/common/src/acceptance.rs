//! What the examples promise to the person in front of them, played against a running program.

use std::path::PathBuf;
use std::{env, fs, io, process};

use crate::browser::{Answer, Browser, Program};
use crate::people::PEOPLE;

/// Starts the program at `path`, plays everything, and ends it; once with its sessions in memory, and once as it is when
/// nobody says anything, when a restart must log nobody out.
///
/// # Errors
/// If the program doesn't start or answer.
///
/// # Panics
/// If an answer is not as promised.
///
/// ```
/// assert!(example_common::acceptance::play("/no/such/program").is_err());
/// ```
pub fn play(path: &str) -> io::Result<()> {
    let folder = Folder::new()?;
    play_in(&Program::start(path, &folder.0, &[("STORE", "memory:")])?)?;
    assert_eq!(fs::read_dir(&folder.0)?.count(), 0, "memory leaves nothing behind");

    let program = Program::start(path, &folder.0, &[])?;
    play_in(&program)?;
    a_restart_logs_nobody_out(program, || Program::start(path, &folder.0, &[]))
}

fn play_in(program: &Program) -> io::Result<()> {
    looking_around_makes_no_session(program.browser())?;
    two_browsers_count_for_themselves_and_clearing_one_leaves_the_other(program.browser(), program.browser())?;
    an_id_without_its_signature_shows_nothing(program.browser(), program.browser())?;
    a_login_ends_with_logout_even_for_a_copy_of_its_cookie(program.browser())?;
    a_cart_is_there_before_the_login_and_after(program.browser())?;
    a_form_without_its_token_is_refused(program.browser(), program.browser())?;
    one_device_ends_another(program.browser(), program.browser(), program.browser())?;
    another_password_ends_what_was_made_under_the_old_one(program.browser(), program.browser())?;
    whatever_is_typed_is_shown_as_text(program.browser())?;
    what_cannot_be_used_is_refused_and_changes_nothing(program.browser())
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("session-example-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a folder for temporary things does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn a_restart_logs_nobody_out(program: Program, restart: impl FnOnce() -> io::Result<Program>) -> io::Result<()> {
    let mut ada = program.browser();
    ada.post("/login", "name=ada&password=engine")?;
    assert_eq!(ada.get_plain("/increment")?.body, "1");
    drop(program);

    let program = restart()?;
    ada.moves_to(&program);
    let home = ada.get("/")?;
    assert!(home.says("You are <strong>ada</strong>."));
    assert!(home.says("<code>sessions.db</code>") && home.says("&quot;visits&quot;: 1"));
    assert_eq!(ada.get_plain("/increment")?.body, "2");
    assert_eq!(ada.post("/logout", "")?.redirect(), (303, "/"));
    assert_eq!(ada.post("/login", "name=grace&password=nanosecond")?.redirect(), (303, "/private"));
    Ok(())
}

/// How many sessions there are, where the page says so.
fn holds(home: &Answer, sessions: &str) {
    assert!(home.says(&format!("The server holds {sessions} in all")) || home.says("<code>sessions.db</code>"));
}

fn looking_around_makes_no_session(mut browser: Browser) -> io::Result<()> {
    let home = browser.get("/")?;
    assert_eq!(home.status, 200);
    assert!(home.says("You are an anonymous visitor.") && home.says("No cookie of this site."));
    holds(&home, "0 sessions");
    assert_eq!(browser.get("/login")?.status, 200);
    assert_eq!(browser.get("/private")?.redirect(), (303, "/login"));
    assert_eq!(browser.get("/nowhere")?.status, 404);
    assert_eq!(browser.id(), None);
    Ok(())
}

fn two_browsers_count_for_themselves_and_clearing_one_leaves_the_other(
    mut a: Browser,
    mut b: Browser,
) -> io::Result<()> {
    for count in ["1", "2", "3"] {
        assert_eq!(a.get_plain("/increment")?.body, count);
    }
    assert_eq!(b.get_plain("/increment")?.body, "1");
    assert!(a.id().is_some() && b.id().is_some());
    assert_ne!(a.id(), b.id());
    assert!(a.get("/increment")?.says(r#"<p class="count">4</p>"#));

    let home = a.get("/")?;
    assert!(home.says(a.id().unwrap_or("no cookie")) && home.says("&quot;visits&quot;: 4"));
    holds(&home, "2 sessions");

    let first_id = a.id().map(str::to_owned);
    let cleared = a.get_plain("/clear")?;
    assert_eq!((cleared.status, cleared.body.as_str()), (200, "Session cleared"));
    let removal: Vec<_> = cleared.all("set-cookie").collect();
    assert_eq!(removal.len(), 1, "{removal:?}");
    let removal = removal[0];
    assert!(removal.starts_with("id=;"), "{removal}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        assert!(removal.split("; ").any(|found| found == attribute), "{attribute} in {removal}");
    }
    assert_eq!(a.id(), None);
    holds(&a.get("/")?, "1 session");

    assert_eq!(a.get_plain("/increment")?.body, "1");
    assert!(a.id().is_some() && a.id() != first_id.as_deref());
    assert_eq!(b.get_plain("/increment")?.body, "2");
    assert!(a.get("/clear")?.says("<h1>Session cleared</h1>") && b.get("/clear")?.says("<h1>Session cleared</h1>"));
    Ok(())
}

fn an_id_without_its_signature_shows_nothing(mut owner: Browser, mut forger: Browser) -> io::Result<()> {
    owner.get("/increment")?;
    let id = owner.id().unwrap_or_default();
    let (reference, signature) = id.split_at(id.len() / 2 + 4);
    forger.claim(&format!("{reference}{}", signature.chars().rev().collect::<String>()));
    let home = forger.get("/")?;
    assert!(home.says("No session for this cookie.") && !home.says("&quot;visits&quot;"));
    assert_eq!(forger.get_plain("/increment")?.body, "1");
    Ok(())
}

fn a_login_ends_with_logout_even_for_a_copy_of_its_cookie(mut browser: Browser) -> io::Result<()> {
    let [ada, grace] = PEOPLE.each_ref().map(|person| format!("name={}&password={}", person.name, person.password));
    browser.get("/increment")?;
    let mut visitor = browser.clone();

    let wrong = browser.post("/login", "name=ada&password=compiler")?;
    assert_eq!(wrong.status, 401);
    assert!(wrong.says("That is not the password") && wrong.says(r#"value="ada""#));
    assert_eq!(browser.get("/private")?.redirect(), (303, "/login"));

    assert_eq!(browser.post("/login", &ada)?.redirect(), (303, "/private"));
    assert!(browser.id().is_some() && browser.id() != visitor.id());
    assert_eq!(visitor.get_plain("/increment")?.body, "1", "the id of before the login is dead");
    let private = browser.get("/private")?;
    assert_eq!(private.status, 200);
    assert!(private.says("Welcome, ada"));
    assert_eq!(browser.get_plain("/increment")?.body, "2", "what the visitor had is kept");
    assert!(browser.get("/")?.says("You are <strong>ada</strong>."));

    let mut copy = browser.clone();
    let logout = browser.post("/logout", "")?;
    assert_eq!(logout.redirect(), (303, "/"));
    assert_eq!(browser.id(), None);
    assert_eq!(copy.get("/private")?.redirect(), (303, "/login"), "the old cookie, sent once more");
    let home = copy.get("/")?;
    assert!(home.says("You are an anonymous visitor.") && home.says("No session for this cookie."));

    assert_eq!(browser.post("/login", &grace)?.redirect(), (303, "/private"));
    assert_eq!(browser.get_plain("/increment")?.body, "1");
    browser.post("/login", &ada)?;
    assert_eq!(browser.get_plain("/increment")?.body, "1", "another person gets nothing of the one before");
    Ok(())
}

fn a_cart_is_there_before_the_login_and_after(mut browser: Browser) -> io::Result<()> {
    assert!(browser.get("/cart")?.says("Nothing yet."));
    assert_eq!(browser.id(), None, "looking at the cart makes no session");
    for item in ["tea", "tea", "cookies"] {
        assert_eq!(browser.post("/cart", &format!("item={item}"))?.redirect(), (303, "/cart"));
    }
    let cart = browser.get("/cart")?;
    assert!(cart.says("2×") && cart.says("11 coins") && cart.says("Box of cookies is in your cart."));
    assert!(!browser.get("/cart")?.says("is in your cart."), "a message is shown once");
    browser.post("/login", "name=grace&password=compiler")?;
    assert_eq!(browser.post("/cart/remove", "item=tea")?.redirect(), (303, "/cart"));
    let cart = browser.get("/cart")?;
    assert!(cart.says("5 coins") && !cart.says("2×"));
    assert!(browser.get("/")?.says("&quot;cookies&quot;: 1"));
    Ok(())
}

/// The first token in a page.
fn token(page: &Answer) -> &str {
    let (_, rest) = page.body.split_once(r#"name="csrf_token" value=""#).unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

fn a_form_without_its_token_is_refused(mut browser: Browser, mut stranger: Browser) -> io::Result<()> {
    let page = browser.get("/transfer")?;
    let token = token(&page);
    let good = format!("amount=5&csrf_token={token}");
    assert_eq!(browser.post("/transfer", &good)?.redirect(), (303, "/transfer"));
    for bad in ["amount=5&csrf_token=", "amount=5&csrf_token=guessed"] {
        let refused = browser.post("/transfer", bad)?;
        assert!(refused.status == 403 && refused.says("<h1>Refused</h1>"), "{bad}");
    }
    assert_eq!(browser.post("/transfer", &format!("amount=1001&csrf_token={token}"))?.status, 400);
    let page = browser.get("/transfer")?;
    assert!(page.says("<strong>5</strong> coins") && page.says("Sent: 5."));

    stranger.get("/transfer")?;
    assert_eq!(stranger.post("/transfer", &good)?.status, 403, "a token is of one session");
    browser.post("/login", "name=ada&password=engine")?;
    assert_eq!(browser.post("/transfer", &good)?.status, 403, "a token from before the login");
    Ok(())
}

fn one_device_ends_another(mut laptop: Browser, mut phone: Browser, mut ada: Browser) -> io::Result<()> {
    assert_eq!(laptop.get("/devices")?.redirect(), (303, "/login"));
    for browser in [&mut laptop, &mut phone] {
        browser.post("/login", "name=grace&password=compiler")?;
        assert_eq!(browser.get("/private")?.all("cache-control").collect::<Vec<_>>(), ["no-store"]);
    }
    let devices = laptop.get("/devices")?;
    let token = token(&devices);
    assert!(devices.says("this one") && devices.says("End all others"));
    assert_eq!(laptop.post("/devices/end-others", "csrf_token=guessed")?.status, 403);
    assert_eq!(phone.get("/private")?.status, 200);
    assert_eq!(laptop.post("/devices/end-others", &format!("csrf_token={token}"))?.redirect(), (303, "/devices"));
    assert_eq!(phone.get("/private")?.redirect(), (303, "/login"));
    assert!(laptop.get("/devices")?.says("There are no others."));

    phone.post("/login", "name=grace&password=compiler")?;
    let devices = laptop.get("/devices")?;
    // Those created last come first.
    let (_, handle) = devices.body.split_once(r#"name="handle" value=""#).unwrap_or_default();
    let form = format!("handle={}&csrf_token={token}", handle.get(..64).unwrap_or_default());
    ada.post("/login", "name=ada&password=engine")?;
    assert_eq!(laptop.post("/devices/end", &form)?.redirect(), (303, "/devices"));
    assert_eq!(phone.get("/private")?.redirect(), (303, "/login"));
    assert_eq!(ada.get("/private")?.status, 200, "another person’s session stays");
    assert_eq!(laptop.get("/private")?.status, 200);
    Ok(())
}

fn another_password_ends_what_was_made_under_the_old_one(mut laptop: Browser, mut phone: Browser) -> io::Result<()> {
    for browser in [&mut laptop, &mut phone] {
        browser.post("/login", "name=grace&password=compiler")?;
    }
    let page = laptop.get("/password")?;
    let form = |current, new| format!("current={current}&new={new}&csrf_token={}", token(&page));
    let wrong = laptop.post("/password", &form("engine", "nanosecond"))?;
    assert!(wrong.status == 401 && wrong.says("That is not your password now."));
    let short = laptop.post("/password", &form("compiler", "short"))?;
    assert!(short.status == 400 && short.says("at least 8 characters"));
    assert_eq!(phone.get("/private")?.status, 200);

    assert_eq!(laptop.post("/password", &form("compiler", "nanosecond"))?.redirect(), (303, "/devices"));
    assert!(laptop.get("/devices")?.says("There are no others."));
    assert_eq!(phone.get("/private")?.redirect(), (303, "/login"));
    assert_eq!(phone.post("/login", "name=grace&password=compiler")?.status, 401);
    assert!(phone.get("/login")?.says("changed, and only its hash is known"));
    assert_eq!(phone.post("/login", "name=grace&password=nanosecond")?.redirect(), (303, "/private"));
    Ok(())
}

fn whatever_is_typed_is_shown_as_text(mut browser: Browser) -> io::Result<()> {
    let set = browser.post("/values", "key=%3Cb%3E%26&value=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E+%F0%9F%8D%AA")?;
    assert_eq!(set.redirect(), (303, "/#values"));
    let home = browser.get("/")?;
    assert!(!home.says("<script") && !home.says("<b>&"));
    assert!(home.says("<code>&lt;b&gt;&amp;</code>") && home.says("&lt;script&gt;alert(1)&lt;&#x2f;script&gt; 🍪"));

    browser.post("/values", "key=%3Cb%3E%26&value=tea")?;
    let home = browser.get("/")?;
    assert!(home.says(r#"value="tea""#) && !home.says("alert(1)"));
    assert_eq!(browser.post("/values/remove", "key=%3Cb%3E%26")?.redirect(), (303, "/#values"));
    assert!(browser.get("/")?.says("There are none yet."));
    Ok(())
}

fn what_cannot_be_used_is_refused_and_changes_nothing(mut browser: Browser) -> io::Result<()> {
    browser.get("/increment")?;
    let long = "x".repeat(201);
    let longest = "x".repeat(20_000);
    for (path, form) in [
        ("/login", ""),
        ("/login", "name=ada"),
        ("/login", "%"),
        ("/values", "key=colour"),
        ("/values", "key=&value=x"),
        ("/values", "key=visits&value=x"),
        ("/values", &format!("key=k&value={long}")),
        ("/values", &format!("key={longest}&value=v")),
        ("/values/remove", "value=x"),
        ("/values", "key=cart&value=x"),
        ("/cart", "item=elephant"),
        ("/cart/remove", ""),
        ("/transfer", "amount=-1&csrf_token=x"),
        ("/devices/end", "handle=x&csrf_token=x"),
        ("/password", "current=engine&csrf_token=x"),
    ] {
        let answer: Answer = browser.post(path, form)?;
        let form: String = form.chars().take(30).collect();
        assert_eq!(answer.status, 400, "{path} {form}");
        assert!(answer.says("<h1>That doesn’t work</h1>"), "{path} {form}");
    }
    assert_eq!(browser.get_plain("/increment")?.body, "2");
    Ok(())
}
