//! Every statement finds its rows by an index.

use session_testing::servers;
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};

use super::*;

/// Statements, and the index that finds their sessions.
const STATEMENTS: [(&str, &str); 15] = [
    (LOAD, "sessions_key_key"),
    (UPDATE, "sessions_key_key"),
    (VERSION, "sessions_key_key"),
    (TOUCH, "sessions_key_key"),
    (RENAME, "sessions_key_key"),
    (FREE, "sessions_key_key"),
    (DELETE, "sessions_key_key"),
    (DELETE, "sessions_pkey"),
    (LOCK, "sessions_pkey"),
    (SWEEP_AND_READ, "sessions_by_deadline"),
    (BEYOND, "sessions_by_subject"),
    (LIST, "sessions_by_subject"),
    (DELETE_ALL, "sessions_by_subject"),
    (SWEEP, "sessions_by_deadline"),
    (IS_REVOKED, "session_revocations_pkey"),
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
async fn every_statement_finds_its_rows_by_an_index() {
    let Some(server) = servers::Postgres::start() else { return };
    let store = PostgresStore::new(PgPool::connect(&server.url()).await.unwrap());
    store.migrate().await.unwrap();
    let mut on = store.pool.acquire().await.unwrap();
    raw_sql(MANY).execute(&mut *on).await.unwrap();
    let the_rest = SWEEP_THE_REST.map(|statement| (statement, "_by_deadline"));
    for (number, (statement, index)) in STATEMENTS.into_iter().chain(the_rest).enumerate() {
        raw_sql(AssertSqlSafe(format!("PREPARE s{number} AS {statement}"))).execute(&mut *on).await.unwrap();
        let values: Vec<_> = (1..9).filter(|place| statement.contains(&format!("${place}"))).map(|_| "NULL").collect();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE s{number} ({})", values.join(", "));
        let plan: Vec<String> = query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *on).await.unwrap();
        let whole = plan.iter().any(|step| step.contains("Seq Scan on session"));
        assert!(!whole && plan.iter().any(|step| step.contains(index)), "{statement}: {plan:#?}");
    }
}
