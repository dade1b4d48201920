//! The cookie: its attributes, writing it, and the only parser of it.

use std::fmt;

use cookie::time::{Duration as CookieDuration, OffsetDateTime};
use cookie::{Cookie, CookieBuilder};

use crate::error::{ConfigError, Error};

/// A browser drops a larger cookie (RFC 6265bis, 5.6 asks for 4,096 bytes of name and value); we count the
/// attributes too, so that no server on the way has more to carry either.
const LARGEST: usize = 4096;
/// Browsers cap what we ask for (RFC 6265bis, 5.5).
const LONGEST_LIFE_SECONDS: u64 = 400 * 24 * 60 * 60;
/// Longer attribute values are ignored by browsers (RFC 6265bis, 5.6).
const LONGEST_ATTRIBUTE: usize = 1024;
/// More different cookies of our name than this are not looked at.
pub(crate) const MOST_CANDIDATES: usize = 4;

/// Which cross-site requests the browser sends the cookie with (RFC 6265bis, 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        }
    }
}

impl Attributes {
    /// Refuses what a browser would drop or cut, by the rules of RFC 6265bis and, for the `__Http-` prefixes, of
    /// draft-ietf-httpbis-layered-cookies.
    pub(crate) fn check(self) -> Result<Self, ConfigError> {
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
        if !self.path.starts_with('/') || !is_attribute(&self.path) {
            return error(
                "path",
                "it has to start with / and be at most 1,024 printable ASCII bytes without a semicolon",
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
        Ok(self)
    }

    /// The `Set-Cookie` value for a token whose session ends at most `seconds_left` from now.
    pub(crate) fn set(&self, token: &str, seconds_left: u64) -> Result<String, Error> {
        let mut cookie = self.build(token);
        if self.persistent {
            cookie = cookie.max_age(seconds(seconds_left.clamp(1, LONGEST_LIFE_SECONDS)));
        }
        let line = cookie.build().to_string();
        if line.len() > LARGEST {
            return Err(Error::TooLarge { size: line.len(), limit: LARGEST });
        }
        Ok(line)
    }

    /// The `Set-Cookie` value that takes the cookie away: the same place, ended. `Max-Age` for browsers; `Expires`
    /// too, for clients that only know that.
    pub(crate) fn removal(&self) -> String {
        self.build("").max_age(CookieDuration::ZERO).expires(OffsetDateTime::UNIX_EPOCH).build().to_string()
    }

    fn build<'a>(&'a self, value: &'a str) -> CookieBuilder<'a> {
        let same_site = match self.same_site {
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
            SameSite::Strict => cookie::SameSite::Strict,
        };
        let mut cookie = Cookie::build((self.name.as_str(), value)).path(self.path.as_str()).same_site(same_site);
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

fn seconds(count: u64) -> CookieDuration {
    CookieDuration::seconds(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The raw `Cookie` lines of one request, kept until somebody asks for the session.
#[derive(Clone, Default)]
pub(crate) struct CookieLines(Vec<u8>);

impl CookieLines {
    pub(crate) fn push(&mut self, line: &[u8]) {
        // `;` separates pairs within a line, and so it can between lines (RFC 6265bis, 4.2.1 allows several).
        if !self.0.is_empty() {
            self.0.push(b';');
        }
        self.0.extend_from_slice(line);
    }

    /// The different values of the cookie `name`, in order, that `is_well_formed`. Names are compared byte for byte,
    /// nothing is decoded, and nothing but blanks and tabs around a pair is trimmed: other readings have let planted
    /// cookies pass for `__Host-` ones.
    pub(crate) fn candidates(&self, name: &str, is_well_formed: impl Fn(&[u8]) -> bool) -> Candidates<'_> {
        let mut found = Candidates { values: Vec::new(), malformed: false };
        for pair in self.0.split(|&byte| byte == b';') {
            let value = trim(pair).strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            match value {
                Some(value) if found.values.contains(&value) => {}
                Some(value) if is_well_formed(value) => found.values.push(value),
                Some(_) => found.malformed = true,
                None => {}
            }
            if found.values.len() > MOST_CANDIDATES {
                break;
            }
        }
        found
    }
}

/// What stood under our name.
pub(crate) struct Candidates<'a> {
    /// One more than [`MOST_CANDIDATES`] means "too many".
    pub(crate) values: Vec<&'a [u8]>,
    /// There was a value that can't be ours.
    pub(crate) malformed: bool,
}

impl fmt::Debug for CookieLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieLines(…)")
    }
}

fn trim(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}
