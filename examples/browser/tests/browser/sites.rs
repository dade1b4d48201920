//! What pages of other sites can do. `a.localhost` and `b.localhost` are two sites, `x.a.localhost` and `a.localhost` are one; Chromium
//! takes all of them for this machine.

use serde_json::json;

use crate::chromium::{Browser, Outcome, with_chromium};
use crate::demos::{ACTIX, AXUM, Demo, WARP, count};
use crate::neighbour::Neighbour;

/// Counts at `a.localhost`.
async fn count_at_a(browser: &Browser, demo: &Demo) -> Outcome<String> {
    browser.open(&demo.at_host("a.localhost", "/increment")).await?;
    browser.text(".count").await
}

/// Cookies know hosts and sites, but no ports: a program beside the demo, at the same host, sees what the browser sends.
#[test]
fn other_sites_links_carry_the_cookie_and_their_forms_do_not() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[])?;
        let witness = Neighbour::start(Vec::new())?;
        let to = |path: &str| witness.at_host("a.localhost", path);
        let page = format!(
            r#"<!doctype html><title>Win</title><a href="{}">Win</a><form method="post" action="{}"><button>Win</button></form><img src="{}">"#,
            to("/link"),
            to("/form"),
            to("/image"),
        );
        let other = Neighbour::start(vec![("/", String::new(), page)])?;
        let browser = driver.browser().await?;
        count_at_a(&browser, &demo).await?;
        let cookie = browser.cookie().await?;
        let sent = format!("id={}", cookie["value"].as_str().unwrap_or_default());

        for (host, form_carries_it) in [("b.localhost", false), ("127.0.0.1", false), ("x.a.localhost", true)] {
            browser.open(&other.at_host(host, "/")).await?;
            let image = if form_carries_it { sent.as_str() } else { "" };
            assert_eq!(witness.cookies_at("/image").as_deref(), Some(image), "an image at {host}");
            browser.click("a").await?;
            assert_eq!(witness.cookies_at("/link").as_deref(), Some(sent.as_str()), "a link at {host}");
            browser.open(&other.at_host(host, "/")).await?;
            browser.click("button").await?;
            let form = if form_carries_it { sent.as_str() } else { "" };
            assert_eq!(witness.cookies_at("/form").as_deref(), Some(form), "a form at {host}");
        }
        browser.close().await
    });
}

/// Not even one of the same site, for which the browser does send the cookie.
#[test]
fn a_form_of_another_site_changes_nothing_and_logs_nobody_out() {
    with_chromium(async |driver| {
        for demo in &Demo::start_all()? {
            let form = |path, field| {
                format!(
                    r#"<form method="post" action="{}"><input type="hidden" name="{field}" value="tea"><button>Win</button></form>"#,
                    demo.at_host("a.localhost", path)
                )
            };
            let pages = vec![
                ("/cart", String::new(), form("/cart", "item")),
                ("/logout", String::new(), form("/logout", "x")),
                ("/login", String::new(), form("/login", "x")),
            ];
            let other = Neighbour::start(pages)?;
            let browser = driver.browser().await?;
            count_at_a(&browser, demo).await?;
            let before = browser.cookie().await?;
            for host in ["b.localhost", "x.a.localhost"] {
                for path in ["/cart", "/logout", "/login"] {
                    browser.open(&other.at_host(host, path)).await?;
                    browser.click("button").await?;
                    assert_eq!(browser.text("h1").await?, "Refused", "{path} from {host} at {}", demo.framework);
                }
            }
            assert_eq!(browser.cookie().await?, before);
            assert_eq!(count_at_a(&browser, demo).await?, "2");
            browser.open(&demo.at_host("a.localhost", "/cart")).await?;
            assert!(browser.page().await?.contains("Nothing yet."));
            browser.close().await?;
        }
        Ok(())
    });
}

#[test]
fn a_cookie_goes_to_its_own_host_and_to_no_other() {
    with_chromium(async |driver| {
        for (name, secure) in [("id", false), ("__Host-id", true)] {
            let variables = [("SESSION_COOKIE_NAME", name)];
            let demo = Demo::start(ACTIX, if secure { &variables } else { &[] })?;
            let witness = Neighbour::start(Vec::new())?;
            let browser = driver.browser().await?;
            count_at_a(&browser, &demo).await?;
            assert_eq!(browser.cookie().await?["secure"], json!(secure));
            for host in ["localhost", "b.localhost", "x.a.localhost", "127.0.0.1"] {
                browser.open(&witness.at_host(host, "/")).await?;
                assert_eq!(witness.cookies_at("/").as_deref(), Some(""), "{name} at {host}");
            }
            browser.open(&witness.at_host("a.localhost", "/")).await?;
            assert!(witness.cookies_at("/").is_some_and(|cookies| cookies.starts_with(&format!("{name}="))));
            browser.close().await?;
        }
        Ok(())
    });
}

/// A host below another may set cookies for it, unless their name begins with `__Host-`.
#[test]
fn the_prefix_keeps_a_host_below_from_planting_a_cookie() {
    with_chromium(async |driver| {
        let planting = "set-cookie: id=planted; Domain=a.localhost; Path=/\r\nset-cookie: __Host-id=planted; Domain=a.localhost; Path=/; Secure\r\n";
        let below =
            Neighbour::start(vec![("/", planting.to_owned(), "<!doctype html><title>Below</title>".to_owned())])?;
        let browser = driver.browser().await?;

        let defaults = Demo::start(WARP, &[("SESSION_COOKIE_NAME", "__Host-id")])?;
        assert_eq!(count_at_a(&browser, &defaults).await?, "1");
        browser.open(&below.at_host("x.a.localhost", "/")).await?;
        assert_eq!(count_at_a(&browser, &defaults).await?, "2");
        let names: Vec<_> = browser.cookies().await?.iter().map(|cookie| cookie["name"].clone()).collect();
        assert!(names.len() == 2 && names.contains(&json!("id")) && names.contains(&json!("__Host-id")), "{names:?}");

        // Without the prefix it is there, beside our own; the library tells them apart, because only one is genuine.
        let insecure = Demo::start(WARP, &[])?;
        let browser = driver.browser().await?;
        assert_eq!(count_at_a(&browser, &insecure).await?, "1");
        browser.open(&below.at_host("x.a.localhost", "/")).await?;
        assert_eq!(count_at_a(&browser, &insecure).await?, "2");
        assert_eq!(browser.cookies().await?.len(), 2);
        browser.open(&insecure.at_host("a.localhost", "/")).await?;
        assert!(browser.text(".side.browser").await?.contains("Several different cookies"));
        // At a host of its own nothing of it shows.
        assert_eq!(count(&browser, &insecure).await?, "1");
        browser.close().await
    });
}
