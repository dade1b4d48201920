//! Who is logged in, where, since when; forms, messages and structs: what applications build on a session.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::{
    Error, FlashLevel, Handle, KeyRing, Login, ManualClock, MemoryStore, Revocation, Session, SessionManager,
    SessionManagerBuilder, SessionStore, Typed,
};

use common::{Cookies, SECRET, close, stopped, stored, visit};

async fn login(manager: &SessionManager, login: impl Into<Login>) -> String {
    let response = visit(manager, None, |session| session.login(login).unwrap()).await;
    response.token().unwrap().to_owned()
}

/// What a visitor with this cookie finds.
async fn ask<T>(manager: &SessionManager, token: &str, question: impl AsyncFnOnce(Session) -> T) -> T {
    let slot = manager.open(&Cookies::of(&[token]));
    let answer = question(slot.load().await.unwrap()).await;
    close(&slot, 200).await;
    answer
}

async fn subject(manager: &SessionManager, token: &str) -> Option<String> {
    ask(manager, token, async |session| session.subject()).await
}

fn in_cookies(clock: &Arc<ManualClock>, revocation: Revocation) -> SessionManager {
    let keys = KeyRing::parse(SECRET).unwrap();
    SessionManager::sealed(keys, revocation).clock(Arc::clone(clock)).build().unwrap()
}

#[tokio::test]
async fn devices_are_listed_and_ended_by_their_owner_alone() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    let mut ada = Vec::new();
    for place in 0..3 {
        ada.push(login(&manager, "ada").await);
        ask(&manager, &ada[place], async |session| session.label(format!("device {place}")).unwrap()).await;
        clock.advance(Duration::from_secs(1));
    }
    let bob = login(&manager, "bob").await;
    let devices = ask(&manager, &ada[1], async |session| session.devices().await.unwrap()).await;
    let labels: Vec<_> = devices.iter().map(|device| device.label.as_deref().unwrap()).collect();
    assert_eq!(labels, ["device 2", "device 1", "device 0"]);
    assert_eq!(devices.iter().map(|device| device.current).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 3);
    // A handle survives the renewal of its session, and is of no use to anybody else, be it as a cookie.
    let oldest = devices[2].handle;
    ask(&manager, &ada[0], async |session| session.renew().unwrap()).await;
    assert!(!ask(&manager, &bob, async move |session| session.end_device(&oldest).await.unwrap()).await);
    assert_eq!(subject(&manager, &oldest.to_string()).await, None);
    let parsed: Handle = oldest.to_string().parse().unwrap();
    assert!(ask(&manager, &ada[1], async move |session| session.end_device(&parsed).await.unwrap()).await);
    assert!(!ask(&manager, &ada[1], async move |session| session.end_device(&parsed).await.unwrap()).await);
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 2);
    // The others, then oneself.
    assert_eq!(ask(&manager, &ada[1], async |session| session.end_others().await.unwrap()).await, Some(1));
    assert_eq!(subject(&manager, &ada[2]).await, None);
    let own = manager.sessions_of("ada").await.unwrap()[0].handle;
    let slot = manager.open(&Cookies::of(&[&ada[1]]));
    assert!(slot.load().await.unwrap().end_device(&own).await.unwrap());
    assert_eq!(close(&slot, 200).await.token(), Some(""));
    assert_eq!(manager.sessions_of("ada").await.unwrap(), []);
    assert_eq!(manager.end_all("bob").await.unwrap(), Some(1));
    assert_eq!(subject(&manager, &bob).await, None);
}

#[tokio::test]
async fn sessions_in_cookies_are_ended_together_and_say_that_they_cannot_be_listed() {
    let (clock, store) = stopped();
    let manager = in_cookies(&clock, Revocation::kept_in(store));
    let (phone, laptop) = (login(&manager, "ada").await, login(&manager, "ada").await);
    let refused = ask(&manager, &laptop, async |session| session.devices().await.unwrap_err()).await;
    assert!(matches!(refused, Error::InCookies));
    let slot = manager.open(&Cookies::of(&[&laptop]));
    assert_eq!(slot.load().await.unwrap().end_others().await.unwrap(), None);
    let laptop = close(&slot, 200).await.token().unwrap().to_owned();
    assert_eq!(subject(&manager, &phone).await, None);
    assert_eq!(subject(&manager, &laptop).await.as_deref(), Some("ada"), "who ended the others stays");
    clock.advance(Duration::from_millis(2));
    assert_eq!(manager.end_all("ada").await.unwrap(), None);
    assert_eq!(subject(&manager, &laptop).await, None);
    let forgetful = in_cookies(&clock, Revocation::NoneCopiedCookiesStayValid);
    assert!(matches!(forgetful.end_all("ada").await, Err(Error::NotRevocable)));
}

#[tokio::test]
async fn who_logs_in_after_all_was_ended_stays() {
    let store = MemoryStore::new();
    let manager = SessionManager::sealed(KeyRing::parse(SECRET).unwrap(), Revocation::kept_in(store)).build().unwrap();
    for round in 0..200 {
        let before = login(&manager, "ada").await;
        manager.end_all("ada").await.unwrap();
        let after = login(&manager, "ada").await;
        assert_eq!(subject(&manager, &before).await, None, "{round}");
        assert_eq!(subject(&manager, &after).await.as_deref(), Some("ada"), "{round}");
    }
}

#[tokio::test]
async fn a_changed_credential_ends_what_was_made_under_the_old_one() {
    for carried in [false, true] {
        let (clock, store) = stopped();
        let manager = if carried {
            in_cookies(&clock, Revocation::kept_in(store))
        } else {
            stored(store, &clock).build().unwrap()
        };
        let old = || Login::new("ada").stamp("old");
        let (phone, laptop) = (login(&manager, old()).await, login(&manager, old()).await);
        clock.advance(Duration::from_secs(1));
        // A login that has checked the old password, and is not done.
        let late = manager.open(&Cookies::default());
        late.load().await.unwrap().login(old()).unwrap();
        let slot = manager.open(&Cookies::of(&[&laptop]));
        slot.load().await.unwrap().change_stamp("new").await.unwrap();
        let renewed = close(&slot, 200).await.token().unwrap().to_owned();
        assert_ne!(renewed, laptop);
        let late = close(&late, 200).await.token().unwrap().to_owned();
        assert_eq!(subject(&manager, &phone).await, None, "carried: {carried}");
        assert_eq!(subject(&manager, &laptop).await, None);
        assert!(ask(&manager, &renewed, async |session| session.require_stamp("new").unwrap()).await);
        let held = ask(&manager, &late, async |session| session.require_stamp("new").unwrap()).await;
        assert!(!held, "made under the old credential");
        assert_eq!(subject(&manager, &late).await, None);
    }
}

#[tokio::test]
async fn what_was_proved_long_ago_is_not_fresh() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).lifetime(Duration::from_secs(10_000)).build().unwrap();
    let visitor = common::begin(&manager).await;
    clock.advance(Duration::from_secs(100));
    let response = visit(&manager, Some(&visitor), |session| session.login("ada").unwrap()).await;
    let token = response.token().unwrap().to_owned();
    clock.advance(Duration::from_secs(60));
    ask(&manager, &token, async |session| {
        assert_eq!(session.authenticated_at(), Some(session.created() + Duration::from_secs(100)));
        assert!(session.is_fresh(Duration::from_secs(60)));
        assert!(!session.is_fresh(Duration::from_secs(59)));
        session.require_fresh(Duration::from_secs(60)).unwrap();
        let refused = session.require_fresh(Duration::from_secs(59)).unwrap_err();
        assert!(matches!(refused, Error::NotFresh) && refused.status() == 403);
    })
    .await;
    // Whoever proves it again is asked no more, and nothing else makes it fresh.
    let renewed = visit(&manager, Some(&token), |session| session.renew().unwrap()).await.token().unwrap().to_owned();
    assert!(!ask(&manager, &renewed, async |session| session.is_fresh(Duration::from_secs(59))).await);
    let again = visit(&manager, Some(&renewed), |session| session.login("ada").unwrap()).await;
    assert!(ask(&manager, again.token().unwrap(), async |session| session.is_fresh(Duration::ZERO)).await);
}

#[tokio::test]
async fn a_login_starts_both_limits_anew_and_a_renewal_neither() {
    const MINUTE: Duration = Duration::from_secs(60);
    for (again, minutes) in [(true, 57), (false, 30)] {
        let (clock, store) = stopped();
        let limited = |builder: SessionManagerBuilder| {
            builder.clock(Arc::clone(&clock)).idle(10 * MINUTE).lifetime(30 * MINUTE).build().unwrap()
        };
        let keys = KeyRing::parse(SECRET).unwrap();
        let sealed = SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid);
        for manager in [limited(stored(store, &clock)), limited(sealed)] {
            let mut token = login(&manager, "ada").await;
            // It is used each minute, and at minute 27 she logs in again, or gets a new id.
            for minute in 1..minutes {
                clock.advance(MINUTE);
                let response = visit(&manager, Some(&token), |session| {
                    assert_eq!(session.subject().as_deref(), Some("ada"), "{again}: minute {minute}");
                    match (minute, again) {
                        (27, true) => session.login("ada").unwrap(),
                        (27, false) => session.renew().unwrap(),
                        _ => {}
                    }
                });
                token = response.await.token().unwrap_or(&token).to_owned();
            }
            clock.advance(MINUTE);
            assert_eq!(subject(&manager, &token).await, None, "{again}: after {minutes} minutes");
        }
    }
    // The idle one, whatever is left of the lifetime.
    let (clock, store) = stopped();
    let manager = stored(store, &clock).idle(10 * MINUTE).touch_every(9 * MINUTE).build().unwrap();
    let token = login(&manager, "ada").await;
    clock.advance(8 * MINUTE);
    assert!(visit(&manager, Some(&token), |_| {}).await.token().is_none(), "too early for a touch");
    let again = visit(&manager, Some(&token), |session| session.login("ada").unwrap()).await;
    clock.advance(10 * MINUTE - Duration::from_millis(1));
    assert_eq!(subject(&manager, again.token().unwrap()).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn remember_me_sticks_to_its_session() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    let month = Duration::from_secs(30 * 24 * 3_600);
    let token = login(&manager, "ada").await;
    let slot = manager.open(&Cookies::of(&[&token]));
    slot.load().await.unwrap().remember(month).unwrap();
    let response = close(&slot, 200).await;
    assert!(response.lines.iter().any(|(_, line)| line.ends_with("Max-Age=2592000")), "{:?}", response.lines);
    clock.advance(month - Duration::from_secs(60));
    let response = visit(&manager, Some(&token), |session| session.insert("n", 1).unwrap()).await;
    assert_eq!(response.token(), None, "the cookie has been told");
    let renewed = visit(&manager, Some(&token), |session| session.renew().unwrap()).await;
    assert!(renewed.lines.iter().any(|(_, line)| line.ends_with("Max-Age=60")), "{:?}", renewed.lines);
    clock.advance(Duration::from_secs(60));
    assert_eq!(subject(&manager, renewed.token().unwrap()).await, None);
    // Others keep to the configuration.
    let response = visit(&manager, None, |session| session.login("bob").unwrap()).await;
    assert!(response.lines.iter().all(|(_, line)| !line.contains("Max-Age")));
}

#[tokio::test]
async fn what_is_remembered_in_a_cookie_stays_ended_for_as_long_as_it_could_live() {
    let (clock, store) = stopped();
    let manager = in_cookies(&clock, Revocation::kept_in(store.clone()));
    let month = Duration::from_secs(30 * 24 * 3_600);
    let remember = async |token: &str| {
        let response = visit(&manager, Some(token), |session| session.remember(2 * month).unwrap()).await;
        response.token().unwrap().to_owned()
    };
    let (phone, laptop) = (login(&manager, "ada").await, login(&manager, "bob").await);
    // A logout by the cookie from before it was remembered ends what became of it.
    let (phones, laptops) = (remember(&phone).await, remember(&laptop).await);
    visit(&manager, Some(&phone), |session| session.logout().unwrap()).await;
    manager.end_all("bob").await.unwrap();
    for _ in 0..31 {
        clock.advance(Duration::from_secs(23 * 3_600));
        store.sweep(100).await.unwrap();
        assert_eq!((subject(&manager, &phones).await, subject(&manager, &laptops).await), (None, None));
    }
    clock.advance(Duration::from_secs(2 * 24 * 3_600));
    store.sweep(100).await.unwrap();
    assert_eq!(subject(&manager, &phones).await, None, "no longer than the most, whatever was asked for");
}

#[tokio::test]
async fn a_message_waits_for_the_page_that_shows_it_and_is_shown_once() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    let response = visit(&manager, None, |session| {
        session.flash(FlashLevel::Success, "one").unwrap();
        session.flash(FlashLevel::Error, "two").unwrap();
    })
    .await;
    let token = response.token().unwrap().to_owned();
    ask(&manager, &token, async |session| assert!(session.is_empty() && session.keys().is_empty())).await;
    // A page that fails has shown nothing.
    let slot = manager.open(&Cookies::of(&[&token]));
    assert_eq!(slot.load().await.unwrap().flashes().unwrap().len(), 2);
    close(&slot, 500).await;
    // A message that is left while another request shows those before it stays.
    let (showing, leaving) = (manager.open(&Cookies::of(&[&token])), manager.open(&Cookies::of(&[&token])));
    let shown = showing.load().await.unwrap().flashes().unwrap();
    assert_eq!(shown.iter().map(|flash| flash.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    leaving.load().await.unwrap().flash(FlashLevel::Info, "three").unwrap();
    close(&leaving, 200).await;
    close(&showing, 200).await;
    let left = ask(&manager, &token, async |session| session.flashes().unwrap()).await;
    assert_eq!(left.iter().map(|flash| flash.text.as_str()).collect::<Vec<_>>(), ["three"]);
    assert_eq!(ask(&manager, &token, async |session| session.flashes().unwrap()).await, []);
}

#[tokio::test]
async fn a_form_is_good_for_its_session_alone_and_until_the_login() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    // Two pages at once, for a visitor who has no token yet.
    let token = common::begin(&manager).await;
    let slots = [manager.open(&Cookies::of(&[&token])), manager.open(&Cookies::of(&[&token]))];
    let mut forms = Vec::new();
    for slot in &slots {
        forms.push(slot.load().await.unwrap().csrf_token().unwrap());
    }
    for slot in &slots {
        close(slot, 200).await;
    }
    for form in &forms {
        assert!(ask(&manager, &token, async |session| session.verify_csrf(form).is_ok()).await);
    }
    let other = common::begin(&manager).await;
    ask(&manager, &other, async |session| session.csrf_token().unwrap()).await;
    let foreign = ask(&manager, &other, async |session| session.verify_csrf(&forms[0])).await;
    assert_eq!(foreign.unwrap_err().status(), 403);
    let renewed = visit(&manager, Some(&token), |session| session.renew().unwrap()).await;
    let renewed = renewed.token().unwrap().to_owned();
    assert!(ask(&manager, &renewed, async |session| session.verify_csrf(&forms[0]).is_ok()).await);
    let member = visit(&manager, Some(&renewed), |session| session.login("ada").unwrap()).await;
    let member = member.token().unwrap().to_owned();
    assert!(ask(&manager, &member, async |session| session.verify_csrf(&forms[0]).is_err()).await);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Visitor {
    name: Option<String>,
    visits: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    town: Option<String>,
}

impl Default for Visitor {
    fn default() -> Self {
        Self { name: Some("example".to_owned()), visits: 0, town: None }
    }
}

#[tokio::test]
async fn a_struct_and_the_keys_are_the_same_session() {
    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = common::begin(&manager).await;
    ask(&manager, &token, async |session| {
        let mut visitor: Typed<Visitor> = session.typed().unwrap();
        assert_eq!(*visitor, Visitor::default());
        visitor.update(|visitor| visitor.town = Some("Turin".to_owned())).unwrap();
        assert_eq!(session.keys(), ["n", "town"], "what didn't change is not written, what isn't ours stays");
        visitor.update(|visitor| visitor.town = None).unwrap();
        assert_eq!(session.keys(), ["n"]);
        session.insert("name", "Ada").unwrap();
        assert_eq!(session.typed::<Visitor>().unwrap().name.as_deref(), Some("Ada"));
    })
    .await;
    // Two requests at once, two fields, and one field twice.
    let slots = [0, 1].map(|_| manager.open(&Cookies::of(&[&token])));
    for (place, slot) in slots.iter().enumerate() {
        let mut visitor = slot.load().await.unwrap().typed::<Visitor>().unwrap();
        visitor.update(|visitor| visitor.visits += 1).unwrap();
        if place == 0 {
            visitor.update(|visitor| visitor.town = Some("Turin".to_owned())).unwrap();
        } else {
            visitor.update(|visitor| visitor.name = None).unwrap();
        }
    }
    for slot in &slots {
        close(slot, 200).await;
    }
    let visitor = ask(&manager, &token, async |session| format!("{:?}", *session.typed::<Visitor>().unwrap())).await;
    assert_eq!(visitor, r#"Visitor { name: None, visits: 2, town: Some("Turin") }"#);
    let wrong = ask(&manager, &token, async |session| {
        session.insert("visits", "many").unwrap();
        session.typed::<Visitor>().unwrap_err()
    })
    .await;
    assert!(matches!(&wrong, Error::WrongType { key, found: "a string", .. } if key == "visits"), "{wrong}");
    assert!(store.sessions_of("ada", 1).await.unwrap().is_empty());
}
