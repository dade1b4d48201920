//! The cookies that a browser keeps.

use std::collections::BTreeMap;

use super::response::Response;

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
