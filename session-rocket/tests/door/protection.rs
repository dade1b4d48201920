//! Requests from other sites' pages: Rocket lets a fairing answer nothing, so they go to a route of the door's own.

use std::sync::atomic::{AtomicUsize, Ordering};

use rocket::http::{Header, Method, Status};
use rocket::local::blocking::Client;
use rocket::route::{Handler, Outcome, Route};
use rocket::{Data, Request, async_trait, catch, catchers};
use session_core::MemoryStore;
use session_rocket::{KeyRing, Secret, SessionFairing, SessionManager};

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The application's route for everything.
#[derive(Clone)]
struct Everything;

#[async_trait]
impl Handler for Everything {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        CALLS.fetch_add(1, Ordering::SeqCst);
        Outcome::from(request, "everything")
    }
}

#[catch(403)]
fn at_the_top() -> &'static str {
    "not from there"
}

#[catch(403)]
fn below(request: &Request<'_>) -> String {
    format!("not from there to {}", request.uri())
}

#[test]
fn the_applications_catcher_for_the_path_makes_the_page_and_no_route_is_asked() {
    use Method::{Connect, Delete, Patch, Post, Put};
    let keys = KeyRing::new(Secret::random().unwrap());
    let manager = SessionManager::stored(MemoryStore::new(), keys).refuse_cross_origin().build().unwrap();
    let routes =
        [Post, Put, Patch, Delete, Connect].map(|method| Route::ranked(-1_000_000, method, "/<_..>", Everything));
    let app = rocket::build()
        .mount("/", routes)
        .register("/", catchers![at_the_top])
        .register("/shop", catchers![below])
        .attach(SessionFairing::new(manager));
    let client = Client::untracked(app).unwrap();
    for method in [Post, Put, Patch, Delete] {
        for (path, page) in [("/", "not from there"), ("/shop/cart?x", "not from there to /shop/cart?x")] {
            let request = || client.req(method, path).body("a=1");
            let refused = request().header(Header::new("sec-fetch-site", "cross-site")).dispatch();
            assert_eq!(refused.status(), Status::Forbidden, "{method} {path}");
            assert_eq!(refused.headers().get("vary").collect::<Vec<_>>(), ["Sec-Fetch-Site", "Origin"]);
            assert_eq!(refused.into_string().unwrap(), page);
            assert_eq!(CALLS.load(Ordering::SeqCst), 0, "{method} {path}: a route was asked");
            let passed = request().header(Header::new("sec-fetch-site", "same-origin")).dispatch();
            assert_eq!(passed.into_string().unwrap(), "everything", "{method} {path}");
            assert_eq!(CALLS.swap(0, Ordering::SeqCst), 1);
        }
    }
}
