//! What can't be done is said, with what to do, and a code of its own.

use std::path::Path;

use session_testing::servers::{MariaDb, Postgres, Redis};

use crate::operator::{Folder, Operator};

const HANDLE: &str = "abababababababababababababababababababababababababababababababab";

#[test]
fn a_url_that_names_no_store_is_refused() {
    let folder = Folder::new();
    let missing = format!("sqlite:{}", folder.file("typo.db"));
    let cases = [
        ("file:sessions.db", 2, "begins with memory:, sqlite:"),
        ("memory:", 2, "inside of the application's process"),
        (&missing, 2, "there is no file"),
        ("sqlite:", 2, "it names no file"),
        ("redis:host", 2, "this is no address"),
        ("postgres://ada@127.0.0.1:1/x?nonsense=1", 2, "there is an option that it doesn't have"),
    ];
    for (url, code, says) in cases {
        let ran = Operator::new().env("STORE", url).run(["stats"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{url}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{url}: {}", ran.stderr);
    }
    assert!(!Path::new(&folder.file("typo.db")).exists(), "nothing was made");
    let ran = Operator::new().run(["stats"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("Set STORE to its URL"), "{}", ran.stderr);
}

#[test]
fn a_server_that_is_not_there_is_a_code_of_its_own_and_no_password() {
    for scheme in ["postgres", "mysql", "redis", "redis-cluster", "redis-sentinel"] {
        let path = if scheme == "redis-sentinel" { "service" } else { "" };
        let url = format!("{scheme}://ada:hunter2@127.0.0.1:1/{path}");
        let operator = Operator::new().secret("SECRET_PART", "hunter2");
        for arguments in [&["stats", "--store", &url][..], &["list", "ada", "--store", &url]] {
            let ran = operator.run(arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{url}");
            assert!(ran.stderr.contains("can't connect to the store"), "{}", ran.stderr);
            assert!(ran.stderr.contains("is it running"), "{}", ran.stderr);
            assert!(ran.stderr.contains("can be seen by other users"), "{}", ran.stderr);
        }
        let (code, error) = operator.env("STORE", &url).json(["stats"]);
        assert_eq!((code, &error["exit_code"]), (4, &4.into()));
        assert!(error["error"].as_str().unwrap().contains(scheme), "{error}");
    }
}

#[test]
fn a_store_that_hangs_is_given_up() {
    let (postgres, mariadb, redis) = (Postgres::start(), MariaDb::start(), Redis::start());
    let urls =
        [postgres.as_ref().map(Postgres::url), mariadb.as_ref().map(MariaDb::url), redis.as_ref().map(Redis::url)];
    for url in urls.iter().flatten() {
        assert_eq!(Operator::new().env("STORE", url).run(["stats"]).code, 0, "{url}");
    }
    if let Some(server) = &postgres {
        server.stop();
    }
    if let Some(server) = &mariadb {
        server.stop();
    }
    if let Some(server) = &redis {
        server.stop();
    }
    let ran: Vec<_> =
        urls.iter().flatten().map(|url| Operator::new().env("STORE", url).run(["show", HANDLE])).collect();
    if let Some(server) = &postgres {
        server.resume();
    }
    if let Some(server) = &mariadb {
        server.resume();
    }
    if let Some(server) = &redis {
        server.resume();
    }
    for ran in ran {
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("can't connect to the store"), "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_handle_is_refused_before_anything_is_ended_and_is_not_shown() {
    let folder = Folder::new();
    let file = folder.file("sessions.db");
    std::fs::write(&file, "").unwrap();
    let operator = Operator::new().env("STORE", &format!("sqlite:{file}"));
    for bad in ["", "ada", &HANDLE[1..], &HANDLE.to_uppercase(), "eyJhbGciOi-a-cookie-that-was-pasted"] {
        for arguments in [&["show", bad][..], &["end", HANDLE, bad]] {
            let ran = operator.run(arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{bad}");
            assert!(ran.stderr.contains("no handle of a session"), "{}", ran.stderr);
            assert!(bad.is_empty() || bad == "ada" || !ran.stderr.contains(bad), "{}", ran.stderr);
        }
    }
    assert_eq!(operator.run(["show", HANDLE]).code, 3);
}

#[test]
fn a_pasted_secret_that_lands_in_the_wrong_place_is_not_shown() {
    let pasted = "AYR6W54HBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBx02qmUp";
    for arguments in [&[pasted][..], &["keygen", pasted], &["stats", pasted], &["inspect", "x", pasted]] {
        let ran = Operator::new().run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.stderr.contains(pasted) && ran.stderr.contains("--help"), "{}", ran.stderr);
    }
    let ran = Operator::new().run(["stats", "--nonsense"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--nonsense"), "{}", ran.stderr);
}

#[test]
fn help_has_every_command_and_every_exit_code() {
    let ran = Operator::new().run(["--help"]);
    assert_eq!(ran.code, 0);
    for word in ["keygen", "list", "show", "end", "end-all", "sweep", "stats", "inspect", "rotate", "Exit codes"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    assert!((0..=5).all(|code| ran.stdout.contains(&format!("\n  {code}  "))), "{}", ran.stdout);
    assert_eq!(Operator::new().run::<&str>([]).code, 2);
    assert!(Operator::new().run(["--version"]).stdout.starts_with("sessionctl "));
}
