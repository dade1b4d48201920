//! The little that core has to know of a request and of a response, and what it does to the latter.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::event::{Event, Happening, Observer, emit};
use crate::fingerprint::Fingerprint;

/// The head of a request, as a door shows it: raw bytes, because the frameworks' cookie parsers disagree.
///
/// ```
/// use session_core::RequestHead;
///
/// struct Lines(Vec<(&'static str, &'static [u8])>);
/// impl RequestHead for Lines {
///     fn method(&self) -> &str {
///         "GET"
///     }
///     fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
///         self.0.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value));
///     }
/// }
/// let head = Lines(vec![("cookie", b"a=1"), ("host", b"x")]);
/// let mut seen = Vec::new();
/// head.each("cookie", &mut |line| seen.push(line.to_vec()));
/// assert_eq!(seen, [b"a=1"]);
/// assert_eq!(head.authority(), None);
/// ```
pub trait RequestHead {
    /// The method, as it came.
    fn method(&self) -> &str;

    /// The host and port that the request's target names, as in HTTP/2; `None` if only a `Host` line does.
    fn authority(&self) -> Option<String> {
        None
    }

    /// Calls `line` once for each field line of that name (lowercase), in order, with its value.
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8]));
}

/// The head of a response. Names are lowercase.
///
/// ```
/// use session_core::{Effects, Error, ResponseHead};
/// use std::borrow::Cow;
///
/// #[derive(Default)]
/// struct Lines(Vec<(&'static str, Cow<'static, str>)>);
/// impl ResponseHead for Lines {
///     fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
///         self.0.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value.as_bytes()));
///     }
///     fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
///         self.0.push((name, value));
///     }
///     fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
///         self.0.retain(|(key, value)| *key != name || keep(value.as_bytes()));
///     }
/// }
///
/// let effects = Effects::from(Error::CrossOrigin);
/// assert!(matches!(effects.failure(), Some(Error::CrossOrigin)));
/// let mut head = Lines::default();
/// effects.apply(&mut head);
/// assert_eq!(head.0, [("vary", "Sec-Fetch-Site".into()), ("vary", "Origin".into())]);
/// ```
pub trait ResponseHead {
    /// Calls `line` once for each field line of that name, in order, with its value.
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8]));

    /// Adds a field line behind those that are there.
    fn append(&mut self, name: &'static str, value: Cow<'static, str>);

    /// Drops the field lines of that name for which `keep` says no; the others stay as they are, in order.
    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool);
}

/// What the end of a session does to the response.
#[derive(Default)]
#[must_use = "without `apply` the session's cookie never reaches the browser"]
pub struct Effects {
    pub(crate) failure: Option<Error>,
    pub(crate) set_cookies: Vec<SetCookie>,
    /// Whose cookie it is, for the observer.
    pub(crate) session: Option<Fingerprint>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) line: String,
}

impl Effects {
    /// What went wrong, if anything: the response then has to be replaced by an error before `apply`.
    ///
    /// See [`ResponseHead`] for an example.
    #[must_use]
    pub const fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Writes `Set-Cookie`, `Cache-Control` and `Vary`.
    ///
    /// See [`ResponseHead`] for an example.
    pub fn apply(&self, head: &mut impl ResponseHead) {
        if !self.set_cookies.is_empty() {
            let is_for = |other: &[u8], name: &str| {
                other.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
            };
            let ours = |other: &[u8]| self.set_cookies.iter().any(|SetCookie { name, .. }| is_for(other, name));
            head.retain("set-cookie", &mut |other| !ours(other));
            for SetCookie { line, .. } in &self.set_cookies {
                head.append("set-cookie", Cow::Owned(line.clone()));
            }
            forbid_storing(head, self.observer.as_ref(), self.session);
        }
        // The answer depends on who asks, or on where that was (RFC 9110, 12.5.5).
        let depends_on: &[&'static str] = match self.failure {
            Some(Error::CrossOrigin) => &["Sec-Fetch-Site", "Origin"],
            _ => &["Cookie"],
        };
        for name in depends_on {
            if !says(head, "vary", &["*", name]) {
                head.append("vary", Cow::Borrowed(name));
            }
        }
    }
}

impl From<Error> for Effects {
    fn from(error: Error) -> Self {
        Self { failure: Some(error), ..Self::default() }
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects")
            .field("failure", &self.failure)
            .field("sets_cookie", &!self.set_cookies.is_empty())
            .finish_non_exhaustive()
    }
}

/// Whether a comma-separated header has one of `words` in it, parameters aside.
/// A response with a session's cookie in it must not be given to anybody else (RFC 9111, 7.3).
fn forbid_storing(head: &mut impl ResponseHead, observer: Option<&Arc<dyn Observer>>, session: Option<Fingerprint>) {
    if says(head, "cache-control", &["no-store"]) {
        return;
    }
    if says(head, "cache-control", &["public"]) {
        emit(observer, Happening::from(Event::CacheOverruled).to(session));
    }
    head.retain("cache-control", &mut |_| false);
    head.append("cache-control", Cow::Borrowed("no-store"));
}

fn says(head: &impl ResponseHead, name: &str, words: &[&str]) -> bool {
    let mut found = false;
    head.each(name, &mut |line| {
        for element in line.split(|&byte| byte == b',') {
            let word = element.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
            found |= words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted.as_bytes()));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Vec<(&'static str, Vec<u8>)>);

    impl ResponseHead for Lines {
        fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
            self.0.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value));
        }
        fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
            self.0.push((name, value.into_owned().into_bytes()));
        }
        fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
            self.0.retain(|(key, value)| *key != name || keep(value));
        }
    }

    impl Lines {
        fn of(lines: &[(&'static str, &str)]) -> Self {
            Self(lines.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect())
        }
        fn all(&self) -> Vec<String> {
            self.0.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
        }
    }

    fn setting(line: &str) -> Effects {
        Effects {
            failure: None,
            set_cookies: vec![SetCookie { name: "id".to_owned(), line: line.to_owned() }],
            session: None,
            observer: None,
        }
    }

    fn looking() -> Effects {
        Effects { failure: None, set_cookies: Vec::new(), session: None, observer: None }
    }

    #[test]
    fn looking_says_vary_once() {
        for (before, after) in [
            (vec![], vec!["vary: Cookie"]),
            (vec![("vary", "Accept-Encoding")], vec!["vary: Accept-Encoding", "vary: Cookie"]),
            (vec![("vary", "accept, cOOkie")], vec!["vary: accept, cOOkie"]),
            (vec![("vary", "*")], vec!["vary: *"]),
            (vec![("vary", "X-Cookie-Name")], vec!["vary: X-Cookie-Name", "vary: Cookie"]),
        ] {
            let mut head = Lines::of(&before);
            looking().apply(&mut head);
            assert_eq!(head.all(), after);
        }
    }

    #[test]
    fn a_refusal_depends_on_where_the_request_is_from() {
        for (before, after) in [
            (vec![], vec!["vary: Sec-Fetch-Site", "vary: Origin"]),
            (vec![("vary", "origin")], vec!["vary: origin", "vary: Sec-Fetch-Site"]),
            (vec![("vary", "*")], vec!["vary: *"]),
        ] {
            let mut head = Lines::of(&before);
            Effects::from(Error::CrossOrigin).apply(&mut head);
            assert_eq!(head.all(), after);
        }
    }

    #[test]
    fn setting_the_cookie_forbids_storing() {
        for (before, after) in [
            (vec![], "cache-control: no-store"),
            (vec![("cache-control", "public, max-age=60")], "cache-control: no-store"),
            (vec![("cache-control", "private")], "cache-control: no-store"),
            (vec![("cache-control", "No-Store, max-age=0")], "cache-control: No-Store, max-age=0"),
        ] {
            let mut head = Lines::of(&before);
            setting("id=1").apply(&mut head);
            assert_eq!(head.all().iter().filter(|line| line.starts_with("cache-control")).collect::<Vec<_>>(), [after]);
        }
    }

    #[test]
    fn other_cookies_stay_in_order_and_ours_comes_once() {
        let mut head = Lines::of(&[("set-cookie", "a=1"), ("set-cookie", "id=old"), ("set-cookie", "idx=2")]);
        setting("id=new; Path=/").apply(&mut head);
        assert_eq!(&head.all()[..3], ["set-cookie: a=1", "set-cookie: idx=2", "set-cookie: id=new; Path=/"]);
    }

    #[test]
    fn an_overruled_public_is_an_event() {
        #[derive(Default)]
        struct Seen(std::sync::Mutex<Vec<Event>>);
        impl Observer for Seen {
            fn observe(&self, happening: &Happening<'_>) {
                self.0.lock().unwrap().push(happening.event());
            }
        }
        let seen = Arc::new(Seen::default());
        let effects = || Effects { observer: Some(Arc::clone(&seen) as Arc<dyn Observer>), ..setting("id=1") };
        effects().apply(&mut Lines::of(&[("cache-control", "max-age=5")]));
        assert!(seen.0.lock().unwrap().is_empty());
        effects().apply(&mut Lines::of(&[("cache-control", "PUBLIC")]));
        assert_eq!(*seen.0.lock().unwrap(), [Event::CacheOverruled]);
    }
}
