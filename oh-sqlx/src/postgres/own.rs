//! A connection beside the pool, for what must be written down whatever the app does.
//!
//! Handlers may hold all connections of the pool, and a connection of the pool is served by the
//! runtime that opened it, which may be the one whose only thread a handler blocks. So each writer
//! has a connection that only its own thread uses.

use sqlx::{Connection, Error as SqlError, PgConnection, PgPool};
use tokio::sync::Mutex;

use super::LIMITS;

/// The connection of a writer. Closed when work on it is given up, or fails.
pub(super) struct Own {
    pool: PgPool,
    conn: Mutex<Option<PgConnection>>,
}

impl Own {
    /// One that is made as the pool makes its own, when it is first needed.
    pub(super) fn beside(pool: PgPool) -> Self {
        Self {
            pool,
            conn: Mutex::new(None),
        }
    }

    /// Does the work on the connection.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.pool.is_closed() {
            return Err(SqlError::PoolClosed);
        }
        let mut place = self.conn.lock().await;
        let mut conn = match place.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let done = work(&mut conn).await?;
        *place = Some(conn);
        Ok(done)
    }

    async fn connect(&self) -> Result<PgConnection, SqlError> {
        let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::raw_sql(LIMITS).execute(&mut conn).await?;
        Ok(conn)
    }
}
