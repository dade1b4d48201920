//! How the pages look, and that the four look alike.

use std::fs;

use serde_json::json;

use crate::chromium::{Browser, Outcome, screenshots, with_chromium};
use crate::demos::{AXUM, Demo, Folder, log_in};

const VISITOR: [&str; 5] = ["/", "/login", "/cart", "/transfer", "/nowhere"];
const MEMBER: [&str; 6] = ["/", "/private", "/cart", "/devices", "/password", "/transfer"];
const WIDE: u32 = 1_100;
/// The width of most phones.
const PHONE: u32 = 390;

/// All see one session in one store, so that even its row is the same.
#[test]
fn the_four_are_indistinguishable_but_for_their_names() {
    with_chromium(async |driver| {
        let folder = Folder::new()?;
        let demos = Demo::start_together(&folder)?;
        let browser = driver.browser().await?;
        for path in VISITOR {
            alike(&browser, &demos, path, "visitor").await?;
        }
        log_in(&browser, &demos[0], "ada", "engine").await?;
        for item in [1, 1, 2] {
            browser.open(&demos[0].at("/cart")).await?;
            browser.click(&format!("#shelf li:nth-child({item}) button")).await?;
        }
        // The message is shown, and the token made, once.
        browser.open(&demos[0].at("/transfer")).await?;
        for path in MEMBER {
            alike(&browser, &demos, path, "ada").await?;
        }
        side_by_side(&browser, &demos).await?;
        browser.close().await
    });
}

/// Compares the page at all four, as HTML and as pictures.
async fn alike(browser: &Browser, demos: &[Demo], path: &str, who: &str) -> Outcome {
    let page = if path == "/" { "home" } else { &path[1..] };
    let mut first: Option<(String, Vec<Vec<u8>>)> = None;
    for demo in demos {
        browser.open(&demo.at(path)).await?;
        let name = |width: &str| format!("{who}-{page}-{width}-{}", demo.framework.to_lowercase());
        let mut pictures = Vec::new();
        for (width, kind) in [(WIDE, "wide"), (PHONE, "phone")] {
            browser.fit(width).await?;
            browser.screenshot(&name(kind)).await?;
            let overflow = browser.script("return document.documentElement.scrollWidth > window.innerWidth").await?;
            assert_eq!(overflow, json!(false), "{path} is wider than {width} pixels");
        }
        browser.script(UNNAME).await?;
        let html = browser.html().await?;
        for width in [WIDE, PHONE] {
            browser.fit(width).await?;
            pictures.push(browser.screenshot("unnamed").await?);
        }
        match &first {
            None => first = Some((html, pictures)),
            Some((same, pixels)) => {
                assert_eq!(&html, same, "{path} at {}", demo.framework);
                assert!(pixels == &pictures, "{path} at {} looks different", demo.framework);
            }
        }
    }
    Ok(())
}

/// A picture of the first page at all four, for people: as wide as a screen and as a phone.
async fn side_by_side(browser: &Browser, demos: &[Demo]) -> Outcome {
    let row = |kind: &str| {
        let picture =
            |demo: &Demo| format!(r#"<img src="ada-home-{kind}-{}.png" alt="">"#, demo.framework.to_lowercase());
        format!("<p>{}</p>", demos.iter().map(picture).collect::<String>())
    };
    let page = format!(
        "<!doctype html><style>p {{ display: flex; gap: 1%; align-items: start }} img {{ max-width: 24% }}</style>{}{}",
        row("wide"),
        row("phone"),
    );
    let file = screenshots()?.join("side-by-side.html");
    fs::write(&file, page)?;
    browser.open(&format!("file://{}", file.display())).await?;
    let missing = browser.script("return [...document.images].filter(it => !it.naturalWidth).length").await?;
    assert_eq!(missing, json!(0));
    browser.fit(2 * WIDE).await?;
    browser.screenshot("side-by-side").await?;
    Ok(())
}

/// Takes away what may differ: the framework's name, what this very moment is, and each token, whose mask is another one each
/// time.
const UNNAME: &str = "
    document.title = document.title.replace(/ on .*/, '');
    for (const name of document.querySelectorAll('[data-framework]')) name.textContent = 'framework';
    for (const token of document.querySelectorAll('[name=csrf_token]')) token.setAttribute('value', '');
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        text.textContent = text.textContent.replace(/less than a minute|\\d+ minutes?/g, 'a while').replace(/\\b\\d{13}\\b/g, '0');
    }
";

#[test]
fn the_pages_follow_a_preference_for_the_dark() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[])?;
        let browser = driver.browser().await?;
        let mut papers = Vec::new();
        for scheme in ["light", "dark"] {
            let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            browser.devtools("Emulation.setEmulatedMedia", features).await?;
            browser.open(&demo.at("/")).await?;
            browser.fit(WIDE).await?;
            browser.screenshot(&format!("visitor-home-{scheme}")).await?;
            papers.push(browser.script("return getComputedStyle(document.body).backgroundColor").await?);
        }
        assert_ne!(papers[0], papers[1]);
        browser.close().await
    });
}

/// Names for what can be used, a language, a title of its own for each page, and text that stands out from its paper as
/// WCAG 2.2, 1.4.3 asks: 4.5 to 1.
#[test]
fn the_pages_can_be_read_and_used_by_everybody() {
    with_chromium(async |driver| {
        let demo = Demo::start(AXUM, &[])?;
        let browser = driver.browser().await?;
        log_in(&browser, &demo, "ada", "engine").await?;
        for scheme in ["light", "dark"] {
            let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            browser.devtools("Emulation.setEmulatedMedia", features).await?;
            let mut titles = Vec::new();
            for path in ["/", "/login", "/cart", "/transfer", "/private", "/devices", "/password", "/nowhere"] {
                browser.open(&demo.at(path)).await?;
                assert_eq!(browser.script(UNNAMED_CONTROLS).await?, json!([]), "{path}");
                assert_eq!(browser.script(PALE_TEXTS).await?, json!([]), "{path}, {scheme}");
                assert_eq!(browser.script("return document.documentElement.lang").await?, "en");
                assert_eq!(browser.script("return document.querySelectorAll('h1').length").await?, 1, "{path}");
                titles.push(browser.script("return document.title").await?.to_string());
            }
            let count = titles.len();
            titles.sort_unstable();
            titles.dedup();
            assert_eq!(titles.len(), count, "each page has a title of its own: {titles:?}");
        }
        browser.close().await
    });
}

/// Fields without a label, buttons and links without a text.
const UNNAMED_CONTROLS: &str = "
    const named = (it) => it.getAttribute('aria-label') || it.labels?.length || it.textContent.trim();
    return [...document.querySelectorAll('input:not([type=hidden]), button, a')].filter(it => !named(it)).map(it => it.outerHTML);
";

/// Texts too close to their background in colour.
const PALE_TEXTS: &str = "
    const light = (rgb) => rgb.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const read = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const paper = (it) => {
        for (; it; it = it.parentElement) {
            const colour = read(getComputedStyle(it).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const pale = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const it = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || !it.checkVisibility()) continue;
        const [a, b] = [light(read(getComputedStyle(it).color)), light(paper(it))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(contrast.toFixed(2) + ' ' + it.outerHTML.slice(0, 120));
    }
    return pale;
";
