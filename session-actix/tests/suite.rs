//! The published contract of adapters, on actix-web.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use session_actix::{Error, Session, SessionManager, SessionMiddleware};
use session_testing::adapter;

async fn session(session: Session, request: HttpRequest) -> Result<HttpResponse, Error> {
    Ok(respond(adapter::act(&session, request.query_string()).await?))
}

async fn optional(session: Option<Session>) -> HttpResponse {
    respond(adapter::act_optional(session.as_deref()))
}

fn respond(reply: adapter::Reply) -> HttpResponse {
    let status = reply.status.try_into().expect("the suite names statuses that exist");
    let mut response = HttpResponse::build(status);
    for header in reply.headers {
        response.append_header(header);
    }
    response.body(reply.body)
}

async fn serve(manager: SessionManager) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    // Connections wait in the listener until the server is up. It lives until the test is over.
    thread::spawn(|| {
        rt::System::new().block_on(async {
            let server = HttpServer::new(move || {
                App::new()
                    .route("/none", web::get().to(|| async { "none" }))
                    .route("/session", web::get().to(session))
                    .route("/session", web::post().to(session))
                    .route("/optional", web::get().to(optional))
                    .wrap(SessionMiddleware::new(manager.clone()))
            });
            server.workers(1).disable_signals().listen(listener)?.run().await
        })
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_keeps_its_contract() {
    adapter::suite(serve).await;
}
