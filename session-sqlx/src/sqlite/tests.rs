//! Every statement finds its rows by an index.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, query};

use super::*;

const STATEMENTS: [&str; 14] = [
    LOAD,
    WRITE,
    VERSION,
    TOUCH,
    FREE,
    BEYOND,
    END,
    DELETE,
    LIST,
    DELETE_ALL,
    SWEEP,
    REVOKE_FOR_LONGER,
    REVOKE_ALL,
    IS_REVOKED,
];

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    SqliteStore::new(pool.clone()).migrate().await.unwrap();
    for statement in STATEMENTS.into_iter().chain(SWEEP_THE_REST) {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = query(AssertSqlSafe(explain)).fetch_all(&pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(
            !plan.iter().any(|step| step.starts_with("SCAN session") || step.contains("TEMP B-TREE")),
            "{statement}: {plan:#?}"
        );
    }
}
