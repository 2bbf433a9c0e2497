//! Connections that are closed when work on them is cancelled.
//!
//! A caller that stops waiting does not stop the statement. If its connection went back to the pool,
//! the next caller would have to wait for that statement, or forever if the server died silently.

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Error as SqlError, PgConnection, PgPool, Postgres};
use tokio::sync::Mutex;

use super::SESSION_LIMITS;

/// A connection of the pool. Dropping it closes it, unless it was [released](Self::release).
pub(super) struct Pooled {
    pub(super) conn: PoolConnection<Postgres>,
    busy: bool,
}

impl Pooled {
    pub(super) async fn acquire(pool: &PgPool) -> Result<Self, SqlError> {
        let conn = pool.acquire().await?;
        Ok(Self { conn, busy: true })
    }

    /// Returns the connection to the pool. No statement may be running on it.
    pub(super) fn release(mut self) {
        self.busy = false;
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.busy {
            self.conn.close_on_drop();
        }
    }
}

/// The own connection of a writer thread, beside the pool.
///
/// Handlers of the application can hold all connections of the pool. And a connection of the pool runs on
/// the runtime that opened it, whose only thread a handler may block. Webhooks must be stored anyway.
pub(super) struct Dedicated {
    pool: PgPool,
    /// Taken while it is in use. Cancelled or failed work closes it.
    conn: Mutex<Option<PgConnection>>,
}

impl Dedicated {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            conn: Mutex::new(None),
        }
    }

    /// Calls `work` with the connection, which is opened with the options of the pool when necessary.
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.pool.is_closed() {
            return Err(SqlError::PoolClosed);
        }
        let mut slot = self.conn.lock().await;
        let mut conn = match slot.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let output = work(&mut conn).await?;
        *slot = Some(conn);
        Ok(output)
    }

    async fn connect(&self) -> Result<PgConnection, SqlError> {
        let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::raw_sql(SESSION_LIMITS).execute(&mut conn).await?;
        Ok(conn)
    }
}
