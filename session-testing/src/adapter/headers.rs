//! What a response says, and what it costs to say it.

use session_core::SessionManagerBuilder;

use super::site::{Browser, Carrier, Lab, Site};
use crate::http::Response;
use crate::stores::Verb;

pub(super) async fn an_untouched_session_costs_nothing(lab: &Lab<'_>) {
    costs_nothing(lab, "/none", 200).await;
}

pub(super) async fn a_path_without_a_route_costs_nothing(lab: &Lab<'_>) {
    costs_nothing(lab, "/missing", 404).await;
}

async fn costs_nothing(lab: &Lab<'_>, path: &str, status: u16) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let (mut holder, calls) = (site.visitor("set=a:1").await, site.store.total());
        for browser in [&mut holder, &mut site.browser()] {
            let response = browser.get(path).await;
            assert_eq!(response.status, status);
            for name in ["vary", "set-cookie", "cache-control"] {
                assert_eq!(response.header(name), None, "{carrier:?}: {name}");
            }
        }
        assert_eq!(site.store.total(), calls, "the store was asked");
        assert_eq!(holder.read("get=a").await, "1");
    }
}

pub(super) async fn reading_without_a_session_says_vary_and_stores_nothing(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        for steps in ["get=a&subject", "", "renew", "logout"] {
            let response = site.browser().visit(steps).await;
            assert_eq!(response.status, 200);
            assert!(!site.sets_cookie(&response), "{carrier:?}: {steps} set a cookie");
            assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{carrier:?}: {steps}");
            assert_eq!(response.header("cache-control"), None, "{carrier:?}: {steps}");
        }
        assert_eq!(site.store.total(), 0, "the store was asked");
    }
}

pub(super) async fn the_first_write_sets_one_cookie_with_its_attributes(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let response = site.browser().visit("set=a:1").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.all("set-cookie").len(), 1, "{carrier:?}");
        let cookie = response.cookie("__Host-id").expect("the cookie has the name that it has by default");
        assert!(cookie.value.len() >= 43, "an id of 256 bits takes 43 characters");
        let mut attributes = cookie.attributes;
        attributes.sort();
        let said = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let flag = |name: &str| (name.to_owned(), None);
        assert_eq!(attributes, [flag("httponly"), said("path", "/"), said("samesite", "Lax"), flag("secure")]);
        assert_eq!(response.header("cache-control").as_deref(), Some("no-store"), "{carrier:?}");
        assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{carrier:?}");
        if site.is_stored() {
            assert_eq!((site.store.count(Verb::Create), site.store.total()), (1, 1));
        }
    }
}

pub(super) async fn the_next_request_sees_what_was_written_and_sets_no_cookie(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=town:Oslo&add=n").await;
        let response = browser.visit("get=town&number=n&get=other").await;
        assert_eq!(response.text(), "Oslo\n1\n-", "{carrier:?}");
        assert!(!site.sets_cookie(&response), "{carrier:?}: reading set a cookie");
        assert_eq!(response.header("vary").as_deref(), Some("Cookie"));
        assert_eq!(response.header("cache-control"), None);
        let calls = site.store.total();
        let response = browser.visit("add=n").await;
        assert_eq!(response.text(), "2", "{carrier:?}");
        if site.is_stored() {
            assert_eq!(calls, 2, "one create, one load");
            assert!(!site.sets_cookie(&response), "the id stayed, and so should the cookie");
        }
        assert_eq!(browser.read("number=n").await, "2", "{carrier:?}");
    }
}

pub(super) async fn writing_what_is_there_writes_nothing(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1").await;
        let calls = site.store.total();
        let response = browser.visit("set=a:1&set=b:2&set=a:1").await;
        let moved = site.sets_cookie(&response);
        assert_eq!(moved, !site.is_stored(), "{carrier:?}: a new value moves a session that is in its cookie");
        let response = browser.visit("set=a:2&set=b:2&set=a:1").await;
        assert!(!site.sets_cookie(&response), "{carrier:?}");
        if site.is_stored() {
            assert_eq!((site.store.count(Verb::Update), site.store.total()), (1, calls + 3));
        }
    }
}

pub(super) async fn a_request_costs_one_read_and_one_write_at_most(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut browser = site.visitor("set=a:1").await;
    browser.visit("get=a&set=a:2&renew&login=ada&set=b:3&login=ada&get=b").await;
    assert_eq!((site.store.count(Verb::Load), site.store.count(Verb::Rename), site.store.total()), (1, 1, 3));
}

pub(super) async fn the_cookie_is_set_and_removed_as_configured(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab
            .site_with(carrier, |manager| {
                manager
                    .cookie_name("__Secure-shop")
                    .path("/session")
                    .domain("shop.example")
                    .same_site(session_core::SameSite::Strict)
                    .persistent()
            })
            .await;
        let mut browser = site.browser();
        let set = browser.visit("set=a:1").await.cookie("__Secure-shop").expect("the cookie has its configured name");
        let removed = browser.visit("logout").await.cookie("__Secure-shop").expect("logout says so to the browser");
        let life = set.attribute("max-age").and_then(|seconds| seconds.parse::<u64>().ok());
        assert_eq!(life, Some(12 * 60 * 60), "{carrier:?}: a persistent cookie lives as long as the session");
        for cookie in [&set, &removed] {
            assert_eq!(cookie.attribute("path"), Some("/session"));
            assert_eq!(cookie.attribute("domain").map(|domain| domain.trim_start_matches('.')), Some("shop.example"));
            assert_eq!(cookie.attribute("samesite"), Some("Strict"));
            assert!(cookie.has("secure") && cookie.has("httponly"));
        }
        assert!(removed.removes() && removed.value.is_empty() && !browser.holds_cookie());
        assert_eq!(removed.attribute("max-age"), Some("0"));
        assert_eq!(removed.attribute("expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), "for clients without Max-Age");
    }
}

pub(super) async fn what_was_saved_in_the_handler_has_its_cookie(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.visitor("set=a:1&save").await;
        assert_eq!(browser.read("get=a").await, "1", "{carrier:?}");
        let response = browser.visit("login=ada&save&set=a:2&save&get=a").await;
        assert_eq!(response.cookies().len(), 1, "{carrier:?}");
        assert_eq!(browser.read("get=a&subject").await, "2\nada", "{carrier:?}");
    }
}

pub(super) async fn cookies_of_the_application_stay_in_order(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let mut browser = site.browser();
        let own = "header=set-cookie:a=1&header=set-cookie:b=2;Path=/x&header=set-cookie:a=3";
        for (steps, ours) in
            [("", false), ("&set=a:1", true), ("&get=a", false), ("&login=ada", true), ("&logout", true)]
        {
            let response = browser.visit(&format!("{own}{steps}")).await;
            let lines = response.all("set-cookie");
            let others: Vec<_> = lines.iter().filter(|line| !line.starts_with("__Host-id=")).collect();
            assert_eq!(others, ["a=1", "b=2;Path=/x", "a=3"], "{carrier:?}: {steps}");
            assert_eq!(lines.len(), 3 + usize::from(ours), "{carrier:?}: {steps}");
        }
    }
}

pub(super) async fn a_vary_of_the_application_stays(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        for steps in ["get=a", "set=a:1"] {
            for (own, all) in
                [("accept-encoding", "accept-encoding, Cookie"), ("accept,COOKIE", "accept,COOKIE"), ("*", "*")]
            {
                let response = site.browser().visit(&format!("header=vary:{own}&{steps}")).await;
                assert_eq!(response.header("vary").as_deref(), Some(all), "{carrier:?}: {steps}");
            }
        }
    }
}

pub(super) async fn a_response_that_sets_the_cookie_is_not_public(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        for (own, set) in
            [("public,max-age=60", "no-store"), ("private", "no-store"), ("no-store,max-age=0", "no-store,max-age=0")]
        {
            let cache_control = |response: Response| response.header("cache-control");
            let set_cookie = format!("header=cache-control:{own}&set=a:1");
            assert_eq!(cache_control(site.browser().visit(&set_cookie).await).as_deref(), Some(set), "{carrier:?}");
            let only_read = format!("header=cache-control:{own}&get=a");
            assert_eq!(cache_control(site.browser().visit(&only_read).await).as_deref(), Some(own), "{carrier:?}");
        }
    }
}

pub(super) async fn a_redirect_and_an_empty_response_carry_the_cookie(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        for (status, steps) in [(303, "&header=location:/none"), (204, ""), (304, ""), (404, "")] {
            let mut browser = site.browser();
            let response = browser.visit(&format!("set=a:{status}&status={status}{steps}")).await;
            assert_eq!(response.status, status);
            keeps(&site, &response, "no-store");
            assert_eq!(browser.read("get=a").await, status.to_string(), "{carrier:?}");
        }
    }
}

fn keeps(site: &Site, response: &Response, cache_control: &str) {
    assert!(site.sets_cookie(response), "{:?}: {} without the cookie", site.carrier, response.status);
    assert_eq!(response.header("cache-control").as_deref(), Some(cache_control));
}

pub(super) async fn a_session_in_several_cookies_comes_and_goes_with_all_of_them(lab: &Lab<'_>) {
    const OURS: [&str; 3] = ["__Host-id", "__Host-id-1", "__Host-id-2"];
    for carrier in [Carrier::Sealed, Carrier::Signed] {
        let site = lab.site_with(carrier, SessionManagerBuilder::chunked).await;
        let mut browser = site.browser();
        let kept = |browser: &Browser| OURS.map(|name| browser.jar.get(name).is_some());
        for (steps, size, cookies) in [
            ("login=ada&big=8000", 8_000, [true, true, true]),
            ("big=5000", 5_000, [true, true, false]),
            ("big=8000", 8_000, [true, true, true]),
            ("big=10", 10, [true, false, false]),
            ("big=8000", 8_000, [true, true, true]),
        ] {
            let response = browser.visit(&format!("header=set-cookie:own=1&{steps}")).await;
            assert_eq!((response.status, kept(&browser)), (200, cookies), "{carrier:?}: {steps}");
            assert_eq!(response.all("set-cookie")[0], "own=1", "{carrier:?}: {steps}");
            assert_eq!(browser.read("subject&get=big").await.len(), "ada\n".len() + size, "{carrier:?}: {steps}");
        }
        let mut short = browser.clone();
        short.jar.remove(OURS[1]);
        assert_eq!(short.read("subject").await, "-", "{carrier:?}: a part is missing");
        browser.visit("logout").await;
        assert_eq!(kept(&browser), [false; 3], "{carrier:?}: what is left after a logout");
    }
}
