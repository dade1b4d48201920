//! A cookie as a server sets it.

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
