//! Connections that are closed unless they are given back.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Error, Executor, Pool};

/// A connection of the pool for one operation. One that is dropped before it was given back, because the caller waits no
/// longer, is closed: the server undoes what was not committed and frees its locks, and the pool opens another one. So no
/// connection returns to the pool in a transaction or with an answer under way, and none waits for a server that will
/// never answer.
pub(crate) struct Lent<DB: Database> {
    connection: PoolConnection<DB>,
    in_transaction: bool,
    given_back: bool,
}

impl<DB: Database> Lent<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    pub(crate) async fn by(pool: &Pool<DB>) -> Result<Self, Error> {
        Ok(Self { connection: pool.acquire().await?, in_transaction: false, given_back: false })
    }

    /// Begins a transaction, which is undone unless it is committed.
    pub(crate) async fn begin(&mut self, statement: &'static str) -> Result<(), Error> {
        self.in_transaction = true;
        (**self).execute(statement).await?;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        (**self).execute("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(crate) async fn give_back(mut self) {
        self.given_back = !self.in_transaction || (*self).execute("ROLLBACK").await.is_ok();
    }
}

impl<DB: Database> Deref for Lent<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Lent<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Lent<DB> {
    fn drop(&mut self) {
        if !self.given_back {
            self.connection.close_on_drop();
        }
    }
}

/// Runs an operation on a connection of the store's pool, again if the database undid it because of others.
macro_rules! run {
    ($store:expr, |$on:ident| $operation:expr) => {
        again(|| async {
            let mut lent = Lent::by(&$store.pool).await?;
            let $on = &mut lent;
            let outcome = $operation.await;
            lent.give_back().await;
            outcome
        })
    };
}
pub(crate) use run;
