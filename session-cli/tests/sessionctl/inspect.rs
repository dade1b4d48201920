//! What is said of a cookie, and of what is none.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use session_core::{ManualClock, MemoryStore, Revocation, SessionManager, SessionManagerBuilder, Timestamp};

use crate::operator::{Folder, OTHER, Operator, SECRET, ring};

fn sealed(keys: &str) -> SessionManagerBuilder {
    SessionManager::sealed(ring(keys), Revocation::NoneCopiedCookiesStayValid)
}

fn signed(keys: &str) -> SessionManagerBuilder {
    SessionManager::signed(ring(keys), Revocation::NoneCopiedCookiesStayValid)
}

fn stored(keys: &str) -> SessionManagerBuilder {
    SessionManager::stored(MemoryStore::new(), ring(keys))
}

/// The first cookie in an answer.
fn first((code, answer): (i32, Value)) -> (i32, Value) {
    (code, answer["cookies"][0].clone())
}

#[tokio::test]
async fn each_purpose_is_told_with_the_secret_that_made_it() {
    let mut operator = Operator::default().secret("SESSION_SECRET", &format!("{OTHER},{SECRET}"));
    let key = ring(SECRET).key_ids()[0].to_string();
    for (purpose, builder) in [("reference", stored(SECRET)), ("sealed", sealed(SECRET)), ("signed", signed(SECRET))] {
        let cookie = operator.visit(builder, "ada").await;
        let (code, found) = first(operator.json_with(["inspect"], &cookie));
        assert_eq!((code, &found["purpose"], &found["key"]), (0, &purpose.into(), &key.as_str().into()));
        assert_eq!((&found["key_place"], &found["key_is_current"]), (&1.into(), &false.into()));
        let people = operator.run_with(["inspect"], &cookie).stdout;
        assert!(people.contains("number 2 of 2, retired") && people.contains(purpose), "{people}");
        if purpose == "reference" {
            assert_eq!((&found["state"], &found["session"]), (&"authentic".into(), &Value::Null));
            continue;
        }
        assert_eq!((&found["state"], &found["session"]["subject"]), (&"live".into(), &"ada".into()));
        assert_eq!(found["session"]["values"]["cart"][0], "tea");
        assert!(
            people.contains("issued") && people.contains("used or not") && people.contains(r#"["tea","#),
            "{people}"
        );
        let hidden = operator.run_with(["inspect", "--hide-values"], &cookie).stdout;
        assert!(!hidden.contains("tea"), "{hidden}");
    }
}

#[tokio::test]
async fn a_cookie_is_read_from_wherever_it_is() {
    let mut operator = Operator::new();
    let cookie = operator.visit(sealed(SECRET), "ada").await;
    let value = cookie.split_once('=').unwrap().1;
    let header = format!("Cookie: theme=dark; {cookie}");
    let set = format!("set-cookie: {cookie}; Path=/; Secure; HttpOnly");
    for text in [value, &cookie, &header, &set, &format!("  {value}\n")] {
        assert_eq!(first(operator.json_with(["inspect"], text)).0, 0);
    }
    let folder = Folder::new();
    let file = folder.file("cookie");
    fs::write(&file, value).unwrap();
    assert_eq!(operator.json(["inspect", "--cookie-file", &file]).0, 0);
    let with = Operator::new().secret("COOKIE", value);
    assert_eq!(with.json(["inspect", "--cookie-env", "COOKIE"]).0, 0);
    // On the command line it works, and is not said to be a good place.
    let ran = operator.run(["inspect", value]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("Pipe it in instead"), "{}", ran.stderr);
    assert!(!operator.run_with(["inspect"], value).stderr.contains("command line"));
    // The secret from stdin leaves the cookie another way.
    let nobody = Operator::default();
    assert_eq!(nobody.json_with(["inspect", "--secret-file", "-", "--cookie-file", &file], SECRET).0, 0);
    let both = nobody.run_with(["inspect", "--secret-file", "-"], SECRET);
    assert_eq!(both.code, 2);
    assert!(both.stderr.contains("can't both come from stdin"), "{}", both.stderr);
}

#[tokio::test]
async fn a_session_in_several_cookies_is_put_together() {
    let mut operator = Operator::new();
    let manager = sealed(SECRET).chunked().build().unwrap();
    let fill = |session: &session_core::Session| session.insert("long", "tea ".repeat(2_000));
    let header = session_testing::visitor::cookie(&manager, fill).await.unwrap();
    assert!(header.contains("__Host-id-1="));
    operator.forbid(&header);
    let (code, found) = first(operator.json_with(["inspect"], &header));
    assert_eq!((code, found["session"]["values"]["long"].as_str().unwrap().len()), (0, 8_000));
    let people = operator.run_with(["inspect"], &header).stdout;
    assert!(people.len() < 2_000 && people.contains("--json shows all"), "{people}");
    let (code, found) = first(operator.json_with(["inspect"], header.split(';').next().unwrap()));
    assert_eq!(code, 5);
    assert!(found["means"].as_str().unwrap().contains("the others are missing"), "{found}");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_what_to_try() {
    let mut operator = Operator::new();
    let shop = operator.visit(stored(SECRET).application("shop").cookie_name("__Secure-shop"), "ada").await;
    let value = shop.split_once('=').unwrap().1.to_owned();
    let other = operator.visit(sealed(OTHER), "ada").await;
    let here = operator.visit(sealed(SECRET), "ada").await;
    // Whatever the character is, it is another one then.
    let another = if here[200..].starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{another}{}", &here[..200], &here[201..]);
    let named = here.replace("__Host-id", "id");
    let (other_id, id) = (ring(OTHER).key_ids()[0].to_string(), ring(SECRET).key_ids()[0].to_string());
    let cases: [(&str, &[&str], &[&str]); 9] = [
        (&value, &[], &["not authentic", "--application"]),
        (&shop, &[], &["no cookie has the name __Host-id", "__Secure-shop", "--cookie-name"]),
        (&other, &[], &[&other_id, "not in the ring", &id]),
        (&changed, &[], &["not authentic"]),
        (&here, &["--application", "shop"], &["not authentic", "an application without a name"]),
        (&named, &["--cookie-name", "id"], &["not authentic", "the cookie __Host-id"]),
        ("hello", &[], &["not the form of a session's cookie"]),
        (&here[..here.len() / 2], &[], &["cut"]),
        ("__Host-id=", &[], &["it is empty"]),
    ];
    for (cookie, arguments, expected) in cases {
        let arguments = [&["inspect"], arguments].concat();
        let ran = operator.run_with(&arguments, cookie);
        assert_eq!(ran.code, 5, "{expected:?}");
        assert!(expected.iter().all(|part| ran.stdout.contains(part)), "{expected:?}: {}", ran.stdout);
        let (code, found) = first(operator.json_with(&arguments, cookie));
        assert_eq!((code, &found["state"], &found["session"]), (5, &"refused".into(), &Value::Null));
    }
    let right = ["inspect", "--cookie-name", "__Secure-shop", "--application", "shop"];
    assert_eq!(operator.json_with(right, &shop).0, 0);
    let by_env = Operator::new().env("SESSION_COOKIE_NAME", "__Secure-shop").env("SESSION_APPLICATION", "shop");
    assert_eq!(by_env.json_with(["inspect"], &shop).0, 0);
}

#[tokio::test]
async fn a_session_out_of_its_time_says_so() {
    let mut operator = Operator::new();
    let now = std::time::SystemTime::now();
    for (state, then) in
        [("expired", now - Duration::from_secs(3_600)), ("in the future", now + Duration::from_secs(600))]
    {
        let clock = Arc::new(ManualClock::new(Timestamp::from(then)));
        let cookie = operator.visit(signed(SECRET).clock(clock), "ada").await;
        let (code, found) = first(operator.json_with(["inspect"], &cookie));
        assert_eq!((code, &found["state"]), (5, &state.into()));
        assert_eq!(found["session"]["subject"], "ada", "it still says whose it was");
    }
}

#[tokio::test]
async fn two_live_sessions_in_one_request_are_none() {
    let mut operator = Operator::new();
    let (one, two) = (operator.visit(sealed(SECRET), "ada").await, operator.visit(sealed(SECRET), "bob").await);
    let ran = operator.run_with(["inspect"], &format!("{one}; {two}"));
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("which of them was planted"), "{}", ran.stderr);
}
