//! What a client may send by mistake or on purpose: it is never more than no session.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Browser, COOKIE, Lab, NOBODY, Numbers, SECRET, at_once, on_all, on_all_in_every_mode};
use session_testing::http::Response;

const SOMEBODY: &str = r#"{"user":"ada","k":"v"}"#;

fn head(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut head = b"GET /peek?k=k HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n".to_vec();
    for line in lines {
        head.extend_from_slice(b"cookie: ");
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

async fn send(lab: &Lab, lines: &[Vec<u8>]) -> Response {
    let response = lab.client.raw(&head(lines)).await;
    response.unwrap_or_else(|error| panic!("{}: {error} after {}", lab.name, shown(lines)))
}

fn shown(lines: &[Vec<u8>]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line[..line.len().min(300)])).collect();
    format!("{lines:?}")
}

/// A session of ada's with `k` = `v`; its cookie.
async fn session(lab: &Arc<Lab>) -> String {
    let mut browser = Browser::new(lab);
    browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
    browser.expect("POST /set?k=k&v=v", r#"200 {"ok":true}"#).await;
    browser.cookie()
}

/// One bit of the token's bytes turned; the last character has bits that are none of the token's.
fn turned(token: &str, at: usize) -> Vec<u8> {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    bytes
}

fn named(value: impl AsRef<[u8]>) -> Vec<u8> {
    [COOKIE.as_bytes(), b"=", value.as_ref()].concat()
}

/// Not in the address, where it would end up in logs and in `Referer`, nor in a body or another header.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_worth_nothing_anywhere_but_in_a_cookie() {
    on_all_in_every_mode(&[], |lab| async move {
        let token = session(&lab).await;
        assert_eq!(send(&lab, &[named(&token)]).await.text(), SOMEBODY, "{}", lab.name);
        let before = lab.stats().await;
        let pair = format!("{COOKIE}={token}");
        let ask = |target: &str| lab.client.request("GET", target);
        let form = ask("/peek?k=k").header("content-type", "application/x-www-form-urlencoded").body(pair.as_bytes());
        let mut requests = vec![
            ("the query", ask(&format!("/peek?k=k&{pair}"))),
            ("the query", ask(&format!("/peek?{pair}&k=k"))),
            ("the body", form),
            ("authorization", ask("/peek?k=k").header("authorization", format!("Bearer {token}"))),
        ];
        for name in [COOKIE, "set-cookie", "cookie2", "session", "x-session-id", "x-auth-token"] {
            requests.extend([&token, &pair].map(|value| (name, ask("/peek?k=k").header(name, value))));
        }
        for (place, request) in requests {
            let response = request.send().await.unwrap_or_else(|error| panic!("{}: {place}: {error}", lab.name));
            assert_eq!((response.status, response.text().as_str()), (200, NOBODY), "{}: in {place}", lab.name);
            assert_eq!(response.cookies(), [], "{}: in {place}", lab.name);
        }
        let after = lab.stats().await;
        for counter in ["load", "create", "touch", "update", "rename", "events"] {
            assert_eq!(before[counter], after[counter], "{}: {counter}", lab.name);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cookie_of_ours_is_an_anonymous_200_and_asks_no_store() {
    on_all_in_every_mode(&[], |lab| async move {
        let token = session(&lab).await;
        let length = token.len();
        let mut cases: Vec<Vec<Vec<u8>>> = vec![
            vec![],
            vec![vec![]],
            vec![b";;; ; =;==; =x; ;".to_vec()],
            vec![COOKIE.as_bytes().to_vec()],
            vec![named("")],
            vec![named("x")],
            vec![named("x"), named("y")],
            vec![named("é")],
            vec![named(b"\xff\xfe\x80")],
            vec![named("=")],
            vec![named("A".repeat(length))],
            vec![named("A".repeat(length)), named("B".repeat(length))],
            vec![named("A".repeat(64 * 1024))],
            vec![[b"x=".to_vec(), b"y".repeat(64 * 1024)].concat()],
            vec![named([token.as_bytes(), "A".repeat(60 * 1024).as_bytes()].concat())],
            vec![[named("A".repeat(length)), b"; ".to_vec()].concat().repeat(64 * 1024 / (length + 12))],
            vec![named(&token[1..])],
            vec![named(&token[..length - 1])],
            vec![named(format!("{token}A"))],
            vec![named(format!("{token}="))],
            vec![named(format!("{token}.{token}"))],
            vec![named(token.to_lowercase())],
        ];
        cases.extend((0..length - 1).step_by(length / 40).map(|at| vec![named(turned(&token, at))]));
        let before = lab.stats().await;
        for lines in &cases {
            let response = send(&lab, lines).await;
            let what = format!("{}: {}", lab.name, shown(lines));
            assert_eq!((response.status, response.text().as_str()), (200, NOBODY), "{what}");
            assert_eq!(response.cookies(), [], "{what}");
            assert_eq!(response.header("vary").as_deref(), Some("Cookie"), "{what}");
        }
        let after = lab.stats().await;
        for verb in ["load", "create", "update", "touch", "rename", "delete", "panics"] {
            assert_eq!(before[verb], after[verb], "{}: {verb}", lab.name);
        }
        assert_ne!(before["events"]["forged"], after["events"]["forged"], "{}", lab.name);
    })
    .await;
}

/// Cookies that look like ours to some parser or other, planted from a subdomain or over plain HTTP (RFC 6265bis, 4.1.3).
/// `{ok}` is a cookie of ada's, `{evil}` the planted one: an authentic cookie, but of another session.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_is_never_taken_for_ours() {
    // What comes, and whose session it is: ada's, or nobody's.
    let table: [(&[&str], &str); 26] = [
        (&["__Host-id={ok}"], SOMEBODY),
        (&["__Host-id={ok}; __Host-id={ok}"], SOMEBODY),
        (&["__Host-id={ok}", "__Host-id={ok}"], SOMEBODY),
        (&["%5F%5FHost-id={evil}"], NOBODY),
        (&["%5F%5FHost-id={evil}; __Host-id={ok}"], SOMEBODY),
        (&["\u{2000}__Host-id={evil}"], NOBODY),
        (&["\u{a0}__Host-id={evil}"], NOBODY),
        (&["\u{85}__Host-id={evil}"], NOBODY),
        (&["__Host-id\u{2003}={evil}"], NOBODY),
        (&["=__Host-id={evil}"], NOBODY),
        (&["__Host-id={ok}; __Host-id={evil}"], NOBODY),
        (&["__Host-id={evil}; __Host-id={ok}"], NOBODY),
        (&["__Host-id={ok}", "__Host-id={evil}"], NOBODY),
        (&["__Host-id=forged; __Host-id={ok}"], SOMEBODY),
        (&["x=é; __Host-id={ok}"], SOMEBODY),
        (&["a=\"x; __Host-id={ok}; b=y\""], SOMEBODY),
        (&["a=\"x; __Host-id={ok}"], SOMEBODY),
        (&["  \t__Host-id={ok}\t ; x=y"], SOMEBODY),
        (&["__Host-id = {ok}"], NOBODY),
        (&["__Host-id=\"{ok}\""], NOBODY),
        (&["__HOST-ID={evil}"], NOBODY),
        (&["..Host-id={evil}"], NOBODY),
        (&["__Host-id={percent}"], NOBODY),
        (&["__Host-id={tab}"], NOBODY),
        (&["x=__Host-id={evil}"], NOBODY),
        (&["__Host-id={ok},__Host-id={evil}"], NOBODY),
    ];
    on_all_in_every_mode(&[], move |lab| async move {
        let (ok, evil) = (session(&lab).await, session(&lab).await);
        let (start, end) = ok.split_at(ok.len() - 1);
        let (percent, tab) = (format!("{start}%{:02x}", end.as_bytes()[0]), format!("{start}\t{end}"));
        for (lines, expected) in table {
            let lines: Vec<Vec<u8>> = lines
                .iter()
                .map(|line| line.replace("{ok}", &ok).replace("{evil}", &evil))
                .map(|line| line.replace("{percent}", &percent).replace("{tab}", &tab).into_bytes())
                .collect();
            let response = send(&lab, &lines).await;
            let what = format!("{}: {}", lab.name, shown(&lines));
            assert_eq!((response.status, response.text().as_str()), (200, expected), "{what}");
        }
        let planted = named(&ok);
        // Rocket drops a whole line that is not UTF-8, before anybody sees it: anonymous, and no error.
        let expected = if lab.name == "rocket" { NOBODY } else { SOMEBODY };
        let response = send(&lab, &[[b"x=\xff; ", &planted[..]].concat()]).await;
        assert_eq!((response.status, response.text().as_str()), (200, expected), "{}", lab.name);
        let response = send(&lab, &[b"x=\xff".to_vec(), planted]).await;
        assert_eq!((response.status, response.text().as_str()), (200, SOMEBODY), "{}", lab.name);
        assert_eq!(lab.stats().await["panics"], 0);
    })
    .await;
}

/// What HTTP itself forbids is refused by the servers, and what is large by most of them; never by a failure.
#[tokio::test(flavor = "multi_thread")]
async fn what_http_forbids_is_400_and_what_is_large_is_served_or_431() {
    on_all(&[("LAB_SECRETS", SECRET)], |lab| async move {
        let token = session(&lab).await;
        for byte in [0, 1, 0x7f, b'\r'] {
            let response = send(&lab, &[[b"x=", &[byte][..], b"y; ", &named(&token)].concat()]).await;
            assert_eq!(response.status, 400, "{} {byte}", lab.name);
        }
        for bytes in [
            format!("GET /peek?k=k HTTP/1.1\r\nhost: lab\r\ncookie: x=y\r\n  folded; {COOKIE}={token}\r\n\r\n"),
            format!("GET /peek?k=k HTTP/1.1\r\nhost: lab\r\ncookie : {COOKIE}={token}\r\n\r\n"),
        ] {
            assert_eq!(lab.client.raw(bytes.as_bytes()).await.unwrap().status, 400, "{}", lab.name);
        }
        let line_feeds = format!("GET /peek?k=k HTTP/1.1\nhost: lab\nconnection: close\ncookie: {COOKIE}={token}\n\n");
        assert_eq!(lab.client.raw(line_feeds.as_bytes()).await.unwrap().text(), SOMEBODY, "{}", lab.name);

        // 10,000 others come first: 40 KB, all of which is read.
        let others = [b"a=1;".repeat(10_000), named(&token)].concat();
        assert_eq!(send(&lab, &[others]).await.text(), SOMEBODY, "{}", lab.name);
        let lines = [vec![b"a=1".to_vec(); 80], vec![named(&token)]].concat();
        assert_eq!(send(&lab, &lines).await.text(), SOMEBODY, "{}", lab.name);

        let many = vec![b"a=1".to_vec(); 120];
        let mut large = vec![many];
        large.extend([130, 300, 500].map(|kilobytes| vec![named("A".repeat(kilobytes * 1024))]));
        for lines in large {
            // A server that has read enough may close before it has taken everything.
            if let Ok(response) = lab.client.raw(&head(&lines)).await {
                let right = response.status == 431 || (response.status == 200 && response.text() == NOBODY);
                assert!(right, "{}: {} {}", lab.name, response.status, shown(&lines));
            }
        }
        assert_eq!(lab.client.get("/none").send().await.unwrap().status, 200);
        assert_eq!(lab.stats().await["panics"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_are_no_session_and_no_failure() {
    const AT_ONCE: usize = 16;
    let seed = 0x5e55_1045;
    for (mode, requests) in [("memory:", 2_000), ("sealed:", 500), ("signed:", 500)] {
        on_all(&[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)], move |lab| async move {
            let token = session(&lab).await;
            let mut numbers = Numbers::new(seed);
            let lines: Vec<_> = (0..requests).map(|_| random_line(&mut numbers, &token)).collect();
            let before = lab.stats().await;
            let served = Arc::new(AtomicUsize::new(0));
            let clients = lines.chunks(lines.len() / AT_ONCE).map(|share| {
                let (lab, share, served) = (Arc::clone(&lab), share.to_vec(), Arc::clone(&served));
                async move {
                    for line in share {
                        let response = send(&lab, std::slice::from_ref(&line)).await;
                        // The bytes may end the head, or the token may have come through whole.
                        let right = match response.status {
                            200 => [NOBODY, SOMEBODY].contains(&response.text().as_str()),
                            status => [400, 431].contains(&status),
                        };
                        assert!(right, "{}: {} after {line:?}", lab.name, response.status);
                        served.fetch_add(usize::from(response.status == 200), Ordering::Relaxed);
                    }
                }
            });
            at_once(clients).await;
            // Enough of them got past the server, to the session.
            assert!(served.load(Ordering::Relaxed) > requests / 3, "{mode} {}: {served:?}", lab.name);
            let after = lab.stats().await;
            assert_eq!(after["panics"], 0, "{mode} {}", lab.name);
            for verb in ["create", "update", "rename", "delete"] {
                assert_eq!(before[verb], after[verb], "{mode} {}: {verb}", lab.name);
            }
        })
        .await;
    }
}

/// Bytes without rule or nearly so, pieces of cookies in any order, or a whole cookie with some bytes wrong.
fn random_line(numbers: &mut Numbers, token: &str) -> Vec<u8> {
    let whole = named(token);
    let pieces: [&[u8]; 12] =
        [b"__Host-id", b"=", b"; ", b";", b"\"", b" ", b"\t", b"%5F", b"\xff", b"\xc3\xa9", token.as_bytes(), &whole];
    match numbers.below(4) {
        0 => (0..numbers.below(200)).map(|_| numbers.byte()).collect(),
        // Only those that HTTP lets through.
        3 => (0..numbers.below(200)).map(|_| numbers.byte().max(b' ')).filter(|byte| *byte != 0x7f).collect(),
        1 => (0..numbers.below(12)).flat_map(|_| numbers.pick(&pieces).to_vec()).collect(),
        _ => {
            let mut line = whole.clone();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(line.len());
                line[at] = numbers.byte();
            }
            line
        }
    }
}
