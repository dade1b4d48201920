//! What to call a browser in a list of devices.

/// The browsers and systems that most people have, in the order in which to look: most of them also name the ones they
/// descend from.
const BROWSERS: [(&str, &str); 6] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// A short name for the browser of this `User-Agent`, for [`Session::label`](session_core::Session::label). It is what the
/// browser claims, nothing to rely on.
///
/// ```
/// let agent = b"Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0";
/// assert_eq!(example_common::device_name(Some(agent)), "Firefox on Linux");
/// assert_eq!(example_common::device_name(None), "Some browser");
/// ```
#[must_use]
pub fn device_name(user_agent: Option<&[u8]>) -> String {
    let agent = String::from_utf8_lossy(user_agent.unwrap_or_default());
    let first =
        |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let browser = first(&BROWSERS).unwrap_or("Some browser");
    first(&SYSTEMS).map_or_else(|| browser.to_owned(), |system| format!("{browser} on {system}"))
}

/// Whether a device of that name is one to hold in a hand.
pub(crate) fn is_phone(name: &str) -> bool {
    ["Android", "iPhone"].iter().any(|system| name.ends_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_known_by_the_last_of_its_ancestors() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.9.1", "curl"),
            ("\u{fffd}<script>", "Some browser"),
        ] {
            assert_eq!(device_name(Some(agent.as_bytes())), name);
        }
        assert!(is_phone("Chrome on Android") && !is_phone("Chrome on Linux"));
    }
}
