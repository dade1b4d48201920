//! Requests at play, in any order, and what has to hold when they are done.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use session_core::{KeyRing, ManualClock, SessionManager};

use crate::model::{IDLE, LIFETIME, Model, Verb};
use crate::request::{Jar, Request, Running, Source, Step};
use crate::store::{Fault, Interleaved, Kept, World};

const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
/// No request needs more polls than this.
const MOST_POLLS: usize = 1_000;

pub(crate) fn manager(store: Interleaved, clock: Arc<ManualClock>) -> SessionManager {
    SessionManager::stored(store, KeyRing::parse(SECRET).unwrap())
        .idle(Duration::from_millis(IDLE))
        .lifetime(Duration::from_millis(LIFETIME))
        .touch_every(Duration::from_secs(100))
        .clock(clock)
        .build()
        .unwrap()
}

fn empty_world(kept: Kept) -> Interleaved {
    Interleaved(Arc::new(Mutex::new(World {
        model: Model::by(&kept),
        kept,
        traces: Vec::new(),
        current: 0,
        faults: VecDeque::new(),
        numbers: 0,
    })))
}

/// A cookie that is authentic and names a session that isn't there: made by the same secret over another store.
pub(crate) static FROM_ELSEWHERE: LazyLock<String> = LazyLock::new(|| {
    let mut play = Play::new(Kept::in_memory());
    let insert = Step::Do(Verb::Insert("a", 1));
    play.run(&[Request { steps: vec![insert], ..Request::default() }], &[]);
    play.jar.of_client[0].clone().unwrap()
});

/// One case on its way.
pub(crate) struct Play {
    pub(crate) store: Interleaved,
    manager: SessionManager,
    jar: Jar,
}

/// Whose turn it is, and how many seconds the clock moves before.
type Turn = (usize, u64);

impl Play {
    pub(crate) fn new(kept: Kept) -> Self {
        let store = empty_world(kept);
        let clock = Arc::clone(&store.world().kept.clock);
        Self { manager: manager(store.clone(), clock), store, jar: Jar::default() }
    }

    /// Runs the requests to their ends. Each reads its cookies when it has its first turn; after the last turn of the
    /// schedule they go on by turns.
    pub(crate) fn run(&mut self, requests: &[Request], schedule: &[Turn]) {
        let mut running: Vec<_> =
            requests.iter().map(|request| Running::new(request.clone(), self.store.world().add_trace())).collect();
        for &(choice, pass) in schedule.iter().chain(&[(0, 0); MOST_POLLS]) {
            self.store.world().kept.pass(Duration::from_secs(pass));
            if running.is_empty() {
                return;
            }
            let place = choice % running.len();
            if running[place].poll(&self.store, &self.manager, &mut self.jar) {
                running.remove(place);
            } else {
                running.rotate_left(1);
            }
        }
        assert!(running.is_empty(), "a request never ends");
    }

    /// What a fresh request with this cookie sees. The store compares it with the model.
    fn probe(&mut self, token: &str) {
        self.store.world().faults.clear();
        let replay = Request { source: Source::Token(token.to_owned()), ..Request::default() };
        self.run(&[replay], &[]);
    }

    /// Nothing that anybody holds shows more or less than it should, now that all is done.
    fn check_end(&mut self, removing: bool) {
        for token in self.jar.issued.clone() {
            self.probe(&token);
        }
        let world = self.store.world();
        let now = world.now();
        let acknowledged: HashSet<_> = world.traces.iter().flat_map(|trace| &trace.acknowledged).copied().collect();
        let mut possible: HashSet<_> = acknowledged.iter().map(|(_, number)| *number).collect();
        possible.extend(world.traces.iter().flat_map(|trace| &trace.perhaps));
        let mut sessions = HashMap::new();
        for key in world.model.live(now) {
            let pushed = world.model.content(&key, now).unwrap().pushed();
            let once: HashSet<_> = pushed.iter().copied().collect();
            assert_eq!(once.len(), pushed.len(), "an update happened twice");
            assert!(once.is_subset(&possible), "an update of a failed request is there");
            assert!(sessions.insert(world.model.root(&key), once).is_none(), "one session under two ids");
        }
        for (root, number) in acknowledged {
            if let Some(pushed) = sessions.get(&root).filter(|_| !removing) {
                assert!(pushed.contains(&number), "an acknowledged update is lost");
            }
        }
    }
}

fn verb() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::sample::select(vec!["a", "b", "c"]), 0..3u64).prop_map(|(key, value)| Step::Do(Verb::Insert(key, value))),
        5 => prop::sample::select(vec!["p", "q"]).prop_map(Step::Push),
        1 => prop::sample::select(vec!["a", "b", "p"]).prop_map(|key| Step::Do(Verb::Remove(key))),
        1 => Just(Step::Do(Verb::Clear)),
        2 => prop::sample::select(vec!["ada", "bob"]).prop_map(|subject| Step::Do(Verb::Login(subject))),
        2 => Just(Step::Do(Verb::Renew)),
        2 => Just(Step::Destroy),
        1 => Just(Step::Discard),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => verb(),
        1 => Just(Step::Save(Vec::new())),
        1 => prop::collection::vec(verb(), 0..3).prop_map(Step::Save),
        1 => (1..6_u8).prop_map(Step::CutSave),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let source = prop_oneof![
        8 => Just(Source::Jar),
        2 => any::<prop::sample::Index>().prop_map(Source::Replay),
        1 => any::<prop::sample::Index>().prop_map(Source::JarAnd),
        1 => any::<u8>().prop_map(Source::Forged),
        1 => Just(Source::Elsewhere),
    ];
    let client = prop_oneof![4 => Just(0_usize), 1 => Just(1_usize)];
    let status = prop_oneof![6 => Just(200_u16), 1 => Just(400_u16), 2 => Just(500_u16)];
    let leaves_after = prop_oneof![7 => Just(None), 1 => (1..8_u8).prop_map(Some)];
    let steps = prop::collection::vec(step(), 0..5);
    (client, source, steps, status, leaves_after).prop_map(|(client, source, steps, status, leaves_after)| Request {
        client,
        source,
        steps,
        status,
        leaves_after,
    })
}

fn schedule() -> impl Strategy<Value = Vec<Turn>> {
    let pass = prop_oneof![40 => Just(0), 4 => 1..150_u64, 3 => 300..1_100_u64];
    prop::collection::vec((0..60_usize, pass), 0..60)
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![10 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)];
    prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(fault, 0..16)]
}

/// Plays `cases` cases, each in what `make` gives.
///
/// # Panics
/// On a case that does harm, with the smallest one that does.
pub(crate) fn no_harm(cases: u32, make: impl Fn() -> Kept) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let case = (prop::collection::vec(verb(), 0..3), prop::collection::vec(request(), 2..6), schedule(), faults());
    let outcome = TestRunner::new(config).run(&case, |(first, requests, schedule, faults)| {
        let mut play = Play::new(make());
        let first = Request { steps: first, ..Request::default() };
        play.run(std::slice::from_ref(&first), &[]);
        play.store.world().faults = faults.into();
        play.run(&requests, &schedule);
        play.check_end([first].iter().chain(&requests).any(Request::removes));
        Ok(())
    });
    outcome.unwrap_or_else(|harm| panic!("{harm}"));
}
