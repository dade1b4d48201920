//! That the simulated cache keeps the rules, and uses them to the full.

use super::*;

fn get<'a>(target: &'a str, headers: &[(&'a str, &str)]) -> Asked<'a> {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Asked { method: "GET", target, headers }
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Response { status, headers, body: body.as_bytes().to_vec() }
}

/// How long a cache answers `GET /` with what it heard at second 0.
fn kept_for(asked: &Asked<'_>, status: u16, headers: &[(&str, &str)]) -> u64 {
    let mut cache = Cache::default();
    let number = cache.hear(asked, &response(status, headers, "x"), 0);
    let seconds = (0..1_000).take_while(|second| cache.answer(asked, *second).is_some()).count() as u64;
    assert_eq!(number.is_some(), kept_at_all(&cache));
    seconds
}

fn kept_at_all(cache: &Cache) -> bool {
    cache.stored.values().any(|stored| !stored.is_empty())
}

#[test]
fn it_keeps_what_it_may_and_for_as_long() {
    let asked = get("/", &[]);
    for (status, headers, seconds) in [
        (200, vec![], HEURISTIC_SECONDS),
        (404, vec![], HEURISTIC_SECONDS),
        (401, vec![], 0),
        (303, vec![], 0),
        (304, vec![("cache-control", "public, max-age=60")], 0),
        (303, vec![("cache-control", "public")], HEURISTIC_SECONDS),
        (303, vec![("cache-control", "max-age=5")], 5),
        (200, vec![("Cache-Control", "public, max-age=60")], 60),
        (200, vec![("cache-control", "max-age=60, S-MaxAge=7")], 7),
        (200, vec![("cache-control", "max-age=60"), ("Cache-Control", "No-Store")], 0),
        (200, vec![("cache-control", "private, max-age=60")], 0),
        (200, vec![("cache-control", "no-cache")], 0),
        (200, vec![("cache-control", "max-age=soon")], 0),
        (200, vec![("expires", "0")], 0),
        (200, vec![("set-cookie", "a=1")], HEURISTIC_SECONDS),
    ] {
        assert_eq!(kept_for(&asked, status, &headers), seconds, "{status} {headers:?}");
    }
}

#[test]
fn a_request_can_forbid_it_too() {
    for (headers, seconds) in [(vec![("cache-control", "no-store")], 0), (vec![("authorization", "Basic eDp4")], 0)] {
        assert_eq!(kept_for(&get("/", &headers), 200, &[]), seconds, "{headers:?}");
    }
    let known = get("/", &[("authorization", "Basic eDp4")]);
    assert_eq!(kept_for(&known, 200, &[("cache-control", "public")]), HEURISTIC_SECONDS);
    let mut cache = Cache::default();
    cache.hear(&get("/", &[]), &response(200, &[], "x"), 0);
    assert!(cache.answer(&get("/", &[("cache-control", "no-cache")]), 0).is_none());
}

#[test]
fn who_differs_in_a_nominated_header_gets_another_answer() {
    let mut cache = Cache::default();
    let vary = [("vary", "Accept-Encoding"), ("Vary", "cookie")];
    for who in ["a", "b"] {
        cache.hear(&get("/", &[("cookie", who)]), &response(200, &vary, who), 0);
    }
    let answer = |asked: &Asked<'_>| cache.answer(asked, 1).map(|(_, response)| response.text());
    assert_eq!(answer(&get("/", &[("cookie", "a")])).as_deref(), Some("a"));
    assert_eq!(answer(&get("/", &[("cookie", "b"), ("accept", "x")])).as_deref(), Some("b"));
    assert_eq!(answer(&get("/", &[("cookie", "b"), ("accept-encoding", "gzip")])), None);
    assert_eq!(answer(&get("/", &[])), None);
    assert_eq!(answer(&get("/?x", &[("cookie", "a")])), None);
    let asked = get("/any", &[]);
    cache.hear(&asked, &response(200, &[("vary", "*")], "x"), 0);
    assert!(cache.answer(&asked, 0).is_none());
}

#[test]
fn without_vary_an_answer_is_everybodys_with_its_cookies() {
    let mut cache = Cache::default();
    let number = cache.hear(&get("/", &[("cookie", "a")]), &response(200, &[("set-cookie", "id=1")], "a"), 0);
    let (found, response) = cache.answer(&get("/", &[("cookie", "b")]), 3).unwrap();
    assert_eq!((Some(found), response.text().as_str()), (number, "a"));
    assert_eq!((response.cookies().len(), response.header("age").as_deref()), (1, Some("3")));
}

#[test]
fn a_head_is_answered_from_a_get_and_a_write_takes_it_away() {
    let mut cache = Cache::default();
    cache.hear(&get("/", &[]), &response(200, &[], "x"), 0);
    let head = Asked { method: "HEAD", ..get("/", &[]) };
    assert_eq!(cache.answer(&head, 0).unwrap().1.body, b"");
    let post = Asked { method: "POST", ..get("/", &[]) };
    assert!(cache.answer(&post, 0).is_none());
    cache.hear(&post, &response(500, &[], ""), 0);
    assert!(cache.answer(&head, 0).is_some(), "a write that failed has changed nothing");
    assert_eq!(cache.hear(&post, &response(200, &[("cache-control", "max-age=60")], ""), 0), None);
    assert!(cache.answer(&head, 0).is_none());
}

#[test]
fn the_latest_answer_counts() {
    let mut cache = Cache::default();
    for body in ["old", "new"] {
        cache.hear(&get("/", &[]), &response(200, &[], body), 0);
    }
    assert_eq!(cache.answer(&get("/", &[]), 0).unwrap().1.text(), "new");
    assert_eq!(cache.stored["/"].len(), 1);
}
