//! What the fuzz targets of this repository need of the inside. Compiled with `--cfg fuzzing` only, so no part of the library.

use std::borrow::Cow;

use crate::cookie::{Attributes, CookieLines};
use crate::key::KeyRing;
use crate::random::OsRandom;
use crate::token::{Purpose, Tokens};

/// The different well-formed values of the cookie, and whether there were others of its name.
pub fn candidates(lines: &[&[u8]], name: &str, is_well_formed: impl Fn(&[u8]) -> bool) -> (Vec<Vec<u8>>, bool) {
    let cookies = cookies(lines);
    let found = cookies.candidates(name, is_well_formed);
    (found.values.iter().map(|value| value.to_vec()).collect(), found.malformed)
}

/// The token that a value stands for, where a session may take several cookies.
pub fn join(lines: &[&[u8]], name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let attributes = Attributes { name: name.to_owned(), chunked: true, ..Attributes::default() };
    cookies(lines).join(value, &attributes).map(Cow::into_owned)
}

/// An authentic token with these bytes inside: sealed ones, padded as usual, or signed ones.
pub fn authentic(sealed: bool, keys: &KeyRing, cookie_name: &str, inside: &[u8]) -> String {
    let purpose = if sealed { Purpose::Sealed } else { Purpose::Signed };
    let tokens = Tokens::new(keys, purpose, "", cookie_name);
    tokens.carrying(inside.to_vec(), &OsRandom).expect("the system has randomness")
}

fn cookies(lines: &[&[u8]]) -> CookieLines {
    let mut cookies = CookieLines::default();
    lines.iter().for_each(|line| cookies.push(line));
    cookies
}
