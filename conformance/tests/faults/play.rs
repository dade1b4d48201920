//! A play: two labs, one store, users, and a fault.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use session_testing::http::Client;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::checker::{Fault, Finding, Kind, Promise, check};
use super::history::{Deed, Event, Outcome, Story};
use super::load::User;
use crate::common::{LABS, Lab, SECRET};

/// How long everything goes well before the fault.
const BEFORE: Duration = Duration::from_millis(700);
/// For how long all has to go well until the service counts as resumed.
const QUIET: Duration = Duration::from_millis(700);

/// Plays of one file take turns: on few processors several at once would only be slow.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How long the labs may take to serve everything, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(5);
/// What both labs have to serve before the fault and after it.
const BOTH_SIDES: [Deed; 4] = [Deed::Login, Deed::ReadMark, Deed::ReadCount, Deed::Increment];

/// A lab that may be replaced by another one while it is asked.
pub(crate) struct Node(Mutex<Arc<Lab>>);

impl Node {
    pub(crate) fn new(lab: Lab) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Arc::new(lab))))
    }

    pub(crate) fn lab(&self) -> Arc<Lab> {
        Arc::clone(&self.0.lock().unwrap())
    }

    pub(crate) fn replace(&self, lab: Lab) {
        *self.0.lock().unwrap() = Arc::new(lab);
    }
}

/// Two labs on one store. Which frameworks they are depends on `turn`, so that all of them have theirs. One of them moves
/// the idle deadline with every request that reads, so that reads write too.
pub(crate) fn nodes(turn: usize, store: &str) -> [Arc<Node>; 2] {
    [(turn, "0"), (turn + 1, "600000")].map(|(turn, touch)| Node::new(lab(turn, store, touch)))
}

pub(crate) fn lab(turn: usize, store: &str, touch: &str) -> Lab {
    let (name, _) = LABS[turn % LABS.len()];
    let timeout = ("LAB_STORE_TIMEOUT_MS", "500");
    Lab::start(name, &[("LAB_STORE", store), ("LAB_SECRETS", SECRET), ("LAB_TOUCH_MS", touch), timeout])
}

/// No more connections than so many are left open, and what is open is not used up: the number comes to rest.
pub(crate) async fn settles<F: Future<Output = usize>>(most: usize, count: impl Fn() -> F) {
    const SAMPLES: usize = 5;
    let until = Instant::now() + Duration::from_secs(5);
    let mut last = Vec::new();
    while last.len() < SAMPLES || last.windows(2).any(|two| two[0] != two[1]) || last[0] > most {
        assert!(Instant::now() < until, "no more than {most} connections were expected, and there are {last:?}");
        sleep(Duration::from_millis(40)).await;
        last.push(count().await);
        if last.len() > SAMPLES {
            last.remove(0);
        }
    }
    println!("{} connections are open", last[0]);
}

/// What the users and the director see of a play.
pub(crate) struct Stage {
    nodes: [Arc<Node>; 2],
    began: Instant,
    closed: AtomicBool,
    /// When requests ended, and whether they failed.
    recent: Mutex<Vec<(Duration, bool)>>,
    /// What each lab has served, by the numbers of the deeds.
    served: [AtomicU64; 2],
}

impl Stage {
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].lab().client
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn saw(&self, event: &Event) {
        self.recent.lock().unwrap().push((event.ended, event.failed()));
        if !event.failed() {
            self.served[event.node].fetch_or(1 << event.deed as u64, Ordering::Relaxed);
        }
    }

    /// Waits until all has gone well for so long, and both labs have served everything. Gives up after a while. Says since
    /// when it goes well.
    async fn goes_on(&self, time: Duration, limit: Duration) -> Duration {
        self.served.iter().for_each(|served| served.store(0, Ordering::Relaxed));
        let began = self.now();
        let wanted = BOTH_SIDES.iter().fold(0, |wanted, &deed| wanted | 1 << deed as u64);
        loop {
            sleep(Duration::from_millis(20)).await;
            let since = self.now().saturating_sub(time);
            let all = self.served.iter().all(|served| served.load(Ordering::Relaxed) & wanted == wanted);
            if since >= began && all && self.is_well(since) || self.now() > began + limit {
                return since;
            }
        }
    }

    fn is_well(&self, since: Duration) -> bool {
        let recent = self.recent.lock().unwrap();
        let outcomes = || recent.iter().filter(|(ended, _)| *ended >= since).map(|(_, failed)| *failed);
        let failed = outcomes().filter(|failed| *failed).count();
        hardly_any(failed, outcomes().count())
    }
}

/// A disk or a processor that others keep busy lets a request fail now and then. What fails because of the fault, or a
/// connection that it broke, or one session that can't be served any more, is more than that.
fn hardly_any(failed: usize, served: usize) -> bool {
    failed * 50 <= served
}

pub(crate) struct Play {
    pub(crate) nodes: [Arc<Node>; 2],
    pub(crate) users: usize,
    pub(crate) promise: Promise,
    /// How long one lab may not know what the other one did.
    pub(crate) behind: Duration,
    /// The longest time from the end of the fault until all goes well.
    pub(crate) resumes_within: Duration,
}

/// What happened in a play, for the test to say that it was the play that it meant.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) fault: Fault,
    pub(crate) stories: Vec<Story>,
    /// From the end of the fault until all went well.
    pub(crate) resumed_after: Duration,
}

impl Play {
    pub(crate) fn new(nodes: &[Arc<Node>; 2]) -> Self {
        Self {
            nodes: nodes.clone(),
            users: 24,
            promise: Promise::Kept,
            behind: Duration::ZERO,
            resumes_within: Duration::from_secs(5),
        }
    }

    pub(crate) fn promise(self, promise: Promise) -> Self {
        Self { promise, ..self }
    }

    pub(crate) fn behind(self, behind: Duration) -> Self {
        Self { behind, ..self }
    }

    pub(crate) fn resumes_within(self, resumes_within: Duration) -> Self {
        Self { resumes_within, ..self }
    }

    /// Runs the play: `fault` happens when it goes on well, and is over when it returns. Fails with everything that was
    /// wrong.
    pub(crate) async fn run<T: Send + 'static>(self, fault: impl FnOnce() -> T + Send + 'static) -> (Summary, T) {
        let (nodes, promise, behind, resumes_within) =
            (self.nodes.clone(), self.promise, self.behind, self.resumes_within);
        let (summary, left) = self.perform(fault).await;
        println!("{}", summary.words());
        let findings = check(&summary.stories, promise, summary.fault, behind);
        assert!(findings.is_empty(), "{}", report(&findings, &summary));
        let resumed = summary.resumed_after <= resumes_within;
        assert!(resumed, "requests still fail {:?} after the end of the fault", summary.resumed_after);
        for node in nodes {
            let lab = node.lab();
            assert_eq!(lab.stats().await["panics"], 0, "{}", lab.name);
            let log = lab.log();
            let told = log.lines().find(|line| line.contains("user-") || line.contains("mark-"));
            assert_eq!(told, None, "{} tells who its users are", lab.name);
        }
        let kept = summary.kept();
        assert!(
            kept > 3 || matches!(promise, Promise::MayVanish),
            "only {kept} sessions with increments went through it"
        );
        summary.has_both_sides();
        (summary, left)
    }

    /// Runs it and judges nothing.
    pub(crate) async fn perform<T: Send + 'static>(self, fault: impl FnOnce() -> T + Send + 'static) -> (Summary, T) {
        let (closed, recent, served) = Default::default();
        let stage = Arc::new(Stage { nodes: self.nodes, began: Instant::now(), closed, recent, served });
        let mut users: JoinSet<_> = (0..self.users).map(|number| User::new(&stage, number).run()).collect();
        stage.goes_on(BEFORE, PATIENCE).await;
        let began = stage.now();
        let left = spawn_blocking(fault).await.unwrap();
        let fault = Fault { began, ended: stage.now() };
        let well = stage.goes_on(QUIET, self.resumes_within + PATIENCE).await;
        let resumed_after = well.saturating_sub(fault.ended);
        stage.closed.store(true, Ordering::Relaxed);
        let mut stories = Vec::new();
        while let Some(user) = users.join_next().await {
            stories.extend(user.unwrap());
        }
        (Summary { fault, stories, resumed_after }, left)
    }
}

/// What was wrong, and everything that the user of the first finding was told.
fn report(findings: &[Finding], Summary { fault, stories, .. }: &Summary) -> String {
    let first: Vec<_> = findings.iter().take(8).map(|Finding { kind, event }| format!("{kind:?}: {event:?}")).collect();
    let is_first = |event: &Event| findings.first().is_some_and(|first| *event == first.event);
    let story = stories.iter().find(|story| story.events.iter().any(is_first));
    let story: Vec<_> = story.iter().flat_map(|story| &story.events).map(|event| format!("{event:?}")).collect();
    let (first, story) = (first.join("\n"), story.join("\n"));
    format!("{} wrong answers; the fault was {fault:?}\n{first}\nthe story of the first one:\n{story}", findings.len())
}

impl Summary {
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.stories.iter().flat_map(|story| &story.events)
    }

    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Event> {
        self.events().filter(move |event| event.began >= from && event.ended <= to)
    }

    /// How many requests were answered with 503 in all.
    pub(crate) fn failed(&self) -> usize {
        self.events().filter(|event| event.answer().is_some_and(|answer| answer.status == 503)).count()
    }

    /// How many got no answer at all.
    pub(crate) fn lost(&self) -> usize {
        self.events().filter(|event| matches!(event.outcome, Outcome::Lost(_))).count()
    }

    /// How many sessions were nobody's that nobody had ended.
    pub(crate) fn vanished(&self) -> usize {
        let vanished = |finding: &Finding| finding.kind == Kind::Anonymous;
        check(&self.stories, Promise::Kept, self.fault, Duration::ZERO)
            .iter()
            .filter(|finding| vanished(finding))
            .count()
    }

    /// How many sessions had something to lose when the fault began, and were read when it was over.
    fn kept(&self) -> usize {
        let has = |story: &Story, deed, from, to| {
            let served =
                |event: &Event| event.deed == deed && !event.failed() && event.began >= from && event.ended <= to;
            story.events.iter().any(served)
        };
        let kept = |story: &&Story| {
            has(story, Deed::Increment, Duration::ZERO, self.fault.began)
                && has(story, Deed::ReadCount, self.fault.ended, Duration::MAX)
        };
        self.stories.iter().filter(kept).count()
    }

    /// What happened from the beginning of the fault to its end.
    pub(crate) fn during_fault(&self) -> impl Iterator<Item = &Event> {
        self.between(self.fault.began, self.fault.ended)
    }

    pub(crate) fn served_during(&self) -> usize {
        self.during_fault().filter(|event| !event.failed()).count()
    }

    /// The time within which half of the 503 came.
    pub(crate) fn median_failure(&self) -> Duration {
        let failed = self.events().filter(|event| event.answer().is_some_and(|answer| answer.status == 503));
        let mut times: Vec<_> = failed.map(|event| event.ended - event.began).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// Requests failed, in time, and nothing else happened to them.
    pub(crate) fn failed_in_time(&self) {
        assert!(self.failed() > 10, "{} requests were answered with 503: was there a fault?", self.failed());
        assert!(
            self.median_failure() < Duration::from_millis(1_200),
            "half of the 503 took {:?}",
            self.median_failure()
        );
        assert_eq!(self.lost(), 0, "requests without an answer");
    }

    /// There was a fault that nobody noticed.
    pub(crate) fn hardly_failed(&self) {
        let (failed, served) = (self.failed(), self.events().count());
        assert!(hardly_any(failed, served), "{failed} of {served} requests were answered with 503");
        assert_eq!(self.lost(), 0, "requests without an answer");
    }

    /// Both labs served before and after, and there are logouts, renewals and counters that the judge could judge.
    fn has_both_sides(&self) {
        let end = Duration::MAX;
        for (from, to) in [(Duration::ZERO, self.fault.began), (self.fault.ended, end)] {
            for node in 0..2 {
                for deed in BOTH_SIDES {
                    let served =
                        self.between(from, to).any(|event| event.node == node && event.deed == deed && !event.failed());
                    assert!(served, "lab {node} served no {deed:?} from {from:?} to {to:?}");
                }
            }
        }
        for deed in [Deed::Logout, Deed::Renew, Deed::Who] {
            let times = self.events().filter(|event| event.deed == deed && !event.failed()).count();
            assert!(times > 5, "only {times} times {deed:?}");
        }
    }

    pub(crate) fn words(&self) -> String {
        let served = self.events().filter(|event| !event.failed()).count();
        let longest = self.events().map(|event| event.ended - event.began).max().unwrap_or_default();
        format!(
            "{} sessions, {served} requests served, {} of them during the fault of {:?}; {} answered with 503, half of \
             them within {:?}; {} without an answer; longest {longest:?}; resumed after {:?}",
            self.stories.len(),
            self.served_during(),
            self.fault.ended - self.fault.began,
            self.failed(),
            self.median_failure(),
            self.lost(),
            self.resumed_after,
        )
    }
}
