//! A shared cache in front of each lab, as greedy as RFC 9111 allows: nobody ever sees another's answer or cookie.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod cache;
mod common;

use std::collections::HashMap;
use std::sync::Arc;

use cache::{Asked, Cache};
use common::{COOKIE, Lab, Numbers, ask, on_all, on_all_in_every_mode};
use serde_json::Value;
use session_testing::http::{Jar, Response};

/// Three who log in, and one who never does.
const VISITORS: [&str; 4] = ["visitor-ada", "visitor-bob", "visitor-eve", "visitor-x"];
const ANONYMOUS: usize = 3;
/// `ME` is the visitor, `N` a new number. The more often a line is here, the more often it is asked.
const LINES: [&str; 34] = [
    "GET /none",
    "GET /none",
    "GET /none",
    "HEAD /none",
    "GET /peek?k=k",
    "GET /peek?k=k",
    "GET /peek?k=k",
    "HEAD /peek?k=k",
    "GET /me",
    "GET /me",
    "GET /public?k=k",
    "GET /public?k=k",
    "GET /public?k=k",
    "GET /public?k=k",
    "HEAD /public?k=k",
    "GET /keys",
    "GET /has?k=k",
    "GET /typed",
    "GET /flash",
    "GET /csrf",
    "GET /csrf",
    "GET /not-modified",
    "GET /nowhere",
    "GET /redirect?k=k&v=ME.N",
    "POST /set?k=k&v=ME.N",
    "POST /set?k=k&v=ME.N",
    "POST /public-write?k=k&v=ME.N",
    "POST /flash?m=ME.N",
    "POST /typed?username=ME",
    "POST /renew",
    "POST /fail500?k=k&v=ME.N",
    "POST /login?u=ME",
    "POST /logout",
    // Comes as somebody new from here on.
    "FORGET",
];
/// Takes a fifth of a second each time.
const SLOW_LINE: &str = "GET /stream";

/// One lab, its cache, and what is known of who got what from the origin.
struct Site {
    lab: Arc<Lab>,
    cache: Cache,
    now: u64,
    jars: [Jar; VISITORS.len()],
    logged_in: [bool; VISITORS.len()],
    /// For whom each stored answer was made.
    made_for: HashMap<u64, usize>,
    /// Who got each session cookie, and each token for a form.
    owners: HashMap<String, usize>,
    hits: HashMap<String, usize>,
    foreign_hits: usize,
}

impl Site {
    fn new(lab: Arc<Lab>) -> Self {
        Self {
            lab,
            cache: Cache::default(),
            now: 0,
            jars: <[Jar; VISITORS.len()]>::default(),
            logged_in: [false; VISITORS.len()],
            made_for: HashMap::new(),
            owners: HashMap::new(),
            hits: HashMap::new(),
            foreign_hits: 0,
        }
    }

    async fn visit(&mut self, visitor: usize, line: &str, encoding: &str) {
        let (method, target) = line.split_once(' ').unwrap();
        let mut headers = vec![("accept-encoding", encoding.to_owned())];
        headers.extend(self.jars[visitor].line().map(|cookies| ("cookie", cookies)));
        let asked = Asked { method, target, headers };
        let told = format!("{}: {} asks {line} with {:?}", self.lab.name, VISITORS[visitor], asked.headers);
        let response = match self.cache.answer(&asked, self.now) {
            Some((number, response)) => {
                *self.hits.entry(target.to_owned()).or_default() += 1;
                assert_eq!(response.cookie(COOKIE), None, "a session's cookie was kept: {told}");
                if self.made_for[&number] != visitor {
                    self.foreign_hits += 1;
                    assert!(is_nobodys(target, &response), "another's answer: {told}: {}", response.text());
                }
                response
            }
            None => {
                let request = asked
                    .headers
                    .iter()
                    .fold(ask(&self.lab.client, line), |request, (name, value)| request.header(name, value));
                let response = request.send().await.unwrap_or_else(|error| panic!("{told}: {error}"));
                if let Some(number) = self.cache.hear(&asked, &response, self.now) {
                    self.made_for.insert(number, visitor);
                }
                response
            }
        };
        self.jars[visitor].keep(&response);
        if response.status == 200 {
            match target.split('?').next() {
                Some("/login") => self.logged_in[visitor] = true,
                Some("/logout") => self.logged_in[visitor] = false,
                _ => {}
            }
        }
        self.check(visitor, target, &response, &told);
    }

    /// The cookies, the tokens, the values and the name in an answer are those of whoever gets it.
    fn check(&mut self, visitor: usize, target: &str, response: &Response, told: &str) {
        let text = response.text();
        for (other, name) in VISITORS.iter().enumerate() {
            assert!(other == visitor || !text.contains(name), "{told}: {text}");
        }
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let cookies = response.cookies().into_iter().filter(|cookie| cookie.name == COOKIE && !cookie.value.is_empty());
        let token = said["token"].as_str().map(str::to_owned);
        for secret in cookies.map(|cookie| cookie.value).chain(token) {
            let owner = *self.owners.entry(secret).or_insert(visitor);
            assert_eq!(VISITORS[owner], VISITORS[visitor], "another's cookie or token: {told}");
        }
        if ["/peek?k=k", "/public?k=k", "/me"].contains(&target) && !text.is_empty() {
            let user = self.logged_in[visitor].then_some(VISITORS[visitor]);
            assert_eq!(said["user"].as_str(), user, "somebody else, or somebody before: {told}: {text}");
        }
    }

    fn forget(&mut self, visitor: usize) {
        self.jars[visitor] = Jar::default();
        self.logged_in[visitor] = false;
    }
}

/// Whether this is an answer that everybody without a session gets, or everybody.
fn is_nobodys(target: &str, response: &Response) -> bool {
    let said = match target {
        "/none" => r#"{"ok":true}"#,
        "/peek?k=k" | "/public?k=k" => r#"{"user":null,"k":null}"#,
        "/keys" | "/flash" => r#"{"v":[]}"#,
        "/has?k=k" => r#"{"v":false}"#,
        "/typed" => r#"{"username":"example","visits":0}"#,
        "/stream" => "one\ntwo\nthree\n",
        _ => "",
    };
    target == "/nowhere" || response.body.is_empty() || response.text() == said
}

async fn mixed_requests(lab: Arc<Lab>, requests: usize) -> Site {
    let mut site = Site::new(lab);
    let mut numbers = Numbers::new(20_080_111);
    for n in 0..requests {
        let visitor = numbers.below(VISITORS.len());
        site.now += numbers.below(3) as u64;
        let encoding = *numbers.pick(&[&"gzip", &"gzip", &"br"]);
        let line = match *numbers.pick(&LINES.each_ref()) {
            _ if n % 500 == 7 => SLOW_LINE,
            "FORGET" => {
                site.forget(visitor);
                "GET /peek?k=k"
            }
            "POST /login?u=ME" if visitor == ANONYMOUS => "GET /me",
            line => line,
        };
        let line = line.replace("ME", VISITORS[visitor]).replace('N', &n.to_string());
        site.visit(visitor, &line, encoding).await;
    }
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anothers_answer_or_cookie_from_a_shared_cache() {
    const REQUESTS: usize = 5_000;
    on_all(&[], |lab| async move {
        let site = mixed_requests(lab, REQUESTS).await;
        // It is no cache that has nothing to say.
        for (target, least) in [("/none", 300), ("/public?k=k", 50), ("/peek?k=k", 50)] {
            let hits = site.hits.get(target).copied().unwrap_or_default();
            assert!(hits >= least, "{}: {hits} of {target} were answered from the cache", site.lab.name);
        }
        assert!(site.foreign_hits >= 100, "{}: only {} were shared", site.lab.name, site.foreign_hits);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_anybody_whose_session_is_in_the_cookie() {
    on_all_in_every_mode(&[], |lab| async move {
        let site = mixed_requests(lab, 500).await;
        assert!(site.hits.get("/none").copied().unwrap_or_default() >= 20, "{}", site.lab.name);
    })
    .await;
}
