//! The contract that all adapters keep.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;

use session_testing::adapter;
use session_warp::{Error, Session, SessionManager, optional_session, session, wrap};
use tokio::net::TcpListener;
use warp::Filter;
use warp::http::Response;

async fn act(session: Session, query: String) -> Result<Response<String>, Error> {
    Ok(respond(adapter::act(&session, &query).await?))
}

fn respond(reply: adapter::Reply) -> Response<String> {
    let response = Response::builder().status(reply.status);
    let response = reply.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
    response.body(reply.body).unwrap()
}

async fn serve(manager: SessionManager) -> SocketAddr {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let none = warp::path!("none").and(warp::get()).map(|| "none".to_owned());
    let session = warp::path!("session").and(warp::get().or(warp::post()).unify()).and(session()).and(query).then(act);
    let optional = warp::path!("optional").and(warp::get()).and(optional_session());
    let optional = optional.map(|session: Option<Session>| respond(adapter::act_optional(session.as_ref())));
    let app = wrap(none.or(session).or(optional), manager);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(warp::serve(app).incoming(listener).run());
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_keeps_its_contract() {
    adapter::suite(serve).await;
}
