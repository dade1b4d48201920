//! One request, from its cookies to its response, with what it may expect checked on the way.

use std::borrow::Cow;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::sample::Index;
use serde_json::Value;
use session_core::{
    Close, CloseFuture, Effects, Error, RequestHead, ResponseHead, Session, SessionManager, Slot, StoreKey,
};
use sha2::{Digest, Sha256};

use crate::model::{Content, Verb, logs_in};
use crate::play::FROM_ELSEWHERE;
use crate::store::{Cookie, Interleaved, Trace, World, pause};

/// What a handler does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Do(Verb),
    /// `Verb::Push` of a number that nobody else pushes.
    Push(&'static str),
    Destroy,
    Discard,
    /// Saves, and does the steps while the save is under way.
    Save(Vec<Self>),
    /// Begins to save, and drops the save after so many turns.
    CutSave(u8),
}

/// Which cookies a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Jar,
    /// An old cookie, as an attacker replays it.
    Replay(Index),
    /// The client's own and a planted one.
    JarAnd(Index),
    /// An issued cookie with a bit turned.
    Forged(u8),
    /// Authentic, of a session that was never in this store.
    Elsewhere,
    Token(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) client: usize,
    pub(crate) source: Source,
    pub(crate) steps: Vec<Step>,
    pub(crate) status: u16,
    /// The client leaves after so many turns of the handler.
    pub(crate) leaves_after: Option<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self { client: 0, source: Source::Jar, steps: Vec::new(), status: 200, leaves_after: None }
    }
}

impl Request {
    /// Whether it takes values away that others wrote.
    pub(crate) fn removes(&self) -> bool {
        fn removes(step: &Step) -> bool {
            match step {
                Step::Do(verb) => matches!(verb, Verb::Remove(_) | Verb::Clear | Verb::Login(_)),
                Step::Save(steps) => steps.iter().any(removes),
                _ => false,
            }
        }
        self.steps.iter().any(removes)
    }
}

/// What the browsers hold, and everything they ever held.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    pub(crate) of_client: [Option<String>; 2],
    pub(crate) issued: Vec<String>,
}

impl Jar {
    fn cookies(&self, request: &Request) -> Vec<String> {
        let own = self.of_client[request.client].clone();
        let old = |index: &Index| (!self.issued.is_empty()).then(|| index.get(&self.issued).clone());
        match &request.source {
            Source::Jar => own.into_iter().collect(),
            Source::Replay(index) => old(index).into_iter().collect(),
            Source::JarAnd(index) => own.into_iter().chain(old(index)).collect(),
            Source::Forged(bit) => vec![forged(self.issued.last().unwrap_or(&FROM_ELSEWHERE), *bit)],
            Source::Elsewhere => vec![FROM_ELSEWHERE.clone()],
            Source::Token(token) => vec![token.clone()],
        }
    }
}

/// The store's key for a token, as anybody who holds the token can compute it.
pub(crate) fn key_of(token: &str) -> StoreKey {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    StoreKey::from_bytes(Sha256::digest(&bytes[5..37]).into())
}

fn forged(token: &str, bit: u8) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let place = 5 + usize::from(bit) % (bytes.len() - 5);
    bytes[place] ^= 1 << (bit % 8);
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Cookies(Vec<String>);

impl RequestHead for Cookies {
    fn method(&self) -> &str {
        "GET"
    }
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        if name == "cookie" {
            self.0.iter().for_each(|token| line(format!("__Host-id={token}").as_bytes()));
        }
    }
}

#[derive(Default)]
struct Response(Vec<(&'static str, String)>);

impl ResponseHead for Response {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value.as_bytes()));
    }
    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        self.0.push((name, value.into_owned()));
    }
    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        self.0.retain(|(key, value)| *key != name || keep(value.as_bytes()));
    }
}

enum Phase {
    Waiting,
    Handling(Slot, Pin<Box<dyn Future<Output = u16>>>),
    Closing(CloseFuture),
    Leaving(CloseFuture),
}

pub(crate) struct Running {
    request: Request,
    place: usize,
    phase: Phase,
    turns: u8,
}

impl Running {
    pub(crate) fn new(request: Request, place: usize) -> Self {
        Self { request, place, phase: Phase::Waiting, turns: 0 }
    }

    /// One turn; true when the request is done.
    pub(crate) fn poll(&mut self, store: &Interleaved, manager: &SessionManager, jar: &mut Jar) -> bool {
        store.world().current = self.place;
        let mut context = Context::from_waker(Waker::noop());
        match &mut self.phase {
            Phase::Waiting => {
                let cookies = jar.cookies(&self.request);
                let slot = manager.open(&Cookies(cookies.clone()));
                let handler = handle(slot.clone(), store.clone(), cookies, self.request.clone());
                self.phase = Phase::Handling(slot, Box::pin(handler));
                self.poll(store, manager, jar)
            }
            Phase::Handling(slot, handler) => {
                if self.request.leaves_after == Some(self.turns) {
                    let slot = slot.clone();
                    // The handler is gone before the door knows, as in every framework.
                    self.phase = Phase::Waiting;
                    return self.leave(&slot, store);
                }
                self.turns += 1;
                let Poll::Ready(status) = handler.as_mut().poll(&mut context) else { return false };
                store.world().trace().begin_write(status >= 500);
                match slot.close(status) {
                    Close::Untouched => panic!("the session was looked at"),
                    Close::Ready(effects) => self.answer(&effects, store, jar),
                    Close::Io(close) => {
                        self.phase = Phase::Closing(close);
                        false
                    }
                }
            }
            Phase::Closing(close) => match Pin::new(close).poll(&mut context) {
                Poll::Pending => false,
                Poll::Ready(effects) => self.answer(&effects, store, jar),
            },
            Phase::Leaving(close) => match Pin::new(close).poll(&mut context) {
                Poll::Pending => false,
                Poll::Ready(_) => {
                    store.world().trace().check_left();
                    true
                }
            },
        }
    }

    fn leave(&mut self, slot: &Slot, store: &Interleaved) -> bool {
        let ends = store.world().trace().begin_leaving();
        let Some(close) = slot.abandon() else {
            store.world().trace().check_left();
            return true;
        };
        assert!(ends, "somebody who left had something written");
        self.phase = Phase::Leaving(close);
        false
    }

    /// The response: what it says of the cookie, and whether that and its status are true.
    fn answer(&mut self, effects: &Effects, store: &Interleaved, jar: &mut Jar) -> bool {
        let mut response = Response::default();
        effects.apply(&mut response);
        let line = response.0.iter().find(|(name, _)| *name == "set-cookie").map(|(_, line)| line.as_str());
        let token = line.map(|line| line.split_once(';').unwrap().0.strip_prefix("__Host-id=").unwrap());
        let told = match token {
            None => Cookie::Keep,
            Some("") => Cookie::Remove,
            Some(token) => Cookie::Set(key_of(token)),
        };
        store.world().check_answer(effects.failure(), told);
        let kept = &mut jar.of_client[self.request.client];
        match token {
            None => {}
            Some("") => *kept = None,
            Some(token) => {
                *kept = Some(token.to_owned());
                jar.issued.push(token.to_owned());
            }
        }
        true
    }
}

async fn handle(slot: Slot, store: Interleaved, cookies: Vec<String>, request: Request) -> u16 {
    store.world().trace().loads = Some(Vec::new());
    let session = match slot.load().await {
        Ok(session) => session,
        Err(error) => {
            assert!(matches!(error, Error::Store(_)) && store.world().trace().faults > 0);
            return 503;
        }
    };
    store.world().check_loaded(&cookies, &request.source);
    check_view(&session, &store);
    for step in &request.steps {
        match step {
            Step::Save(meanwhile) => save(&session, &store, meanwhile).await,
            Step::CutSave(turns) => cut_save(&session, &store, *turns).await,
            step => act(&session, &store, step),
        }
        check_view(&session, &store);
    }
    request.status
}

fn act(session: &Session, store: &Interleaved, step: &Step) {
    let mut world = store.world();
    let number = world.next_number();
    let trace = world.trace();
    match step {
        Step::Push(key) => {
            trace.pending.push(Verb::Push(key, number));
            session.update(*key, move |list: &mut Vec<u64>| list.push(number)).map(drop)
        }
        Step::Do(verb) => {
            trace.pending.push(verb.clone());
            match verb {
                Verb::Insert(key, value) => session.insert(*key, value),
                Verb::Remove(key) => session.remove(key).map(drop),
                Verb::Clear => session.clear(),
                Verb::Login(subject) => session.login(*subject),
                Verb::Renew => session.renew(),
                Verb::Push(..) => unreachable!("its number is drawn above"),
            }
        }
        Step::Destroy => {
            trace.pending.clear();
            trace.destroyed = true;
            trace.gone = false;
            session.destroy()
        }
        Step::Discard => {
            trace.pending.clear();
            session.discard()
        }
        Step::Save(_) | Step::CutSave(_) => unreachable!("saves don't nest"),
    }
    .unwrap();
}

async fn save(session: &Session, store: &Interleaved, meanwhile: &[Step]) {
    store.world().trace().begin_write(false);
    let mut saving = pin!(session.save());
    let early = std::future::poll_fn(|cx| Poll::Ready(saving.as_mut().poll(cx))).await;
    let result = match early {
        Poll::Ready(result) => result,
        Poll::Pending => {
            meanwhile.iter().for_each(|step| act(session, store, step));
            saving.await
        }
    };
    store.world().check_saved(&result);
}

async fn cut_save(session: &Session, store: &Interleaved, turns: u8) {
    store.world().trace().begin_write(false);
    let mut saving = Box::pin(session.save());
    for _ in 0..turns {
        let polled = std::future::poll_fn(|cx| Poll::Ready(saving.as_mut().poll(cx))).await;
        if let Poll::Ready(result) = polled {
            store.world().check_saved(&result);
            return;
        }
        pause().await;
    }
    drop(saving);
    let mut world = store.world();
    let trace = world.trace();
    trace.cut_write();
    // Until it is known what became of it, the handler may see what it wanted to save.
    trace.unsettled = true;
}

/// The handler sees what it saw at first, with its own steps on top.
fn check_view(session: &Session, store: &Interleaved) {
    let mut world = store.world();
    let trace = world.trace();
    if trace.unsettled {
        return;
    }
    let start = if trace.destroyed { Content::default() } else { trace.seen.clone() };
    let expected = start.after(&trace.pending);
    let values = session.keys().into_iter().map(|key| {
        let value = session.get::<Value>(&key).unwrap().unwrap();
        (key, value)
    });
    let shown = Content { subject: session.subject(), values: values.collect() };
    assert_eq!(shown, expected, "the handler sees something else");
    assert_eq!(session.is_new(), trace.destroyed || trace.base.is_none());
}

impl Trace {
    fn begin_write(&mut self, failed: bool) {
        self.writing = std::mem::take(&mut self.pending);
        self.ending = std::mem::take(&mut self.destroyed);
        self.before = (self.base, self.seen.clone(), self.cookie);
        self.failed = failed;
        self.wrote = false;
        self.deleted = false;
        self.told_gone = false;
        self.unsettled = false;
        self.faults *= usize::from(self.loads.is_some());
    }

    /// True if there is a logout to carry out.
    fn begin_leaving(&mut self) -> bool {
        if self.loads.take().is_some() {
            return false;
        }
        self.cut_write();
        self.begin_write(true);
        self.ending && self.base.is_some()
    }

    /// A save that was dropped may or may not have been carried out.
    fn cut_write(&mut self) {
        if self.ending || !self.writing.is_empty() {
            (self.base, self.seen, self.cookie) = self.before.clone();
        }
        self.perhaps.extend(pushes(&self.writing));
        self.writing.clear();
        self.destroyed |= self.ending && self.base.is_some();
        self.ending = false;
    }

    fn check_left(&self) {
        assert!(!self.ending || self.before.0.is_none() || self.deleted || self.faults > 0, "the logout was lost");
    }

    /// What was acknowledged has been done, or there was nothing to do.
    fn check_done(&self) {
        assert!(!self.ending || self.before.0.is_none() || self.deleted, "acknowledged and not ended");
        if self.failed {
            assert!(!self.wrote);
        } else if !self.wrote {
            let needless = match self.base {
                Some(_) => {
                    self.seen.clone().after(&self.writing) == self.seen && !self.writing.iter().any(Verb::renames)
                }
                None => Content::default().after(&self.writing).is_blank(),
            };
            assert!(needless, "acknowledged and not written");
        }
    }

    /// The session ended elsewhere, and this write may not bring anything back.
    pub(crate) fn lost_to_gone(&self) -> bool {
        (self.gone || self.told_gone) && !self.ending && !logs_in(&self.writing)
    }
}

fn pushes(verbs: &[Verb]) -> impl Iterator<Item = u64> {
    verbs.iter().filter_map(|verb| if let Verb::Push(_, number) = verb { Some(*number) } else { None })
}

impl World {
    pub(crate) fn add_trace(&mut self) -> usize {
        self.traces.push(Trace::default());
        self.traces.len() - 1
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// It asked for exactly the sessions that its cookies name, and took the only live one or none.
    fn check_loaded(&mut self, cookies: &[String], source: &Source) {
        let trace = self.trace();
        let loads = trace.loads.take().unwrap();
        let mut expected: Vec<StoreKey> = Vec::new();
        if !matches!(source, Source::Forged(_)) {
            for key in cookies.iter().map(|token| key_of(token)) {
                if !expected.contains(&key) {
                    expected.push(key);
                }
            }
        }
        assert_eq!(loads.iter().map(|(key, _)| *key).collect::<Vec<_>>(), expected);
        let mut live: Vec<_> = loads.into_iter().filter_map(|(key, content)| Some((key, content?))).collect();
        if let (Some((key, content)), true) = (live.pop(), live.is_empty()) {
            trace.base = Some(key);
            trace.seen = content;
        }
    }

    fn check_saved(&mut self, result: &Result<(), Error>) {
        let trace = self.trace();
        match result {
            Ok(()) => {
                assert_eq!(trace.faults, 0, "a fault was hidden");
                trace.check_done();
            }
            Err(Error::Gone) => assert!(trace.lost_to_gone(), "said to be gone"),
            Err(Error::Store(_)) => assert_eq!(trace.faults, 1),
            Err(error) => panic!("{error}"),
        }
        self.end_write(result.is_ok(), matches!(result, Err(Error::Gone)));
    }

    fn check_answer(&mut self, failure: Option<&Error>, told: Cookie) {
        let trace = self.trace();
        assert_eq!(told, trace.cookie, "the response says something else of the cookie");
        match failure {
            None => {
                assert_eq!(trace.faults, 0, "a fault was hidden");
                if !trace.lost_to_gone() {
                    trace.check_done();
                }
            }
            Some(Error::Store(_)) => assert!(trace.faults > 0),
            Some(error) => panic!("{error}"),
        }
        let gone = trace.lost_to_gone();
        self.end_write(failure.is_none(), gone);
    }

    fn end_write(&mut self, acknowledged: bool, gone: bool) {
        let place = self.current;
        let trace = &mut self.traces[place];
        let numbers: Vec<_> = pushes(&trace.writing).collect();
        if trace.wrote {
            let root = self.model.root(&trace.base.unwrap());
            // A login may have dropped what came before it.
            let kept = trace.seen.pushed();
            trace
                .acknowledged
                .extend(numbers.into_iter().filter(|number| kept.contains(number)).map(|number| (root, number)));
            trace.gone = false;
        } else if !acknowledged && !gone {
            trace.perhaps.extend(numbers);
        }
        trace.gone |= trace.told_gone && !trace.wrote;
        trace.destroyed |= trace.ending && !trace.deleted && trace.before.0.is_some();
        trace.ending = false;
        trace.writing.clear();
    }
}
