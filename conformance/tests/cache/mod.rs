//! A shared cache that takes everything it may by RFC 9111 and keeps it for as long as it may: the worst neighbour that an
//! application can have without anybody breaking a rule. It doesn't validate, and knows no ranges.

mod rules;

use std::collections::HashMap;

use session_testing::http::Response;

/// How long what says nothing of it counts as fresh. The RFC leaves that to the cache (4.2.2).
const HEURISTIC_SECONDS: u64 = 30;
/// The statuses that may be kept without being told (RFC 9110, 15.1), but 206: this cache knows no ranges.
const HEURISTICALLY_CACHEABLE: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// A request as the cache sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// Names in lowercase.
    pub(crate) headers: Vec<(&'a str, String)>,
}

impl Asked<'_> {
    fn all(&self, name: &str) -> Vec<String> {
        let lines = self.headers.iter().filter(|(other, _)| *other == name);
        lines.map(|(_, value)| value.trim().to_owned()).collect()
    }

    fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}

struct Stored {
    number: u64,
    response: Response,
    /// The headers that the response's `Vary` names, as the request had them.
    nominated: Vec<(String, Vec<String>)>,
    since: u64,
    fresh_for: u64,
}

impl Stored {
    fn is_for(&self, asked: &Asked<'_>) -> bool {
        self.nominated.iter().all(|(name, values)| name != "*" && asked.all(name) == *values)
    }

    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.since) < self.fresh_for
    }
}

#[derive(Default)]
pub(crate) struct Cache {
    stored: HashMap<String, Vec<Stored>>,
    numbers: u64,
}

impl Cache {
    /// What may be answered at this second without asking the origin, and its number.
    pub(crate) fn answer(&self, asked: &Asked<'_>, now: u64) -> Option<(u64, Response)> {
        let unwilling = Directives::of(&asked.all("cache-control"));
        if !matches!(asked.method, "GET" | "HEAD") || unwilling.has("no-cache") || unwilling.has("no-store") {
            return None;
        }
        let stored = self.stored.get(asked.target)?;
        let found = stored.iter().rev().find(|stored| stored.is_for(asked) && stored.is_fresh(now))?;
        let mut response = found.response.clone();
        response.headers.push(("age".to_owned(), (now - found.since).to_string().into_bytes()));
        if asked.method == "HEAD" {
            response.body.clear();
        }
        Some((found.number, response))
    }

    /// Hears of an exchange with the origin. If the response may be kept, it is, under the number that is returned.
    pub(crate) fn hear(&mut self, asked: &Asked<'_>, response: &Response, now: u64) -> Option<u64> {
        if !asked.is_safe() && (200..400).contains(&response.status) {
            self.stored.remove(asked.target);
        }
        let fresh_for = may_be_kept_for(asked, response)?;
        let nominated = list(&response.all("vary")).into_iter().map(|name| {
            let values = asked.all(&name);
            (name, values)
        });
        let stored = Stored {
            number: self.numbers,
            response: response.clone(),
            nominated: nominated.collect(),
            since: now,
            fresh_for,
        };
        self.numbers += 1;
        let others = self.stored.entry(asked.target.to_owned()).or_default();
        others.retain(|other| other.is_fresh(now) && other.nominated != stored.nominated);
        others.push(stored);
        others.last().map(|stored| stored.number)
    }
}

/// For how many seconds a shared cache may answer with this, or `None` if it must not keep it (RFC 9111, 3).
fn may_be_kept_for(asked: &Asked<'_>, response: &Response) -> Option<u64> {
    let theirs = Directives::of(&asked.all("cache-control"));
    let directives = Directives::of(&response.all("cache-control"));
    let told = directives.seconds("s-maxage").or_else(|| directives.seconds("max-age"));
    let heuristic = HEURISTICALLY_CACHEABLE.contains(&response.status);
    // 304 and 206 are about something that is kept already.
    if asked.method != "GET" || response.status < 200 || matches!(response.status, 206 | 304) {
        return None;
    }
    // To be validated each time is not to be answered from here.
    if theirs.has("no-store") || ["no-store", "private", "no-cache"].iter().any(|word| directives.has(word)) {
        return None;
    }
    let shareable = ["public", "must-revalidate", "s-maxage"].iter().any(|word| directives.has(word));
    if !asked.all("authorization").is_empty() && !shareable {
        return None;
    }
    match told {
        Some(seconds) => Some(seconds),
        // A date can't be compared without a clock of the origin's: what names one is taken as stale.
        None if response.header("expires").is_some() => None,
        None => (heuristic || directives.has("public")).then_some(HEURISTIC_SECONDS),
    }
}

/// What `Cache-Control` says: names in lowercase, arguments without quotes.
struct Directives(Vec<(String, String)>);

impl Directives {
    fn of(lines: &[String]) -> Self {
        let directive = |element: String| {
            let (name, argument) = element.split_once('=').unwrap_or((&element, ""));
            (name.trim().to_owned(), argument.trim().trim_matches('"').to_owned())
        };
        Self(list(lines).into_iter().map(directive).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// What can't be read is stale at once (RFC 9111, 4.2.1).
    fn seconds(&self, name: &str) -> Option<u64> {
        let (_, argument) = self.0.iter().find(|(other, _)| other == name)?;
        Some(argument.parse().unwrap_or_default())
    }
}

/// The elements of a comma-separated header, in lowercase.
fn list(lines: &[String]) -> Vec<String> {
    let elements = lines.iter().flat_map(|line| line.split(',')).map(|element| element.trim().to_ascii_lowercase());
    elements.filter(|element| !element.is_empty()).collect()
}
