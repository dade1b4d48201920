//! The cookie: its attributes, writing it, and the only parser of it.

mod chunks;
mod lines;

use std::fmt::Write as _;

use cookie::time::{Duration as CookieDuration, OffsetDateTime};
use cookie::{Cookie, CookieBuilder};
use serde::Deserialize;

pub(crate) use self::chunks::{Brought, MOST_CHUNKS, is_first_chunk};
pub(crate) use self::lines::{CookieLines, MOST_CANDIDATES};
use crate::error::{ConfigError, Error};

/// A browser drops a larger cookie (RFC 6265bis, 5.6 asks for 4,096 bytes of name and value); we count the
/// attributes too, so that no server on the way has more to carry either.
const LARGEST: usize = 4096;
/// Browsers cap what we ask for (RFC 6265bis, 5.5).
const LONGEST_LIFE_SECONDS: u64 = 400 * 24 * 60 * 60;
const LONGEST_MAX_AGE: usize = "; Max-Age=34560000".len();
/// Longer attribute values are ignored by browsers (RFC 6265bis, 5.6).
const LONGEST_ATTRIBUTE: usize = 1024;

/// Which cross-site requests the browser sends the cookie with (RFC 6265bis, 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// With links from other sites, but not with their forms and scripts. A login that comes back from an identity
    /// provider works.
    #[default]
    Lax,
    /// With every request. Needs `Secure`.
    None,
    /// Never from another site, not even by a link.
    Strict,
}

/// The attributes, free to be combined; [`Attributes::check`] knows which combinations a browser would drop.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) partitioned: bool,
    pub(crate) persistent: bool,
    /// What doesn't fit into one cookie may be spread over several.
    pub(crate) chunked: bool,
    /// All of them as they stand in each line; written when they are checked.
    pub(crate) attributes: String,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            name: "__Host-id".to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            secure: true,
            http_only: true,
            partitioned: false,
            persistent: false,
            chunked: false,
            attributes: String::new(),
        }
    }
}

impl Attributes {
    /// Refuses what a browser would drop or cut, by the rules of RFC 6265bis and, for the `__Http-` prefixes, of
    /// draft-ietf-httpbis-layered-cookies.
    pub(crate) fn check(mut self) -> Result<Self, ConfigError> {
        let error = |field, rule: &str, fix| Err(ConfigError::new(field, rule, fix));
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return error(
                "cookie_name",
                "it has to be a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~",
                "choose one like id",
            );
        }
        let is_attribute = |text: &str| {
            text.len() <= LONGEST_ATTRIBUTE && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';')
        };
        if !self.path.starts_with('/') || !is_attribute(&self.path) || self.path.contains(' ') {
            return error(
                "path",
                "it has to start with / and be at most 1,024 printable ASCII bytes without blanks and semicolons",
                "write one like / or /app",
            );
        }
        if let Some(domain) = &self.domain {
            let labels = domain.strip_prefix('.').unwrap_or(domain);
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
            if labels.is_empty()
                || !is_attribute(domain)
                || !labels.bytes().all(is_host)
                || labels.split('.').any(str::is_empty)
            {
                return error("domain", "it has to be a host name", "write one like example.com");
            }
        }
        let name = self.name.to_ascii_lowercase();
        let prefix =
            ["__host-http-", "__host-", "__http-", "__secure-"].into_iter().find(|prefix| name.starts_with(prefix));
        let shown = match prefix {
            Some("__host-http-") => "__Host-Http-",
            Some("__host-") => "__Host-",
            Some("__http-") => "__Http-",
            _ => "__Secure-",
        };
        if prefix.is_some() && !self.secure {
            return error(
                "cookie_name",
                &format!("a cookie whose name starts with {shown} has to be Secure"),
                "choose a name without a prefix, such as id, for plain HTTP",
            );
        }
        if prefix.is_some_and(|prefix| prefix.starts_with("__host-")) {
            if self.domain.is_some() {
                return error(
                    "domain",
                    &format!("a cookie whose name starts with {shown} has none"),
                    "leave it out or choose another cookie name",
                );
            }
            if self.path != "/" {
                return error(
                    "path",
                    &format!("a cookie whose name starts with {shown} has the path /"),
                    "leave it out or choose another cookie name",
                );
            }
        }
        if prefix.is_some_and(|prefix| prefix.ends_with("http-")) && !self.http_only {
            return error(
                "cookie_name",
                &format!("a cookie whose name starts with {shown} has to be HttpOnly"),
                "choose a name without this prefix",
            );
        }
        if self.same_site == SameSite::None && !self.secure {
            return error("same_site", "SameSite=None needs Secure", "use Lax, or serve over HTTPS");
        }
        if self.partitioned && !self.secure {
            return error("partitioned", "Partitioned needs Secure", "leave it out, or serve over HTTPS");
        }
        self.attributes = self.build("", "").build().to_string().split_off("=".len());
        Ok(self)
    }

    /// The `Set-Cookie` value for a token whose session ends at most `seconds_left` from now.
    pub(crate) fn set(&self, token: &str, seconds_left: u64, remembered: bool) -> Result<String, Error> {
        let line = self.line(&self.name, token, seconds_left, remembered);
        if line.len() > LARGEST {
            return Err(Error::TooLarge { size: line.len(), limit: LARGEST });
        }
        Ok(line)
    }

    fn line(&self, name: &str, value: &str, seconds_left: u64, remembered: bool) -> String {
        let mut line = String::with_capacity(name.len() + value.len() + self.attributes.len() + LONGEST_MAX_AGE);
        for part in [name, "=", value, &self.attributes] {
            line.push_str(part);
        }
        if self.persistent || remembered {
            // Writing to a String can't fail.
            let _ = write!(line, "; Max-Age={}", seconds_left.clamp(1, LONGEST_LIFE_SECONDS));
        }
        line
    }

    /// The cookie without a value, to be read by people.
    pub(crate) fn shown(&self) -> String {
        self.build(&self.name, "").build().to_string()
    }

    /// The `Set-Cookie` value that takes the cookie of this name away: the same place, ended. `Max-Age` for browsers;
    /// `Expires` too, for clients that only know that.
    pub(crate) fn removal(&self, name: &str) -> String {
        self.build(name, "").max_age(CookieDuration::ZERO).expires(OffsetDateTime::UNIX_EPOCH).build().to_string()
    }

    fn build<'a>(&'a self, name: &'a str, value: &'a str) -> CookieBuilder<'a> {
        let same_site = match self.same_site {
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
            SameSite::Strict => cookie::SameSite::Strict,
        };
        let mut cookie = Cookie::build((name, value)).path(self.path.as_str()).same_site(same_site);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        // Left out rather than set to false: what is absent can't be misread.
        if self.secure {
            cookie = cookie.secure(true);
        }
        if self.http_only {
            cookie = cookie.http_only(true);
        }
        if self.partitioned {
            cookie = cookie.partitioned(true);
        }
        cookie
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "__Host-id";

    /// The values found, where well-formed is what begins with "ok".
    fn found(lines: &[&[u8]]) -> (Vec<String>, bool) {
        let mut all = CookieLines::default();
        lines.iter().for_each(|line| all.push(line));
        let candidates = all.candidates(NAME, |value| value.starts_with(b"ok"));
        let values = candidates.values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
        (values.collect(), candidates.malformed)
    }

    #[test]
    fn cookies_are_read_byte_for_byte() {
        let table: &[(&[u8], &[&str], bool)] = &[
            (b"", &[], false),
            (b"__Host-id=ok", &["ok"], false),
            (b" \t__Host-id=ok\t ", &["ok"], false),
            (b"a=b;__Host-id=ok;c=d", &["ok"], false),
            (b";;;__Host-id=ok;;", &["ok"], false),
            // other spellings of the name
            (b"%5F%5FHost-id=ok", &[], false),
            (b"__HOST-ID=ok", &[], false),
            (b"..Host-id=ok", &[], false),
            (b"__Host-idx=ok; x__Host-id=ok; x=__Host-id=ok", &[], false),
            ("\u{2000}__Host-id=ok".as_bytes(), &[], false),
            ("\u{a0}__Host-id=ok".as_bytes(), &[], false),
            ("\u{85}__Host-id=ok".as_bytes(), &[], false),
            ("__Host-id\u{2003}=ok".as_bytes(), &[], false),
            (b"__Host-id =ok", &[], false),
            (b"\x0b__Host-id=ok", &[], false),
            (b"\xa0__Host-id=ok", &[], false),
            // no name, no value, no pair
            (b"=__Host-id=ok", &[], false),
            (b"__Host-id", &[], false),
            (b"__Host-id=", &[], true),
            // the value is what stands there
            (b"__Host-id= ok", &[], true),
            (b"__Host-id=\"ok\"", &[], true),
            (b"__Host-id=%6f%6b", &[], true),
            (b"__Host-id=ok%6b", &["ok%6b"], false),
            (b"__Host-id=ok=ok", &["ok=ok"], false),
            (b"__Host-id=ok\tok", &["ok\tok"], false),
            (b"__Host-id=ok,__Host-id=okay", &["ok,__Host-id=okay"], false),
            // quotes never span a semicolon
            (b"a=\"x; __Host-id=ok; b=y\"", &["ok"], false),
            (b"a=\"x; __Host-id=ok", &["ok"], false),
            // what isn't ours does no harm
            (b"x=\xff; __Host-id=ok", &["ok"], false),
            ("x=é; __Host-id=ok".as_bytes(), &["ok"], false),
            (b"__Host-id=\xff; __Host-id=ok", &["ok"], true),
            (b"__Host-id=\0; __Host-id=ok", &["ok"], true),
            // several
            (b"__Host-id=ok; __Host-id=ok", &["ok"], false),
            (b"__Host-id=ok1; __Host-id=ok2", &["ok1", "ok2"], false),
            (b"__Host-id=no; __Host-id=ok; __Host-id=no", &["ok"], true),
        ];
        for (line, values, malformed) in table {
            let (found, odd) = found(&[line]);
            assert_eq!(found, *values, "{}", line.escape_ascii());
            assert_eq!(odd, *malformed, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(found(&[b"x=\xff", b"__Host-id=ok"]).0, ["ok"]);
        assert_eq!(found(&[b"__Host-id=ok1", b"a=b; __Host-id=ok2"]).0, ["ok1", "ok2"]);
        assert_eq!(found(&[b"__Host-id=ok", b"", b"__Host-id=ok"]).0, ["ok"]);
        // A line's end is a pair's end.
        assert_eq!(found(&[b"__Host-", b"id=ok"]).0, [""; 0]);
        assert_eq!(found(&[b"__Host-id=ok", b"ok"]).0, ["ok"]);
    }

    #[test]
    fn more_than_four_different_ones_are_told_as_too_many() {
        let of = |count: usize| (0..count).map(|n| format!("__Host-id=ok{n}")).collect::<Vec<_>>().join(";");
        assert_eq!(found(&[of(4).as_bytes()]).0.len(), MOST_CANDIDATES);
        assert_eq!(found(&[of(5).as_bytes()]).0.len(), MOST_CANDIDATES + 1);
        assert_eq!(found(&[of(5_000).as_bytes()]).0.len(), MOST_CANDIDATES + 1);
        // The same four over and over, and any number that can't be ours, are still four.
        let noise = "__Host-id=no;".repeat(1_000);
        assert_eq!(found(&[of(4).as_bytes(), noise.as_bytes(), of(4).as_bytes()]).0.len(), 4);
    }

    #[test]
    fn the_work_grows_with_the_input_and_no_faster() {
        let fill = |part: &str| part.repeat(64 * 1024 / part.len());
        let numbered =
            |start: &str| (0..5_000).map(|n| format!("{start}{n:x};")).collect::<String>()[..60_000].to_owned();
        for text in [
            fill(";"),
            fill(" "),
            fill("\t;"),
            fill("="),
            fill("a=b; "),
            fill("__Host-id"),
            fill("__Host-id="),
            fill("__Host-id=;"),
            fill("__Host-id=ok;"),
            numbered("__Host-id=no"),
            numbered("__Host-id=ok"),
            format!("__Host-id={}", fill("o")),
            format!("{}__Host-id=ok{}", fill(" "), fill("\t")),
        ] {
            let mut lines = CookieLines::default();
            lines.push(text.as_bytes());
            let looked_at = Cell::new(0);
            let begun = Instant::now();
            lines.candidates(NAME, |value| {
                looked_at.set(looked_at.get() + value.len());
                value.starts_with(b"ok")
            });
            assert!(looked_at.get() <= text.len(), "a byte was checked twice");
            assert!(begun.elapsed() < Duration::from_millis(500), "{:?} {}", begun.elapsed(), &text[..20]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_order_and_the_lines_make_no_difference(
            pairs in prop::collection::vec(prop::sample::select(
                vec!["__Host-id=ok1", "__Host-id=ok2", "__Host-id=no", "a=b", "__Host-id", " ", "x=\"__Host-id=ok"]
            ), 0..8),
            cuts in prop::collection::vec(any::<bool>(), 8),
        ) {
            let one_line = pairs.join(";");
            let (mut expected, odd) = found(&[one_line.as_bytes()]);
            let mut lines = vec![String::new()];
            for (pair, cut) in pairs.iter().rev().zip(cuts) {
                if cut {
                    lines.push(String::new());
                }
                let line = lines.last_mut().unwrap();
                line.push_str(pair);
                line.push(';');
            }
            let (mut reordered, odd_too) = found(&lines.iter().map(String::as_bytes).collect::<Vec<_>>());
            expected.sort();
            reordered.sort();
            prop_assert_eq!((expected, odd), (reordered, odd_too));
        }

        #[test]
        fn arbitrary_lines_do_no_harm(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4)) {
            let (values, _) = found(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert!(values.is_empty());
        }
    }

    #[test]
    fn the_default_line_is_the_safest() {
        let attributes = Attributes::default().check().unwrap();
        assert_eq!(attributes.set("v", 100, false).unwrap(), "__Host-id=v; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(
            attributes.removal(&attributes.name),
            "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }

    #[test]
    fn a_persistent_cookie_lives_as_long_as_its_session_and_400_days_at_most() {
        let attributes = Attributes { persistent: true, ..Attributes::default() };
        for (left, max_age) in [(0, 1), (1, 1), (3_600, 3_600), (34_560_000, 34_560_000), (u64::MAX, 34_560_000)] {
            assert!(attributes.set("v", left, false).unwrap().ends_with(&format!("; Max-Age={max_age}")), "{left}");
        }
    }

    #[test]
    fn a_line_that_a_browser_would_drop_is_refused_with_its_size() {
        let attributes = Attributes::default().check().unwrap();
        let rest = attributes.set("", 1, false).unwrap().len();
        assert_eq!(attributes.set(&"v".repeat(LARGEST - rest), 1, false).unwrap().len(), 4_096);
        for more in [1, 1_000] {
            let refused = attributes.set(&"v".repeat(LARGEST - rest + more), 1, false);
            assert!(matches!(refused, Err(Error::TooLarge { size, limit: 4_096 }) if size == 4_096 + more));
        }
    }

    #[test]
    fn what_a_browser_would_drop_is_refused_by_its_rule() {
        let with = |change: &dyn Fn(&mut Attributes)| {
            let mut attributes = Attributes { name: "id".to_owned(), ..Attributes::default() };
            change(&mut attributes);
            attributes
        };
        let named = |name: &str, change: &dyn Fn(&mut Attributes)| Attributes { name: name.to_owned(), ..with(change) };
        let insecure = |attributes: &mut Attributes| attributes.secure = false;
        let readable = |attributes: &mut Attributes| attributes.http_only = false;
        let domain = |attributes: &mut Attributes| attributes.domain = Some("example.com".to_owned());
        let path = |attributes: &mut Attributes| attributes.path = "/app".to_owned();
        let nothing = |_: &mut Attributes| {};
        let mut cases = vec![
            (
                with(&|it| (it.secure, it.same_site) = (false, SameSite::None)),
                "same_site",
                "SameSite=None needs Secure",
            ),
            (with(&|it| (it.secure, it.partitioned) = (false, true)), "partitioned", "Partitioned needs Secure"),
        ];
        for (name, shown) in [
            ("__Host-id", "__Host-"),
            ("__HOST-id", "__Host-"),
            ("__host-http-id", "__Host-Http-"),
            ("__Secure-id", "__Secure-"),
            ("__secure-id", "__Secure-"),
            ("__Http-id", "__Http-"),
        ] {
            cases.push((named(name, &insecure), "cookie_name", shown));
        }
        for name in ["__Host-id", "__hOST-id", "__Host-Http-id"] {
            cases.push((named(name, &domain), "domain", "has none"));
            cases.push((named(name, &path), "path", "has the path /"));
        }
        for name in ["__Http-id", "__HTTP-id", "__Host-Http-id"] {
            cases.push((named(name, &readable), "cookie_name", "has to be HttpOnly"));
        }
        for name in ["", "a b", "a;b", "a=b", "a,b", "\"a\"", "a\n", "ä", "a\\b", "a@b", "a/b", "\0"] {
            cases.push((named(name, &nothing), "cookie_name", "token"));
        }
        for path in ["", "app", "/a;b", "/a\r\nb", "/ä", "/\0", &format!("/{}", "a".repeat(1_024))] {
            cases.push((with(&|it| it.path = path.to_owned()), "path", "start with /"));
        }
        for domain in ["", ".", "a..b", "a;b", "a b", "a/b", "ex\nample.com", "..a", "a.", &"a".repeat(1_025)] {
            cases.push((with(&|it| it.domain = Some(domain.to_owned())), "domain", "host name"));
        }
        for (attributes, field, rule) in cases {
            let shown = format!("{attributes:?}");
            let refused = attributes.check().expect_err(&shown);
            assert_eq!(refused.field(), field, "{shown}");
            assert!(refused.to_string().contains(rule), "{refused} should say {rule}: {shown}");
        }
        // Each of them is fine under a name without a prefix.
        for change in [&insecure as &dyn Fn(&mut Attributes), &readable, &domain, &path] {
            assert!(with(change).check().is_ok());
        }
    }

    type Parameters<'a> = Vec<(&'a str, Option<&'a str>)>;

    /// A strict reader of `Set-Cookie` by the grammar for servers (RFC 6265bis, 4.1.1): value and attributes.
    fn strict(line: &str) -> Option<(&str, &str, Parameters<'_>)> {
        let mut parts = line.split("; ");
        let (name, value) = parts.next()?.split_once('=')?;
        let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
        let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(is_octet) {
            return None;
        }
        let mut attributes = Parameters::new();
        for part in parts {
            let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
            let fine = match (key, value) {
                ("Secure" | "HttpOnly" | "Partitioned", None) => true,
                ("SameSite", Some(value)) => ["Lax", "None", "Strict"].contains(&value),
                ("Path", Some(value)) => value.starts_with('/') && value.bytes().all(|b| (0x20..0x7f).contains(&b)),
                ("Domain", Some(value)) => {
                    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
                }
                ("Max-Age", Some(value)) => value.bytes().all(|byte| byte.is_ascii_digit()),
                ("Expires", Some(value)) => value == "Thu, 01 Jan 1970 00:00:00 GMT",
                _ => false,
            };
            if !fine || attributes.iter().any(|(earlier, _)| *earlier == key) {
                return None;
            }
            attributes.push((key, value));
        }
        Some((name, value, attributes))
    }

    prop_compose! {
        fn any_attributes()(
            prefix in prop::sample::select(vec!["", "__Host-", "__Secure-", "__Http-", "__Host-Http-", "__host-"]),
            name in "[!-~]{0,6}",
            path in prop_oneof![Just("/".to_owned()), "/[ -~]{0,6}"],
            domain in prop_oneof![3 => Just(None), 1 => "[a-z.-]{0,8}".prop_map(Some)],
            same_site in prop::sample::select(vec![SameSite::Lax, SameSite::None, SameSite::Strict]),
            (secure, http_only, partitioned, persistent) in any::<(bool, bool, bool, bool)>(),
        ) -> Attributes {
            let name = format!("{prefix}{name}");
            Attributes { name, path, domain, same_site, secure, http_only, partitioned, persistent, ..Attributes::default() }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_line_that_can_be_built_reads_back(attributes in any_attributes(), token in "[A-Za-z0-9_.-]{1,99}", left in any::<u64>()) {
            let Ok(attributes) = attributes.check() else { return Ok(()) };
            let (line, removal) = (attributes.set(&token, left, false).unwrap(), attributes.removal(&attributes.name));
            let (name, value, set) = strict(&line).expect(&line);
            prop_assert_eq!((name, value), (attributes.name.as_str(), token.as_str()));
            let (name, value, mut removed) = strict(&removal).expect(&removal);
            prop_assert_eq!((name, value), (attributes.name.as_str(), ""));

            let has = |key: &str| set.iter().any(|(other, _)| *other == key);
            prop_assert_eq!(has("Secure"), attributes.secure);
            prop_assert_eq!(has("HttpOnly"), attributes.http_only);
            prop_assert_eq!(has("Partitioned"), attributes.partitioned);
            prop_assert_eq!(has("Domain"), attributes.domain.is_some());
            prop_assert_eq!(has("Max-Age"), attributes.persistent);
            prop_assert!(set.contains(&("Path", Some(attributes.path.as_str()))) && has("SameSite") && !has("Expires"));

            // The removal is for the same place, and differs in its end alone.
            prop_assert!(removed.contains(&("Max-Age", Some("0"))) && removed.iter().any(|(key, _)| *key == "Expires"));
            removed.retain(|(key, _)| *key != "Max-Age" && *key != "Expires");
            let mut set = set;
            set.retain(|(key, _)| *key != "Max-Age");
            prop_assert_eq!(set, removed);
        }
    }
}
