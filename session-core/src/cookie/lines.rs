//! The cookies of a request: what stands under our name.

use std::fmt;

use memchr::memchr_iter;
use smallvec::SmallVec;

/// More different cookies of our name than this are not looked at.
pub(crate) const MOST_CANDIDATES: usize = 4;
/// Most requests bring no more bytes of cookies than this, and need no allocation for them.
const USUAL: usize = 128;

/// The raw `Cookie` lines of one request, kept until somebody asks for the session.
#[derive(Clone, Default)]
pub(crate) struct CookieLines(SmallVec<[u8; USUAL]>);

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
        let mut found = Candidates { values: SmallVec::new(), malformed: false };
        for pair in pairs(&self.0) {
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
    pub(crate) values: SmallVec<[&'a [u8]; MOST_CANDIDATES + 1]>,
    /// There was a value that can't be ours.
    pub(crate) malformed: bool,
}

impl fmt::Debug for CookieLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieLines(…)")
    }
}

/// What is between the semicolons.
fn pairs(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b';', lines).chain([lines.len()]).map(move |end| {
        let pair = &lines[start..end];
        start = end + 1;
        pair
    })
}

fn trim(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}
