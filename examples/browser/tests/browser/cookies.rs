//! What the browser keeps of the cookie.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::chromium::with_chromium;
use crate::demos::{AXUM, Demo, WARP, count};

#[test]
fn the_browser_keeps_the_attributes_that_the_page_says() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let browser = driver.browser().await?;
        for demo in &demos {
            browser.open(&demo.at("/clear")).await?;
            count(&browser, demo).await?;
            let mut cookie = browser.cookie().await?;
            let value = cookie["value"].take();
            assert_eq!(value.as_str().map(str::len), Some(92), "69 bytes in base64url");
            // No `expiry`: it ends with the browser.
            let kept = json!({
                "name": "id", "value": Value::Null, "domain": "localhost", "path": "/",
                "httpOnly": true, "secure": false, "sameSite": "Lax",
            });
            assert_eq!(cookie, kept, "{}", demo.framework);
            browser.open(&demo.at("/")).await?;
            let facts = browser.text(".side.browser .facts").await?;
            for fact in
                ["HttpOnly yes", "SameSite Lax", "Secure no", "Domain none", "Path /", "Expires with the browser"]
            {
                assert!(facts.contains(fact), "{fact} in {facts}");
            }
        }
        browser.close().await
    });
}

#[test]
fn no_script_can_read_or_replace_the_cookie() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let browser = driver.browser().await?;
        for demo in &demos {
            browser.open(&demo.at("/clear")).await?;
            count(&browser, demo).await?;
            let before = browser.cookie().await?;
            assert_eq!(browser.script("document.cookie = 'theme=dark'; return document.cookie").await?, "theme=dark");
            assert_eq!(browser.script("document.cookie = 'id=planted'; return document.cookie").await?, "theme=dark");
            let after = browser.cookies().await?;
            assert!(after.contains(&before) && after.len() == 2, "{after:?}");
            assert_eq!(count(&browser, demo).await?, "2");
            browser.script("document.cookie = 'theme=; max-age=0'").await?;
        }
        browser.close().await
    });
}

/// Chromium trusts this machine: it takes `Secure` from `http://localhost`, and with it the prefix.
#[test]
fn the_librarys_own_defaults_work_at_this_machine_without_https() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[("SESSION_COOKIE_NAME", "__Host-id")])?;
        let browser = driver.browser().await?;
        assert_eq!(count(&browser, &demo).await?, "1");
        assert_eq!(count(&browser, &demo).await?, "2");
        let cookie = browser.cookie().await?;
        assert_eq!([&cookie["name"], &cookie["secure"]], [&json!("__Host-id"), &json!(true)]);
        browser.open(&demo.at("/")).await?;
        assert!(browser.text(".side.browser .facts").await?.contains("Secure yes"));
        browser.close().await
    });
}

#[test]
fn a_cookie_that_outlives_the_browser_ends_with_its_session() {
    with_chromium(async |driver| {
        let demo = Demo::start(WARP, &[("SESSION_PERSISTENT", "true"), ("SESSION_LIFETIME", "600")])?;
        let browser = driver.browser().await?;
        let before = SystemTime::now().duration_since(UNIX_EPOCH)?;
        count(&browser, &demo).await?;
        let after = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let expiry = browser.cookie().await?["expiry"].as_u64().map(Duration::from_secs);
        let soonest = before + Duration::from_secs(598);
        let latest = after + Duration::from_secs(602);
        assert!(expiry.is_some_and(|expiry| (soonest..latest).contains(&expiry)), "{expiry:?} after {before:?}");
        browser.close().await
    });
}
