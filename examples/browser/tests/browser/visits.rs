//! Whose session is whose, and a walk through all pages.

use std::error::Error;

use crate::chromium::{Outcome, with_chromium};
use crate::demos::{AXUM, Demo, Folder, count, log_in};

#[test]
fn two_browsers_have_a_session_each() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let (mine, yours) = (driver.browser().await?, driver.browser().await?);
        for demo in &demos {
            // Ports don't keep cookies apart: begin anew at each.
            for browser in [&mine, &yours] {
                browser.open(&demo.at("/clear")).await?;
            }
            assert_eq!(count(&mine, demo).await?, "1", "{}", demo.framework);
            assert_eq!(count(&mine, demo).await?, "2");
            assert_eq!(count(&yours, demo).await?, "1");
            assert_ne!(mine.cookie().await?["value"], yours.cookie().await?["value"]);
            yours.open(&demo.at("/clear")).await?;
            assert!(yours.cookies().await?.is_empty());
            assert_eq!(count(&mine, demo).await?, "3");
        }
        mine.close().await?;
        yours.close().await
    });
}

/// With the same profile, in which a cookie waits on the disk.
#[test]
fn an_incognito_window_knows_nothing_of_the_others_and_leaves_nothing() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[("SESSION_PERSISTENT", "true")])?;
        let usual = driver.browser_of("one", &[]).await?;
        assert_eq!(count(&usual, &demo).await?, "1");
        assert_eq!(count(&usual, &demo).await?, "2");
        usual.close().await?;

        let incognito = driver.browser_of("one", &["--incognito"]).await?;
        assert_eq!(count(&incognito, &demo).await?, "1");
        log_in(&incognito, &demo, "ada", "engine").await?;
        incognito.close().await?;

        let usual = driver.browser_of("one", &[]).await?;
        usual.open(&demo.at("/")).await?;
        assert!(usual.page().await?.contains("You are an anonymous visitor."));
        assert_eq!(count(&usual, &demo).await?, "3");
        usual.close().await
    });
}

#[test]
fn the_four_share_a_session_on_one_store() {
    with_chromium(async |driver| {
        let folder = Folder::new()?;
        let demos = Demo::start_together(&folder)?;
        let browser = driver.browser().await?;
        log_in(&browser, &demos[0], "ada", "engine").await?;
        for (before, demo) in demos.iter().enumerate() {
            assert_eq!(count(&browser, demo).await?, (before + 1).to_string());
            browser.open(&demo.at("/private")).await?;
            assert_eq!(browser.text("h1").await?, "Welcome, ada", "{}", demo.framework);
            assert!(browser.text(".brand").await?.ends_with(demo.framework));
        }
        browser.click(".who button").await?;
        for demo in &demos {
            browser.open(&demo.at("/private")).await?;
            assert_eq!(browser.text("h1").await?, "Log in", "{}", demo.framework);
        }
        browser.close().await
    });
}

#[test]
fn every_page_works_by_clicks_alone() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let browser = driver.browser().await?;
        for demo in &demos {
            browser.open(&demo.at("/clear")).await?;
            walk(&browser, demo).await.map_err(|error| format!("{}: {error}", demo.framework))?;
        }
        browser.close().await
    });
}

async fn walk(browser: &crate::chromium::Browser, demo: &Demo) -> Outcome {
    browser.open(&demo.at("/")).await?;
    let page = browser.page().await?;
    said(&page, "You are an anonymous visitor.")?;
    said(&page, "No cookie of this site.")?;
    assert!(browser.cookies().await?.is_empty(), "looking around sets no cookie");
    browser.click("#counter .button").await?;
    assert_eq!(browser.text(".count").await?, "1");

    browser.open(&demo.at("/cart")).await?;
    browser.click("#shelf li:nth-child(1) button").await?;
    browser.click("#shelf li:nth-child(1) button").await?;
    browser.click("#shelf li:nth-child(2) button").await?;
    said(&browser.page().await?, "Box of cookies is in your cart.")?;
    assert_eq!(browser.text(".total strong").await?, "11 coins");
    browser.open(&demo.at("/cart")).await?;
    assert!(!browser.page().await?.contains("is in your cart."), "a message is shown once");
    browser.click("#cart li:nth-child(1) button").await?;
    assert_eq!(browser.text(".total strong").await?, "5 coins");

    browser.open(&demo.at("/transfer")).await?;
    browser.click("#without-token button").await?;
    assert_eq!(browser.text("h1").await?, "Refused");
    browser.open(&demo.at("/transfer")).await?;
    said(&browser.page().await?, "You have sent none so far.")?;
    browser.click("#with-token button").await?;
    said(&browser.page().await?, "You have sent 5 coins so far.")?;

    browser.open(&demo.at("/private")).await?;
    assert_eq!(browser.text("h1").await?, "Log in");
    browser.fill("#login [name=name]", "ada").await?;
    browser.fill("#login [name=password]", "compiler").await?;
    browser.click("#login button").await?;
    said(&browser.page().await?, "That is not the password")?;
    browser.fill("#login [name=password]", "engine").await?;
    let visitor = browser.cookie().await?;
    browser.click("#login button").await?;
    assert_eq!(browser.text("h1").await?, "Welcome, ada");
    assert_ne!(browser.cookie().await?["value"], visitor["value"], "a login changes the id");

    browser.open(&demo.at("/")).await?;
    browser.fill(".add [name=key]", "colour").await?;
    browser.fill(".add [name=value]", "<b>green</b>").await?;
    browser.click(".add button").await?;
    both_sides(browser).await?;

    browser.click(".who button").await?;
    assert!(browser.cookies().await?.is_empty());
    said(&browser.page().await?, "You are an anonymous visitor.")
}

/// The panel shows the cookie that the browser has, and the row whose key is the hash of the id in it.
async fn both_sides(browser: &crate::chromium::Browser) -> Outcome {
    let cookie = browser.cookie().await?;
    let value = cookie["value"].as_str().unwrap_or_default();
    assert_eq!(browser.text(".side.browser .token").await?, value);
    let server = browser.text(".side.server").await?;
    said(&server, "\"subject\": \"ada\"")?;
    said(&server, "\"colour\": \"<b>green</b>\"")?;
    said(&server, "\"cookies\": 1")?;
    let id = browser.text(".side.browser .token.id").await?;
    assert!(id.len() == 64 && !server.contains(&id) && !server.contains(value), "the store has the id");
    let html = browser.html().await?;
    assert!(!html.contains("<script") && !html.contains("<b>green"), "no script, and no markup of a visitor");
    Ok(())
}

fn said(page: &str, text: &str) -> Outcome {
    if page.contains(text) { Ok(()) } else { Err(Box::<dyn Error>::from(format!("{text:?} is not in: {page}"))) }
}
