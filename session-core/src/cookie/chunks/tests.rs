//! Chunks join to the token they were cut from, or to nothing.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::MOST_CANDIDATES;
use super::*;
use crate::random::OsRandom;

fn attributes() -> Attributes {
    Attributes { chunked: true, ..Attributes::default() }.check().unwrap()
}

/// A token of this length, each piece of it different.
fn token(length: usize) -> String {
    let mut text: String = (0..length.div_ceil(4)).map(|n| format!("{n:04x}")).collect();
    text.truncate(length);
    text
}

fn set(token: &str) -> Result<Vec<String>, Error> {
    attributes().set_all(token, 60, false, &OsRandom)
}

/// What a browser sends back for `Set-Cookie` lines.
fn pairs(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.split(';').next().unwrap().to_owned()).collect()
}

fn cut(token: &str) -> Vec<String> {
    pairs(&set(token).unwrap())
}

/// All that stands under our name in this header, joined where it takes that.
fn joined(header: &str) -> Vec<String> {
    let (mut lines, attributes) = (CookieLines::default(), attributes());
    lines.push(header.as_bytes());
    let values = lines.candidates(&attributes.name, |_| true).values;
    let joined = values.iter().filter_map(|value| lines.join(value, &attributes));
    joined.map(|token| String::from_utf8_lossy(&token).into_owned()).collect()
}

/// How much of a token is in a chunk.
fn room() -> usize {
    LARGEST - "__Host-id-1=~04aaaaaaaa; HttpOnly; SameSite=Lax; Secure; Path=/".len()
}

#[test]
fn a_token_takes_as_few_cookies_as_it_fits_into() {
    let one = LARGEST - "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/".len();
    let room = room();
    for (length, count) in
        [(1, 1), (one, 1), (one + 1, 2), (2 * room, 2), (2 * room + 1, 3), (3 * room + 1, 4), (4 * room, 4)]
    {
        let lines = set(&token(length)).unwrap();
        assert_eq!(lines.len(), count, "{length}");
        for (place, line) in lines.iter().enumerate() {
            assert!(line.len() <= LARGEST, "{length}");
            let name = ["__Host-id", "__Host-id-1", "__Host-id-2", "__Host-id-3"][place];
            assert!(line.starts_with(&format!("{name}=")), "{line}");
            assert!(line.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{line}");
        }
        assert_eq!(joined(&pairs(&lines).join("; ")), [token(length)]);
    }
}

#[test]
fn what_fits_into_one_cookie_is_written_as_without_chunks() {
    let plain = Attributes::default().check().unwrap();
    for length in [1, 500, 4_000] {
        assert_eq!(set(&token(length)).unwrap(), [plain.set(&token(length), 60, false).unwrap()]);
    }
    let refused = plain.set_all(&token(5_000), 60, false, &OsRandom);
    assert!(matches!(refused, Err(Error::TooLarge { size: 5_050, limit: 4_096 })), "{refused:?}");
}

#[test]
fn beyond_four_cookies_it_is_refused_with_both_numbers() {
    for more in [1, 1_000, 1_000_000] {
        let refused = set(&token(4 * room() + more));
        assert!(matches!(refused, Err(Error::TooLarge { size, limit: 16_384 }) if size > 16_384), "{refused:?}");
    }
    let name = "a".repeat(LARGEST);
    let refused = Attributes { name, ..attributes() }.set_all("v", 60, false, &OsRandom);
    assert!(matches!(refused, Err(Error::TooLarge { size, limit: 4_096 }) if size > 4_096), "{refused:?}");
}

#[test]
fn the_first_response_that_was_ever_sent_in_chunks_still_joins() {
    let header = "__Host-id-2=~23AbCd_-12ghi; __Host-id=~03AbCd_-12abc; __Host-id-1=~13AbCd_-12def";
    assert_eq!(joined(header), ["abcdefghi"]);
}

#[test]
fn nothing_joins_but_all_chunks_of_one_response() {
    for header in [
        // one is missing
        "__Host-id=~02aaaaaaaax",
        "__Host-id-1=~12aaaaaaaax",
        "__Host-id=~03aaaaaaaax; __Host-id-1=~13aaaaaaaay",
        // of another response, of another number, in another place
        "__Host-id=~02aaaaaaaax; __Host-id-1=~12aaaaaaaby",
        "__Host-id=~02aaaaaaaax; __Host-id-1=~13aaaaaaaay",
        "__Host-id=~02aaaaaaaax; __Host-id-2=~12aaaaaaaay",
        "__Host-id=~02aaaaaaaax; __Host-id-1=~02aaaaaaaay",
        "__Host-id=~03aaaaaaaax; __Host-id-1=~23aaaaaaaaz; __Host-id-2=~13aaaaaaaay",
        // two claim one place
        "__Host-id=~02aaaaaaaax; __Host-id-1=~12aaaaaaaay; __Host-id-1=~12aaaaaaaaz",
    ] {
        let found: Vec<_> = joined(header).into_iter().filter(|token| !token.starts_with('~')).collect();
        assert_eq!(found, [""; 0], "{header}");
    }
    for value in [
        "",
        "~",
        "~0",
        "~02",
        "~02aaaaaaa",
        "~01aaaaaaaax",
        "~00aaaaaaaax",
        "~05aaaaaaaax",
        "~09aaaaaaaax",
        "~22aaaaaaaax",
        "~42aaaaaaaax",
        "~a2aaaaaaaax",
        "~0aaaaaaaaax",
        "~-2aaaaaaaax",
        "~02aaaa=aaax",
        "~02aaaa.aaax",
        "02aaaaaaaax",
        "AoR6W54JCQkJ",
    ] {
        assert!(Chunk::read(value.as_bytes()).is_none(), "{value}");
    }
    assert!(Chunk::read(format!("~02aaaaaaaa{}", "x".repeat(LARGEST)).as_bytes()).is_none());
}

#[test]
fn only_the_first_of_several_is_a_first_chunk() {
    for (value, first) in [
        ("~02aaaaaaaapart", true),
        ("~04aaaaaaaa", true),
        ("~12aaaaaaaapart", false),
        ("~05aaaaaaaapart", false),
        ("part", false),
        ("", false),
    ] {
        assert_eq!(is_first_chunk(value.as_bytes()), first, "{value}");
    }
}

#[test]
fn the_same_chunk_twice_counts_once_and_strangers_do_no_harm() {
    let header = "__Host-id-1=x; __Host-id-1=~12aaaaaaaay; __Host-id=~02aaaaaaaax; __Host-id-1=~12bbbbbbbbz; \
                  __Host-id-1=~12aaaaaaaay; __Host-id-1=\u{e9}; __Host-id-3=~13aaaaaaaaz";
    assert_eq!(joined(header), ["xy"]);
}

#[test]
fn only_chunks_count_as_brought_and_only_where_there_may_be_some() {
    let mut lines = CookieLines::default();
    lines.push(b"__Host-id=~02aaaaaaaax; __Host-id-1=theirs; __Host-id-2=~23aaaaaaaax; __Host-id-3=~23aaaaaaaax");
    let places = |brought: Brought| (0..6).filter(|place| brought.has(*place)).collect::<Vec<_>>();
    assert_eq!(places(lines.brought(&attributes())), [2]);
    assert_eq!(lines.brought(&Attributes::default()), Brought::default());
    assert_eq!(lines.join(b"~02aaaaaaaax", &Attributes::default()).unwrap(), &b"~02aaaaaaaax"[..]);
}

#[test]
fn a_hostile_header_costs_a_few_looks_at_it_and_no_more() {
    let fill = |part: &str| part.repeat(64 * 1024 / part.len());
    let numbered = |name: &str, head: &str| {
        (0..3_000).map(|n| format!("{name}={head}{n:x};")).collect::<String>()[..60_000].to_owned()
    };
    for header in [
        fill("__Host-id=~04aaaaaaaa;"),
        fill("__Host-id-1=~14aaaaaaaa;"),
        numbered("__Host-id", "~04aaaaaaaa"),
        format!("__Host-id=~04aaaaaaaa;{}", numbered("__Host-id-1", "~14aaaaaaaa")),
        format!("{};{}", numbered("__Host-id", "~04aaaaaaaa"), numbered("__Host-id-3", "~34aaaaaaaa")),
        format!("__Host-id=~04aaaaaaaa{}", fill("x")),
    ] {
        let begun = Instant::now();
        let mut lines = CookieLines::default();
        lines.push(header.as_bytes());
        let first = lines.candidates("__Host-id", is_first_chunk).values;
        assert!(first.len() <= MOST_CANDIDATES + 1);
        assert!(first.iter().all(|value| lines.join(value, &attributes()).is_none()));
        lines.brought(&attributes());
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?} {}", begun.elapsed(), &header[..40]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two responses that were received in part, in any order, among other people's cookies.
    #[test]
    fn chunks_join_to_a_token_that_was_cut_or_to_nothing(
        lengths in (4_100_usize..16_000, 4_100_usize..16_000),
        keep in prop::collection::vec(prop::bool::weighted(0.8), 8),
        foreign in prop::collection::vec(prop::sample::select(
            vec!["a=b", "__Host-id-1=theirs", "__Host-id-2=~23zzzzzzzzx", "__Host-id-4=~34zzzzzzzzx", "__Host-id", " "]
        ), 0..6),
        order in 0_usize..1_000,
    ) {
        let tokens = [token(lengths.0), token(lengths.1).replace('0', "z")];
        let responses = [cut(&tokens[0]), cut(&tokens[1])];
        let all = responses.iter().flatten().zip(&keep).map(|(pair, keep)| keep.then(|| pair.clone()));
        let mut header: Vec<String> = all.flatten().chain(foreign.iter().map(|&pair| pair.to_owned())).collect();
        let turn = order % header.len().max(1);
        header.rotate_left(turn);
        if order % 2 == 0 {
            header.reverse();
        }
        let mut found: Vec<_> = joined(&header.join("; "));
        found.sort();
        let is_whole = |response: &(usize, &Vec<String>)| response.1.iter().all(|pair| header.contains(pair));
        let mut expected: Vec<_> =
            responses.iter().enumerate().filter(is_whole).map(|(place, _)| tokens[place].clone()).collect();
        expected.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_headers_join_to_nothing(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4)) {
        let mut cookies = CookieLines::default();
        lines.iter().for_each(|line| cookies.push(line));
        prop_assert!(lines.iter().all(|line| cookies.join(line, &attributes()).is_none_or(|token| *token == **line)));
        prop_assert_eq!(cookies.brought(&attributes()), Brought::default());
    }
}
