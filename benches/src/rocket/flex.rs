//! Rocket with rocket_flex_session and its store in memory. Its cookie is encrypted always, its data never leaves the types
//! of Rust, and it has no way to renew an id.

use std::collections::HashMap;

use rocket::{get, routes};
use rocket_flex_session::{RocketFlexSession, Session, SessionHashMap};
use serde_json::Value;

use super::RocketApp;
use crate::work::{BEGIN, KEY, Size, texts};

#[derive(Clone, Default)]
struct Data(HashMap<String, Value>);

impl SessionHashMap for Data {
    type Value = Value;

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    fn insert(&mut self, key: String, value: Value) {
        self.0.insert(key, value);
    }

    fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

pub async fn stored() -> RocketApp {
    let routes = routes![untouched, read, write, small, large];
    RocketApp::new(rocket::build().mount("/", routes).attach(RocketFlexSession::<Data>::default())).await
}

#[get("/untouched")]
fn untouched() -> &'static str {
    "ok"
}

fn number(session: &Session<'_, Data>) -> u64 {
    session.tap_key(KEY, |value| value.and_then(Value::as_u64)).unwrap_or_default()
}

#[get("/read")]
fn read(session: Session<'_, Data>) -> String {
    number(&session).to_string()
}

#[get("/write")]
fn write(mut session: Session<'_, Data>) -> String {
    let number = number(&session) + 1;
    session.set_key(KEY.to_owned(), number.into());
    number.to_string()
}

#[get("/begin/small")]
fn small(session: Session<'_, Data>) -> &'static str {
    begin(session, Size::Small)
}

#[get("/begin/large")]
fn large(session: Session<'_, Data>) -> &'static str {
    begin(session, Size::Large)
}

fn begin(mut session: Session<'_, Data>, size: Size) -> &'static str {
    session.set_key(KEY.to_owned(), BEGIN.into());
    for (key, value) in texts(size.texts()) {
        session.set_key(key, value.into());
    }
    "ok"
}
