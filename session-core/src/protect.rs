//! Which requests come from another site's page: decided by what browsers say of themselves, and nothing else.
//!
//! The rules are those of OWASP's Cross-Site Request Forgery Prevention Cheat Sheet ("Fetch Metadata headers", "Using
//! standard headers to verify origin"); the headers are defined in W3C Fetch Metadata Request Headers and RFC 6454.

use crate::error::ConfigError;
use crate::head::RequestHead;

/// Refuses requests that would change something and come from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct CrossOrigin {
    /// As `Origin` names them, default ports left out.
    trusted: Vec<(String, String)>,
}

/// A header that came more than once, or has bytes in it that no browser sends.
struct Unreadable;

impl CrossOrigin {
    /// # Errors
    /// A trusted origin that is none.
    pub(crate) fn new(trusted: &[String]) -> Result<Self, ConfigError> {
        let parsed = trusted.iter().map(|text| Origin::trusted(text)).collect::<Option<Vec<_>>>();
        let trusted = parsed.ok_or_else(|| {
            ConfigError::new(
                "trust_origin",
                "an origin is a scheme, a host and perhaps a port, in lower case and without a path",
                "write it as in https://other.example or https://other.example:8443",
            )
        })?;
        Ok(Self { trusted })
    }

    /// Pure. A method that is safe (RFC 9110, 9.2.1) never depends on it.
    pub(crate) fn refuses(&self, head: &impl RequestHead) -> bool {
        let is_safe = matches!(head.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        !is_safe && !self.is_from_here(head).unwrap_or(false)
    }

    fn is_from_here(&self, head: &impl RequestHead) -> Result<bool, Unreadable> {
        let site = only(head, "sec-fetch-site")?;
        let origin = only(head, "origin")?;
        let referer = only(head, "referer")?;
        Ok(match (site.as_deref(), origin, referer) {
            // The browser itself knows best: it sees redirects, and that a page over plain HTTP is another origin.
            (Some("same-origin" | "none"), ..) => true,
            (Some(_), origin, _) => origin.is_some_and(|origin| self.trusts(&origin)),
            (None, Some(source), _) | (None, None, Some(source)) => self.trusts(&source) || is_own(head, &source)?,
            // No browser, or one that tells nobody where it is: it has no page of another site to answer for.
            (None, None, None) => true,
        })
    }

    fn trusts(&self, source: &str) -> bool {
        Origin::of(source).is_some_and(|Origin { scheme, host }| {
            let same = |(trusted, name): &(String, String)| {
                trusted.eq_ignore_ascii_case(scheme) && name.eq_ignore_ascii_case(host)
            };
            self.trusted.iter().any(same)
        })
    }
}

/// Whether `source`, an origin or the address of a page, is on the host that was asked. The scheme isn't compared: behind a
/// proxy that ends TLS nobody here knows it.
fn is_own(head: &impl RequestHead, source: &str) -> Result<bool, Unreadable> {
    let line = only(head, "host")?;
    // A target that names the host outweighs the header (RFC 9112, 3.2.2; RFC 9113, 8.3.1).
    let (Some(own), Some(Origin { scheme, host })) = (head.authority().or(line), Origin::of(source)) else {
        return Ok(false);
    };
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    Ok(is_web && !host.is_empty() && host.eq_ignore_ascii_case(without_default_port(scheme, &own)))
}

/// The header's only line, if it came.
fn only(head: &impl RequestHead, name: &str) -> Result<Option<String>, Unreadable> {
    let mut lines = Vec::new();
    head.each(name, &mut |line| lines.push(line.to_vec()));
    match (lines.pop(), lines.is_empty()) {
        (None, _) => Ok(None),
        (Some(line), true) if line.is_ascii() => Ok(String::from_utf8(line).ok()),
        _ => Err(Unreadable),
    }
}

/// Where a page is from. `null` and everything else without `://` is none.
struct Origin<'a> {
    scheme: &'a str,
    /// With the port, unless it is the scheme's default.
    host: &'a str,
}

impl<'a> Origin<'a> {
    /// Of an origin, or of a page's whole address.
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Some(Self { scheme, host: without_default_port(scheme, host) })
    }

    /// Of the configuration, where nothing is guessed.
    fn trusted(text: &str) -> Option<(String, String)> {
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
        let (name, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), rest),
            None => {
                let (name, _) = rest.split_once(':').unwrap_or((rest, ""));
                let is_name = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
                (!name.is_empty() && name.bytes().all(is_name), &rest[name.len()..])
            }
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
        let port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        (is_scheme && name && port).then(|| (scheme.to_owned(), without_default_port(scheme, rest).to_owned()))
    }
}

fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => ":443",
        _ if scheme.eq_ignore_ascii_case("http") => ":80",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method, header lines, and the authority of an HTTP/2 request.
    struct Head<'a>(&'a str, &'a [(&'a str, &'a [u8])], Option<&'a str>);

    impl RequestHead for Head<'_> {
        fn method(&self) -> &str {
            self.0
        }
        fn authority(&self) -> Option<String> {
            self.2.map(str::to_owned)
        }
        fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
            self.1.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value));
        }
    }

    fn cross_origin(trusted: &[&str]) -> Result<CrossOrigin, ConfigError> {
        CrossOrigin::new(&trusted.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn who_is_refused() {
        const REFUSED: bool = true;
        const PASSES: bool = false;
        let rule =
            cross_origin(&["https://pay.example", "https://dev.example:8443", "https://v6.example:443"]).unwrap();
        // Fetch-Site, Origin, Referer, Host; a bar separates lines.
        let table: &[([&str; 4], bool)] = &[
            // none of them: no browser
            (["", "", "", "shop.example"], PASSES),
            (["", "", "", ""], PASSES),
            // Sec-Fetch-Site
            (["same-origin", "", "", "shop.example"], PASSES),
            (["none", "", "", "shop.example"], PASSES),
            (["same-site", "", "", "shop.example"], REFUSED),
            (["cross-site", "", "", "shop.example"], REFUSED),
            (["cross-site", "https://shop.example", "", "shop.example"], REFUSED),
            (["cross-site", "https://pay.example", "", "shop.example"], PASSES),
            (["same-site", "https://pay.example", "", "shop.example"], PASSES),
            (["cross-site", "null", "", "shop.example"], REFUSED),
            (["same-origin", "https://evil.example", "", "shop.example"], PASSES),
            (["Same-Origin", "", "", "shop.example"], REFUSED),
            (["cross-site", "", "https://pay.example/", "shop.example"], REFUSED),
            (["same-origin|same-origin", "", "", "shop.example"], REFUSED),
            (["same-origin|cross-site", "", "", "shop.example"], REFUSED),
            (["same-origin", "a|b", "", "shop.example"], REFUSED),
            (["same-origin", "\u{e9}", "", "shop.example"], REFUSED),
            (["s\u{e4}me-origin", "", "", "shop.example"], REFUSED),
            // Origin
            (["", "https://shop.example", "", "shop.example"], PASSES),
            (["", "https://SHOP.example", "", "shop.EXAMPLE"], PASSES),
            (["", "https://shop.example", "", "shop.example:443"], PASSES),
            (["", "https://shop.example:443", "", "shop.example"], PASSES),
            (["", "http://shop.example", "", "shop.example:80"], PASSES),
            (["", "http://shop.example:80", "", "shop.example"], PASSES),
            (["", "http://127.0.0.1:3000", "", "127.0.0.1:3000"], PASSES),
            (["", "http://[::1]:3000", "", "[::1]:3000"], PASSES),
            (["", "https://shop.example", "", "shop.example:80"], REFUSED),
            (["", "https://shop.example", "", "shop.example:8443"], REFUSED),
            (["", "https://shop.example:8443", "", "shop.example"], REFUSED),
            (["", "http://127.0.0.1:3000", "", "127.0.0.1:3001"], REFUSED),
            (["", "null", "", "shop.example"], REFUSED),
            (["", "null", "", "null"], REFUSED),
            (["", "https://", "", ""], REFUSED),
            (["", "https://:443", "", ":443"], REFUSED),
            (["", "https://evil.example", "", "shop.example"], REFUSED),
            (["", "https://shop.example.evil.example", "", "shop.example"], REFUSED),
            (["", "https://evilshop.example", "", "shop.example"], REFUSED),
            (["", "https://a.shop.example", "", "shop.example"], REFUSED),
            (["", "https://shop.example@evil.example", "", "shop.example"], REFUSED),
            (["", "https://evil.example\\@shop.example", "", "shop.example"], REFUSED),
            (["", "ftp://shop.example", "", "shop.example"], REFUSED),
            (["", "chrome-extension://shop.example", "", "shop.example"], REFUSED),
            (["", "shop.example", "", "shop.example"], REFUSED),
            (["", "//shop.example", "", "shop.example"], REFUSED),
            (["", "https://shop.example|https://shop.example", "", "shop.example"], REFUSED),
            (["", "https://shop.example https://evil.example", "", "shop.example"], REFUSED),
            (["", "https://shop.example", "", "shop.example|shop.example"], REFUSED),
            (["", "https://shop.example", "", ""], REFUSED),
            (["", "https://evil.example", "https://shop.example/", "shop.example"], REFUSED),
            (["", "https://pay.example", "", "shop.example"], PASSES),
            (["", "https://pay.example:443", "", "shop.example"], PASSES),
            (["", "https://v6.example", "", "shop.example"], PASSES),
            (["", "https://dev.example:8443", "", "shop.example"], PASSES),
            (["", "https://dev.example", "", "shop.example"], REFUSED),
            (["", "http://pay.example", "", "shop.example"], REFUSED),
            (["", "https://pay.example.evil.example", "", "shop.example"], REFUSED),
            // Referer
            (["", "", "https://shop.example/cart?x=https://evil.example", "shop.example"], PASSES),
            (["", "", "https://shop.example", "shop.example"], PASSES),
            (["", "", "https://shop.example:443?x", "shop.example"], PASSES),
            (["", "", "https://pay.example/done", "shop.example"], PASSES),
            (["", "", "https://evil.example/https://shop.example/", "shop.example"], REFUSED),
            (["", "", "https://evil.example#://shop.example", "shop.example"], REFUSED),
            (["", "", "https://evil.example?://shop.example", "shop.example"], REFUSED),
            (["", "", "https://shop.example.evil.example/", "shop.example"], REFUSED),
            (["", "", "about:blank", "shop.example"], REFUSED),
            (["", "", "/cart", "shop.example"], REFUSED),
            (["", "", "https://shop.example/|https://evil.example/", "shop.example"], REFUSED),
            (["", "", "https://shop.example/\u{e9}", "shop.example"], REFUSED),
        ];
        for (values, refused) in table {
            let names = ["sec-fetch-site", "origin", "referer", "host"];
            let lines = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
            let lines: Vec<_> = lines
                .flat_map(|(name, value)| value.split('|').map(|line| (*name, line.as_bytes())).collect::<Vec<_>>())
                .collect();
            for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "post", "get", ""] {
                assert_eq!(rule.refuses(&Head(method, &lines, None)), *refused, "{method} {values:?}");
            }
            for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
                assert!(!rule.refuses(&Head(method, &lines, None)), "{method} {values:?}");
            }
        }
        let invalid: &[(&str, &[u8])] = &[("sec-fetch-site", b"same-origin\xff")];
        assert!(rule.refuses(&Head("POST", invalid, None)));
    }

    #[test]
    fn a_header_that_is_there_and_empty_is_no_excuse() {
        let rule = cross_origin(&[]).unwrap();
        for name in ["sec-fetch-site", "origin", "referer"] {
            assert!(rule.refuses(&Head("POST", &[(name, b""), ("host", b"shop.example")], None)), "{name}");
        }
    }

    #[test]
    fn an_authority_outweighs_the_host_line() {
        let rule = cross_origin(&[]).unwrap();
        let origin: (&str, &[u8]) = ("origin", b"https://shop.example");
        for (lines, authority, refused) in [
            (&[origin][..], Some("shop.example"), false),
            (&[origin], Some("shop.example:443"), false),
            (&[origin], Some("other.example"), true),
            (&[origin, ("host", b"shop.example")], Some("other.example"), true),
            (&[origin, ("host", b"other.example")], Some("shop.example"), false),
        ] {
            assert_eq!(rule.refuses(&Head("POST", lines, authority)), refused, "{lines:?} {authority:?}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_at_start() {
        for origin in [
            "http://localhost:3000",
            "https://xn--bcher-kva.example",
            "https://[2001:db8::1]:8443",
            "https://[::1]",
            "https://192.0.2.1",
            "https://other.example:443",
            "chrome-extension://abcdefgh",
        ] {
            assert!(cross_origin(&[origin]).is_ok(), "{origin}");
        }
        for origin in [
            "",
            "*",
            "null",
            "other.example",
            "//other.example",
            "https://",
            "https://:443",
            "https://*.example",
            "https://Other.example",
            "HTTPS://other.example",
            "https://other.example/",
            "https://other.example/path",
            "https://other.example?x",
            "https://other.example#x",
            "https://user@other.example",
            "https://other.example:",
            "https://other.example:0443",
            "https://other.example:+443",
            "https://other.example:99999",
            "https://other.example:80:80",
            "https://b\u{fc}cher.example",
            "https://[::1",
            "https://[::1]x",
            "https://[nonsense]",
            "https://a b",
            " https://other.example",
            "https://other.example\n",
        ] {
            let error = cross_origin(&["https://fine.example", origin]).unwrap_err();
            assert_eq!(error.field(), "trust_origin", "{origin}");
        }
    }
}
