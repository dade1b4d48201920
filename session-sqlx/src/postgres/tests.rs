//! Every statement finds its rows by an index.

use session_testing::servers;
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};

use super::*;

const STATEMENTS: [&str; 15] = [
    LOAD, UPDATE, VERSION, TOUCH, RENAME, FREE, BEYOND, LOCK, END, DELETE, LIST, DELETE_ALL, SWEEP, REVOKE_ALL,
    IS_REVOKED,
];

/// Half of all that has a deadline is over.
const MANY: &str = "
    INSERT INTO sessions (key, version, subject_hash, created_at, seen_at, expires_at, idle, lifetime, record)
    SELECT md5(n::text), 1, md5((n / 3)::text), n, n, n * 180000000, 1, 1, '' FROM generate_series(1::bigint, 20000) AS n;
    INSERT INTO session_renames SELECT md5(n::text), n, n * 180000000 FROM generate_series(1::bigint, 20000) AS n;
    INSERT INTO session_revocations SELECT md5(n::text), n * 180000000 FROM generate_series(1::bigint, 20000) AS n;
    INSERT INTO session_subject_revocations SELECT md5(n::text), n, n * 180000000 FROM generate_series(1::bigint, 20000) AS n;
    ANALYZE; SET plan_cache_mode = force_generic_plan";

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let Some(server) = servers::Postgres::start() else { return };
    let store = PostgresStore::new(PgPool::connect(&server.url()).await.unwrap());
    store.migrate().await.unwrap();
    let mut on = store.0.acquire().await.unwrap();
    raw_sql(MANY).execute(&mut *on).await.unwrap();
    for (number, statement) in STATEMENTS.into_iter().chain(SWEEP_THE_REST).enumerate() {
        raw_sql(AssertSqlSafe(format!("PREPARE s{number} AS {statement}"))).execute(&mut *on).await.unwrap();
        let values =
            (1..9).filter(|place| statement.contains(&format!("${place}"))).map(|_| "NULL").collect::<Vec<_>>();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE s{number} ({})", values.join(", "));
        let plan: Vec<String> = query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *on).await.unwrap();
        assert!(!plan.iter().any(|step| step.contains("Seq Scan on session")), "{statement}: {plan:#?}");
    }
}
