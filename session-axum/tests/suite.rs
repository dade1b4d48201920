//! The published contract of adapters, on axum.

use std::net::SocketAddr;

use axum::extract::RawQuery;
use axum::response::Response;
use axum::{Router, routing::get};
use session_axum::{Session, SessionLayer, SessionManager};
use session_testing::adapter;
use tokio::net::TcpListener;

async fn session(session: Session, RawQuery(query): RawQuery) -> Result<Response, session_axum::Error> {
    Ok(respond(adapter::act(&session, &query.unwrap_or_default()).await?))
}

async fn optional(session: Option<Session>) -> Response {
    respond(adapter::act_optional(session.as_deref()))
}

fn respond(reply: adapter::Reply) -> Response {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body.into()).expect("the suite's headers are headers")
}

async fn serve(manager: SessionManager) -> SocketAddr {
    let app = Router::new()
        .route("/none", get(|| async { "none" }))
        .route("/session", get(session).post(session))
        .route("/optional", get(optional))
        .layer(SessionLayer::new(manager));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_keeps_its_contract() {
    adapter::suite(serve).await;
}
