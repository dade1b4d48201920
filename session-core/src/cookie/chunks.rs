//! A cookie session that is too large for one cookie, spread over several. Only where the application asked for it.
//!
//! The token is cut into at most four parts. The first is in the cookie of the session's name, the others are in cookies
//! of that name with `-1`, `-2`, `-3` behind it, so that its prefix holds for all of them. Each value is
//!
//! ```text
//! ~ place (one digit) count (one digit) tag (8) part
//! ```
//!
//! where the tag is random, base64url, and the same in all chunks of one response: chunks of different responses never
//! join. What is joined is one token, and authentic as a whole or not at all. `~` begins no token, so a value is a token or a
//! chunk and never both.
//!
//! The first chunk has the session's own name, so that of two responses that cross the later one wins, whichever of them
//! was in chunks. How many there are is read from it and capped; nothing else in the header decides how much work is done.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Attributes, CookieLines, LARGEST};
use crate::error::Error;
use crate::random::Random;

/// No session is spread over more cookies.
pub(crate) const MOST_CHUNKS: usize = 4;
const MARK: u8 = b'~';
const TAG_LENGTH: usize = 8;
const HEAD_LENGTH: usize = 3 + TAG_LENGTH;

/// The value of one chunk's cookie.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    place: usize,
    count: usize,
    tag: [u8; TAG_LENGTH],
    part: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let (&[mark, place, count], rest) = value.split_first_chunk()?;
        let (&tag, part) = rest.split_first_chunk()?;
        let digit = |byte: u8| char::from(byte).to_digit(10).and_then(|digit| usize::try_from(digit).ok());
        let (place, count) = (digit(place)?, digit(count)?);
        let fits = mark == MARK
            && (2..=MOST_CHUNKS).contains(&count)
            && place < count
            && URL_SAFE_NO_PAD.decode(tag).is_ok()
            && value.len() <= LARGEST;
        fits.then_some(Self { place, count, tag, part })
    }

    const fn is_first(&self) -> bool {
        self.place == 0
    }

    fn is_of(&self, first: &Self) -> bool {
        (self.count, self.tag) == (first.count, first.tag)
    }
}

/// Whether the value is the first of several chunks.
pub(crate) fn is_first_chunk(value: &[u8]) -> bool {
    Chunk::read(value).is_some_and(|chunk| chunk.is_first())
}

/// Which chunks a request brought, by their places. They have to go when the session no longer needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought([bool; MOST_CHUNKS]);

impl Brought {
    pub(crate) fn has(self, place: usize) -> bool {
        self.0.get(place).is_some_and(|brought| *brought)
    }
}

impl CookieLines {
    /// The token that a value of our name stands for: the value itself or, if it is a first chunk, all of them joined.
    /// Nothing if one of them is missing, or if two different ones claim its place.
    pub(crate) fn join<'a>(&'a self, value: &'a [u8], attributes: &Attributes) -> Option<Cow<'a, [u8]>> {
        let Some(first) = Chunk::read(value).filter(|_| attributes.chunked) else { return Some(Cow::Borrowed(value)) };
        let mut token = first.part.to_vec();
        for place in 1..first.count {
            let follows = |chunk: Chunk<'_>| chunk.place == place && chunk.is_of(&first);
            let found =
                self.candidates(&attributes.name_at(place), |value| Chunk::read(value).is_some_and(follows)).values;
            let [value] = found[..] else { return None };
            token.extend_from_slice(Chunk::read(value)?.part);
        }
        Some(Cow::Owned(token))
    }

    /// The chunks that came beyond the first one, of whichever response they are. Other people's cookies of these names
    /// aren't meant.
    pub(crate) fn brought(&self, attributes: &Attributes) -> Brought {
        let mut brought = Brought::default();
        for (place, brought) in brought.0.iter_mut().enumerate().skip(1).filter(|_| attributes.chunked) {
            let is_chunk = |value: &[u8]| Chunk::read(value).is_some_and(|chunk| chunk.place == place);
            *brought = !self.candidates(&attributes.name_at(place), is_chunk).values.is_empty();
        }
        brought
    }
}

impl Attributes {
    /// The name of the cookie for the chunk in this place.
    pub(crate) fn name_at(&self, place: usize) -> String {
        if place == 0 { self.name.clone() } else { format!("{}-{place}", self.name) }
    }

    /// As [`Attributes::set`], in as many cookies as it takes, in the order of their places.
    pub(crate) fn set_all(
        &self,
        token: &str,
        seconds_left: u64,
        remembered: bool,
        random: &dyn Random,
    ) -> Result<Vec<String>, Error> {
        let refused = match self.set(token, seconds_left, remembered) {
            Err(error) if self.chunked => error,
            line => return Ok(vec![line?]),
        };
        let line = |name: &str, value: &str| self.line(name, value, seconds_left, remembered);
        let around = line(&self.name_at(1), "").len() + HEAD_LENGTH;
        let room = LARGEST.saturating_sub(around);
        if room == 0 {
            return Err(refused);
        }
        let count = token.len().div_ceil(room);
        if count > MOST_CHUNKS {
            return Err(Error::TooLarge { size: token.len() + count * around, limit: MOST_CHUNKS * LARGEST });
        }
        let mut tag = [0; TAG_LENGTH / 4 * 3];
        random.fill(&mut tag).map_err(Error::random)?;
        let tag = URL_SAFE_NO_PAD.encode(tag);
        let (mut lines, mut rest) = (Vec::with_capacity(count), token);
        for place in 0..count {
            let (part, others) = rest.split_at_checked(room).unwrap_or((rest, ""));
            lines.push(line(&self.name_at(place), &format!("{}{place}{count}{tag}{part}", char::from(MARK))));
            rest = others;
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests;
