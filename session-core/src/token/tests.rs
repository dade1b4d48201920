//! Every token that should open does, and none besides.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::expiry::Expiry;
use crate::random::OsRandom;

const NEW: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
const OLD: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";
const ALL: [Purpose; 3] = [Purpose::Reference, Purpose::Sealed, Purpose::Signed];

/// Made once, under `NEW` for the application "shop" and the cookie "__Host-id": they open for ever.
const GOLDEN: [(Purpose, &str); 3] = [
    (
        Purpose::Reference,
        "AYR6W54HBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBx02qmUpEnJG_8mXXcvEHL0mAPhnbP5AjKuFVawVV-lk",
    ),
    (
        Purpose::Sealed,
        "AoR6W54JCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkke8y7_Q-3wQYH47nMnE2oalvNA_s_bLoPxXeXSf6GqPt-wbtjAmzEw4sKU7bN1z9mjSKQcDlr6hlS8zCVxLVUJRnqvihdV0IY-K9dBGfbmAZ_-pmG3KbIrYOaZ9tUkcfiW4D8cCJo4OvhFFPdIlP3KN6I2i9ScYwtTB6geO5y39m-Pf9T26-bghrNjPxOjfnejo6Qfje-Z1e6Uw1l9F517wGXiZTZE9LdEZdlPxaQSb0XSgYhFAW04KlGRcrTVgDiusyPREiFIELTKXLLnFnXrHxQ5ca0NahMNrErt-8FPhHlqFe3d0FP29mXUh6CbOiPqs2A-Xb0pYpeaaOvyvUxB75tPWOg-lSLT84ZQqYNbw",
    ),
    (
        Purpose::Signed,
        "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJhZGEiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A4R6W56AksIo3fqew0GUxh1bQwyl2Wsrd53OPu8U6GJQy9UIPA",
    ),
];
/// Each authentic somewhere else, or once: they never open here.
const BAD: [(&str, &str); 7] = [
    (
        "another application",
        "AYR6W54HBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBx3qICJ90Eps_T-30uRt8FMFuBaoI2928RBvDUAu1qoJ",
    ),
    ("another cookie", "AYR6W54HBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBz2NgkmyHimSZgiidAzIDj4-lVbbJkJziFfhmYS7cSqY"),
    ("another key", "AX8XMSIHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB8nlRCYjvIAfS-Lyxc6r4pZBulWeOJX425Dr2gQqEXYL"),
    (
        "sealed under another key",
        "An8XMSIJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQnY4RCbASb00aiS9wNpHamg_LNDUI-JkGWUJp9-v5fWSrDW61AhNGkveO_8vTV4yx15RNBiuVvg8OqOXHhivS3GqnL4CMzZO7sBlJoatjSrK4vakVT4RtXqFz3PZEjsh3UuDQ8f3b9fAo6_Ee6VjKC85QN1l-vXgSElyBlmzGNcXpG2QCVWEieQXBlvLRHJ9KX7IGg621Ayk0IkkTQT4kC0TYm228xLvIPcO7ToAfaSXCQD3DWlkR9zxRnMVlZA_q-61n4zZiOFLryUy4GTHg_-dMBABvZqBLBUiZ3g33Jc-9CgCzbrlEHG7gAV10cc_UF0UTbVeSM2LmU-ZYi7eHtnDPRb26cthC3I7MCjUoUPPQ",
    ),
    (
        "sealed for another application",
        "AoR6W54JCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkke8y7_Q-3wQYH47nMnE2oalvNA_s_bLoPxXeXSf6GqPt-wbtjAmzEw4sKU7bN1z9mjSKQcDlr6hlS8zCVxLVUJRnqvihdV0IY-K9dBGfbmAZ_-pmG3KbIrYOaZ9tUkcfiW4D8cCJo4OvhFFPdIlP3KN6I2i9ScYwtTB6geO5y39m-Pf9T26-bghrNjPxOjfnejo6Qfje-Z1e6Uw1l9F517wGXiZTZE9LdEZdlPxaQSb0XSgYhFAW04KlGRcrTVgDiusyPREiFIELTKXLLnFnXrHxQ5ca0NahMNrErt-8FPhHlqFe3d0FP29mXUh6CbOiPqs2A-Xb0pYpeaaOvyvUxjtN-GHWbftWHYUjx8BEMKg",
    ),
    (
        "signed, then another subject",
        "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJib2IiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A4R6W56AksIo3fqew0GUxh1bQwyl2Wsrd53OPu8U6GJQy9UIPA",
    ),
    (
        "signed under another key",
        "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJhZGEiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A38XMSIO-i8WvgzAbvARGTE5ooSBkDyOiPkO2azCuRfzT_tc3A",
    ),
];

fn ring(current: &str) -> KeyRing {
    KeyRing::parse(current).unwrap()
}

fn tokens(purpose: Purpose) -> Tokens {
    Tokens::new(&ring(NEW), purpose, "shop", "__Host-id")
}

fn envelope() -> Envelope {
    let expiry = Expiry { idle: Duration::from_secs(60), lifetime: Duration::from_secs(600) };
    let mut record = Record::new(expiry);
    record.subject = Some("ada".into());
    record.values_mut().insert("cart", serde_json::json!(["tea", { "price": 4.5 }, null]));
    let times = Times::begin(Timestamp::from_millis(1_793_000_000_000), expiry);
    let id = SessionId::from_verified([7; 32]);
    Envelope { first: None, id, record, times }
}

fn make(tokens: &Tokens) -> String {
    match tokens.purpose() {
        Purpose::Reference => tokens.reference(&envelope().id),
        Purpose::Sealed | Purpose::Signed => tokens.whole(&envelope(), &OsRandom).unwrap(),
    }
}

/// Whether it opens, and then holds what was put in.
fn opens(tokens: &Tokens, token: impl AsRef<[u8]>) -> bool {
    let Some(Opened { content, .. }) = tokens.open(token.as_ref()) else { return false };
    let expected = envelope();
    match content {
        Content::Reference(id) => assert_eq!(id.as_bytes(), expected.id.as_bytes()),
        Content::Whole(opened) => {
            assert_eq!(opened.id.as_bytes(), expected.id.as_bytes());
            assert_eq!((&opened.record, opened.times), (&expected.record, expected.times));
        }
    }
    true
}

/// Of so many ids a bit is set in half, and a character of 64 comes up as often as any other: six times the standard deviation is
/// once in half a billion.
#[test]
fn ids_of_tokens_are_spread_evenly_over_bits_and_characters() {
    const IDS: usize = 4_000;
    let tokens = tokens(Purpose::Reference);
    let (mut bits, mut characters, mut seen) = ([0_u32; 256], [0_u32; 128], HashSet::new());
    for _ in 0..IDS {
        let token = tokens.reference(&SessionId::random(&OsRandom).unwrap());
        // The id is bytes 5 to 36; these characters are made of it alone.
        for character in token.bytes().skip(7).take(42) {
            characters[usize::from(character)] += 1;
        }
        let id = URL_SAFE_NO_PAD.decode(&token).unwrap()[5..37].to_vec();
        for (bit, count) in bits.iter_mut().enumerate() {
            *count += u32::from(id[bit / 8] >> (bit % 8) & 1);
        }
        assert!(seen.insert(id), "an id came twice");
    }
    let close = |count: u32, expected: f64, deviation: f64| (f64::from(count) - expected).abs() < 6.5 * deviation;
    let all = IDS as f64;
    assert!(bits.iter().all(|&count| close(count, all / 2.0, (all / 4.0).sqrt())), "{bits:?}");
    let (drawn, share) = (42.0 * all, 1.0 / 64.0);
    let used: Vec<_> = characters.into_iter().filter(|&count| count > 0).collect();
    assert_eq!(used.len(), 64);
    let deviation = (drawn * share * (1.0 - share)).sqrt();
    assert!(used.iter().all(|&count| close(count, drawn * share, deviation)), "{used:?}");
}

struct Fixed;
impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        bytes.fill(9);
        Ok(())
    }
}

struct Dry;
impl Random for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("no entropy".into())
    }
}

#[test]
fn what_was_put_in_comes_out() {
    for purpose in ALL {
        let tokens = tokens(purpose);
        let token = make(&tokens);
        assert!(tokens.is_well_formed(token.as_bytes()));
        assert!(opens(&tokens, &token));
        assert!(!tokens.open(token.as_bytes()).unwrap().retired);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{purpose:?}");
    }
}

#[test]
fn golden_tokens_open_for_ever() {
    for (purpose, golden) in GOLDEN {
        let tokens = tokens(purpose);
        assert!(opens(&tokens, golden), "{purpose:?}");
        let made = match purpose {
            Purpose::Reference => tokens.reference(&envelope().id),
            Purpose::Sealed | Purpose::Signed => tokens.whole(&envelope(), &Fixed).unwrap(),
        };
        assert_eq!(made, golden, "the format changed: give it a new first byte and keep reading this one");
    }
}

#[test]
fn bad_golden_tokens_never_open() {
    for (why, bad) in BAD {
        for purpose in ALL {
            assert!(tokens(purpose).open(bad.as_bytes()).is_none(), "{why}");
        }
    }
}

#[test]
fn every_bit_counts() {
    for purpose in ALL {
        let tokens = tokens(purpose);
        let token = make(&tokens).into_bytes();
        for bit in 0..token.len() * 8 {
            let mut flipped = token.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&tokens, &flipped), "{purpose:?}: bit {bit} of the text");
        }
        // The same beneath base64, where every text is a canonical one.
        for part in 0..if purpose == Purpose::Signed { 2 } else { 1 } {
            let parts: Vec<_> = token.split(|&byte| byte == b'.').collect();
            let bytes = URL_SAFE_NO_PAD.decode(parts[part]).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut parts: Vec<_> = parts.iter().map(|part| part.to_vec()).collect();
                parts[part] = URL_SAFE_NO_PAD.encode(flipped).into_bytes();
                assert!(!opens(&tokens, parts.join(&b'.')), "{purpose:?}: bit {bit} of part {part}");
            }
        }
    }
}

#[test]
fn shorter_and_longer_tokens_are_refused() {
    for purpose in ALL {
        let tokens = tokens(purpose);
        let token = make(&tokens);
        for length in 0..token.len() {
            assert!(!opens(&tokens, &token[..length]), "{purpose:?} cut to {length}");
            assert!(!opens(&tokens, &token[token.len() - length..]), "{purpose:?} without its beginning");
        }
        for more in ["A", "AA", "AAA", "AAAA", "=", "==", ".", " ", "\0", "%00", &token, &format!(".{token}")] {
            assert!(!opens(&tokens, format!("{token}{more}")), "{purpose:?} and {more:?}");
            assert!(!opens(&tokens, format!("{more}{token}")), "{more:?} and {purpose:?}");
        }
    }
}

#[test]
fn what_fits_into_four_cookies_is_looked_at_and_nothing_longer() {
    for purpose in [Purpose::Sealed, Purpose::Signed] {
        let tokens = tokens(purpose);
        for (size, opens) in [(11_000, true), (13_000, false)] {
            let mut large = envelope();
            large.record.values_mut().insert("text", "a".repeat(size));
            let token = tokens.whole(&large, &OsRandom).unwrap();
            assert_eq!(tokens.open(token.as_bytes()).is_some(), opens, "{purpose:?} {}", token.len());
            assert!(!tokens.is_well_formed(token.as_bytes()), "it is more than one cookie");
        }
    }
    let sealed = tokens(Purpose::Sealed);
    for (length, fits) in [(4_096, true), (4_100, false)] {
        let mut bytes = sealed.current().head(Purpose::Sealed);
        bytes.resize(length / 4 * 3, 0);
        assert_eq!(sealed.is_well_formed(URL_SAFE_NO_PAD.encode(bytes).as_bytes()), fits, "{length}");
    }
}

#[test]
fn base64_has_one_spelling() {
    for purpose in ALL {
        let tokens = tokens(purpose);
        // A length that leaves bits over in the last digit: those have to be zero.
        let token = make(&tokens);
        let last = token.chars().last().unwrap();
        let others = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).filter(|digit| *digit != last);
        for other in others {
            assert!(!opens(&tokens, format!("{}{other}", &token[..token.len() - 1])), "{purpose:?} {other}");
        }
        assert!(!opens(&tokens, format!("\"{token}\"")));
        for (ours, theirs) in [('-', '+'), ('_', '/')] {
            if token.contains(ours) {
                assert!(!opens(&tokens, token.replace(ours, &theirs.to_string())));
            }
        }
        assert!(!opens(&tokens, token.replacen(&token[..1], &format!("%{:02X}", token.as_bytes()[0]), 1)));
    }
}

#[test]
fn a_token_is_for_one_name_one_application_one_purpose_and_one_key() {
    for purpose in ALL {
        let token = make(&tokens(purpose));
        for (why, other) in [
            ("name", Tokens::new(&ring(NEW), purpose, "shop", "__Host-ID")),
            ("application", Tokens::new(&ring(NEW), purpose, "Shop", "__Host-id")),
            ("no application", Tokens::new(&ring(NEW), purpose, "", "__Host-id")),
            ("a boundary moved right", Tokens::new(&ring(NEW), purpose, "shop_", "_Host-id")),
            ("a boundary moved left", Tokens::new(&ring(NEW), purpose, "sho", "p__Host-id")),
            ("key", Tokens::new(&ring(OLD), purpose, "shop", "__Host-id")),
        ] {
            assert!(!opens(&other, &token), "{purpose:?}: another {why}");
        }
        for other in ALL.into_iter().filter(|other| *other != purpose) {
            assert!(!opens(&tokens(other), &token), "{purpose:?} as {other:?}");
            // Dressed up with the other's first byte it still isn't one.
            if purpose != Purpose::Signed {
                let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
                bytes[0] = other.format();
                assert!(!opens(&tokens(other), URL_SAFE_NO_PAD.encode(&bytes)), "{purpose:?} dressed as {other:?}");
            }
        }
    }
}

#[test]
fn no_other_version_is_read() {
    for purpose in [Purpose::Reference, Purpose::Sealed] {
        let tokens = tokens(purpose);
        let mut bytes = URL_SAFE_NO_PAD.decode(make(&tokens)).unwrap();
        for version in (0..=255).filter(|version| *version != purpose.format()) {
            bytes[0] = version;
            let token = URL_SAFE_NO_PAD.encode(&bytes);
            assert!(!tokens.is_well_formed(token.as_bytes()) && !opens(&tokens, &token), "{purpose:?} {version}");
        }
    }
}

#[test]
fn contexts_with_moved_boundaries_differ() {
    assert_ne!(context(&[b"a", b"bc"]), context(&[b"ab", b"c"]));
    assert_ne!(context(&[b"abc", b""]), context(&[b"", b"abc"]));
    assert_ne!(context(&[b"abc"]), context(&[b"abc", b""]));
}

#[test]
fn a_retired_key_opens_and_says_so() {
    let rotated = ring(&format!("{NEW},{OLD}"));
    for purpose in ALL {
        let token = make(&Tokens::new(&ring(OLD), purpose, "shop", "__Host-id"));
        let both = Tokens::new(&rotated, purpose, "shop", "__Host-id");
        assert!(both.is_well_formed(token.as_bytes()) && opens(&both, &token));
        assert!(both.open(token.as_bytes()).unwrap().retired);
        // What it makes is made under the current one.
        let fresh = make(&both);
        assert!(!both.open(fresh.as_bytes()).unwrap().retired);
        assert!(opens(&tokens(purpose), &fresh));
    }
}

#[test]
fn a_key_id_leads_to_its_own_key_only() {
    for purpose in [Purpose::Reference, Purpose::Sealed] {
        let both = Tokens::new(&ring(&format!("{NEW},{OLD}")), purpose, "shop", "__Host-id");
        let mut bytes = URL_SAFE_NO_PAD.decode(make(&both)).unwrap();
        bytes[1..5].copy_from_slice(&both.keys[1].id);
        let moved = URL_SAFE_NO_PAD.encode(&bytes);
        assert!(both.is_well_formed(moved.as_bytes()) && !opens(&both, &moved));
    }
}

#[test]
fn sealing_twice_gives_two_texts_of_one_padded_length() {
    let tokens = tokens(Purpose::Sealed);
    assert_ne!(make(&tokens), make(&tokens));
    assert_ne!(tokens.whole(&envelope(), &OsRandom).unwrap()[..40], make(&tokens)[..40]);
    let length = |text: &str| {
        let mut envelope = envelope();
        envelope.record.values_mut().insert("note", text);
        let token = tokens.whole(&envelope, &OsRandom).unwrap();
        assert!(tokens.open(token.as_bytes()).is_some());
        URL_SAFE_NO_PAD.decode(token).unwrap().len() - 1 - KEY_ID_LENGTH - Xaes::NONCE_LENGTH - 16
    };
    let lengths: Vec<_> = (0..200).map(|count| length(&"x".repeat(count))).collect();
    assert!(lengths.iter().all(|length| length % BLOCK == 0));
    assert_eq!(lengths.last().unwrap() - lengths[0], 192, "about four blocks more");
}

#[test]
fn nothing_of_a_sealed_session_shows() {
    let token = make(&tokens(Purpose::Sealed));
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    for hidden in [&b"ada"[..], b"cart", b"tea", &[7; 8], b"format"] {
        assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
    }
}

#[test]
fn nothing_of_a_token_prints() {
    for purpose in ALL {
        let tokens = tokens(purpose);
        let shown = format!("{tokens:?} {:?}", tokens.open(make(&tokens).as_bytes()).unwrap());
        for hidden in ["ada", "tea", "cart", "7, 7", "07, 07", "0707", "BwcH"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}

#[test]
fn without_randomness_nothing_is_sealed() {
    assert!(matches!(tokens(Purpose::Sealed).whole(&envelope(), &Dry), Err(Error::Random(_))));
}

#[test]
fn authentic_bytes_that_are_no_session_are_none() {
    let sealed = tokens(Purpose::Sealed);
    let signed = tokens(Purpose::Signed);
    let good = String::from_utf8(envelope().to_json()).unwrap();
    let cases = [
        (true, good.clone()),
        (false, String::new()),
        (false, "{}".to_owned()),
        (false, "[".repeat(3_000)),
        (false, good.replace("\"format\":1", "\"format\":2")),
        (false, good.replace("\"expires\":1793000060000", "\"expires\":\"1793000060000\"")),
        (false, good.replace("\"expires\":1793000060000", "\"expires\":-1")),
        (false, good.replace("\"expires\":1793000060000", "\"expires\":null")),
        (false, good.replace("\"expires\":1793000060000,", "")),
        (false, good.replace("\"id\":\"Bw", "\"id\":\"")),
    ];
    for (opens, json) in cases {
        let key = sealed.current();
        let bytes = [key.head(Purpose::Sealed), vec![9; 24], key.cipher.seal([9; 24], json.as_bytes(), &key.context)];
        assert_eq!(sealed.open(URL_SAFE_NO_PAD.encode(bytes.concat()).as_bytes()).is_some(), opens, "{json}");

        let key = signed.current();
        let trailer = [key.head(Purpose::Signed), key.mac.clone().with(json.as_bytes()).tag().to_vec()].concat();
        let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(trailer));
        assert_eq!(signed.open(token.as_bytes()).is_some(), opens, "{json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_token(bytes in prop::collection::vec(any::<u8>(), 0..200), place in 0..93_usize) {
        for purpose in ALL {
            let tokens = tokens(purpose);
            prop_assert!(tokens.open(&bytes).is_none());
            tokens.is_well_formed(&bytes);
            // As text of our alphabet, with the right head, and spliced into a good token.
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            let head = URL_SAFE_NO_PAD.encode([tokens.current().head(purpose), bytes.clone()].concat());
            let good = make(&tokens);
            let spliced = [&good.as_bytes()[..place], &bytes, &good.as_bytes()[place.min(good.len())..]].concat();
            for token in [text.as_bytes(), head.as_bytes(), format!("{text}.{head}").as_bytes(), &spliced] {
                prop_assert!(token == good.as_bytes() || tokens.open(token).is_none());
            }
        }
    }
}
