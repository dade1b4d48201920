//! The deed: finds the session a cookie names, and carries a plan out, one atomic store operation a step.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::binding::Binding;
use crate::changes::Changes;
use crate::clock::{Clock, Timestamp};
use crate::cookie::{Attributes, CookieLines, MOST_CANDIDATES, is_first_chunk};
use crate::ended::Reporter;
use crate::error::{Error, StoreError};
use crate::event::{Event, Happening, emit, is_watched};
use crate::expiry::Times;
use crate::fingerprint::Fingerprint;
use crate::id::{SessionId, StoreKey};
use crate::plan::{Answer, Base, Plan, Policy, plan};
use crate::protect::CrossOrigin;
use crate::quota::{Counted, Quota};
use crate::random::Random;
use crate::record::Record;
use crate::store::{Create, Found, Loaded, SessionStore, SubjectLimit, Touch, Update, Version};
use crate::token::{Content, Envelope, Opened, Tokens};

/// How often a write starts again because another one was faster. Of writers that meet, one always gets through, so
/// this is how many may meet.
const ATTEMPTS: usize = 1_000;
/// How far another node's clock may be ahead in a cookie session.
pub(crate) const CLOCK_TOLERANCE_MILLIS: u64 = 60_000;

/// Whether a store of revocations knows that this session has ended.
pub(crate) async fn is_revoked_in(revocations: &dyn SessionStore, envelope: &Envelope) -> Result<bool, StoreError> {
    let Envelope { id, record, times, .. } = envelope;
    let keys = [id.store_key(), envelope.first().descent_key()];
    let made = times.created.plus(Duration::from_millis(record.own().made()));
    revocations.is_revoked(&keys, record.subject.as_deref(), made).await
}

/// A manager's parts.
pub(crate) struct Machine {
    /// None: the session is in the cookie.
    pub(crate) store: Option<Arc<dyn SessionStore>>,
    /// Where it is kept which sessions in cookies have ended before their time.
    pub(crate) revocations: Option<Arc<dyn SessionStore>>,
    pub(crate) tokens: Tokens,
    pub(crate) attributes: Attributes,
    pub(crate) policy: Policy,
    pub(crate) max_bytes: usize,
    pub(crate) max_keys: usize,
    /// Of sessions without a subject.
    pub(crate) anonymous: Option<Quota>,
    pub(crate) limit: SubjectLimit,
    pub(crate) cross_origin: Option<CrossOrigin>,
    pub(crate) binding: Option<Binding>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) reporter: Arc<Reporter>,
}

/// What the response has to say about the cookie.
#[derive(Default)]
pub(crate) enum CookieChange {
    #[default]
    Keep,
    Remove,
    /// The whole `Set-Cookie` values: one, or those of all chunks in the order of their places.
    Set(Vec<String>),
}

/// How far a commit got: also what is true when it fails halfway.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) base: Option<Arc<Base>>,
    pub(crate) cookie: CookieChange,
    /// The session it began with has been ended.
    pub(crate) deleted: bool,
    /// It ended elsewhere.
    pub(crate) gone: bool,
}

/// What a request leaves to be done when it is saved or closed.
pub(crate) struct Rest {
    pub(crate) progress: Progress,
    pub(crate) changes: Changes,
    /// The session with the changes.
    pub(crate) result: Record,
    pub(crate) failure: Option<Error>,
    /// What to begin with, and when that was decided, if it is known.
    pub(crate) plan: Option<(Plan, Timestamp)>,
}

impl Progress {
    fn write(&mut self, base: Base, cookie: CookieChange) {
        self.base = Some(Arc::new(base));
        self.gone = false;
        // A cookie that an earlier save owes stays owed.
        if !matches!(cookie, CookieChange::Keep) {
            self.cookie = cookie;
        }
    }
}

impl Machine {
    pub(crate) fn emit<'a>(&self, happening: impl Into<Happening<'a>>) {
        emit(self.reporter.observer.as_ref(), happening);
    }

    /// An event of a session.
    pub(crate) fn happening(&self, event: Event, base: &Base) -> Happening<'static> {
        Happening::from(event).to(self.fingerprint(base))
    }

    /// A session in a store is named by its id, which changes; one in a cookie by what it came of, which doesn't.
    pub(crate) fn fingerprint(&self, base: &Base) -> Option<Fingerprint> {
        self.fingerprint_of(|| if self.store.is_some() { base.key } else { base.first().store_key() })
    }

    /// Nothing is computed for nobody.
    fn fingerprint_of(&self, key: impl FnOnce() -> StoreKey) -> Option<Fingerprint> {
        let Reporter { fingerprints, observer } = &*self.reporter;
        is_watched(observer.as_ref()).then(|| fingerprints.of(&key()))
    }

    /// The authentic tokens among the cookies. Pure, and nothing at all without a cookie of our name.
    pub(crate) fn open_tokens(&self, lines: &CookieLines) -> SmallVec<[Opened; 1]> {
        let candidates = lines.candidates(&self.attributes.name, |value| {
            self.tokens.is_well_formed(value) || (self.attributes.chunked && is_first_chunk(value))
        });
        if candidates.values.len() > MOST_CANDIDATES {
            self.emit(Event::Ambiguous);
            return SmallVec::new();
        }
        let open = |value: &&[u8]| self.tokens.open(&lines.join(value, &self.attributes)?);
        let opened: SmallVec<_> = candidates.values.iter().filter_map(open).collect();
        if candidates.malformed || opened.len() < candidates.values.len() {
            self.emit(Event::Forged);
        }
        opened
    }

    /// The one live session that the tokens name. Two different ones are none: which of them was planted can't be told.
    pub(crate) async fn find(&self, tokens: SmallVec<[Opened; 1]>) -> Result<Option<Arc<Base>>, Error> {
        let (mut live, mut several) = (None, false);
        for token in tokens {
            let found = self.find_one(token).await?;
            several |= found.is_some() && live.is_some();
            live = live.or(found);
        }
        if several {
            self.emit(Event::Ambiguous);
            return Ok(None);
        }
        Ok(live)
    }

    pub(crate) async fn find_one(&self, Opened { content, retired }: Opened) -> Result<Option<Arc<Base>>, Error> {
        match content {
            // Boxed, so that who keeps sessions in a store has a small future.
            Content::Whole(envelope) => Box::pin(self.find_whole(envelope, retired)).await,
            Content::Reference(id) => self.find_stored(id, retired).await,
        }
    }

    async fn find_whole(&self, envelope: Box<Envelope>, retired: bool) -> Result<Option<Arc<Base>>, Error> {
        let now = self.clock.now();
        let key = envelope.id.store_key();
        let happening = |event| Happening::from(event).to(self.fingerprint_of(|| envelope.first().store_key()));
        let latest = now.as_millis().saturating_add(CLOCK_TOLERANCE_MILLIS);
        if envelope.times.is_over(now) || envelope.times.seen.as_millis() > latest {
            self.emit(happening(Event::Expired));
            return Ok(None);
        }
        if self.is_revoked(&envelope).await? {
            self.emit(happening(Event::Revoked));
            return Ok(None);
        }
        let Envelope { id, record, times, first } = *envelope;
        let version = Version::FIRST;
        Ok(Some(Arc::new(Base { id, key, record, version, times, first, theirs: now, ours: now, retired })))
    }

    async fn find_stored(&self, id: SessionId, retired: bool) -> Result<Option<Arc<Base>>, Error> {
        let key = id.store_key();
        let Some(store) = self.store() else { return Ok(None) };
        let event = match store.find(&key).await {
            Ok(Found::Live(loaded)) => return Ok(Some(self.base(id, key, loaded, retired))),
            Ok(Found::Expired) => Event::Expired,
            Ok(Found::Absent) => Event::Unknown,
            Err(error) if error.is_unreadable() => Event::Unreadable,
            Err(error) => return Err(error.into()),
        };
        self.emit(Happening::from(event).to(self.fingerprint_of(|| key)));
        Ok(None)
    }

    /// Whether the request is of the browser that the session is bound to, or needn't be.
    pub(crate) fn admits(&self, base: &Base, agent: Option<&[u8]>) -> bool {
        let (Some(binding), Some(mark), Some(agent)) = (&self.binding, &base.record.own().agent, agent) else {
            return true;
        };
        let contradicts = binding.contradicts(mark, agent);
        if contradicts {
            self.emit(self.happening(Event::BindingMismatch, base));
        }
        !(contradicts && binding.rejects())
    }

    /// Who begins a session or logs in binds it to their browser. Nobody does later: it would be the thief's.
    fn bound(&self, mut record: Record, agent: Option<&[u8]>) -> Result<Record, Error> {
        let mark = match (&self.binding, agent) {
            (Some(binding), Some(agent)) => Some(binding.mark(agent, &*self.random)?),
            _ => None,
        };
        if mark != record.own().agent {
            record.change_own(|own| own.agent = mark);
        }
        Ok(record)
    }

    fn base(&self, id: SessionId, key: StoreKey, loaded: Loaded, retired: bool) -> Arc<Base> {
        let Loaded { record, version, times, now } = loaded;
        let ours = self.clock.now();
        Arc::new(Base { id, key, record, version, times, first: None, theirs: now, ours, retired })
    }

    /// The store, for what only a store can tell.
    pub(crate) fn listing_store(&self) -> Result<&dyn SessionStore, Error> {
        self.store().ok_or(Error::InCookies)
    }

    /// Ends what a subject has but one, and says how many, if they can be counted.
    pub(crate) async fn end_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<Option<usize>, Error> {
        if let Some(store) = self.store() {
            let ended = store.delete_all_of(subject, except).await?;
            // Which they were would be a guess: others may have ended some of them meanwhile.
            (0..ended).for_each(|_| self.emit(Event::Destroyed));
            return Ok(Some(ended));
        }
        let revocations = self.revocations.as_deref().ok_or(Error::NotRevocable)?;
        // Another node's clock may be ahead by as much as is tolerated.
        let keep = self.policy.longest() + Duration::from_millis(CLOCK_TOLERANCE_MILLIS);
        let until = self.clock.now();
        revocations.revoke_all_of(subject, until, keep).await?;
        self.leave_behind(until).await;
        Ok(None)
    }

    /// Waits until the clock has moved on: who logs in when this has been acknowledged is not among what was ended. That is
    /// a millisecond at most; a clock that stands still is a test's.
    async fn leave_behind(&self, moment: Timestamp) {
        let started = Instant::now();
        while self.clock.now() <= moment && started.elapsed() < Duration::from_millis(2) {
            let mut waited = false;
            let turn = |context: &mut Context<'_>| {
                if waited {
                    return Poll::Ready(());
                }
                waited = true;
                context.waker().wake_by_ref();
                Poll::Pending
            };
            poll_fn(turn).await;
        }
    }

    /// Ends the session under `key` if it is the subject's, or whosever it is, and says whether there was one.
    pub(crate) async fn end_one(&self, subject: Option<&str>, key: &StoreKey) -> Result<bool, Error> {
        let store = self.listing_store()?;
        // For who watches. A read that fails doesn't keep a session alive.
        let before = match self.reporter.observer {
            Some(_) => store.load(key).await.ok().flatten(),
            None => None,
        };
        let ended = match subject {
            Some(subject) => store.delete_one_of(subject, key).await?,
            None => store.delete(key).await?,
        };
        if ended {
            let record = before.as_ref().map(|loaded| &loaded.record);
            self.emit(Happening::from(Event::Destroyed).to(self.reporter.fingerprints.of(key)).with(record));
        }
        Ok(ended)
    }

    fn store(&self) -> Option<&dyn SessionStore> {
        self.store.as_deref()
    }

    async fn is_revoked(&self, envelope: &Envelope) -> Result<bool, Error> {
        let Some(revocations) = self.revocations.as_deref() else { return Ok(false) };
        Ok(is_revoked_in(revocations, envelope).await?)
    }

    /// Ends what is in cookies, if that is remembered, for as long as they could live. False if it has been done before.
    async fn revoke(&self, key: StoreKey, base: &Base) -> Result<bool, Error> {
        let Some(revocations) = self.revocations.as_deref() else { return Ok(true) };
        let left = base.times.ends(base.record.expiry).since(self.now(Some(base)));
        // What a login or "remember me" made of it meanwhile may live for longer.
        let keep = left.max(self.policy.longest());
        Ok(revocations.revoke(&key, keep).await?)
    }

    /// The next step for a session, and the time, by the clock that keeps it.
    pub(crate) fn plan(
        &self,
        base: Option<&Base>,
        changes: &Changes,
        result: &Record,
        answer: Answer,
    ) -> (Plan, Timestamp) {
        let now = self.now(base);
        (plan(base, changes, result, answer, now, &self.policy), now)
    }

    fn now(&self, base: Option<&Base>) -> Timestamp {
        let ours = self.clock.now();
        base.map_or(ours, |base| base.now(ours))
    }

    /// Plans and acts until nothing is left to do. `Error::Gone` means that the session ended meanwhile and the changes died
    /// with it. Whatever the result, `rest.progress` says what is true now.
    ///
    /// What it waits for is boxed: a small future is cheaper to make than a large one.
    pub(crate) async fn commit(&self, rest: &mut Rest, mut answer: Answer, agent: Option<&[u8]>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let Rest { progress, changes, result, plan, .. } = rest;
            let (plan, now) =
                plan.take().unwrap_or_else(|| self.plan(progress.base.as_deref(), changes, result, answer));
            let outcome = match plan {
                Plan::Nothing => return Ok(()),
                Plan::Create(record) => {
                    if Box::pin(self.create(progress, self.bound(record, agent)?, now)).await? {
                        return Ok(());
                    }
                    continue;
                }
                Plan::Delete => {
                    Box::pin(self.delete(progress)).await?;
                    continue;
                }
                Plan::Touch => Box::pin(self.touch(progress, now)).await?,
                Plan::Update(record) => Box::pin(self.update(progress, record, now)).await?,
                Plan::Rename(record) if changes.renewed => {
                    let record = if changes.authenticates() { self.bound(record, agent)? } else { record };
                    Box::pin(self.rename(progress, record, now, self.limit)).await?
                }
                // By its age alone: no login, so no limit of them, and no reason to fail.
                Plan::Rename(record) => match Box::pin(self.rename(progress, record, now, SubjectLimit::None)).await {
                    Err(Error::TooLarge { .. } | Error::TooManyKeys { .. }) => {
                        answer = Answer::Open;
                        continue;
                    }
                    outcome => outcome?,
                },
            };
            if outcome == Update::Updated {
                return Ok(());
            }
            let session = progress.base.as_ref().and_then(|base| self.fingerprint(base));
            if outcome == Update::Conflict {
                self.emit(Happening::from(Event::Conflict).to(session));
                Box::pin(self.reload(progress)).await?;
            }
            if outcome == Update::Gone || progress.base.is_none() {
                self.emit(Happening::from(Event::Gone).to(session));
                progress.base = None;
                progress.gone = true;
                // Authentication is fresh and may begin a new session; everything else belonged to the old one.
                if !changes.authenticates() || answer == Answer::Failed {
                    return Err(Error::Gone);
                }
            }
            *result = self.replay(progress.base.as_deref(), changes)?;
        }
        Err(Error::Conflict(ATTEMPTS))
    }

    /// The changes, done again on what is there now.
    pub(crate) fn replay(&self, base: Option<&Base>, changes: &Changes) -> Result<Record, Error> {
        let Policy { expiry, anonymous, .. } = self.policy;
        match base {
            Some(base) => {
                let age = || self.now(Some(base)).since(base.times.created);
                changes.replay(base.record.clone(), &age, expiry)
            }
            None => changes.replay(Record::new(anonymous), &|| Duration::ZERO, expiry),
        }
    }

    async fn reload(&self, progress: &mut Progress) -> Result<(), Error> {
        if let (Some(base), Some(store)) = (&progress.base, self.store()) {
            let loaded = match store.load(&base.key).await {
                Err(error) if error.is_unreadable() => None,
                loaded => loaded?,
            };
            progress.base = loaded.map(|loaded| self.base(base.id.clone(), base.key, loaded, base.retired));
        }
        Ok(())
    }

    /// False if the new id was taken, by a chance of 1 in 2^256 or a generator that repeats itself.
    async fn create(&self, progress: &mut Progress, record: Record, now: Timestamp) -> Result<bool, Error> {
        self.check_size(&record)?;
        let times = Times::begin(now, record.expiry);
        let id = SessionId::random(&*self.random)?;
        let base = Base {
            first: None,
            key: id.store_key(),
            id,
            record,
            version: Version::FIRST,
            times,
            theirs: now,
            ours: now,
            retired: false,
        };
        let cookie = self.cookie(&base, now)?;
        let counted = self.count_anonymous(&base.record, now)?;
        if let Some(store) = self.store() {
            let created = store.create(&base.key, &base.record, self.limit).await;
            if !matches!(created, Ok(Create::Created))
                && let (Some(quota), Some(counted)) = (&self.anonymous, counted)
            {
                quota.take_back(counted);
            }
            match created? {
                Create::Created => {}
                Create::Full => return Err(self.full()),
                Create::Taken => return Ok(false),
            }
        }
        self.emit(self.happening(Event::Created, &base).with(Some(&base.record)));
        progress.write(base, CookieChange::Set(cookie));
        Ok(true)
    }

    async fn delete(&self, progress: &mut Progress) -> Result<(), Error> {
        if let Some(base) = &progress.base {
            let ended = match self.store() {
                Some(store) => store.delete(&base.key).await?,
                None => self.revoke(base.first().descent_key(), base).await?,
            };
            // Who ended it first has told it.
            if ended {
                self.emit(self.happening(Event::Destroyed, base).with(Some(&base.record)));
            }
        }
        *progress = Progress { base: None, cookie: CookieChange::Remove, deleted: true, gone: false };
        Ok(())
    }

    async fn touch(&self, progress: &mut Progress, now: Timestamp) -> Result<Update, Error> {
        let Some(base) = &progress.base else { return Ok(Update::Gone) };
        let touched = Self::next(base, base.record.clone(), base.version, now);
        let cookie = self.cookie_if(base.retired, &touched, now)?;
        if let Some(store) = self.store()
            && store.touch(&base.key).await? == Touch::Gone
        {
            return Ok(Update::Gone);
        }
        progress.write(touched, cookie);
        Ok(Update::Updated)
    }

    async fn update(&self, progress: &mut Progress, record: Record, now: Timestamp) -> Result<Update, Error> {
        self.check_size(&record)?;
        let Some(base) = &progress.base else { return Ok(Update::Gone) };
        let updated = Self::next(base, record, base.version.next(), now);
        let lasting = |base: &Base| (base.record.own().remembered, base.record.expiry.lifetime);
        let cookie = self.cookie_if(base.retired || lasting(base) != lasting(&updated), &updated, now)?;
        let outcome = match self.store() {
            Some(store) => store.update(&base.key, &updated.record, base.version).await?,
            None => Update::Updated,
        };
        if outcome == Update::Updated {
            progress.write(updated, cookie);
        }
        Ok(outcome)
    }

    async fn rename(
        &self,
        progress: &mut Progress,
        record: Record,
        now: Timestamp,
        limit: SubjectLimit,
    ) -> Result<Update, Error> {
        self.check_size(&record)?;
        let Some(base) = &progress.base else { return Ok(Update::Gone) };
        let id = SessionId::random(&*self.random)?;
        let first = self.store.is_none().then(|| Box::new(base.first().clone()));
        let next = Self::next(base, record, base.version.next(), now);
        let renamed = Base { key: id.store_key(), id, first, ..next };
        let cookie = self.cookie(&renamed, now)?;
        let (old, new) = (base.key, renamed.key);
        let outcome = match self.store() {
            Some(store) => store.rename(&old, &new, &renamed.record, base.version, limit).await?,
            None if self.revoke(old, base).await? => Update::Updated,
            None => Update::Gone,
        };
        if outcome == Update::Full {
            return Err(self.full());
        }
        if outcome == Update::Updated {
            let former = self.fingerprint(base);
            self.emit(self.happening(Event::Renewed, &renamed).after(former).with(Some(&renamed.record)));
            progress.write(renamed, CookieChange::Set(cookie));
        }
        Ok(outcome)
    }

    fn count_anonymous(&self, record: &Record, now: Timestamp) -> Result<Option<Counted>, Error> {
        let Some(quota) = self.anonymous.as_ref().filter(|_| record.subject.is_none()) else { return Ok(None) };
        quota.admit(now).map(Some).ok_or(Error::TooManyAnonymous { limit: quota.most() })
    }

    fn full(&self) -> Error {
        Error::TooManySessions { limit: self.limit.most().unwrap_or_default() }
    }

    /// The base after a write that happens now.
    fn next(base: &Base, record: Record, version: Version, now: Timestamp) -> Base {
        let times = base.times.touched(now, record.expiry);
        let Base { id, key, first, theirs, ours, .. } = base;
        Base {
            id: id.clone(),
            key: *key,
            record,
            version,
            times,
            first: first.clone(),
            theirs: *theirs,
            ours: *ours,
            retired: false,
        }
    }

    fn check_size(&self, record: &Record) -> Result<(), Error> {
        let size = record.size();
        if size > self.max_bytes {
            return Err(Error::TooLarge { size, limit: self.max_bytes });
        }
        let count = record.values().len();
        if count > self.max_keys {
            return Err(Error::TooManyKeys { count, limit: self.max_keys });
        }
        Ok(())
    }

    /// A reference stays what it is, unless it is to be made anew; a session that is in its cookie moves with it.
    fn cookie_if(&self, anew: bool, base: &Base, now: Timestamp) -> Result<CookieChange, Error> {
        if anew || self.store.is_none() {
            Ok(CookieChange::Set(self.cookie(base, now)?))
        } else {
            Ok(CookieChange::Keep)
        }
    }

    fn cookie(&self, base: &Base, now: Timestamp) -> Result<Vec<String>, Error> {
        let token = match self.store {
            Some(_) => self.tokens.reference(&base.id),
            None => self.tokens.whole(
                &Envelope {
                    id: base.id.clone(),
                    record: base.record.clone(),
                    times: base.times,
                    first: base.first.clone(),
                },
                &*self.random,
            )?,
        };
        let left = base.times.ends(base.record.expiry).since(now);
        self.attributes.set_all(&token, left.as_secs(), base.record.own().remembered, &*self.random)
    }
}
