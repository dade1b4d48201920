//! Cookies, as a browser reads and keeps them.

use std::collections::BTreeMap;

use super::response::Response;

/// A `Set-Cookie` line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    /// The cookie's name.
    pub name: String,
    /// Its value, as it came.
    pub value: String,
    /// The attributes in their order: name in lowercase, value if it has one.
    pub attributes: Vec<(String, Option<String>)>,
}

impl SetCookie {
    /// Takes a line apart, as a browser does.
    ///
    /// ```
    /// # use session_testing::http::SetCookie;
    /// let cookie = SetCookie::parse("id=7; Path=/; Max-Age=0; Secure");
    /// assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("id", "7"));
    /// assert_eq!(cookie.attribute("Path"), Some("/"));
    /// assert!(cookie.has("secure") && cookie.removes());
    /// ```
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
        let attribute = |part: &str| match part.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(value.to_owned())),
            None => (part.to_ascii_lowercase(), None),
        };
        Self { name: name.to_owned(), value: value.to_owned(), attributes: parts.map(attribute).collect() }
    }

    /// The value of an attribute.
    ///
    /// ```
    /// # use session_testing::http::SetCookie;
    /// assert_eq!(SetCookie::parse("id=7; Path=/x").attribute("path"), Some("/x"));
    /// ```
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.attributes.iter().find(|(other, _)| *other == name)?.1.as_deref()
    }

    /// Whether there is such an attribute, with or without a value.
    ///
    /// ```
    /// # use session_testing::http::SetCookie;
    /// assert!(SetCookie::parse("id=7; HttpOnly").has("httponly"));
    /// ```
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Whether the browser is to forget the cookie. `Max-Age` counts before `Expires` (RFC 6265bis, 5.7).
    ///
    /// ```
    /// # use session_testing::http::SetCookie;
    /// assert!(SetCookie::parse("id=; Max-Age=0").removes());
    /// assert!(!SetCookie::parse("id=").removes());
    /// ```
    #[must_use]
    pub fn removes(&self) -> bool {
        match self.attribute("max-age") {
            Some(seconds) => seconds.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
            None => self.attribute("expires").is_some_and(|date| date.contains("1970")),
        }
    }
}

/// The cookies of one browser, by their names; one host, no paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Does what the response's `Set-Cookie` lines say.
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// let mut jar = session_testing::http::Jar::default();
    /// jar.keep(&response);
    /// assert_eq!(jar.get("id"), Some("7"));
    /// ```
    pub fn keep(&mut self, response: &Response) {
        for cookie in response.cookies() {
            if cookie.removes() {
                self.0.remove(&cookie.name);
            } else {
                self.0.insert(cookie.name, cookie.value);
            }
        }
    }

    /// Puts a cookie in.
    ///
    /// ```
    /// # use session_testing::http::Jar;
    /// let mut jar = Jar::default();
    /// jar.put("a", "1");
    /// jar.put("b", "2");
    /// assert_eq!(jar.line().as_deref(), Some("a=1; b=2"));
    /// ```
    pub fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value of a cookie.
    ///
    /// ```
    /// # use session_testing::http::Jar;
    /// let mut jar = Jar::default();
    /// jar.put("id", "7");
    /// assert_eq!((jar.get("id"), jar.get("other")), (Some("7"), None));
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a cookie out.
    ///
    /// ```
    /// # use session_testing::http::Jar;
    /// let mut jar = Jar::default();
    /// jar.put("id", "7");
    /// jar.remove("id");
    /// assert_eq!(jar.get("id"), None);
    /// ```
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What stands in the `Cookie` line.
    ///
    /// ```
    /// # use session_testing::http::Jar;
    /// let mut jar = Jar::default();
    /// jar.put("id", "7");
    /// assert_eq!(jar.line().as_deref(), Some("id=7"));
    /// assert_eq!(Jar::default().line(), None);
    /// ```
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(pairs.join("; ")).filter(|line| !line.is_empty())
    }
}
