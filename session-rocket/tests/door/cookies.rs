//! What comes in with cookies and goes out with headers.

use rocket::http::{Cookie, Header, Status};
use rocket::local::blocking::{Client, LocalRequest};
use rocket::outcome::Outcome;
use rocket::response::Responder;
use rocket::response::stream::TextStream;
use rocket::{Request, get, routes};
use session_rocket::{Error, KeyRing, Revocation, Secret, Session, SessionFairing, SessionManager};

use crate::support::{COOKIE, Server, TestStore, app, app_with, lines};

fn body(request: LocalRequest<'_>) -> String {
    request.dispatch().into_string().unwrap()
}

/// The value of the cookie of a session that is new in the store.
fn visitor(client: &Client) -> String {
    client.get("/visit").dispatch().cookies().get(COOKIE).unwrap().value().to_owned()
}

fn raw(values: &str) -> Header<'static> {
    Header::new("Cookie", values.to_owned())
}

#[test]
fn a_tracked_client_keeps_its_session() {
    let client = Client::tracked(app_with(&TestStore::default())).unwrap();
    for visit in ["visit 1", "visit 2", "visit 3"] {
        assert_eq!(body(client.get("/visit")), visit);
    }
}

#[test]
fn a_client_that_brings_no_cookie_is_new_each_time() {
    let store = TestStore::default();
    let client = Client::untracked(app_with(&store)).unwrap();
    assert_eq!(body(client.get("/visit")), "visit 1");
    assert_eq!(body(client.get("/visit")), "visit 1");
    assert_eq!(store.live(), 2);
}

#[test]
fn a_cookie_given_to_a_local_request_is_read() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let value = visitor(&client);
    assert_eq!(body(client.get("/visits").cookie((COOKIE, value.clone()))), "visits 1");
    assert_eq!(body(client.get("/visits").header(Cookie::new(COOKIE, value))), "visits 0", "that was a Set-Cookie");
}

#[test]
fn a_raw_cookie_header_goes_before_the_jar() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let value = visitor(&client);
    let pair = format!("{COOKIE}={value}");
    assert_eq!(body(client.get("/visits").header(raw(&pair)).cookie((COOKIE, "forged"))), "visits 1");
    assert_eq!(body(client.get("/visits").header(raw("theme=dark")).cookie((COOKIE, value))), "visits 0");
}

#[get("/put/<bytes>")]
fn put(session: Session, bytes: usize) -> Result<(), Error> {
    Ok(session.insert("text", "x".repeat(bytes))?)
}

#[get("/text")]
fn text(session: Session) -> Result<String, Error> {
    Ok(session.get::<String>("text")?.unwrap_or_default())
}

#[test]
fn a_tracked_client_keeps_a_session_of_several_cookies() {
    let keys = KeyRing::new(Secret::random().unwrap());
    let manager = SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid).chunked().build().unwrap();
    let rocket = app().attach(SessionFairing::new(manager)).mount("/", routes![put, text]);
    let client = Client::tracked(rocket).unwrap();
    for (bytes, cookies) in [(5_000, 2), (8_000, 3), (10, 1)] {
        assert_eq!(client.get(format!("/put/{bytes}")).dispatch().status(), Status::Ok);
        assert_eq!(client.cookies().iter().count(), cookies);
        assert_eq!(body(client.get("/text")).len(), bytes);
    }
}

#[test]
fn logging_out_takes_the_cookie_from_a_tracked_client() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).unwrap();
    let value = visitor(&client);
    let response = client.post("/logout").dispatch();
    let [removal] = &lines(&response, "set-cookie")[..] else { panic!("one cookie") };
    assert!(removal.contains("Max-Age=0") && removal.contains("Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{removal}");
    assert_eq!(client.cookies().iter().count(), 0);
    assert_eq!(store.live(), 0);
    assert_eq!(body(client.get("/visits").cookie((COOKIE, value))), "visits 0");
}

#[test]
fn one_cookie_sent_twice_counts_once() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let pair = format!("{COOKIE}={}", visitor(&client));
    let twice = raw(&format!("{pair}; {pair}"));
    assert_eq!(body(client.get("/visits").header(twice)), "visits 1");
    assert_eq!(body(client.get("/visits").header(raw(&pair)).header(raw(&pair))), "visits 1");
}

#[test]
fn a_forged_cookie_beside_ours_changes_nothing_on_either_side_of_it() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let pair = format!("{COOKIE}={}", visitor(&client));
    for both in [format!("{pair}; {COOKIE}=forged"), format!("{COOKIE}=forged; {pair}")] {
        assert_eq!(body(client.get("/visits").header(raw(&both))), "visits 1");
    }
}

#[test]
fn two_different_sessions_are_none() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let (one, other) = (visitor(&client), visitor(&client));
    let both = raw(&format!("{COOKIE}={one}; {COOKIE}={other}"));
    assert_eq!(body(client.get("/visits").header(both)), "visits 0");
}

#[tokio::test]
async fn a_name_that_rocket_decodes_to_ours_is_not_ours() {
    let server = Server::start(app_with(&TestStore::default())).await;
    let pair = server.visitor().await;
    let encoded = format!("cookie: {}", pair.replace("__Host", "%5F%5FHost"));
    assert!(server.ask("GET /visits", &[encoded.as_bytes()]).await.ends_with("visits 0"));
    let plain = format!("cookie: {pair}");
    assert!(server.ask("GET /visits", &[plain.as_bytes()]).await.ends_with("visits 1"));
}

#[tokio::test]
async fn a_line_that_is_not_utf_8_is_no_session_and_the_others_count() {
    let server = Server::start(app_with(&TestStore::default())).await;
    let pair = server.visitor().await;
    let (broken, whole) = (format!("cookie: {pair}; x="), format!("cookie: {pair}"));
    let broken = [broken.as_bytes(), b"\xff\xfe"].concat();
    assert!(server.ask("GET /visits", &[&broken]).await.ends_with("visits 0"));
    assert!(server.ask("GET /visits", &[&broken, whole.as_bytes()]).await.ends_with("visits 1"));
}

#[test]
fn a_request_that_does_not_look_at_its_session_costs_nothing() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).unwrap();
    visitor(&client);
    store.calls();
    for (path, status) in [("/untouched", Status::Ok), ("/nowhere", Status::NotFound)] {
        let response = client.get(path).dispatch();
        assert_eq!(response.status(), status);
        for name in ["vary", "set-cookie", "cache-control"] {
            assert_eq!(lines(&response, name), [""; 0], "{name} of {path}");
        }
    }
    assert_eq!(store.calls(), [""; 0]);
}

#[test]
fn reading_says_vary_and_writing_forbids_storing_too() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).unwrap();
    let response = client.get("/visits").dispatch();
    assert_eq!((lines(&response, "vary"), lines(&response, "set-cookie")), (vec!["Cookie".to_owned()], vec![]));
    assert_eq!(store.calls(), [""; 0]);

    let response = client.get("/visit").dispatch();
    assert_eq!(lines(&response, "cache-control"), ["no-store"]);
    assert_eq!(lines(&response, "set-cookie").len(), 1);
    assert_eq!(store.calls(), ["create"]);

    let response = client.get("/visit").dispatch();
    assert_eq!(lines(&response, "set-cookie"), [""; 0]);
    assert_eq!(store.calls(), ["load", "update"]);
}

#[test]
fn other_cookies_of_the_response_stay() {
    let client = Client::tracked(app_with(&TestStore::default())).unwrap();
    let response = client.get("/other-cookie").dispatch();
    let names: Vec<_> = lines(&response, "set-cookie").iter().map(|line| line[..5].to_owned()).collect();
    assert_eq!(names, ["theme", "__Hos"]);
}

#[test]
fn a_head_request_has_the_session_of_its_get() {
    let client = Client::tracked(app_with(&TestStore::default())).unwrap();
    assert_eq!(lines(&client.head("/visit").dispatch(), "set-cookie").len(), 1);
    assert_eq!(body(client.get("/visits")), "visits 1");
}

#[test]
fn clones_of_a_local_request_are_requests_of_their_own() {
    let client = Client::untracked(app_with(&TestStore::default())).unwrap();
    let request = client.get("/visit").cookie((COOKIE, visitor(&client)));
    assert_eq!(body(request.clone()), "visit 2");
    assert_eq!(body(request), "visit 3");
}

#[get("/stream")]
fn stream(session: Session) -> TextStream![String] {
    TextStream! { yield session.insert("late", 1).unwrap_err().to_string(); }
}

/// Asks for the session while its body is sent.
struct Late;

impl<'r> Responder<'r, 'r> for Late {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'r> {
        let body = TextStream! {
            yield match request.guard::<Session>().await {
                Outcome::Success(session) => session.insert("late", 1).unwrap_err().to_string(),
                outcome => outcome.failed().unwrap().1.to_string(),
            }
        };
        body.respond_to(request)
    }
}

#[get("/late")]
fn late() -> Late {
    Late
}

#[get("/late-again")]
fn late_again(session: Session) -> Late {
    drop(session);
    Late
}

#[test]
fn a_session_is_closed_while_the_body_is_sent() {
    let store = TestStore::default();
    let rocket = app_with(&store).mount("/", routes![stream, late, late_again]);
    let client = Client::tracked(rocket).unwrap();
    visitor(&client);
    for path in ["/stream", "/late", "/late-again"] {
        let body = body(client.get(path));
        assert!(body.starts_with("the session is closed"), "{path}: {body}");
    }
    assert_eq!(store.calls(), ["create", "load", "load"], "not for /late");
}
