//! How a session ends, as the browser sees it.

use std::time::Duration;

use crate::chromium::with_chromium;
use crate::demos::{ACTIX, Demo, ROCKET, count, log_in};

#[test]
fn the_way_back_after_a_logout_leads_to_nothing_private() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let browser = driver.browser().await?;
        for demo in &demos {
            log_in(&browser, demo, "ada", "engine").await?;
            assert_eq!(browser.text("h1").await?, "Welcome, ada");
            browser.open(&demo.at("/devices")).await?;
            browser.click(".who button").await?;
            for _ in 0..2 {
                browser.back().await?;
                assert_eq!(browser.text("h1").await?, "Log in", "{}", demo.framework);
                assert!(!browser.html().await?.contains("Welcome, ada"));
            }
        }
        browser.close().await
    });
}

#[test]
fn closing_the_browser_ends_the_session_unless_it_was_made_to_last() {
    with_chromium(async |driver| {
        for (persistent, greeting) in [("false", "You are an anonymous visitor."), ("true", "You are ada.")] {
            let demo = Demo::start(ACTIX, &[("SESSION_PERSISTENT", persistent)])?;
            let browser = driver.browser_of(persistent, &[]).await?;
            log_in(&browser, &demo, "ada", "engine").await?;
            browser.close().await?;
            let browser = driver.browser_of(persistent, &[]).await?;
            browser.open(&demo.at("/")).await?;
            assert!(browser.page().await?.contains(greeting), "persistent: {persistent}");
            browser.close().await?;
        }
        Ok(())
    });
}

#[test]
fn a_session_that_nobody_used_for_its_idle_time_is_over() {
    with_chromium(async |driver| {
        let demo = Demo::start(ROCKET, &[("SESSION_IDLE", "8"), ("SESSION_TOUCH_EVERY", "1")])?;
        let browser = driver.browser().await?;
        log_in(&browser, &demo, "ada", "engine").await?;
        // Together longer than the idle time: each visit begins it anew.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            browser.open(&demo.at("/private")).await?;
            assert_eq!(browser.text("h1").await?, "Welcome, ada");
        }
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(browser.cookies().await?.len(), 1, "the browser doesn't know");
        browser.open(&demo.at("/")).await?;
        let page = browser.page().await?;
        assert!(page.contains("You are an anonymous visitor.") && page.contains("No session for this cookie."));
        assert_eq!(count(&browser, &demo).await?, "1");
        browser.close().await
    });
}
