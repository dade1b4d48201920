//! A process that ends between any two steps of a verb, and what the others find.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::failure::Failure;

/// One command less to go.
pub(crate) fn burn(fuse: &AtomicUsize) -> Result<(), Failure> {
    let burned = fuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    burned.map(drop).map_err(|_| Failure::Gone)
}

#[cfg(feature = "cluster")]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use session_core::{
        Create, Expiry, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Touch, Update, Version,
    };
    use session_testing::servers::RedisCluster;

    use super::*;
    use crate::RedisStore;
    use crate::operation::Operation;
    use crate::steps::Admission;

    const VISITOR: u8 = 1;
    const NEW: u8 = 2;
    const NEXT: u8 = 3;
    const X: u8 = 4;
    const Y: u8 = 5;

    /// On one cluster for all tests.
    async fn store() -> Option<(&'static RedisCluster, RedisStore)> {
        static CLUSTER: OnceLock<Option<RedisCluster>> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(RedisCluster::start).as_ref()?;
        let store = RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap();
        Some((cluster, store.timeout(Duration::from_secs(20))))
    }

    fn key(number: u8) -> StoreKey {
        StoreKey::from_bytes([number; 32])
    }

    fn record(subject: Option<&str>) -> Record {
        let mut record = Record::new(Expiry::default());
        record.subject = subject.map(Into::into);
        record
    }

    fn two() -> SubjectLimit {
        SubjectLimit::EndOldest(NonZeroU32::new(2).unwrap())
    }

    /// The store, as this process sees it and as the ones that go on.
    struct Processes {
        ours: RedisStore,
        others: RedisStore,
    }

    impl Processes {
        /// Ours is about to end after so many commands.
        fn on(store: &RedisStore, name: &str, commands: usize) -> Self {
            let others = store.clone().prefix(&format!("{name}-{commands}")).unwrap();
            let ours = RedisStore { fuse: Arc::new(commands.into()), ..others.clone() };
            Self { ours, others }
        }

        async fn create(&self, number: u8, subject: Option<&str>) {
            let created = self.others.create(&key(number), &record(subject), SubjectLimit::None).await;
            assert_eq!(created.unwrap(), Create::Created);
            // Who was created first is older.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }

        async fn load(&self, number: u8) -> Option<Loaded> {
            self.others.load(&key(number)).await.unwrap()
        }

        /// The keys that are alive. Every list is what loading says, and nobody has more than two.
        async fn live(&self) -> Vec<u8> {
            let mut live = Vec::new();
            let mut sessions = Vec::new();
            for number in [VISITOR, NEW, NEXT, X, Y] {
                if let Some(loaded) = self.load(number).await {
                    live.push(number);
                    sessions.push((key(number), loaded.record.subject));
                }
            }
            for subject in ["ada", "bob"] {
                let listed = self.others.sessions_of(subject, 100).await.unwrap();
                let alive = sessions.iter().filter(|(_, whose)| whose.as_deref() == Some(subject));
                assert!(listed.len() <= 2, "{subject} has {}", listed.len());
                assert_eq!(listed.len(), alive.clone().count(), "{subject}'s list is not what is alive");
                assert!(alive.clone().all(|(key, _)| listed.iter().any(|(listed, _)| listed == key)));
            }
            live
        }

        /// Whatever was left behind, the next login keeps the limit, and ending all ends all.
        async fn go_on(&self) {
            let created = self.others.create(&key(NEXT), &record(Some("ada")), two()).await;
            assert_eq!(created.unwrap(), Create::Created);
            assert!(self.live().await.contains(&NEXT));
            for subject in ["ada", "bob"] {
                self.others.delete_all_of(subject, None).await.unwrap();
            }
            assert!(self.live().await.iter().all(|number| *number == VISITOR));
        }
    }

    fn login(process: &RedisStore, subject: Option<&str>) -> impl Future<Output = Result<Update, StoreError>> {
        let (process, record) = (process.clone(), record(subject));
        async move { process.rename(&key(VISITOR), &key(NEW), &record, Version::FIRST, two()).await }
    }

    /// Plays a scene again and again, with a process that gets one command further each time, until it gets to the end.
    async fn at_every_step(name: &str, scene: impl AsyncFn(&RedisStore, usize) -> bool) {
        let Some((_, store)) = store().await else { return };
        for commands in 0..50 {
            if scene(&store, commands).await {
                println!("{name}: {commands} commands");
                assert!(commands > 1);
                return;
            }
        }
        unreachable!("it never came to its end");
    }

    #[tokio::test]
    async fn a_login_that_ends_halfway_leaves_one_session_and_the_limit() {
        at_every_step("login", async |store, commands| {
            let processes = Processes::on(store, "login", commands);
            processes.create(X, Some("ada")).await;
            processes.create(Y, Some("ada")).await;
            processes.create(VISITOR, None).await;
            let outcome = login(&processes.ours, Some("ada")).await;
            let live = processes.live().await;
            assert_ne!(live.contains(&VISITOR), live.contains(&NEW), "after {commands} commands: {live:?}");
            if let Ok(outcome) = &outcome {
                assert_eq!((outcome, live), (&Update::Updated, vec![NEW, Y]), "after {commands} commands");
            }
            processes.go_on().await;
            outcome.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn a_renewal_that_ends_halfway_leaves_one_session() {
        at_every_step("renewal", async |store, commands| {
            let processes = Processes::on(store, "renewal", commands);
            processes.create(VISITOR, Some("ada")).await;
            processes.create(X, Some("ada")).await;
            let outcome = login(&processes.ours, Some("ada")).await;
            let live = processes.live().await;
            assert_ne!(live.contains(&VISITOR), live.contains(&NEW), "after {commands} commands: {live:?}");
            assert!(live.contains(&X), "nobody is too many");
            assert!(outcome.is_err() || live.contains(&NEW));
            // A logout by the key that was loaded ends it, wherever it got to.
            assert!(processes.others.delete(&key(VISITOR)).await.unwrap());
            assert_eq!(processes.live().await, [X]);
            processes.go_on().await;
            outcome.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn a_session_that_changes_hands_halfway_is_one_of_the_twos() {
        at_every_step("switch", async |store, commands| {
            let processes = Processes::on(store, "switch", commands);
            processes.create(VISITOR, Some("ada")).await;
            processes.create(X, Some("bob")).await;
            processes.create(Y, Some("bob")).await;
            let outcome = login(&processes.ours, Some("bob")).await;
            let live = processes.live().await;
            assert_ne!(live.contains(&VISITOR), live.contains(&NEW), "after {commands} commands: {live:?}");
            processes.go_on().await;
            outcome.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn a_new_session_that_ends_halfway_is_there_or_not_and_keeps_the_limit() {
        at_every_step("create", async |store, commands| {
            let processes = Processes::on(store, "create", commands);
            processes.create(X, Some("ada")).await;
            processes.create(Y, Some("ada")).await;
            let outcome = processes.ours.create(&key(NEW), &record(Some("ada")), two()).await;
            let live = processes.live().await;
            assert!(outcome.is_err() || live == [NEW, Y], "after {commands} commands: {live:?}");
            processes.go_on().await;
            outcome.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn an_update_that_ends_halfway_is_whole_or_nothing() {
        at_every_step("update", async |store, commands| {
            let processes = Processes::on(store, "update", commands);
            processes.create(VISITOR, Some("ada")).await;
            let outcome = processes.ours.update(&key(VISITOR), &record(Some("bob")), Version::FIRST).await;
            let (live, loaded) = (processes.live().await, processes.load(VISITOR).await.unwrap());
            assert_eq!(live, [VISITOR]);
            let whose = if loaded.version == Version::FIRST { "ada" } else { "bob" };
            assert_eq!(loaded.record.subject.as_deref(), Some(whose));
            assert!(outcome.is_err() || whose == "bob");
            processes.go_on().await;
            assert_eq!(processes.load(VISITOR).await, None);
            outcome.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn ending_sessions_can_be_repeated_by_who_ended_halfway() {
        at_every_step("delete", async |store, commands| {
            let processes = Processes::on(store, "delete", commands);
            processes.create(VISITOR, Some("ada")).await;
            login(&processes.others, Some("ada")).await.unwrap();
            processes.create(X, Some("ada")).await;
            let deleted = processes.ours.delete(&key(VISITOR)).await;
            let all = processes.ours.delete_all_of("ada", None).await;
            processes.live().await;
            processes.others.delete(&key(VISITOR)).await.unwrap();
            processes.others.delete_all_of("ada", None).await.unwrap();
            assert!(processes.live().await.is_empty());
            processes.go_on().await;
            deleted.is_ok() && all.is_ok() && processes.ours.fuse.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    #[tokio::test]
    async fn a_login_that_was_given_up_counts_for_a_minute_at_most() {
        let Some((cluster, store)) = store().await else { return };
        let processes = Processes::on(&store, "flight", 3);
        processes.create(VISITOR, None).await;
        login(&processes.ours, Some("ada")).await.expect_err("it ends before its moment");
        let refuse = SubjectLimit::Refuse(NonZeroU32::MIN);
        let next = async || processes.others.create(&key(NEXT), &record(Some("ada")), refuse).await.unwrap();
        assert_eq!(next().await, Create::Full, "it could still come to its moment");
        let name = format!("flight-3:{}", key(NEW).to_hex());
        let seen = cluster.primary_of(&name).ask(&["HGET", &name, "seen"]).unwrap().parse::<u64>().unwrap();
        cluster.primary_of(&name).ask(&["HSET", &name, "seen", &(seen - 61_000).to_string()]).unwrap();
        assert_eq!(next().await, Create::Created);
        assert_eq!(processes.live().await, [VISITOR, NEXT]);

        let processes = Processes::on(&store, "reserved", 1);
        let created = processes.ours.create(&key(NEW), &record(Some("ada")), refuse).await;
        created.expect_err("it ends when the key is reserved");
        let name = format!("reserved-1:{}", key(NEW).to_hex());
        let left = cluster.primary_of(&name).ask(&["PTTL", &name]).unwrap().parse::<i64>().unwrap();
        assert!((50_000..=60_000).contains(&left), "{left}");
    }
    #[tokio::test]
    async fn what_has_moved_and_not_arrived_is_there_in_every_verb() {
        let Some((_, store)) = store().await else { return };
        for verb in 0..8 {
            let processes = Processes::on(&store, &format!("moved-{verb}"), 4);
            processes.create(VISITOR, Some("ada")).await;
            assert_eq!(login(&processes.ours, Some("ada")).await.unwrap(), Update::Updated);
            let (others, second, ada) = (&processes.others, Version::FIRST.next(), record(Some("ada")));
            match verb {
                0 => assert!(others.load(&key(NEW)).await.unwrap().is_some()),
                1 => assert_eq!(others.touch(&key(NEW)).await.unwrap(), Touch::Touched),
                2 => assert_eq!(others.update(&key(NEW), &ada, second).await.unwrap(), Update::Updated),
                3 => {
                    let renamed = others.rename(&key(NEW), &key(NEXT), &ada, second, SubjectLimit::None).await;
                    assert_eq!(renamed.unwrap(), Update::Updated);
                }
                4 => assert!(others.delete(&key(NEW)).await.unwrap()),
                5 => assert!(others.delete_one_of("ada", &key(NEW)).await.unwrap()),
                6 => assert_eq!(others.delete_all_of("ada", None).await.unwrap(), 1),
                _ => assert_eq!(others.sessions_of("ada", 10).await.unwrap().len(), 1),
            }
            let expected = match verb {
                3 => vec![NEXT],
                4..=6 => vec![],
                _ => vec![NEW],
            };
            assert_eq!(processes.live().await, expected);
        }
    }

    #[tokio::test]
    async fn who_is_condemned_ends_wherever_the_session_goes() {
        let Some((cluster, store)) = store().await else { return };
        // As another login does that is not finished.
        let condemn = |prefix: &str, number: u8| {
            let index = format!("{prefix}:{{of:ada}}");
            let hex = key(number).to_hex();
            assert_eq!(cluster.primary_of(&index).ask(&["ZADD", &index, "XX", "CH", "-5", &hex]).unwrap(), "1");
        };
        let processes = Processes::on(&store, "condemned", usize::MAX);
        processes.create(X, Some("ada")).await;
        processes.create(VISITOR, Some("ada")).await;
        condemn(processes.others.names.prefix(), VISITOR);
        assert_eq!(login(&processes.ours, Some("ada")).await.unwrap(), Update::Gone, "it must not escape");
        assert_eq!(processes.live().await, [VISITOR, X], "it is another login's to end");
        processes.others.create(&key(Y), &record(Some("ada")), two()).await.unwrap();
        assert_eq!(processes.live().await, [X, Y]);

        let processes = Processes::on(&store, "escaping", 4);
        processes.create(VISITOR, Some("ada")).await;
        assert_eq!(login(&processes.ours, Some("ada")).await.unwrap(), Update::Updated);
        condemn(processes.others.names.prefix(), VISITOR);
        assert_eq!(processes.load(NEW).await, None, "it was condemned before it arrived");
        assert!(processes.live().await.is_empty());
    }

    #[tokio::test]
    async fn the_session_that_stays_stays_though_it_is_just_being_renamed() {
        let Some((_, store)) = store().await else { return };
        let processes = Processes::on(&store, "stays", 3);
        processes.create(VISITOR, Some("ada")).await;
        login(&processes.ours, Some("ada")).await.expect_err("it ends before its moment");
        let operation = Operation::new(&processes.others);
        let listed = operation.list("ada", 0, 10).await.unwrap();
        assert_eq!(listed.len(), 2);
        let spared = operation.spared(&listed, &key(VISITOR)).await.unwrap();
        assert!(listed.iter().all(|hex| spared.contains(hex)));
        assert_eq!(processes.others.delete_all_of("ada", Some(&key(VISITOR))).await.unwrap(), 0);
        assert_eq!(processes.live().await, [VISITOR]);
    }

    #[tokio::test]
    async fn a_session_that_left_its_index_takes_nobodys_place() {
        let Some((_, store)) = store().await else { return };
        let processes = Processes::on(&store, "left", usize::MAX);
        processes.create(X, Some("ada")).await;
        processes.create(Y, Some("ada")).await;
        let (operation, left) = (Operation::new(&processes.ours), key(VISITOR).to_hex());
        let admission = operation.admit("ada", &record(Some("ada")), (&key(NEW).to_hex(), 1), &left, two()).await;
        assert!(matches!(admission.unwrap(), Admission::Unknown));
        processes.others.create(&key(NEXT), &record(Some("ada")), two()).await.unwrap();
        assert_eq!(processes.live().await, [NEXT, Y], "nobody was condemned but by the last login");
    }

    #[tokio::test]
    async fn a_login_that_does_not_happen_condemns_nobody() {
        let Some((cluster, store)) = store().await else { return };
        let processes = Processes::on(&store, "pardon", usize::MAX);
        processes.create(X, Some("ada")).await;
        processes.create(Y, Some("ada")).await;
        let index = format!("pardon-{}:{{of:ada}}", usize::MAX);
        let before = cluster.primary_of(&index).ask(&["ZRANGE", &index, "0", "-1", "WITHSCORES"]).unwrap();
        // As a rename does whose session somebody else changes in this instant.
        let operation = Operation::new(&processes.ours);
        let (hex, created) = (key(NEW).to_hex(), u64::from(u32::MAX));
        let admission = operation.admit("ada", &record(Some("ada")), (&hex, created), "", two()).await.unwrap();
        let Admission::Entered(entered) = admission else { unreachable!("the limit ends the oldest") };
        assert_eq!((&entered.victims, &entered.condemned), (&vec![key(X).to_hex()], &vec![key(X).to_hex()]));
        operation.take_back(&hex, "token", Some(("ada", &entered))).await;
        assert_eq!(cluster.primary_of(&index).ask(&["ZRANGE", &index, "0", "-1", "WITHSCORES"]).unwrap(), before);
        assert_eq!(processes.live().await, [X, Y]);
    }
}
