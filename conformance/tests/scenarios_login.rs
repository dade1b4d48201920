//! Acceptance scenarios, continued: who is logged in, what a login does to the session before it, and what ends a session at
//! other browsers. What these scenarios are is said in `scenarios_basics.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod scenarios;

use common::{Browser, LABS, NEWER_SECRET, SECRET};
use scenarios::{
    ADA, ANONYMOUS, Kept, MINE, NOTHING, OK, Place, at, copy, event, everywhere, everywhere_without_revocations, json,
    logged_in, pause, tells, with_cookie,
};

#[tokio::test(flavor = "multi_thread")]
async fn d08_login_workflow() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        assert_eq!(browser.expect("GET /me", ANONYMOUS).await.cookies(), [], "{place:?}");
        place.holds(&lab, 0).await;
        browser.expect("POST /set?k=cart&v=tea", OK).await;
        let mut before = copy(&browser);

        // A login that the handler refuses: here for the lack of a name.
        assert_eq!(browser.send("POST /login").await.status, 400, "{place:?}");
        assert_eq!(Browser::new(&lab).send("POST /login").await.cookies(), [], "{place:?}");
        browser.expect("GET /me", ANONYMOUS).await;

        browser.expect("POST /login?u=ada", ADA).await;
        assert_ne!(browser.cookie(), before.cookie(), "{place:?}");
        before.expect("GET /peek?k=cart", NOTHING).await;
        browser.expect("GET /peek?k=cart", r#"200 {"user":"ada","k":"tea"}"#).await;
        place.holds(&lab, 1).await;

        // Who follows the redirect finds what was written before it.
        let moved = browser.send("GET /redirect?k=k&v=here").await;
        assert_eq!((moved.status, moved.header("location").as_deref()), (303, Some("/peek")), "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"here"}"#).await;
        browser.expect("GET /me", ADA).await;

        let mut copied = copy(&browser);
        let removed = browser.expect("POST /logout", OK).await.cookie(common::COOKIE).unwrap();
        assert!(removed.removes(), "{place:?}");
        place.holds(&lab, 0).await;
        copied.expect("GET /me", ANONYMOUS).await;
        browser.expect("GET /me", ANONYMOUS).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d09_fixation() {
    everywhere(|place| async move {
        let lab = place.start();
        // Ids that this lab doesn't know: of one with another secret, of a session that has ended, and what is none at all.
        let elsewhere = place.with(&[("LAB_SECRETS", NEWER_SECRET)]).start();
        let foreign = logged_in(&elsewhere, "mallory").await.cookie();
        let mut mallory = logged_in(&lab, "mallory").await;
        let ended = mallory.cookie();
        mallory.expect("POST /logout", OK).await;
        for planted in [foreign.as_str(), &ended, "mallorys-own-id"] {
            for line in ["POST /set?k=k&v=v", "POST /login?u=ada"] {
                let mut victim = with_cookie(&lab, planted);
                assert_eq!(victim.send(line).await.status, 200, "{place:?}: {line}");
                assert_ne!(victim.cookie(), planted, "{place:?}: {line}: adopted");
                with_cookie(&lab, planted).expect("GET /peek?k=k", NOTHING).await;
            }
        }
        // An id that it knows, because it is the attacker's own visit, is worth nothing after the login.
        let mut attacker = Browser::new(&lab);
        attacker.expect("POST /set?k=k&v=v", OK).await;
        let mut victim = copy(&attacker);
        victim.expect("POST /login?u=ada", ADA).await;
        attacker.expect("GET /me", ANONYMOUS).await;
        attacker.expect("POST /set?k=k&v=late", OK).await;
        attacker.expect("GET /me", ANONYMOUS).await;
        victim.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"v"}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_password_change() {
    everywhere(|place| async move {
        let lab = place.start();
        let [mut a, mut b] = [logged_in(&lab, "ada").await, logged_in(&lab, "ada").await];
        let mut bob = logged_in(&lab, "bob").await;
        a.expect("POST /set?k=k&v=kept", OK).await;
        let mut copied = copy(&b);
        a.expect("POST /password?u=ada", OK).await;
        b.expect("GET /me", ANONYMOUS).await;
        copied.expect("GET /me", ANONYMOUS).await;
        a.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"kept"}"#).await;
        bob.expect("GET /me", r#"200 {"user":"bob"}"#).await;
        logged_in(&lab, "ada").await.expect("GET /me", ADA).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_logout_everywhere_and_list_of_devices() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browsers = [logged_in(&lab, "ada").await, logged_in(&lab, "ada").await, logged_in(&lab, "ada").await];
        let mut bob = logged_in(&lab, "bob").await;
        if place.kept == Kept::Cookies {
            // Nobody has a list of them: this is said, and all of them can be ended all the same.
            assert_eq!(browsers[0].send("GET /devices").await.status, 500, "{place:?}");
            tells(&lab, "keep them in a store").await;
            browsers[0].expect("POST /logout-all?u=ada", r#"200 {"ended":null}"#).await;
        } else {
            let (now, listed) = (now(), devices(&mut browsers[0]).await);
            assert_eq!(listed.len(), 3, "{place:?}");
            for device in &listed {
                assert!((now - 60..=now + 60).contains(&device.created), "{place:?}: {}", device.created);
                assert!((device.created..=now + 60).contains(&device.seen), "{place:?}: {}", device.seen);
            }
            assert_eq!(listed.iter().filter(|device| device.current).count(), 1, "{place:?}");
            // One of the others, then all but the current one.
            let others: Vec<_> = listed.iter().filter(|device| !device.current).collect();
            let end = |handle: &str| format!("POST /devices/end?handle={handle}");
            bob.expect(&end(&others[0].handle), r#"200 {"ok":false}"#).await;
            browsers[0].expect(&end(&others[0].handle), OK).await;
            let mut alive = 0;
            for browser in &mut browsers {
                alive += usize::from(browser.send("GET /me").await.status == 200);
            }
            assert_eq!((alive, devices(&mut browsers[0]).await.len()), (2, 2), "{place:?}");
            browsers[0].expect(&end(&others[0].handle), r#"200 {"ok":false}"#).await;
            browsers[0].expect(&end(&others[1].handle), OK).await;
            browsers[0].expect("GET /me", ADA).await;
            browsers[1].expect("GET /me", ANONYMOUS).await;
            browsers[2].expect("GET /me", ANONYMOUS).await;
            logged_in(&lab, "ada").await;
            browsers[0].expect("POST /logout-all?u=ada", r#"200 {"ended":2}"#).await;
            place.holds(&lab, 1).await;
        }
        for browser in &mut browsers {
            browser.expect("GET /me", ANONYMOUS).await;
        }
        bob.expect("GET /me", r#"200 {"user":"bob"}"#).await;
    })
    .await;
}

struct Device {
    handle: String,
    created: u64,
    seen: u64,
    current: bool,
}

async fn devices(browser: &mut Browser) -> Vec<Device> {
    let response = browser.send("GET /devices").await;
    assert_eq!(response.status, 200, "{}", browser.lab.name);
    let list = json(&response)["v"].as_array().unwrap().clone();
    let device = |line: &serde_json::Value| Device {
        handle: line["handle"].as_str().unwrap().to_owned(),
        created: line["created"].as_u64().unwrap(),
        seen: line["seen"].as_u64().unwrap(),
        current: line["current"].as_bool().unwrap(),
    };
    list.iter().map(device).collect()
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_secret_rotation() {
    async fn rotate(place: Place) {
        // So that a request that reads sets the cookie for one reason only.
        let place = place.with(&[("LAB_TOUCH_MS", "60000")]);
        let mut browser = Browser::new(&place.start());
        browser.expect("POST /set?k=k&v=v", OK).await;
        let old = copy(&browser);

        let both = place.with(&[("LAB_SECRETS", &format!("{NEWER_SECRET},{SECRET}"))]).start();
        browser = at(&both, &browser);
        if place.kept == Kept::Memory {
            // It went with its process. The cookie is authentic nevertheless, and unknown is no error.
            assert_eq!(browser.expect("GET /peek?k=k", NOTHING).await.cookies(), [], "{place:?}");
            assert_eq!([event(&both, "forged").await, event(&both, "unknown").await], [0, 1], "{place:?}");
            browser.expect("POST /set?k=k&v=v", OK).await;
        }
        browser.expect("GET /peek?k=k", MINE).await;
        assert_ne!(browser.cookie(), old.cookie(), "{place:?}: not made anew");
        assert_eq!(browser.expect("GET /peek?k=k", MINE).await.cookies(), [], "{place:?}");

        let newer = place.with(&[("LAB_SECRETS", NEWER_SECRET)]).start();
        at(&newer, &old).expect("GET /peek?k=k", NOTHING).await;
        assert_eq!(event(&newer, "forged").await, 1, "{place:?}");
        at(&newer, &browser).expect("GET /peek?k=k", if place.kept == Kept::Memory { NOTHING } else { MINE }).await;
        assert_eq!(event(&newer, "forged").await, 1, "{place:?}");
        // The older one alone doesn't know what was made under the newer one.
        let older = place.start();
        at(&older, &browser).expect("GET /peek?k=k", NOTHING).await;
        assert_eq!(event(&older, "forged").await, 1, "{place:?}");
    }
    everywhere(rotate).await;
    common::at_once(LABS.map(|(name, _)| rotate(Place::new(Kept::Cookies, name, "signed:")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d30_limits_of_a_logout_with_sessions_in_cookies() {
    const WARNING: &str = "a copied cookie works until its deadline";
    everywhere_without_revocations(|place| async move {
        let copies_live = place.kept == Kept::Cookies;
        let lab = place.with(&[("LAB_ABSOLUTE_MS", "2500")]).start();
        assert_eq!(lab.log().contains(WARNING), copies_live, "{place:?}: {}", lab.log());
        let mut browser = logged_in(&lab, "ada").await;
        let mut copied = copy(&browser);
        browser.expect("POST /logout", OK).await;
        browser.expect("GET /me", ANONYMOUS).await;
        copied.expect("GET /me", if copies_live { ADA } else { ANONYMOUS }).await;
        // Its deadline is what ends it.
        pause(2_850).await;
        copied.expect("GET /me", ANONYMOUS).await;

        // Or the stamp of the credential, which the application compares: it needs no revocations.
        let lab = place.start();
        let mut browser = logged_in(&lab, "ada").await;
        let mut copied = copy(&browser);
        browser.expect("POST /password?u=ada", OK).await;
        copied.expect("GET /me", ANONYMOUS).await;
        browser.expect("GET /me", ADA).await;
    })
    .await;
    everywhere(|place| async move {
        let lab = place.start();
        assert!(!lab.log().contains(WARNING), "{place:?}: {}", lab.log());
        let mut browser = logged_in(&lab, "ada").await;
        let mut copied = copy(&browser);
        browser.expect("POST /logout", OK).await;
        copied.expect("GET /me", ANONYMOUS).await;
    })
    .await;
}
