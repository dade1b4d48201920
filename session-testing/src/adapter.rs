//! The contract of an adapter, for a framework of your choice.
//!
//! Write a small application on your framework, with three routes; all take `GET`, and `/session` takes `POST` too:
//!
//! | route | takes | answers |
//! | --- | --- | --- |
//! | `/none` | no session | 200, any body |
//! | `/session` | the framework's `Session`, and the raw query string (without `?`; empty if there is none) | [`act`]`(&session, query).await`; its error as your adapter's own error |
//! | `/optional` | the framework's optional extraction, such as `Option<Session>` | [`act_optional`]`(session)` |
//!
//! Turn a [`Reply`] into your response: its status, its body, and its headers *added*, in order. Any other path is the
//! framework's own 404. Write a function that starts a server of it on a free port of 127.0.0.1, with a
//! [`SessionManager`] it is given; [`suite`] does the rest. It starts a server for nearly every sentence, about fifty in
//! all, and doesn't end them: one worker each is enough, and they may live until the test is over.
//!
//! This is the whole of it for axum:
//!
//! ```text
//! async fn session(session: Session, RawQuery(query): RawQuery) -> Result<Response, session_axum::Error> {
//!     Ok(respond(adapter::act(&session, &query.unwrap_or_default()).await?))
//! }
//!
//! async fn optional(session: Option<Session>) -> Response {
//!     respond(adapter::act_optional(session.as_deref()))
//! }
//!
//! fn respond(reply: adapter::Reply) -> Response {
//!     let mut response = Response::builder().status(reply.status);
//!     for (name, value) in reply.headers {
//!         response = response.header(name, value);
//!     }
//!     response.body(reply.body.into()).unwrap()
//! }
//!
//! async fn serve(manager: SessionManager) -> SocketAddr {
//!     let app = Router::new()
//!         .route("/none", get(|| async { "none" }))
//!         .route("/session", get(session).post(session))
//!         .route("/optional", get(optional))
//!         .layer(SessionLayer::new(manager));
//!     let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
//!     let address = listener.local_addr().unwrap();
//!     tokio::spawn(async { axum::serve(listener, app).await });
//!     address
//! }
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn the_adapter_keeps_its_contract() {
//!     adapter::suite(serve).await;
//! }
//! ```

mod cookies;
mod faults;
mod headers;
mod life;
mod protection;
mod races;
mod site;

use std::future::Future;
use std::net::SocketAddr;
use std::num::ParseIntError;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use session_core::{Error, Session, SessionManager};

use crate::adapter::site::Lab;
use crate::sentence::holds;

/// Checks every sentence of the contract, one after another, and prints `ok` or `FAILED` with each. `serve` starts your
/// application with the manager it is given, ready for connections, and returns its address.
///
/// Call it from a tokio runtime; best a multi-threaded one, where requests meet in earnest.
///
/// # Panics
/// At the end, if a sentence failed, with the names of all that did.
pub async fn suite<F>(serve: impl Fn(SessionManager) -> F)
where
    F: Future<Output = SocketAddr>,
{
    let failed = failures(serve).await;
    assert!(failed.is_empty(), "{} of {} sentences failed: {failed:#?}", failed.len(), SENTENCES.len());
}

macro_rules! sentences {
    ($($module:ident::$sentence:ident,)*) => {
        /// The names of the sentences, so that a test can see that none got lost.
        ///
        /// ```
        /// assert!(session_testing::adapter::SENTENCES.contains(&"logout_survives_a_panic"));
        /// ```
        pub const SENTENCES: &[&str] = &[$(stringify!($sentence)),*];

        /// As [`suite`], but returns the names of the sentences that failed: to test the suite's own teeth on a broken
        /// adapter.
        pub async fn failures<F>(serve: impl Fn(SessionManager) -> F) -> Vec<&'static str>
        where
            F: Future<Output = SocketAddr>,
        {
            let serve = |manager| -> Pin<Box<dyn Future<Output = SocketAddr> + '_>> { Box::pin(serve(manager)) };
            let lab = Lab::new(&serve);
            let mut failed = Vec::new();
            $(
                if !holds(stringify!($sentence), Box::pin($module::$sentence(&lab))).await {
                    failed.push(stringify!($sentence));
                }
            )*
            failed
        }
    };
}

sentences! {
    headers::an_untouched_session_costs_nothing,
    headers::a_path_without_a_route_costs_nothing,
    headers::reading_without_a_session_says_vary_and_stores_nothing,
    headers::the_first_write_sets_one_cookie_with_its_attributes,
    headers::the_next_request_sees_what_was_written_and_sets_no_cookie,
    headers::writing_what_is_there_writes_nothing,
    headers::a_request_costs_one_read_and_one_write_at_most,
    headers::the_cookie_is_set_and_removed_as_configured,
    headers::what_was_saved_in_the_handler_has_its_cookie,
    headers::cookies_of_the_application_stay_in_order,
    headers::a_vary_of_the_application_stays,
    headers::a_response_that_sets_the_cookie_is_not_public,
    headers::a_redirect_and_an_empty_response_carry_the_cookie,
    headers::a_session_in_several_cookies_comes_and_goes_with_all_of_them,
    life::two_browsers_have_two_sessions,
    life::login_gives_a_new_id_and_the_old_one_is_dead,
    life::renewing_keeps_the_data_under_a_new_id,
    life::logout_takes_the_cookie_away_and_ends_the_session,
    life::what_is_written_after_logout_goes_into_a_new_session,
    life::a_failed_request_leaves_no_change,
    life::a_refused_request_keeps_its_changes,
    life::a_failed_request_still_logs_out,
    life::an_error_of_the_session_is_the_answer,
    life::a_session_that_is_too_large_is_refused_and_the_old_one_stays,
    life::a_session_ends_when_nobody_uses_it,
    life::a_session_in_use_lives_until_its_lifetime,
    life::reading_moves_the_idle_deadline_only_now_and_then,
    life::a_cookie_under_a_retired_secret_is_taken_and_issued_anew,
    life::optional_extraction_gives_the_session,
    cookies::what_is_not_ours_is_no_session_and_costs_no_store_call,
    cookies::an_authentic_cookie_of_no_session_is_no_session,
    cookies::the_same_cookie_twice_counts_once,
    cookies::two_different_sessions_at_once_are_none,
    cookies::a_forged_cookie_beside_ours_does_no_harm,
    cookies::several_cookie_lines_are_read_as_one,
    cookies::odd_bytes_in_other_cookies_lose_nothing,
    faults::a_store_that_fails_to_load_is_an_outage_and_no_anonymous_visitor,
    faults::optional_extraction_does_not_hide_an_outage,
    faults::a_store_that_fails_to_write_is_an_outage_without_a_cookie,
    faults::an_outage_is_nothing_to_requests_that_need_no_store,
    faults::a_panic_loses_the_changes,
    faults::logout_survives_a_panic,
    faults::logout_survives_a_client_that_leaves,
    faults::a_client_that_leaves_stops_no_write,
    protection::a_request_from_another_site_reaches_no_handler_and_no_store,
    protection::a_request_from_here_or_from_whom_we_trust_passes,
    protection::reading_and_applications_that_want_no_refusal_are_left_alone,
    protection::a_session_in_another_browser_is_told_and_where_asked_for_refused,
    protection::a_session_is_bound_by_its_beginning_and_by_logins_only,
    races::increments_of_two_clients_are_all_counted,
    races::requests_that_write_different_keys_all_survive,
    races::a_slow_request_undoes_nothing_of_a_fast_one,
    races::a_logout_during_slow_writes_is_final,
    races::a_login_during_writes_leaves_the_old_id_dead,
}

/// What the application answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header lines to add, names lowercase; the same name may come twice.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What the route `/session` does: the steps that its query spells, in order, as `set=town:Oslo&get=town`.
///
/// | step | does |
/// | --- | --- |
/// | `get=K` · `subject` | answers a line with the value of `K`, a string · who is logged in; `-` for none |
/// | `number=K` · `add=K` | answers a line with the number under `K` · the same after adding one to it through `update` |
/// | `set=K:V` · `big=N` | writes a string · one of `N` bytes |
/// | `login=U` · `renew` · `logout` · `save` | what the session's methods of these names do |
/// | `sleep=MS` · `panic` | sleeps · panics |
/// | `status=N` · `header=NAME:VALUE` | answers with this status · with one more header line |
///
/// # Errors
/// What the session's methods return, to be answered as the adapter's own error.
///
/// # Panics
/// If it is told to, or the query spells no steps.
///
/// ```
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// # use session_testing::adapter;
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let reply = adapter::act(&session, "get=town&set=town:Oslo&get=town&status=404&header=x-a:1").await?;
/// assert_eq!((reply.status, reply.body.as_str()), (404, "-\nOslo"));
/// assert_eq!(reply.headers, [("x-a".to_owned(), "1".to_owned())]);
/// # Ok::<(), session_core::Error>(()) }).unwrap(); Ok::<(), session_core::Error>(())
/// ```
pub async fn act(session: &Session, query: &str) -> Result<Reply, Error> {
    let mut reply = Reply { status: 200, headers: Vec::new(), body: String::new() };
    let mut lines = Vec::new();
    for step in query.split('&').filter(|step| !step.is_empty()) {
        let (verb, argument) = step.split_once('=').unwrap_or((step, ""));
        let pair = || argument.split_once(':').expect("the step has an argument like NAME:VALUE");
        match verb {
            "get" => lines.push(session.get(argument)?.unwrap_or_else(|| "-".to_owned())),
            "subject" => lines.push(session.subject().unwrap_or_else(|| "-".to_owned())),
            "number" => lines.push(session.get::<u64>(argument)?.unwrap_or_default().to_string()),
            "add" => lines.push(session.update(argument, |count: &mut u64| *count += 1)?.to_string()),
            "set" => session.insert(pair().0, pair().1)?,
            "big" => session.insert("big", "x".repeat(number(argument)))?,
            "login" => session.login(argument)?,
            "renew" => session.renew()?,
            "logout" => session.logout()?,
            "save" => session.save().await?,
            "sleep" => tokio::time::sleep(Duration::from_millis(number(argument))).await,
            // Without the hook, which would fill the output of a suite that passes with backtraces.
            "panic" => resume_unwind(Box::new("a panic that the adapter suite asked for")),
            "status" => reply.status = number(argument),
            "header" => reply.headers.push((pair().0.to_owned(), pair().1.to_owned())),
            other => unreachable!("no step is called {other}"),
        }
    }
    reply.body = lines.join("\n");
    Ok(reply)
}

fn number<N: FromStr<Err = ParseIntError>>(argument: &str) -> N {
    argument.parse().expect("the step has a number for its argument")
}

/// What the route `/optional` does: answers whether the extraction gave a session.
///
/// ```
/// # use session_testing::adapter;
/// assert_eq!(adapter::act_optional(None).body, "no session");
/// ```
#[must_use]
pub fn act_optional(session: Option<&Session>) -> Reply {
    let body = if session.is_some() { "a session" } else { "no session" };
    Reply { status: 200, headers: Vec::new(), body: body.to_owned() }
}
