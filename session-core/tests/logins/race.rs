//! Logins of one subject that meet whatever ends sessions, on any store.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::{
    Decorator, Error, KeyRing, Login, Revocation, SessionManager, SessionManagerBuilder, SessionStore, StoreError,
    SubjectLimit, Verb,
};
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::common::{Cookies, Response, SECRET, close};

const LOGINS: usize = 6;
const MOST: u32 = 3;
/// Who watches looks no more often than this.
const LOOKS: usize = 10_000;

/// Steps aside before and after each operation, a little differently each time, so that every order comes up.
struct Uneven<S: ?Sized> {
    turns: AtomicUsize,
    inner: Arc<S>,
}

impl<S: SessionStore> Decorator for Uneven<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        step_aside(turn % 3).await;
        let outcome = operation.await;
        step_aside(turn / 3 % 3).await;
        outcome
    }
}

async fn step_aside(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

fn uneven<S: SessionStore + Clone>(store: &S) -> Uneven<S> {
    Uneven { turns: AtomicUsize::new(0), inner: Arc::new(store.clone()) }
}

fn stored<S: SessionStore + Clone>(store: &S) -> SessionManagerBuilder {
    SessionManager::stored(uneven(store), KeyRing::parse(SECRET).unwrap())
}

fn in_cookies<S: SessionStore + Clone>(store: &S) -> SessionManager {
    let revocation = Revocation::kept_in(uneven(store));
    SessionManager::sealed(KeyRing::parse(SECRET).unwrap(), revocation).build().unwrap()
}

/// Each scene has subjects of its own: what ended with one of another scene is remembered.
fn somebody(round: usize) -> String {
    static SCENE: AtomicUsize = AtomicUsize::new(0);
    format!("user {round} of {}", SCENE.fetch_add(1, Ordering::Relaxed))
}

/// What was ended up to a moment includes the millisecond of that moment.
async fn the_next_millisecond() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A login of a new visitor, answered after a while.
async fn login(manager: &SessionManager, login: Login, pause: usize) -> Response {
    let slot = manager.open(&Cookies::default());
    let session = slot.load().await.unwrap();
    step_aside(pause).await;
    session.login(login).unwrap();
    step_aside(pause / 2).await;
    close(&slot, 200).await
}

fn token(response: &Response) -> String {
    assert!(response.failure.is_none(), "{:?}", response.failure);
    response.token().unwrap().to_owned()
}

/// Whether the session behind this cookie is logged in, as one request after everything sees it.
async fn is_alive(manager: &SessionManager, token: &str) -> bool {
    let slot = manager.open(&Cookies::of(&[token]));
    let alive = slot.load().await.unwrap().subject().is_some();
    close(&slot, 200).await;
    alive
}

/// As `is_alive`, in an application that asks for the credential in force.
async fn passes(manager: &SessionManager, token: &str, credential: &str) -> bool {
    let slot = manager.open(&Cookies::of(&[token]));
    let passes = slot.load().await.unwrap().require_stamp(credential).unwrap();
    close(&slot, 200).await;
    passes
}

/// A request of a session that gives it a new id meanwhile. The cookie it has afterwards: its own, if it was too late.
async fn renew(manager: &SessionManager, token: &str, pause: usize) -> String {
    let slot = manager.open(&Cookies::of(&[token]));
    let session = slot.load().await.unwrap();
    step_aside(pause).await;
    if session.subject().is_some() {
        session.renew().unwrap();
    }
    let response = close(&slot, 200).await;
    response.token().filter(|token| !token.is_empty()).unwrap_or(token).to_owned()
}

pub(crate) async fn a_new_password<S: SessionStore + Clone>(store: &S, rounds: usize) {
    password(&stored(store).build().unwrap(), rounds).await;
}

pub(crate) async fn a_new_password_of_sessions_in_cookies<S: SessionStore + Clone>(store: &S, rounds: usize) {
    password(&in_cookies(store), rounds).await;
}

/// Everything there is here, one after another.
pub(crate) async fn all<S: SessionStore + Clone>(store: &S, rounds: usize) {
    a_new_password(store, rounds).await;
    a_new_password_of_sessions_in_cookies(store, rounds).await;
    the_end_of_all(store, rounds).await;
    the_end_of_all_in_cookies(store, rounds).await;
    a_limit_that_ends_the_oldest(store, rounds).await;
    a_limit_that_refuses(store, rounds).await;
}

/// What a database has of a user: the hash in force.
type InForce = Arc<Mutex<&'static str>>;

async fn password(manager: &SessionManager, rounds: usize) {
    for round in 0..rounds {
        let subject = somebody(round);
        let of = |hash: &str| Login::new(&*subject).stamp(hash);
        let in_force: InForce = Arc::new(Mutex::new("old"));
        let changer = token(&login(manager, of("old"), 0).await);
        let before = token(&login(manager, of("old"), 0).await);
        let mut logins = JoinSet::new();
        for n in 0..LOGINS {
            let (manager, subject, in_force) = (manager.clone(), subject.clone(), Arc::clone(&in_force));
            // Every other one has been checked against the old password for sure.
            let checked = (n % 2 == 0).then_some("old");
            logins.spawn(async move {
                step_aside((round + n) % 5).await;
                let hash = checked.unwrap_or_else(|| *in_force.lock().unwrap());
                let login = login(&manager, Login::new(subject).stamp(hash), (round + 3 * n) % 11).await;
                (hash, token(&login))
            });
        }
        let renewing = {
            let (manager, before) = (manager.clone(), before.clone());
            tokio::spawn(async move { renew(&manager, &before, round % 9).await })
        };
        step_aside(round % 7).await;
        *in_force.lock().unwrap() = "new";
        let slot = manager.open(&Cookies::of(&[&changer]));
        slot.load().await.unwrap().change_stamp("new").await.unwrap();
        let renewed = token(&close(&slot, 200).await);
        the_next_millisecond().await;
        let after = token(&login(manager, of("new"), 0).await);

        // These were answered before the change, so nobody has to ask for the credential.
        for token in [&changer, &before, &renewing.await.unwrap()] {
            assert!(!is_alive(manager, token).await, "round {round}: it goes on under the old password");
        }
        for (hash, token) in logins.join_all().await {
            if hash == "old" {
                assert!(!passes(manager, &token, "new").await, "round {round}: made under the old password");
                assert!(!is_alive(manager, &token).await, "round {round}: refused, and alive all the same");
            }
        }
        assert!(passes(manager, &renewed, "new").await, "round {round}: who changed it is logged out");
        assert!(passes(manager, &after, "new").await, "round {round}: the new password is not good");
    }
}

pub(crate) async fn the_end_of_all<S: SessionStore + Clone>(store: &S, rounds: usize) {
    end_all(&stored(store).build().unwrap(), rounds).await;
}

pub(crate) async fn the_end_of_all_in_cookies<S: SessionStore + Clone>(store: &S, rounds: usize) {
    end_all(&in_cookies(store), rounds).await;
}

async fn end_all(manager: &SessionManager, rounds: usize) {
    for round in 0..rounds {
        let subject = somebody(round);
        let answered = Arc::new(Mutex::new(Vec::new()));
        let mut logins = JoinSet::new();
        for n in 0..LOGINS {
            let (manager, subject, answered) = (manager.clone(), subject.clone(), Arc::clone(&answered));
            logins.spawn(async move {
                step_aside((round + n) % 5).await;
                let token = token(&login(&manager, Login::new(subject), (round + 3 * n) % 7).await);
                answered.lock().unwrap().push(token.clone());
                // Half of them go on to another id.
                let later = if n % 2 == 0 { renew(&manager, &token, n).await } else { token.clone() };
                (token, later)
            });
        }
        let wanted = 1 + round % LOGINS;
        while answered.lock().unwrap().len() < wanted {
            yield_now().await;
        }
        let before = answered.lock().unwrap().clone();
        let ended = manager.end_all(&subject).await.unwrap();
        let all = logins.join_all().await;
        let mut alive = 0;
        for (token, later) in &all {
            let lives = is_alive(manager, later).await;
            alive += usize::from(lives);
            assert!(token == later || !is_alive(manager, token).await, "round {round}: alive under its former id");
            assert!(!(lives && before.contains(token)), "round {round}: it was answered before all were ended");
        }
        if let Some(ended) = ended {
            assert_eq!((ended + alive, alive), (LOGINS, manager.sessions_of(&subject).await.unwrap().len()));
        }
        the_next_millisecond().await;
        let after = token(&login(manager, Login::new(&*subject), 0).await);
        assert!(is_alive(manager, &after).await, "round {round}: it began when all was over");
        manager.end_all(&subject).await.unwrap();
        for token in all.iter().map(|(_, later)| later).chain([&after]) {
            assert!(!is_alive(manager, token).await, "round {round}: not the end of all");
        }
    }
}

/// Counts a subject's live sessions until it is told to stop: at no moment there are more than the limit.
fn watch(manager: &SessionManager, subject: &str) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let (manager, subject, stop) = (manager.clone(), subject.to_owned(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let watching = tokio::spawn(async move {
        for _ in 0..LOOKS {
            let alive = manager.sessions_of(&subject).await.unwrap().len();
            assert!(alive <= MOST as usize, "{alive} were alive at once");
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            yield_now().await;
        }
    });
    (stop, watching)
}

/// Many logins of a subject at once, some by visitors who were there before, under the eyes of a watcher.
async fn crowd(manager: &SessionManager, subject: &str, round: usize) -> Vec<Response> {
    let (stop, watching) = watch(manager, subject);
    let mut logins = JoinSet::new();
    for n in 0..LOGINS {
        let (manager, subject) = (manager.clone(), subject.to_owned());
        logins.spawn(async move {
            step_aside((round + n) % 5).await;
            if n % 3 > 0 {
                return login(&manager, Login::new(subject), (round + 3 * n) % 7).await;
            }
            let visitor = manager.open(&Cookies::default());
            visitor.load().await.unwrap().insert("n", n).unwrap();
            let visitor = token(&close(&visitor, 200).await);
            let slot = manager.open(&Cookies::of(&[&visitor]));
            slot.load().await.unwrap().login(subject).unwrap();
            close(&slot, 200).await
        });
    }
    let answers = logins.join_all().await;
    stop.store(true, Ordering::SeqCst);
    watching.await.unwrap();
    answers
}

async fn how_many_alive(manager: &SessionManager, tokens: &[String]) -> usize {
    let mut alive = 0;
    for token in tokens {
        alive += usize::from(is_alive(manager, token).await);
    }
    alive
}

pub(crate) async fn a_limit_that_ends_the_oldest<S: SessionStore + Clone>(store: &S, rounds: usize) {
    let limit = SubjectLimit::EndOldest(NonZeroU32::new(MOST).unwrap());
    let manager = stored(store).sessions_per_subject(limit).build().unwrap();
    for round in 0..rounds {
        let subject = somebody(round);
        let crowd: Vec<_> = crowd(&manager, &subject, round).await.iter().map(token).collect();
        let all = manager.sessions_of(&subject).await.unwrap().len();
        assert_eq!((how_many_alive(&manager, &crowd).await, all), (MOST as usize, MOST as usize), "round {round}");
        // Of those that met nobody can tell who was last; of these everybody can.
        let mut last = Vec::new();
        for _ in 1..MOST {
            the_next_millisecond().await;
            last.push(token(&login(&manager, Login::new(&*subject), 0).await));
        }
        assert_eq!(how_many_alive(&manager, &last).await, last.len(), "round {round}: not the oldest ended");
        assert_eq!(how_many_alive(&manager, &crowd).await, 1, "round {round}");
        assert_eq!(manager.end_all(&subject).await.unwrap(), Some(MOST as usize));
    }
}

pub(crate) async fn a_limit_that_refuses<S: SessionStore + Clone>(store: &S, rounds: usize) {
    let limit = SubjectLimit::Refuse(NonZeroU32::new(MOST).unwrap());
    let manager = stored(store).sessions_per_subject(limit).build().unwrap();
    for round in 0..rounds {
        let subject = somebody(round);
        let mut inside = Vec::new();
        for answer in crowd(&manager, &subject, round).await {
            match &answer.failure {
                None => inside.push(token(&answer)),
                Some(Error::TooManySessions { limit: MOST }) => assert_eq!(answer.token(), None, "round {round}"),
                Some(other) => panic!("round {round}: {other:?}"),
            }
        }
        assert_eq!((inside.len(), how_many_alive(&manager, &inside).await), (MOST as usize, MOST as usize));
        // When one leaves, there is room for one.
        let slot = manager.open(&Cookies::of(&[&inside[0]]));
        slot.load().await.unwrap().logout().unwrap();
        assert!(close(&slot, 200).await.failure.is_none());
        token(&login(&manager, Login::new(&*subject), 0).await);
        assert!(login(&manager, Login::new(&*subject), 0).await.failure.is_some());
        assert_eq!(manager.end_all(&subject).await.unwrap(), Some(MOST as usize));
    }
}
