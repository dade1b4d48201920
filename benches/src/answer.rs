//! What came back, and what a browser would send next.

/// A response, read whole. Only for what isn't measured.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The `Set-Cookie` lines.
    pub set_cookies: Vec<String>,
    pub body: String,
}

impl Answer {
    /// The `Cookie` line of a browser that got this answer.
    #[must_use]
    pub fn cookie(&self) -> String {
        let pairs = self.set_cookies.iter().filter_map(|line| line.split(';').next());
        let is_removed = |pair: &&str| pair.split_once('=').is_some_and(|(_, value)| value.is_empty());
        pairs.filter(|pair| !is_removed(pair)).collect::<Vec<_>>().join("; ")
    }
}

/// The same cookies, each with one character in the middle of its value changed: the form stays right.
#[must_use]
pub fn forged(cookie: &str) -> String {
    cookie.split("; ").map(forged_pair).collect::<Vec<_>>().join("; ")
}

fn forged_pair(pair: &str) -> String {
    let start = pair.find('=').map_or(0, |equals| equals + 1);
    let middle = start + (pair.len() - start) / 2;
    let bytes = pair.as_bytes();
    // Not inside of a percent sign's digits.
    let is_free = |place: &usize| {
        bytes[*place].is_ascii_alphanumeric() && !bytes[place.saturating_sub(2)..*place].contains(&b'%')
    };
    let mut forged = bytes.to_vec();
    if let Some(place) = (middle..bytes.len()).find(is_free) {
        forged[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
    }
    String::from_utf8_lossy(&forged).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_sends_the_pairs_alone_and_no_removed_ones() {
        let lines = ["id=abc; Path=/", "gone=; Max-Age=0", "b=2=="].map(ToOwned::to_owned);
        let answer = Answer { status: 200, set_cookies: lines.into(), body: String::new() };
        assert_eq!(answer.cookie(), "id=abc; b=2==");
    }

    #[test]
    fn a_forged_cookie_differs_in_one_character() {
        assert_eq!(forged("id=zzzzz"), "id=zzazz");
        assert_eq!(forged("id=z%2Fz"), "id=z%2Fa");
        assert_eq!(forged("id=zaz; b=bbb"), "id=zbz; b=bab");
    }
}
