//! One person with several devices.

use crate::chromium::{is_missing, with_chromium};
use crate::demos::{AXUM, Demo, log_in};

#[test]
fn one_device_ends_another() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let (laptop, phone) = (driver.browser().await?, driver.browser_of("phone", &["--user-agent=Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36"]).await?);
        for demo in &demos {
            log_in(&laptop, demo, "ada", "engine").await?;
            log_in(&phone, demo, "ada", "engine").await?;
            laptop.open(&demo.at("/devices")).await?;
            let list = laptop.text("#devices").await?;
            assert!(list.contains("Chrome on Android") && list.matches("this one").count() == 1, "{list}");
            laptop.click("[aria-label='End the session of Chrome on Android']").await?;
            assert!(laptop.page().await?.contains("That session has ended."), "{}", demo.framework);
            phone.open(&demo.at("/private")).await?;
            assert_eq!(phone.text("h1").await?, "Log in");

            log_in(&phone, demo, "ada", "engine").await?;
            phone.open(&demo.at("/devices")).await?;
            phone.click("[action='/devices/end-others'] button").await?;
            assert!(phone.page().await?.contains("There are no others."));
            laptop.open(&demo.at("/private")).await?;
            assert_eq!(laptop.text("h1").await?, "Log in");

            // One's own, from the list.
            phone.click("#devices [aria-label$='this one']").await?;
            assert_eq!(phone.text("h1").await?, "Log in");
        }
        laptop.close().await?;
        phone.close().await
    });
}

#[test]
fn another_password_logs_the_other_devices_out() {
    with_chromium(async |driver| {
        let demos = Demo::start_all()?;
        let (laptop, phone) = (driver.browser().await?, driver.browser().await?);
        for demo in &demos {
            log_in(&laptop, demo, "grace", "compiler").await?;
            log_in(&phone, demo, "grace", "compiler").await?;
            laptop.open(&demo.at("/password")).await?;
            laptop.fill("[name=current]", "compiler").await?;
            laptop.fill("[name=new]", "nanosecond").await?;
            let before = laptop.cookie().await?;
            laptop.click("main form button").await?;
            assert!(laptop.page().await?.contains("Your password is another one now"), "{}", demo.framework);
            assert_ne!(laptop.cookie().await?["value"], before["value"], "the session goes on under a new id");

            phone.open(&demo.at("/private")).await?;
            assert_eq!(phone.text("h1").await?, "Log in");
            log_in(&phone, demo, "grace", "compiler").await?;
            assert!(phone.page().await?.contains("That is not the password"));
            log_in(&phone, demo, "grace", "nanosecond").await?;
            assert_eq!(phone.text("h1").await?, "Welcome, grace");
            laptop.open(&demo.at("/private")).await?;
            assert_eq!(laptop.text("h1").await?, "Welcome, grace");
        }
        laptop.close().await?;
        phone.close().await
    });
}

#[test]
fn there_is_nothing_to_end_where_nobody_is_logged_in() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[])?;
        let browser = driver.browser().await?;
        browser.open(&demo.at("/devices")).await?;
        assert!(browser.url().await?.path() == "/login");
        assert!(browser.text("#devices").await.is_err_and(|error| is_missing(&*error)));
        browser.close().await
    });
}
