//! Requests of one browser that meet.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::site::{Browser, Carrier, Lab};
use crate::http::Response;
use crate::stores::Verb;

/// A request at the same time as others; its cookies don't reach the browser.
fn meanwhile(browser: &Browser, steps: &str) -> JoinHandle<Response> {
    let request = browser.site.steps(steps).jar(&browser.jar);
    tokio::spawn(async move { request.send().await.expect("the application answers") })
}

async fn answer(request: JoinHandle<Response>) -> Response {
    request.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

pub(super) async fn increments_of_two_clients_are_all_counted(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let browser = site.visitor("set=a:1").await;
    site.slow.before_it(Verb::Update, Duration::from_millis(1));
    let clients = [(); 2].map(|()| {
        let mut browser = browser.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                browser.read("add=n").await;
            }
        })
    });
    for client in clients {
        client.await.unwrap_or_else(|error| resume_unwind(error.into_panic()));
    }
    assert_eq!(browser.clone().read("number=n").await, "200");
}

pub(super) async fn requests_that_write_different_keys_all_survive(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("set=a:1").await;
    let requests: Vec<_> = (0..50).map(|n| meanwhile(&browser, &format!("set=k{n}:{n}"))).collect();
    for request in requests {
        assert_eq!(answer(request).await.status, 200);
    }
    let keys: Vec<_> = (0..50).map(|n| format!("get=k{n}")).collect();
    let values: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(browser.read(&keys.join("&")).await, values.join("\n"));
}

pub(super) async fn a_slow_request_undoes_nothing_of_a_fast_one(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("set=a:1&set=b:1&set=c:1").await;
    let slow = meanwhile(&browser, "add=n&set=a:2&sleep=100");
    site.asked_for(Verb::Load, 1).await;
    browser.read("add=n&set=b:2").await;
    assert_eq!(answer(slow).await.status, 200);
    assert_eq!(browser.read("number=n&get=a&get=b&get=c").await, "2\n2\n2\n1");
}

pub(super) async fn a_logout_during_slow_writes_is_final(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    for verb in [Verb::Update, Verb::Rename, Verb::Delete] {
        site.slow.before_it(verb, Duration::from_millis(1));
        site.slow.after_it(verb, Duration::from_millis(1));
    }
    for round in 0..100 {
        let mut browser = site.visitor("login=ada&set=a:1").await;
        let before = browser.clone();
        let late = ["set=a:2&sleep=2&add=n", "sleep=2&renew&set=a:2", "set=a:2&save&sleep=2&set=a:3&save"][round % 3];
        let late = meanwhile(&browser, late);
        sleep(Duration::from_micros(100 * (round as u64 % 67))).await;
        let logout = browser.visit("logout").await;
        assert_eq!(logout.status, 200);
        let late = answer(late).await;
        assert!(late.status == 200 || late.status == 409, "a late write was answered with {}", late.status);
        assert_eq!(
            before.clone().read("subject&get=a").await,
            "-\n-",
            "round {round}: a session is alive after logout"
        );
        // A logout that came after the renewal found no session under its id, so it had none to end.
        let ended = logout.cookie(&site.name).is_some();
        if let Some(cookie) = late.cookie(&site.name).filter(|_| ended) {
            let alive = site.holder(&cookie.value).read("subject").await;
            assert_eq!(alive, "-", "round {round}: a late write brought the session back");
        }
    }
}

pub(super) async fn a_login_during_writes_leaves_the_old_id_dead(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    site.slow.before_it(Verb::Update, Duration::from_millis(1));
    site.slow.before_it(Verb::Rename, Duration::from_millis(1));
    for round in 0..50 {
        let mut browser = site.visitor("set=a:1").await;
        let before = browser.clone();
        let writes = [meanwhile(&browser, "add=n"), meanwhile(&browser, "set=b:2&sleep=2")];
        sleep(Duration::from_micros(100 * (round % 31))).await;
        assert_eq!(browser.visit("login=ada").await.status, 200);
        for write in writes {
            answer(write).await;
        }
        assert_eq!(before.clone().read("subject&get=a").await, "-\n-", "round {round}: the old id is alive");
        assert_eq!(browser.read("subject&get=a").await, "ada\n1", "round {round}: the new one isn't");
    }
}
