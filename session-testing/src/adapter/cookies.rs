//! Cookies as they come: forged, doubled, cut, in several lines, with any bytes.

use super::site::{Carrier, Lab, Site};
use crate::http::Request;

/// The answer to "who am I", asked with these cookies: 200 in any case.
async fn asked(site: &Site, request: Request) -> String {
    let response = request.send().await.expect("the application answers");
    assert_eq!(response.status, 200, "{:?}", site.carrier);
    assert!(!site.sets_cookie(&response), "{:?}: reading set a cookie", site.carrier);
    assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{:?}", site.carrier);
    response.text()
}

/// The question, without cookies yet.
fn ask(site: &Site) -> Request {
    site.steps("subject")
}

pub(super) async fn what_is_not_ours_is_no_session_and_costs_no_store_call(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let visitor = site.visitor("login=ada").await;
        let (name, good) = (site.name.as_str(), visitor.cookie());
        let calls = site.store.total();
        let flipped = |at: usize| {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).expect("a token is ASCII")
        };
        let values = [
            String::new(),
            "x".to_owned(),
            "=".repeat(100),
            flipped(0),
            flipped(good.len() / 2),
            flipped(good.len() - 3),
            good[..good.len() - 1].to_owned(),
            good[1..].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            format!("\"{good}\""),
            format!("%{:02X}{}", good.as_bytes()[0], &good[1..]),
            good.repeat(2),
            "A".repeat(64 * 1024),
        ];
        for value in &values {
            let answer = asked(&site, ask(&site).cookie(name, value)).await;
            assert_eq!(answer, "-", "{carrier:?}: a bad cookie of {} bytes was taken", value.len());
        }
        for value in [&b"\xff\xfe\x80"[..], &[good.as_bytes(), b"\xff"].concat(), &[b'\xff'; 4096]] {
            assert_eq!(asked(&site, ask(&site).cookie(name, value)).await, "-", "{carrier:?}: bytes that are no UTF-8");
        }
        for line in [
            format!("{}={good}", name.to_ascii_lowercase()),
            format!("{name} ={good}"),
            format!("x{name}={good}"),
            format!("{}={good}", name.replace('-', "%2D")),
            format!("a=\"; {name}\"={good}"),
            name.to_owned(),
            ";;;=;=;".to_owned(),
        ] {
            assert_eq!(
                asked(&site, ask(&site).header("cookie", &line)).await,
                "-",
                "{carrier:?}: another name was taken"
            );
        }
        assert_eq!(site.store.total(), calls, "the store was asked");
        assert_eq!(asked(&site, ask(&site).cookie(name, good)).await, "ada", "{carrier:?}");
    }
}

pub(super) async fn an_authentic_cookie_of_no_session_is_no_session(lab: &Lab<'_>) {
    let site = lab.site(Carrier::Stored).await;
    let mut visitor = site.visitor("login=ada").await;
    let mut before = visitor.clone();
    visitor.visit("logout").await;
    assert_eq!(asked(&site, ask(&site).cookie(&site.name, before.cookie())).await, "-");
    let dead = before.cookie().to_owned();
    before.visit("set=a:1").await;
    assert_ne!(before.cookie(), dead, "an id that the browser brought along was adopted");
}

pub(super) async fn the_same_cookie_twice_counts_once(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let visitor = site.visitor("login=ada").await;
        let (name, good) = (&site.name, visitor.cookie());
        let line = format!("{name}={good}; {name}={good}");
        assert_eq!(asked(&site, ask(&site).header("cookie", &line)).await, "ada", "{carrier:?}");
        assert_eq!(asked(&site, ask(&site).cookie(name, good).cookie(name, good)).await, "ada", "{carrier:?}");
    }
}

pub(super) async fn two_different_sessions_at_once_are_none(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let (ada, bob) = (site.visitor("login=ada").await, site.visitor("login=bob").await);
        let name = &site.name;
        for (one, other) in [(ada.cookie(), bob.cookie()), (bob.cookie(), ada.cookie())] {
            let line = format!("{name}={one}; {name}={other}");
            assert_eq!(asked(&site, ask(&site).header("cookie", &line)).await, "-", "{carrier:?}: one was chosen");
            let lines = ask(&site).cookie(name, one).cookie(name, other);
            assert_eq!(asked(&site, lines).await, "-", "{carrier:?}: one was chosen by its line");
        }
    }
}

pub(super) async fn a_forged_cookie_beside_ours_does_no_harm(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let visitor = site.visitor("login=ada").await;
        let (name, good) = (&site.name, visitor.cookie());
        let forged = &good[..good.len() - 4];
        for (one, other) in [(forged, good), (good, forged)] {
            let line = format!("{name}={one}; {name}={other}");
            assert_eq!(asked(&site, ask(&site).header("cookie", &line)).await, "ada", "{carrier:?}");
        }
    }
}

pub(super) async fn several_cookie_lines_are_read_as_one(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let visitor = site.visitor("login=ada").await;
        let request = ask(&site).header("cookie", "a=1; b=2").cookie(&site.name, visitor.cookie()).cookie("c", "3");
        assert_eq!(asked(&site, request).await, "ada", "{carrier:?}");
    }
}

pub(super) async fn odd_bytes_in_other_cookies_lose_nothing(lab: &Lab<'_>) {
    for carrier in Carrier::ALL {
        let site = lab.site(carrier).await;
        let visitor = site.visitor("login=ada").await;
        let ours = format!("{}={}", site.name, visitor.cookie());
        for other in [&b"a=\xff\xfe"[..], b"\x80", b"a=%FF%zz", b"a=\"b", b"=", b"a"] {
            let line = [other, b"; ", ours.as_bytes(), b"; ", other].concat();
            assert_eq!(asked(&site, ask(&site).header("cookie", &line)).await, "ada", "{carrier:?}: in one line");
            let lines = ask(&site).header("cookie", other).header("cookie", &ours).header("cookie", other);
            assert_eq!(asked(&site, lines).await, "ada", "{carrier:?}: in a line of its own");
        }
    }
}
