//! Stores that fail, handlers that panic, clients that leave.

use std::time::Duration;

use tokio::time::sleep;

use super::site::{Browser, Carrier, Lab, Site, eventually};
use crate::http::Started;
use crate::stores::Verb;

/// Longer than a store that is done before anybody can leave.
const SLOWLY: Duration = Duration::from_millis(100);

pub(super) async fn a_store_that_fails_to_load_is_an_outage_and_no_anonymous_visitor(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("login=ada").await;
    site.failing.fail(Verb::Load);
    for steps in ["subject", "set=a:1", "logout", "login=bob"] {
        let calls = site.store.total();
        let response = browser.visit(steps).await;
        assert_eq!(response.status, 503, "{steps}");
        assert!(!site.sets_cookie(&response), "{steps}");
        assert!(!response.text().contains("the test said so"), "the answer shows the failure");
        assert_eq!(site.store.total(), calls + 1, "the store is asked once in a request");
    }
    site.failing.recover();
    assert_eq!(browser.read("subject&get=a").await, "ada\n-");
}

pub(super) async fn optional_extraction_does_not_hide_an_outage(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("login=ada").await;
    site.failing.fail(Verb::Load);
    let response = browser.get("/optional").await;
    assert_eq!(response.status, 503, "the visitor was taken for somebody without a session");
    assert!(!site.sets_cookie(&response));
}

pub(super) async fn a_store_that_fails_to_write_is_an_outage_without_a_cookie(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    site.failing.fail(Verb::Create);
    let response = site.browser().visit("set=a:1").await;
    assert_eq!((response.status, site.sets_cookie(&response)), (503, false), "creating");
    site.failing.recover();
    for (verb, steps) in [
        (Verb::Update, "set=a:2"),
        (Verb::Rename, "login=bob"),
        (Verb::Rename, "renew&set=a:2"),
        (Verb::Delete, "logout"),
        (Verb::Delete, "logout&set=a:2"),
    ] {
        let mut browser = site.visitor("login=ada&set=a:1").await;
        site.failing.fail(verb);
        let response = browser.visit(&format!("{steps}&number=none")).await;
        assert_eq!((response.status, site.sets_cookie(&response)), (503, false), "{steps}");
        assert_ne!(response.text(), "0", "{steps}: the handler's answer would be a lie");
        site.failing.recover();
        assert_eq!(browser.read("subject&get=a").await, "ada\n1", "{steps}");
    }
    // With the old session's end the browser has lost something, and has to be told, even if the new one failed.
    let mut browser = site.visitor("login=ada").await;
    site.failing.fail(Verb::Create);
    let response = browser.visit("logout&set=a:2").await;
    assert_eq!((response.status, browser.holds_cookie()), (503, false), "logged out, then failed to create");
}

pub(super) async fn an_outage_is_nothing_to_requests_that_need_no_store(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("login=ada").await;
    site.failing.fail_all();
    assert_eq!(browser.get("/none").await.status, 200);
    assert_eq!(site.browser().read("subject").await, "-");
    assert_eq!(site.holder("forged").read("subject").await, "-");
}

pub(super) async fn a_panic_loses_the_changes(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1").await;
        for steps in ["set=a:2&panic", "login=ada&panic"] {
            panicked(&browser, steps).await;
            assert_eq!(browser.read("get=a&subject").await, "1\n-", "{carrier:?}: {steps}");
        }
        panicked(&site.browser(), "set=a:1&panic").await;
        if site.is_stored() {
            assert_eq!(site.store.total() - site.store.count(Verb::Load), 1, "a request that panicked wrote");
        }
    }
}

pub(super) async fn logout_survives_a_panic(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let browser = site.visitor("login=ada").await;
    site.slow.before_it(Verb::Delete, SLOWLY);
    let request = site.steps("logout&set=a:1&panic").jar(&browser.jar);
    let _ = request.send().await;
    is_over(&browser, "a logout of a handler that panicked is carried out").await;
}

/// A framework may answer a panic with 500 or by closing the connection.
async fn panicked(browser: &Browser, steps: &str) {
    let site = &browser.site;
    if let Ok(response) = site.steps(steps).jar(&browser.jar).send().await {
        assert!(response.status >= 500, "{steps} was answered with {}", response.status);
        assert!(!site.sets_cookie(&response), "{steps}");
    }
}

pub(super) async fn logout_survives_a_client_that_leaves(lab: &Lab<'_>) {
    for leave in [reset, close] {
        let site = lab.site(Carrier::Stored).await;
        let browser = site.visitor("login=ada").await;
        site.slow.before_it(Verb::Delete, SLOWLY);
        let started = start(&browser, "logout&sleep=200").await;
        site.asked_for(Verb::Load, 1).await;
        sleep(Duration::from_millis(50)).await;
        leave(started);
        is_over(&browser, "a logout whose client left is carried out").await;
    }
}

pub(super) async fn a_client_that_leaves_stops_no_write(lab: &Lab<'_>) {
    for leave in [reset, close] {
        for (verb, steps) in [(Verb::Update, "set=a:2"), (Verb::Rename, "login=bob"), (Verb::Delete, "logout")] {
            let site = lab.site(Carrier::Stored).await;
            let browser = site.visitor("login=ada&set=a:1").await;
            site.slow.before_it(verb, SLOWLY);
            let started = start(&browser, steps).await;
            site.asked_for(verb, 1).await;
            leave(started);
            let left = if verb == Verb::Update { "ada\n2" } else { "-\n-" };
            eventually(&format!("{steps} is done though its client left"), async || {
                browser.clone().read("subject&get=a").await == left
            })
            .await;
        }
    }
}

async fn start(browser: &Browser, steps: &str) -> Started {
    let request = browser.site.steps(steps).jar(&browser.jar);
    request.start().await.expect("the application takes connections")
}

fn reset(started: Started) {
    started.reset().expect("a connection can be reset");
}

fn close(started: Started) {
    started.close();
}

async fn is_over(browser: &Browser, what: &str) {
    let site: &Site = &browser.site;
    site.asked_for(Verb::Delete, 1).await;
    eventually(what, async || browser.clone().read("subject&get=a").await == "-\n-").await;
}
