//! Connections that are closed when the work on them is given up.
//!
//! A caller who stops waiting does not stop the statement. A connection that went back to the pool
//! then would have to be waited for by the next caller; and one whose server has died without a
//! word, for ever. Both would use the pool up, one by one.

use sqlx::pool::PoolConnection;
use sqlx::{Error as SqlError, PgPool, Postgres};

/// A connection taken out of the pool. Closed when dropped, unless it was [given back](Self::release).
pub(super) struct Taken {
    pub(super) conn: PoolConnection<Postgres>,
    busy: bool,
}

impl Taken {
    pub(super) async fn from(pool: &PgPool) -> Result<Self, SqlError> {
        let conn = pool.acquire().await?;
        Ok(Self { conn, busy: true })
    }

    /// Nothing is under way on it any more, well done or not: it may go back.
    pub(super) fn release(mut self) {
        self.busy = false;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.busy {
            self.conn.close_on_drop();
        }
    }
}
