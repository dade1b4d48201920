//! Tokens of forms: only what was made of the session's own secret verifies, in a header and in a form.

use std::sync::LazyLock;

use session_core::{CSRF_FIELD, MemoryStore, Session, SessionManager};

use crate::play::{Counting, keys};
use crate::reading;

struct World {
    session: Session,
    secret: Vec<u8>,
    token: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let manager = SessionManager::stored(MemoryStore::new(), keys()).random(Counting::default());
    let session = manager.build().expect("these settings fit").begin();
    let token = session.csrf_token().expect("there is randomness");
    let secret = secret_of(token.as_bytes()).expect("our own has one");
    World { session, secret, token }
});

/// A token is 32 bytes and the secret under them, in base64url.
fn secret_of(token: &[u8]) -> Option<Vec<u8>> {
    let bytes = reading::base64url(token)?;
    (bytes.len() == 64).then(|| (0..32).map(|at| bytes[at] ^ bytes[at + 32]).collect())
}

/// After a letter: `t` a token, `h` a header's value, `f` the body of a form, `m` a mask of 32 bytes and then one change to the token
/// made with it, a place and a byte. `@` stands for a token that is right.
pub fn csrf(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let World { session, secret, token } = &*WORLD;
    let text = rest.split(|byte| *byte == b'@').collect::<Vec<_>>().join(token.as_bytes());
    let is_right = |token: &[u8]| secret_of(token).as_ref() == Some(secret);
    match kind {
        b't' => {
            if let Ok(text) = std::str::from_utf8(&text) {
                assert_eq!(session.verify_csrf(text).is_ok(), is_right(text.as_bytes()));
            }
        }
        b'h' => assert_eq!(session.verify_csrf_of(Some(&text), b"csrf_token=x").is_ok(), is_right(&text)),
        b'f' => assert_eq!(session.verify_csrf_of(None, &text).is_ok(), field(&text).is_some_and(|it| is_right(&it))),
        b'm' => masked(rest),
        _ => {}
    }
}

/// The first field of the name, undecoded.
fn field(form: &[u8]) -> Option<Vec<u8>> {
    for field in form.split(|byte| *byte == b'&') {
        let end = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        if &field[..end] == CSRF_FIELD.as_bytes() && end < field.len() {
            return Some(field[end + 1..].to_vec());
        }
    }
    None
}

fn masked(bytes: &[u8]) {
    let World { session, secret, .. } = &*WORLD;
    let (Some(mask), rest) = (bytes.get(..32), bytes.get(32..).unwrap_or_default()) else { return };
    let masked: Vec<_> = mask.iter().zip(secret).map(|(mask, byte)| mask ^ byte).collect();
    let mut token = encode(&[mask, &masked].concat());
    session.verify_csrf(&token).expect("every mask is as good as another");
    if let [place, byte, ..] = rest
        && byte.is_ascii()
    {
        let mut changed = token.clone().into_bytes();
        let place = usize::from(*place) % changed.len();
        changed[place] = *byte;
        token = String::from_utf8(changed).expect("it is ASCII");
        assert_eq!(session.verify_csrf(&token).is_ok(), secret_of(token.as_bytes()).as_ref() == Some(secret));
    }
}

fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |six: &[u8]| (0..6).fold(0, |number, at| number << 1 | six.get(at).copied().unwrap_or(0));
    bits.chunks(6).map(|six| char::from(ALPHABET[usize::from(number(six))])).collect()
}
