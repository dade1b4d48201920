//! What an adapter keeps away from its application: requests from other sites, and sessions in other browsers.

use std::sync::{Arc, Mutex};

use session_core::{Event, Happening, Observer, SessionManagerBuilder, UserAgentBinding};

use super::site::{Browser, Carrier, Lab, Site};
use crate::http::{Request, Response};

/// Whom the application trusts.
const TRUSTED: &str = "https://pay.example";

fn refusing(manager: SessionManagerBuilder) -> SessionManagerBuilder {
    manager.refuse_cross_origin().trust_origin(TRUSTED)
}

fn with(request: Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// A `POST` of these steps with these headers.
async fn post(browser: &mut Browser, steps: &str, headers: &[(&str, &str)]) -> Response {
    let request = with(browser.site.client.post(&format!("/session?{steps}")), headers);
    browser.send(request).await
}

pub(super) async fn a_request_from_another_site_reaches_no_handler_and_no_store(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site_with(carrier, refusing).await;
        let mut browser = site.visitor("set=a:1").await;
        let calls = site.store.total();
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("referer", "https://evil.example/page")],
        ] {
            let response = post(&mut browser, "set=a:2&logout", headers).await;
            assert_eq!(response.status, 403, "{carrier:?}: {headers:?}");
            assert!(!site.sets_cookie(&response), "{carrier:?}: {headers:?}");
            assert_eq!(response.header("vary").as_deref(), Some("Sec-Fetch-Site, Origin"), "{carrier:?}: {headers:?}");
        }
        for method in ["PUT", "DELETE"] {
            let request = site.client.request(method, "/session?set=a:2").header("sec-fetch-site", "cross-site");
            assert_eq!(browser.send(request).await.status, 403, "{carrier:?}: {method}");
        }
        let request = site.client.post("/missing").header("sec-fetch-site", "cross-site");
        assert_eq!(browser.send(request).await.status, 403, "{carrier:?}: a path without a route");
        assert_eq!(site.store.total(), calls, "the store was asked");
        assert_eq!(browser.read("get=a").await, "1", "{carrier:?}");
    }
}

pub(super) async fn a_request_from_here_or_from_whom_we_trust_passes(lab: &Lab<'_>) {
    let site = lab.site_with(Carrier::Stored, refusing).await;
    let mut browser = site.browser();
    let address = site.client.address();
    let (here, page) = (format!("http://{address}"), format!("http://{address}/page?https://evil.example"));
    for (count, headers) in (1..).zip([
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", TRUSTED)],
        &[("origin", TRUSTED)],
        &[("origin", &here)],
        &[("referer", &page)],
    ]) {
        let response = post(&mut browser, "add=n", headers).await;
        assert_eq!((response.status, response.text()), (200, count.to_string()), "{headers:?}");
        assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{headers:?}");
    }
}

pub(super) async fn reading_and_applications_that_want_no_refusal_are_left_alone(lab: &Lab<'_>) {
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let site = lab.site_with(Carrier::Stored, refusing).await;
    let response = site.browser().send(with(site.steps("get=a"), &foreign)).await;
    assert_eq!((response.status, response.header("vary").as_deref()), (200, Some("Cookie")));
    let response = site.browser().send(with(site.client.get("/none"), &foreign)).await;
    assert_eq!((response.status, response.header("vary")), (200, None));
    let site = lab.site(Carrier::Stored).await;
    assert_eq!(post(&mut site.browser(), "set=a:1", &foreign).await.status, 200, "nobody asked for refusals");
}

/// Counts the events that tell of another browser.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Observer for Seen {
    fn observe(&self, happening: &Happening<'_>) {
        self.0.lock().expect("nobody panics here").push(happening.event());
    }
}

impl Seen {
    fn mismatches(&self) -> usize {
        let events = self.0.lock().expect("nobody panics here");
        events.iter().filter(|event| **event == Event::BindingMismatch).count()
    }
}

/// These steps in the browser of this name.
async fn visit(browser: &mut Browser, agent: &str, steps: &str) -> Response {
    let request = browser.site.steps(steps).header("user-agent", agent);
    browser.send(request).await
}

pub(super) async fn a_session_in_another_browser_is_told_and_where_asked_for_refused(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        for (binding, stolen) in [(UserAgentBinding::Observe, "ada"), (UserAgentBinding::Reject, "-")] {
            let seen = Seen::default();
            let site = lab.site_with(carrier, |manager| manager.bind_user_agent(binding).observer(seen.clone())).await;
            let mut browser = site.browser();
            visit(&mut browser, "Firefox", "login=ada").await;
            assert_eq!(visit(&mut browser, "Firefox", "subject").await.text(), "ada", "{carrier:?}: {binding:?}");
            assert_eq!(seen.mismatches(), 0, "{carrier:?}: {binding:?}");
            let mut thief = browser.clone();
            for agent in ["Chrome", ""] {
                let response = visit(&mut thief, agent, "subject").await;
                assert_eq!((response.status, response.text().as_str()), (200, stolen), "{carrier:?}: {binding:?}");
                assert!(!site.sets_cookie(&response), "{carrier:?}: {binding:?}: the cookie is its owner's");
            }
            assert_eq!(thief.read("subject").await, stolen, "{carrier:?}: {binding:?}: without the header");
            assert_eq!(seen.mismatches(), 3, "{carrier:?}: {binding:?}");
            assert_eq!(visit(&mut browser, "Firefox", "subject").await.text(), "ada", "{carrier:?}: {binding:?}");
            assert_eq!(seen.mismatches(), 3, "{carrier:?}: {binding:?}");
        }
    }
}

pub(super) async fn a_session_is_bound_by_its_beginning_and_by_logins_only(lab: &Lab<'_>) {
    let reject = |manager: SessionManagerBuilder| manager.bind_user_agent(UserAgentBinding::Reject);
    for carrier in Carrier::ALL {
        let before = lab.site(carrier).await;
        let mut early = before.browser();
        visit(&mut early, "Firefox", "set=a:1").await;
        let site: Site = lab.again(&before, session_core::KeyRing::new(lab.secret.clone()), reject).await;
        let mut early = early.at(&site);
        for agent in ["Chrome", "Firefox"] {
            let response = visit(&mut early, agent, "get=a&set=b:1&renew").await;
            assert_eq!(response.text(), "1", "{carrier:?}: it is from before, and nobody adopts it");
        }
        visit(&mut early, "Firefox", "login=ada").await;
        assert_eq!(visit(&mut early.clone(), "Chrome", "subject").await.text(), "-", "{carrier:?}: bound by its login");
        assert_eq!(visit(&mut early, "Firefox", "subject&get=a").await.text(), "ada\n1", "{carrier:?}");

        let mut guest = site.browser();
        let response = visit(&mut guest, "Firefox", "get=a&renew").await;
        assert!(!site.sets_cookie(&response), "{carrier:?}: reading begins no session");
        visit(&mut guest, "Firefox", "set=a:1").await;
        assert_eq!(
            visit(&mut guest.clone(), "Chrome", "get=a").await.text(),
            "-",
            "{carrier:?}: bound by its beginning"
        );
        visit(&mut guest, "Firefox", "renew").await;
        assert_eq!(visit(&mut guest.clone(), "Chrome", "get=a").await.text(), "-", "{carrier:?}: and after a renewal");
        assert_eq!(visit(&mut guest, "Firefox", "get=a").await.text(), "1", "{carrier:?}");
        visit(&mut guest, "Firefox", "logout&set=a:2").await;
        assert_eq!(visit(&mut guest.clone(), "Chrome", "get=a").await.text(), "-", "{carrier:?}: and after a logout");
        assert_eq!(visit(&mut guest, "Firefox", "get=a").await.text(), "2", "{carrier:?}");
    }
}
