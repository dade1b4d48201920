//! A session from its beginning to its end.

use std::time::Duration;

use session_core::{KeyRing, Secret};

use super::site::{Carrier, Lab};
use crate::stores::Verb;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn two_browsers_have_two_sessions(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let (mut one, mut other) = (site.visitor("set=a:1").await, site.visitor("set=a:2").await);
        assert_ne!(one.cookie(), other.cookie());
        one.visit("set=b:3").await;
        assert_eq!(one.read("get=a&get=b").await, "1\n3", "{carrier:?}");
        assert_eq!(other.read("get=a&get=b").await, "2\n-", "{carrier:?}");
        other.visit("logout").await;
        assert_eq!(one.read("get=a").await, "1", "{carrier:?}");
    }
}

pub(super) async fn login_gives_a_new_id_and_the_old_one_is_dead(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=cart:tea").await;
        for subject in ["ada", "ada"] {
            let mut before = browser.clone();
            browser.visit(&format!("login={subject}")).await;
            assert_ne!(browser.cookie(), before.cookie(), "{carrier:?}");
            assert_eq!(browser.read("subject&get=cart").await, "ada\ntea", "{carrier:?}: the data goes along");
            if site.is_stored() {
                let response = before.visit("subject&get=cart").await;
                assert_eq!(response.text(), "-\n-", "the old id still works");
                assert!(!site.sets_cookie(&response), "a late response would take the new cookie away");
            }
        }
        browser.visit("login=bob").await;
        assert_eq!(browser.read("subject&get=cart").await, "bob\n-", "{carrier:?}: the data was another subject's");
    }
}

pub(super) async fn renewing_keeps_the_data_under_a_new_id(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("login=ada&set=a:1").await;
        let mut before = browser.clone();
        browser.visit("renew&set=b:2").await;
        assert_ne!(browser.cookie(), before.cookie(), "{carrier:?}");
        assert_eq!(browser.read("subject&get=a&get=b").await, "ada\n1\n2", "{carrier:?}");
        if site.is_stored() {
            assert_eq!(before.read("subject&get=a").await, "-\n-", "the old id still works");
        }
    }
}

pub(super) async fn logout_takes_the_cookie_away_and_ends_the_session(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("login=ada&set=a:1").await;
        let mut before = browser.clone();
        let response = browser.visit("logout&subject&get=a").await;
        assert_eq!((response.status, response.text().as_str()), (200, "-\n-"), "{carrier:?}");
        assert_eq!(response.cookies().len(), 1, "{carrier:?}");
        assert!(!browser.holds_cookie(), "{carrier:?}: the browser still has its cookie");
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(browser.read("subject&get=a").await, "-\n-", "{carrier:?}");
        if site.is_stored() {
            assert_eq!(before.read("subject&get=a").await, "-\n-", "the old id still works");
            assert_eq!(site.store.count(Verb::Delete), 1);
        }
    }
}

pub(super) async fn what_is_written_after_logout_goes_into_a_new_session(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("login=ada&set=a:1").await;
        let mut before = browser.clone();
        let response = browser.visit("logout&set=b:2").await;
        assert_eq!(response.cookies().len(), 1, "{carrier:?}: one line for one cookie");
        assert_ne!(browser.cookie(), before.cookie(), "{carrier:?}");
        assert_eq!(browser.read("subject&get=a&get=b").await, "-\n-\n2", "{carrier:?}");
        if site.is_stored() {
            assert_eq!(before.read("subject&get=a&get=b").await, "-\n-\n-", "the old id still works");
        }
    }
}

pub(super) async fn a_failed_request_leaves_no_change(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1").await;
        for (steps, status) in [("set=a:2&status=500", 500), ("login=ada&status=503", 503), ("renew&status=599", 599)] {
            let response = browser.visit(steps).await;
            assert_eq!(response.status, status);
            assert!(!site.sets_cookie(&response), "{carrier:?}: {steps}");
        }
        assert_eq!(browser.read("get=a&subject").await, "1\n-", "{carrier:?}");
        let response = site.browser().visit("set=a:1&status=500").await;
        assert!(!site.sets_cookie(&response), "{carrier:?}");
        if site.is_stored() {
            assert_eq!(site.store.total() - site.store.count(Verb::Load), 1, "a failed request wrote");
        }
    }
}

pub(super) async fn a_refused_request_keeps_its_changes(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1").await;
        for status in [400, 401, 404, 409, 499] {
            let response = browser.visit(&format!("set=a:{status}&status={status}")).await;
            assert_eq!(response.status, status);
            assert_eq!(browser.read("get=a").await, status.to_string(), "{carrier:?}");
        }
    }
}

pub(super) async fn a_failed_request_still_logs_out(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("login=ada").await;
        let mut before = browser.clone();
        let response = browser.visit("logout&set=a:1&status=500").await;
        assert_eq!(response.status, 500);
        assert!(!browser.holds_cookie(), "{carrier:?}: the browser still has its cookie");
        assert_eq!(browser.read("subject&get=a").await, "-\n-", "{carrier:?}");
        if site.is_stored() {
            assert_eq!(before.read("subject").await, "-", "the old id still works");
        }
    }
}

pub(super) async fn an_error_of_the_session_is_the_answer(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:one").await;
        let response = browser.visit("set=b:2&number=a").await;
        assert_eq!(response.status, 500, "{carrier:?}: a value of the wrong type is an error of the program");
        assert!(!response.text().contains("one"), "{carrier:?}: the answer shows the value");
        assert!(!site.sets_cookie(&response));
        assert_eq!(browser.read("get=a&get=b").await, "one\n-", "{carrier:?}");
    }
}

pub(super) async fn a_session_that_is_too_large_is_refused_and_the_old_one_stays(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1").await;
        let most = if site.is_stored() { 65_536 } else { 4_096 };
        let response = browser.visit(&format!("set=a:2&big={most}")).await;
        assert_eq!(response.status, 500, "{carrier:?}");
        assert!(!site.sets_cookie(&response), "{carrier:?}");
        assert_eq!(browser.read("get=a").await, "1", "{carrier:?}");
        browser.visit(&format!("big={}", most / 2)).await;
        assert_eq!(browser.read("get=big").await.len(), most / 2, "{carrier:?}");
    }
}

pub(super) async fn a_session_ends_when_nobody_uses_it(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site_with(carrier, |manager| manager.idle(10 * MINUTE)).await;
        let mut browser = site.visitor("set=a:1").await;
        site.clock.advance(10 * MINUTE - Duration::from_millis(1));
        assert_eq!(browser.clone().read("get=a").await, "1", "{carrier:?}");
        let mut unused = site.visitor("set=a:1").await;
        site.clock.advance(10 * MINUTE);
        for browser in [&mut unused, &mut browser] {
            let response = browser.visit("get=a").await;
            assert_eq!((response.status, response.text().as_str()), (200, "-"), "{carrier:?}");
            assert!(!site.sets_cookie(&response), "{carrier:?}: no removal, it could hit a newer cookie");
        }
    }
}

pub(super) async fn a_session_in_use_lives_until_its_lifetime(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site_with(carrier, |manager| manager.idle(10 * MINUTE).lifetime(30 * MINUTE)).await;
        let mut browser = site.visitor("set=a:1").await;
        for _ in 0..3 {
            site.clock.advance(9 * MINUTE);
            assert_eq!(browser.read("get=a").await, "1", "{carrier:?}");
        }
        site.clock.advance(3 * MINUTE);
        assert_eq!(browser.read("get=a").await, "-", "{carrier:?}");
    }
}

pub(super) async fn reading_moves_the_idle_deadline_only_now_and_then(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site_with(carrier, |manager| manager.idle(10 * MINUTE).touch_every(MINUTE)).await;
        let mut browser = site.visitor("set=a:1").await;
        for (pause, moves) in [(Duration::from_secs(59), false), (Duration::from_secs(1), true), (MINUTE / 2, false)] {
            let touches = site.store.count(Verb::Touch);
            site.clock.advance(pause);
            let response = browser.visit("get=a").await;
            if site.is_stored() {
                assert_eq!(site.store.count(Verb::Touch) - touches, usize::from(moves));
            }
            assert_eq!(site.sets_cookie(&response), moves && !site.is_stored(), "{carrier:?}");
        }
    }
}

pub(super) async fn a_cookie_under_a_retired_secret_is_taken_and_issued_anew(lab: &Lab<'_>) {
    let secret = Secret::random().expect("the system has randomness");
    for carrier in Carrier::ALL {
        let old = lab.site(carrier).await;
        let both = lab.again(&old, KeyRing::new(secret.clone()).retired(lab.secret.clone()), |manager| manager).await;
        let new = lab.again(&old, KeyRing::new(secret.clone()), |manager| manager).await;
        let visitor = old.visitor("login=ada&set=a:1").await;
        assert_eq!(visitor.at(&new).read("get=a").await, "-", "{carrier:?}: an unknown secret was taken");
        let mut browser = visitor.at(&both);
        let response = browser.visit("subject&get=a").await;
        assert_eq!(response.text(), "ada\n1", "{carrier:?}");
        assert!(both.sets_cookie(&response), "{carrier:?}: the cookie stays under the retired secret");
        assert_eq!(browser.at(&new).read("subject&get=a").await, "ada\n1", "{carrier:?}");
        assert!(!both.sets_cookie(&browser.visit("get=a").await), "{carrier:?}: once is enough");
    }
}

pub(super) async fn optional_extraction_gives_the_session(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        for mut browser in [site.browser(), site.visitor("set=a:1").await] {
            let response = browser.get("/optional").await;
            assert_eq!((response.status, response.text().as_str()), (200, "a session"), "{carrier:?}");
            assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{carrier:?}");
        }
    }
}
