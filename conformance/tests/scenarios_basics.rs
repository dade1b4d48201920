//! Acceptance scenarios: what the users of well-known session libraries rely on, each with the number it is known by, at all
//! labs, with sessions in memory, in sealed cookies and in Redis. Here: sessions that begin, are read, written and ended, and
//! what of them is in cookies, headers and counters. Logins are in `scenarios_login.rs`, time and size in
//! `scenarios_limits.rs`, requests that meet and stores that fail in `scenarios_races.rs`. Where a scenario can't happen with one
//! kind of session, the test expects what `ARCHITECTURE.md` and `SECURITY.md` say of that kind. Number 37 is none of these: it is
//! about reading what other programs wrote.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod scenarios;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Browser, COOKIE, LABS, Lab, SECRET, refused};
use scenarios::{
    ANONYMOUS, Kept, MINE, NOTHING, OK, Place, at, copy, event, everywhere, everywhere_without_revocations, pause,
    set_cookie, tells, turned, with_cookie,
};
use session_testing::http::Jar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn d01_increment_demo_two_browsers() {
    everywhere(|place| async move {
        let lab = place.start();
        let [mut a, mut b] = [Browser::new(&lab), Browser::new(&lab)];
        for n in 1..=3 {
            a.expect("POST /incr?k=n", &format!(r#"200 {{"v":{n}}}"#)).await;
        }
        b.expect("POST /incr?k=n", r#"200 {"v":1}"#).await;
        assert_ne!(a.cookie(), b.cookie(), "{place:?}");
        place.holds(&lab, 2).await;
        assert_eq!(event(&lab, "created").await, 2, "{place:?}");
        a.expect("POST /incr?k=n", r#"200 {"v":4}"#).await;
        b.expect("POST /incr?k=n", r#"200 {"v":2}"#).await;
    })
    .await;
}

/// To clear is to log out.
#[tokio::test(flavor = "multi_thread")]
async fn d02_clear_demo() {
    const NAME: &str = "__Secure-shop";
    everywhere(|place| async move {
        let more =
            [("LAB_COOKIE", NAME), ("LAB_DOMAIN", "example.com"), ("LAB_PATH", "/app"), ("LAB_SAMESITE", "strict")];
        let lab = place.with(&more).start();
        let [mut a, mut b] = [Browser::new(&lab), Browser::new(&lab)];
        let set = a.expect("POST /incr?k=n", r#"200 {"v":1}"#).await.cookie(NAME).unwrap();
        a.expect("POST /incr?k=n", r#"200 {"v":2}"#).await;
        b.expect("POST /incr?k=n", r#"200 {"v":1}"#).await;
        place.holds(&lab, 2).await;
        let mut copied = copy(&a);

        let removed = a.expect("POST /logout", OK).await.cookie(NAME).unwrap();
        place.holds(&lab, 1).await;
        assert!(removed.removes() && removed.value.is_empty(), "{place:?}: {removed:?}");
        for attribute in ["path", "domain", "samesite", "secure", "httponly"] {
            assert_eq!(removed.has(attribute), set.has(attribute), "{place:?}: {attribute}");
            assert_eq!(removed.attribute(attribute), set.attribute(attribute), "{place:?}: {attribute}");
        }
        assert_eq!((set.attribute("domain"), set.attribute("path")), (Some("example.com"), Some("/app")), "{place:?}");

        copied.expect("GET /has?k=n", r#"200 {"v":false}"#).await;
        let again = a.expect("POST /incr?k=n", r#"200 {"v":1}"#).await.cookie(NAME).unwrap();
        assert!(again.value != set.value && copied.jar.get(NAME) != Some(&again.value), "{place:?}: the same id");
        b.expect("POST /incr?k=n", r#"200 {"v":2}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d04_no_cookie_until_needed() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        let reads =
            ["/none", "/peek?k=k", "/has?k=k", "/len", "/keys", "/is-empty", "/typed", "/flash", "/stream", "/devices"];
        for target in reads {
            let response = browser.send(&format!("GET {target}")).await;
            // A list of devices is refused where there is none.
            let expected = if target == "/devices" && place.kept == Kept::Cookies { 500 } else { 200 };
            assert_eq!((response.status, response.cookies()), (expected, vec![]), "{place:?}: {target}");
        }
        assert_eq!(browser.expect("GET /me", ANONYMOUS).await.cookies(), [], "{place:?}");
        // What leaves nothing behind begins nothing either.
        assert_eq!(browser.expect("POST /del?k=k", OK).await.cookies(), [], "{place:?}");
        place.holds(&lab, 0).await;
        let stats = lab.stats().await;
        assert_eq!((&stats["create"], &stats["events"]["created"]), (&0.into(), &0.into()), "{place:?}");

        set_cookie(&browser.expect("POST /set?k=k&v=v", OK).await);
        place.holds(&lab, 1).await;
        assert_eq!(event(&lab, "created").await, 1, "{place:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d05_unmodified_request() {
    everywhere_without_revocations(|place| async move {
        // Whether the idle deadline moves with each request that reads, or is not due to.
        for (touch_ms, touches) in [("0", true), ("60000", false)] {
            let lab = place.with(&[("LAB_TOUCH_MS", touch_ms)]).start();
            let mut browser = Browser::new(&lab);
            browser.expect("POST /set?k=k&v=v", OK).await;
            let before = lab.stats().await;
            for line in ["GET /peek?k=k", "POST /set?k=k&v=v"] {
                let response = browser.expect(line, if line.starts_with("GET") { MINE } else { OK }).await;
                // In a cookie a deadline that moves is a new cookie.
                let set = usize::from(touches && place.kept == Kept::Cookies);
                assert_eq!(response.cookies().len(), set, "{place:?}: {line}");
                assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{place:?}: {line}");
            }
            let after = lab.stats().await;
            for verb in ["create", "update", "rename", "delete"] {
                assert_eq!(before[verb], after[verb], "{place:?}: {verb}");
            }
            let expected = if touches && place.kept != Kept::Cookies { 2 } else { 0 };
            assert_eq!(after["touch"], expected, "{place:?}, {touch_ms}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d06_cookie_flags() {
    everywhere(|place| async move {
        let plain = [
            ("LAB_COOKIE", "id"),
            ("LAB_SECURE", "0"),
            ("LAB_PERSISTENT", "1"),
            ("LAB_ABSOLUTE_MS", "86400000"),
            ("LAB_IDLE_MS", "86400000"),
        ];
        let lab = place.with(&plain).start();
        let cookie = Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await.cookie("id").unwrap();
        assert!(cookie.has("httponly") && !cookie.has("secure"), "{place:?}: {cookie:?}");
        let max_age: u64 = cookie.attribute("max-age").unwrap().parse().unwrap();
        assert!((86_398..=86_400).contains(&max_age), "{place:?}: {max_age}");
        tells(&lab, "insecure_over_plain_http").await;

        // Who is behind a proxy can't see how the browser came, so a secure cookie is sent and marked as one.
        let lab = place.start();
        let cookie = set_cookie(&Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await);
        assert!(cookie.has("secure") && cookie.has("httponly"), "{place:?}: {cookie:?}");
        assert_eq!((cookie.attribute("path"), cookie.attribute("samesite")), (Some("/"), Some("Lax")), "{place:?}");
        // What no browser would keep is refused at the start, with the reason.
        let output = refused(place.name, &place.with(&[("LAB_SECURE", "0")]).variables());
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && line.starts_with("LAB_COOKIE: "), "{place:?}: {line}");
        assert!(line.contains("Secure") || line.contains("HTTPS"), "{place:?}: {line}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d07_tampered_id() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let token = browser.cookie();
        let before = lab.stats().await;
        let places: Vec<_> = (0..token.len() - 2).step_by(9).chain([token.len() - 2, token.len() - 1]).collect();
        for place_in_it in &places {
            let mut thief = with_cookie(&lab, &turned(&token, *place_in_it));
            assert_eq!(thief.expect("GET /peek?k=k", NOTHING).await.cookies(), [], "{place:?}");
        }
        let after = lab.stats().await;
        for verb in ["load", "create", "update", "touch", "rename", "delete", "is_revoked"] {
            assert_eq!(before[verb], after[verb], "{place:?}: {verb}");
        }
        assert_eq!(after["events"]["forged"], places.len(), "{place:?}");
        for place_in_it in [3, token.len() / 2, token.len() - 2] {
            let forged = turned(&token, place_in_it);
            let mut thief = with_cookie(&lab, &forged);
            thief.expect("POST /set?k=k&v=thief", OK).await;
            assert!(![&token, &forged].contains(&&thief.cookie()), "{place:?}: not a new session");
            thief.expect("GET /peek?k=k", r#"200 {"user":null,"k":"thief"}"#).await;
        }
        browser.expect("GET /peek?k=k", MINE).await;
        place.holds(&lab, 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_restart() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let copied = copy(&browser);
        lab.signal("KILL");
        drop(lab);
        let lab = place.start();
        browser = at(&lab, &browser);
        if place.kept == Kept::Memory {
            let before = browser.cookie();
            assert_eq!(browser.expect("GET /peek?k=k", NOTHING).await.cookies(), [], "{place:?}");
            browser.expect("POST /set?k=k&v=v", OK).await;
            assert_ne!(browser.cookie(), before, "{place:?}");
        }
        browser.expect("GET /peek?k=k", MINE).await;

        // One that makes up a secret takes for nothing what was made under another, also by itself before a restart.
        let forgetful = place.without("LAB_SECRETS");
        let mut later = Browser::new(&forgetful.start());
        later.expect("POST /set?k=k&v=v", OK).await;
        let lab = forgetful.start();
        for browser in [&copied, &browser, &later] {
            at(&lab, browser).expect("GET /peek?k=k", NOTHING).await;
        }
        assert_eq!(event(&lab, "forged").await, 3, "{place:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_two_instances() {
    everywhere(|place| async move {
        let (here, there) = (place.start(), place.next().start());
        let mut browser = Browser::new(&here);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let shared = if place.kept == Kept::Memory { NOTHING } else { MINE };
        at(&there, &browser).expect("GET /peek?k=k", shared).await;

        let [here, there] = [place.clone(), place.next()].map(|place| place.without("LAB_SECRETS").start());
        let mut browser = Browser::new(&here);
        browser.expect("POST /set?k=k&v=v", OK).await;
        at(&there, &browser).expect("GET /peek?k=k", NOTHING).await;
        browser.expect("GET /peek?k=k", MINE).await;
        for lab in [here, there] {
            assert!(lab.log().contains("LAB_SECRETS is not set"), "{place:?}: {}", lab.log());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_sinatra_read_write() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("GET /peek?k=value", NOTHING).await;
        browser.expect("POST /set?k=value&v=foo", OK).await;
        // However the name is written, it is one key.
        for key in ["value", "%76alue", "%76%61%6c%75%65"] {
            browser.expect(&format!("GET /peek?k={key}"), r#"200 {"user":null,"k":"foo"}"#).await;
        }
        browser.expect("POST /set?k=%76alue&v=bar", OK).await;
        browser.expect("GET /keys", r#"200 {"v":["value"]}"#).await;
        browser.expect("GET /peek?k=value", r#"200 {"user":null,"k":"bar"}"#).await;
        browser.expect("GET /has?k=:value", r#"200 {"v":false}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_subdomains() {
    const NAME: &str = "__Secure-id";
    everywhere(|place| async move {
        let lab = place.with(&[("LAB_COOKIE", NAME), ("LAB_DOMAIN", ".foo.com")]).start();
        let mut cookie: Option<String> = None;
        for (host, line, answer) in [
            ("a.foo.com", "POST /incr?k=n", r#"{"v":1}"#),
            ("b.foo.com", "POST /incr?k=n", r#"{"v":2}"#),
            ("a.foo.com", "GET /peek?k=n", r#"{"user":null,"k":2}"#),
        ] {
            let mut head = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n");
            if let Some(cookie) = &cookie {
                head += &format!("cookie: {NAME}={cookie}\r\n");
            }
            let response = lab.client.raw(format!("{head}\r\n").as_bytes()).await.unwrap();
            assert_eq!((response.status, response.text().as_str()), (200, answer), "{place:?}: {host}");
            if let Some(set) = response.cookie(NAME) {
                let domain = set.attribute("domain").unwrap().trim_start_matches('.').to_owned();
                assert_eq!(domain, "foo.com", "{place:?}: a browser sends it to all of foo.com");
                cookie = Some(set.value);
            }
        }
        // The name that says "this host only" can't have a domain.
        let output = refused(place.name, &place.with(&[("LAB_DOMAIN", ".foo.com")]).variables());
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("LAB_DOMAIN: "), "{place:?}");
    })
    .await;
}

/// What is in a token, byte by byte, whatever its parts are.
fn decoded(token: &str) -> Vec<u8> {
    token.split('.').flat_map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect()
}

fn says(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn d18_viewing_the_session() {
    async fn no_change_counts(browser: &Browser) {
        let token = browser.cookie();
        for place in (0..token.len() - 1).step_by(11) {
            with_cookie(&browser.lab, &turned(&token, place)).expect("GET /peek?k=k", NOTHING).await;
        }
        copy(browser).expect("GET /peek?k=k", r#"200 {"user":null,"k":"mellon"}"#).await;
    }
    everywhere(|place| async move {
        let lab = place.start();
        let [mut browser, mut other] = [Browser::new(&lab), Browser::new(&lab)];
        browser.expect("POST /set?k=k&v=mellon", OK).await;
        other.expect("POST /set?k=k&v=mellon", OK).await;
        let [bytes, others] = [&browser, &other].map(|browser| decoded(&browser.cookie()));
        assert!(!says(&bytes, "mellon") && !says(browser.cookie().as_bytes(), "mellon"), "{place:?}");
        if place.kept != Kept::Cookies {
            // The kind, the key's name, an id of 256 bits, its authenticator.
            assert_eq!(bytes.len(), 1 + 4 + 32 + 32, "{place:?}");
            assert_ne!(bytes[5..37], others[5..37], "{place:?}");
        }
        no_change_counts(&browser).await;
    })
    .await;
    for (name, _) in LABS {
        let lab = Place::new(Kept::Cookies, name, "signed:").start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=mellon", OK).await;
        assert!(says(&decoded(&browser.cookie()), "mellon"), "{name}: everybody can read it");
        no_change_counts(&browser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d19_cookie_deleted_in_the_browser() {
    everywhere(|place| async move {
        let lab = place.with(&[("LAB_ABSOLUTE_MS", "4000")]).start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let mut old = copy(&browser);
        old.expect("GET /peek?k=k", MINE).await;
        browser.jar = Jar::default();
        assert_eq!(browser.expect("GET /peek?k=k", NOTHING).await.cookies(), [], "{place:?}");
        browser.expect("POST /set?k=k&v=new", OK).await;
        assert_ne!(browser.cookie(), old.cookie(), "{place:?}");
        place.holds(&lab, 2).await;
        old.expect("GET /peek?k=k", MINE).await;
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"new"}"#).await;
        // Nobody comes back for the old one: it ends by its deadline.
        pause(4_350).await;
        old.expect("GET /peek?k=k", NOTHING).await;
        place.holds(&lab, 0).await;
    })
    .await;
}

/// That another type doesn't compile is a test of the library; at a lab a value of another type comes from an older version.
#[tokio::test(flavor = "multi_thread")]
async fn d22_typed_data() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("GET /typed", r#"200 {"username":"example","visits":0}"#).await;
        browser.expect("POST /typed?username=Dark%20Vader", r#"200 {"username":"Dark Vader","visits":1}"#).await;
        browser.expect("GET /typed", r#"200 {"username":"Dark Vader","visits":1}"#).await;
        // A field that this version doesn't know, and one that is missing.
        browser.expect("POST /set?k=side&v=dark", OK).await;
        browser.expect("POST /del?k=visits", OK).await;
        browser.expect("GET /typed", r#"200 {"username":"Dark Vader","visits":0}"#).await;
        browser.expect("POST /typed?username=Luke", r#"200 {"username":"Luke","visits":1}"#).await;
        browser.expect("GET /peek?k=side", r#"200 {"user":null,"k":"dark"}"#).await;
        // One of another type is an error, and the session is as it was.
        browser.expect("POST /set?k=visits&v=many", OK).await;
        let refused = browser.send("GET /typed").await;
        assert_eq!((refused.status, refused.cookies().iter().any(|it| it.removes())), (500, false), "{place:?}");
        browser.expect("GET /peek?k=username", r#"200 {"user":null,"k":"Luke"}"#).await;
        browser.expect("GET /peek?k=visits", r#"200 {"user":null,"k":"many"}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d23_hooks() {
    async fn told(lab: &Lab) -> [u64; 2] {
        [event(lab, "created").await, event(lab, "destroyed").await]
    }
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("GET /peek?k=k", NOTHING).await;
        browser.send("POST /fail500?k=k&v=v").await;
        assert_eq!(told(&lab).await, [0, 0], "{place:?}");
        browser.expect("POST /set?k=k&v=v", OK).await;
        assert_eq!(told(&lab).await, [1, 0], "{place:?}");
        browser.expect("POST /incr?k=n", r#"200 {"v":1}"#).await;
        browser.expect("POST /renew", OK).await;
        browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
        assert_eq!(told(&lab).await, [1, 0], "{place:?}: a new id is no new session");
        let mut copied = copy(&browser);
        browser.expect("POST /logout", OK).await;
        assert_eq!(told(&lab).await, [1, 1], "{place:?}");
        // What is gone can't be ended again.
        browser.expect("POST /logout", OK).await;
        copied.expect("POST /logout", OK).await;
        assert_eq!(told(&lab).await, [1, 1], "{place:?}");
        browser.expect("POST /set?k=k&v=v", OK).await;
        browser.expect("POST /logout-then-set?k=k&v=other", OK).await;
        assert_eq!(told(&lab).await, [3, 2], "{place:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d28_handler_order() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        // The handler finds what was loaded, and what it wrote is there with its answer.
        browser.expect("POST /incr?k=n", r#"200 {"v":1}"#).await;
        assert_eq!(browser.send("GET /redirect?k=k&v=moved").await.status, 303, "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"moved"}"#).await;
        // Also with an answer that is an error of the visitor's; one of the server's leaves nothing half-done.
        assert_eq!(browser.send("POST /fail400?k=k&v=four").await.status, 400, "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"four"}"#).await;
        for line in ["POST /fail500?k=k&v=five", "POST /err?k=k&v=five"] {
            let response = browser.send(line).await;
            assert_eq!((response.status, response.cookies()), (500, vec![]), "{place:?}: {line}");
            browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"four"}"#).await;
        }
        // One that panics has no answer, or the framework's own.
        if let Ok(response) = browser.request("POST /panic?k=k&v=panic").send().await {
            assert_eq!((response.status, response.cookies()), (500, vec![]), "{place:?}");
        }
        assert_eq!(lab.stats().await["panics"], 1, "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"four"}"#).await;

        // A body that comes later: the head says it all, before the first chunk.
        let before = lab.stats().await;
        let response = browser.send("GET /stream").await;
        assert!(response.status == 200 && response.body.len() > 3, "{place:?}: {}", response.text());
        assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{place:?}");
        let (touched, cookies) = if place.kept == Kept::Cookies { (0, 1) } else { (1, 0) };
        assert_eq!(response.cookies().len(), cookies, "{place:?}");
        let after = lab.stats().await;
        assert_eq!(after["touch"].as_u64().unwrap() - before["touch"].as_u64().unwrap(), touched, "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"four"}"#).await;
        assert!(time_of_the_rest(&browser).await >= Duration::from_millis(150), "{place:?}: it came all at once");
    })
    .await;
}

/// How long after the first chunk of `/stream` the last one came: nobody holds a body back to close a session.
async fn time_of_the_rest(browser: &Browser) -> Duration {
    let mut stream = TcpStream::connect(browser.lab.client.address()).await.unwrap();
    let request = format!(
        "GET /stream HTTP/1.1\r\nhost: lab\r\nconnection: close\r\ncookie: {COOKIE}={}\r\n\r\n",
        browser.cookie()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut bytes, mut first) = (Vec::new(), None);
    while stream.read_buf(&mut bytes).await.unwrap() > 0 {
        if says(&bytes, "one\n") {
            first.get_or_insert_with(Instant::now);
        }
    }
    assert!(says(&bytes, "three\n"), "{}", String::from_utf8_lossy(&bytes));
    first.unwrap().elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn d32_only_an_id_in_the_cookie() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=key-mellon&v=v", OK).await;
        let first = browser.cookie();
        let response = browser.expect("POST /big?n=1500", OK).await;
        if place.kept == Kept::Cookies {
            // Everything is in it, and nobody can read it.
            let cookie = set_cookie(&response).value;
            assert!(cookie.len() > 2_000 && !says(&decoded(&cookie), "key-mellon"), "{place:?}");
            assert_eq!(lab.stats().await["create"], 0, "{place:?}");
        } else {
            assert_eq!((response.cookies(), browser.cookie()), (vec![], first), "{place:?}");
            assert_eq!(decoded(&browser.cookie()).len(), 69, "{place:?}");
            assert_eq!(lab.stats().await["create"], 1, "{place:?}");
        }
        browser.expect("GET /has?k=big", r#"200 {"v":true}"#).await;
        // What a process keeps ends with it.
        drop(lab);
        let lab = place.start();
        let there = place.kept != Kept::Memory;
        at(&lab, &browser).expect("GET /has?k=big", &format!(r#"200 {{"v":{there}}}"#)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d33_secret_from_the_environment() {
    everywhere(|place| async move {
        for short in ["8f1c", &SECRET[2..], &format!("{SECRET},{}", &SECRET[..62])] {
            let output = refused(place.name, &place.with(&[("LAB_SECRETS", short)]).variables());
            let line = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{place:?}");
            assert!(line.starts_with("LAB_SECRETS: ") && line.contains("32 bytes"), "{place:?}: {line}");
            assert!(!line.contains(&SECRET[2..62]) && line.lines().count() == 1, "{place:?}: {line}");
        }
        let lab = place.without("LAB_SECRETS").start();
        assert!(lab.log().contains("WARN") && lab.log().contains("LAB_SECRETS is not set"), "{place:?}: {}", lab.log());
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        browser.expect("GET /peek?k=k", MINE).await;
        // Who doesn't ask for one that is made up gets an error.
        let missing = session_core::KeyRing::from_env("SESSION_SECRET_OF_NOBODY").unwrap_err().to_string();
        assert!(missing.contains("SESSION_SECRET_OF_NOBODY is not set"), "{missing}");
        assert!(!place.start().log().contains("LAB_SECRETS"), "{place:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d38_caching() {
    everywhere(|place| async move {
        let lab = place.with(&[("LAB_TOUCH_MS", "60000")]).start();
        let mut browser = Browser::new(&lab);
        let mut head = async |line: &str| {
            let response = browser.send(line).await;
            let [vary, cache] = ["vary", "cache-control"].map(|name| response.header(name).unwrap_or_default());
            (vary, cache, response.cookie(COOKIE).is_some())
        };
        let is = |vary: &str, cache: &str, set: bool| (vary.to_owned(), cache.to_owned(), set);
        // Untouched: not a word.
        assert_eq!(head("GET /none").await, is("", "", false), "{place:?}");
        assert_eq!(head("GET /peek?k=k").await, is("Cookie", "", false), "{place:?}");
        assert_eq!(
            head("POST /public-write?k=k&v=v").await,
            is("Accept-Encoding, Cookie", "no-store", true),
            "{place:?}"
        );
        assert_eq!(head("GET /none").await, is("", "", false), "{place:?}");
        assert_eq!(head("POST /renew").await, is("Cookie", "no-store", true), "{place:?}");
        assert_eq!(head("GET /not-modified").await.0, "Cookie", "{place:?}");
        // The application's own word stays, as long as no cookie goes with it.
        let (vary, cache, set) = head("GET /public?k=k").await;
        assert_eq!((vary.as_str(), set), ("Accept-Encoding, Cookie", false), "{place:?}: {cache}");
        assert_eq!(head("POST /logout").await, is("Cookie", "no-store", true), "{place:?}");
    })
    .await;
}
