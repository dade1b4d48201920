//! The adapter suite on the smallest adapter there can be, for no framework at all, and on ones that are broken on
//! purpose.

use std::borrow::Cow;
use std::net::SocketAddr;

use session_core::{Close, CloseFuture, Effects, Error, RequestHead, ResponseHead, SessionManager, Slot};
use session_testing::adapter::{self, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_adapter_keeps_the_contract() {
    adapter::suite(|manager| serve(manager, Fault::None)).await;
}

#[test]
fn no_sentence_got_lost() {
    assert_eq!(adapter::SENTENCES.len(), 54);
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "a_vary_of_the_application_stays")]
async fn a_suite_that_found_something_says_what() {
    adapter::suite(|manager| serve(manager, Fault::ReplacesHeaders)).await;
}

/// Each fault, and a sentence that has to notice it.
#[test]
fn every_fault_is_found() {
    let expected: [(Fault, &[&str]); 17] = [
        (Fault::LoadsAlways, &["an_untouched_session_costs_nothing", "a_path_without_a_route_costs_nothing"]),
        (Fault::OpensTwice, &["a_request_costs_one_read_and_one_write_at_most"]),
        (
            Fault::ReplacesHeaders,
            &[
                "cookies_of_the_application_stay_in_order",
                "a_vary_of_the_application_stays",
                "a_session_in_several_cookies_comes_and_goes_with_all_of_them",
            ],
        ),
        (Fault::CommitsEverything, &["a_failed_request_leaves_no_change", "an_error_of_the_session_is_the_answer"]),
        (Fault::CommitsSuccessOnly, &["a_refused_request_keeps_its_changes"]),
        (Fault::CommitsPanics, &["a_panic_loses_the_changes"]),
        (Fault::SkipsFailures, &["a_failed_request_still_logs_out"]),
        (Fault::SkipsEmptyResponses, &["a_redirect_and_an_empty_response_carry_the_cookie"]),
        (Fault::ReadsText, &["odd_bytes_in_other_cookies_lose_nothing"]),
        (Fault::ReadsOneLine, &["several_cookie_lines_are_read_as_one"]),
        (Fault::DecodesCookies, &["what_is_not_ours_is_no_session_and_costs_no_store_call"]),
        (Fault::TakesTheLastCookie, &["two_different_sessions_at_once_are_none"]),
        (Fault::LetsEverybodyIn, &["a_request_from_another_site_reaches_no_handler_and_no_store"]),
        (Fault::ShowsErrors, &["an_error_of_the_session_is_the_answer"]),
        (
            Fault::HidesOutages,
            &[
                "optional_extraction_does_not_hide_an_outage",
                "a_store_that_fails_to_write_is_an_outage_without_a_cookie",
            ],
        ),
        (Fault::ForgetsWhoLeaves, &["logout_survives_a_client_that_leaves", "logout_survives_a_panic"]),
        (Fault::WritesWhileWatched, &["a_client_that_leaves_stops_no_write"]),
    ];
    // Side by side, because each of them waits for what doesn't happen.
    std::thread::scope(|scope| {
        let threads = expected.map(|(fault, sentences)| (fault, sentences, scope.spawn(move || failures(fault))));
        for (fault, sentences, thread) in threads {
            let failed = thread.join().expect("the suite goes on after a failure");
            for sentence in sentences {
                assert!(failed.contains(sentence), "{fault:?} was found by {failed:?} only");
            }
        }
    });
}

/// All sentences on an adapter with this fault, in a runtime of its own.
fn failures(fault: Fault) -> Vec<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(adapter::failures(|manager| serve(manager, fault)))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    LoadsAlways,
    OpensTwice,
    ReplacesHeaders,
    CommitsEverything,
    CommitsSuccessOnly,
    CommitsPanics,
    SkipsFailures,
    SkipsEmptyResponses,
    ReadsText,
    ReadsOneLine,
    DecodesCookies,
    TakesTheLastCookie,
    LetsEverybodyIn,
    ShowsErrors,
    HidesOutages,
    ForgetsWhoLeaves,
    WritesWhileWatched,
}

async fn serve(manager: SessionManager, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, manager.clone(), fault));
        }
    });
    address
}

/// One request. Its handler is dropped when its client leaves.
async fn talk(mut stream: TcpStream, manager: SessionManager, fault: Fault) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let reply = tokio::select! {
        reply = answer(&manager, Lines::parse(&head, &manager, fault), &head, fault) => reply,
        _ = stream.read_u8() => return Ok(()),
    };
    let mut bytes = format!("HTTP/1.1 {} So\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{bytes}\r\n{}", reply.body).as_bytes()).await?;
    stream.shutdown().await
}

/// The adapter: door in, handler, door out.
async fn answer(manager: &SessionManager, lines: Lines, head: &[u8], fault: Fault) -> Reply {
    if let Some(error) = manager.refuses(&lines).filter(|_| fault != Fault::LetsEverybodyIn) {
        let mut reply = failed(&error, fault);
        Effects::from(error).apply(&mut Head(&mut reply, fault));
        return reply;
    }
    let slot = manager.open(&lines);
    if fault == Fault::LoadsAlways {
        let _ = slot.load().await;
    }
    if fault == Fault::OpensTwice {
        let _ = manager.open(&lines).load().await;
    }
    let left = Left { slot: slot.clone(), fault };
    let handled = route(&slot, head, fault).await;
    let mut reply = handled.unwrap_or_else(|error| failed(&error, fault));
    let status = match fault {
        Fault::CommitsEverything => 200,
        Fault::CommitsSuccessOnly if reply.status >= 400 => {
            let _ = slot.load().await.map(|session| session.discard());
            200
        }
        _ => reply.status,
    };
    if fault == Fault::SkipsFailures && status >= 500 {
        return reply;
    }
    let effects = match slot.close(status) {
        Close::Untouched => return reply,
        Close::Ready(effects) => effects,
        Close::Io(close) if fault == Fault::WritesWhileWatched => close.await,
        Close::Io(close) => detach(close).await,
    };
    drop(left);
    finish(&mut reply, &effects, fault);
    reply
}

fn finish(reply: &mut Reply, effects: &Effects, fault: Fault) {
    if let Some(error) = effects.failure().filter(|_| reply.status < 500 && fault != Fault::HidesOutages) {
        *reply = failed(error, fault);
    }
    if fault == Fault::SkipsEmptyResponses && reply.body.is_empty() && reply.status != 200 {
        return;
    }
    effects.apply(&mut Head(reply, fault));
}

async fn detach(close: CloseFuture) -> Effects {
    tokio::spawn(close).await.unwrap_or_else(|_| Error::Interrupted.into())
}

/// Carries out a logout if there is never an answer.
struct Left {
    slot: Slot,
    fault: Fault,
}

impl Drop for Left {
    fn drop(&mut self) {
        if self.fault == Fault::CommitsPanics && std::thread::panicking() {
            let _ = self.slot.close(200);
        }
        if let Some(close) = self.slot.abandon().filter(|_| self.fault != Fault::ForgetsWhoLeaves) {
            tokio::spawn(close);
        }
    }
}

async fn route(slot: &Slot, head: &[u8], fault: Fault) -> Result<Reply, Error> {
    let head = String::from_utf8_lossy(head);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/none" => Ok(plain(200, "none")),
        "/session" => adapter::act(&slot.load().await?, query).await,
        "/optional" if fault == Fault::HidesOutages => Ok(adapter::act_optional(slot.load().await.ok().as_ref())),
        "/optional" => Ok(adapter::act_optional(Some(&slot.load().await?))),
        _ => Ok(plain(404, "missing")),
    }
}

fn failed(error: &Error, fault: Fault) -> Reply {
    let text = if fault == Fault::ShowsErrors { format!("one: {error}") } else { String::new() };
    plain(error.answer(), &text)
}

fn plain(status: u16, body: &str) -> Reply {
    let mut reply = adapter::act_optional(None);
    (reply.status, reply.body) = (status, body.to_owned());
    reply
}

/// What core wants to know of a request.
struct Lines {
    method: String,
    cookies: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

impl Lines {
    fn parse(head: &[u8], manager: &SessionManager, fault: Fault) -> Self {
        let others: Vec<_> = head.split(|&byte| byte == b'\n').map(|line| line.trim_ascii().to_vec()).collect();
        let method = String::from_utf8_lossy(head).split(' ').next().unwrap_or_default().to_owned();
        let mut lines: Vec<Vec<u8>> =
            others.iter().filter_map(|line| line.strip_prefix(b"cookie: ")).map(<[u8]>::to_vec).collect();
        match fault {
            Fault::ReadsText => lines.retain(|line| line.is_ascii()),
            Fault::ReadsOneLine => lines.truncate(1),
            Fault::DecodesCookies => lines.iter_mut().for_each(|line| *line = decoded(line)),
            Fault::TakesTheLastCookie => {
                let all = lines.join(&b"; "[..]);
                let name = manager.cookie_name().as_bytes();
                let mut pairs = all.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                lines = pairs.rfind(|pair| pair.starts_with(name)).map(<[u8]>::to_vec).into_iter().collect();
            }
            _ => {}
        }
        Self { method, cookies: lines, others }
    }
}

fn decoded(line: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < line.len() {
        let hex = line.get(at + 1..at + 3).and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| line[at] == b'%') {
            Some(byte) => (bytes.push(byte), at += 3).1,
            None => (bytes.push(line[at]), at += 1).1,
        }
    }
    bytes
}

impl RequestHead for Lines {
    fn method(&self) -> &str {
        &self.method
    }

    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        if name == "cookie" {
            return self.cookies.iter().for_each(|value| line(value));
        }
        let value = |other: &'_ [u8]| -> Option<Vec<u8>> {
            Some(other.strip_prefix(name.as_bytes())?.strip_prefix(b": ")?.to_vec())
        };
        self.others.iter().filter_map(|other| value(other)).for_each(|value| line(&value));
    }
}

struct Head<'a>(&'a mut Reply, Fault);

impl ResponseHead for Head<'_> {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.headers.iter().filter(|(other, _)| other == name).for_each(|(_, value)| line(value.as_bytes()));
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        if self.1 == Fault::ReplacesHeaders {
            self.retain(name, &mut |_| false);
        }
        self.0.headers.push((name.to_owned(), value.into_owned()));
    }

    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        self.0.headers.retain(|(other, value)| other != name || keep(value.as_bytes()));
    }
}
