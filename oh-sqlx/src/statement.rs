//! SQL statements with their values, for both dialects.

use std::fmt::Write;

use oh_core::Timestamp;
use sqlx::database::Database;
use sqlx::error::BoxDynError;
use sqlx::query::{Query, QueryAs};
use sqlx::{AssertSqlSafe, FromRow, IntoArguments};

/// The SQL dialect of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// A statement under construction: fragments of SQL, and values in between.
///
/// Fragments are literals or constants of this crate. Everything else must be bound.
#[derive(Debug)]
pub(crate) struct Statement {
    dialect: Dialect,
    sql: String,
    values: Vec<Value>,
}

/// A value that is bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(bool),
}

impl Statement {
    pub(crate) fn new(dialect: Dialect, sql: &'static str) -> Self {
        Self {
            dialect,
            sql: sql.to_owned(),
            values: Vec::new(),
        }
    }

    /// Appends SQL.
    pub(crate) fn sql(mut self, sql: &'static str) -> Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a placeholder for a value. SQLite understands PostgreSQL's `$1`.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        write!(self.sql, "${}", self.values.len()).expect("a string grows");
        self
    }

    /// Appends placeholders with commas between them.
    pub(crate) fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        for (n, value) in values.into_iter().enumerate() {
            if n > 0 {
                self = self.sql(", ");
            }
            self = self.bind(value);
        }
        self
    }

    /// Appends a time that is compared across processes. On PostgreSQL it is converted from this
    /// machine's clock to the clock of the database server, which all machines share; differences
    /// below a second are mostly network latency and are ignored.
    pub(crate) fn time(self, at: Timestamp) -> Self {
        match self.dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => self.bind(at),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => self
                .sql("(")
                .bind(at)
                .sql("::bigint + ")
                .clock_offset()
                .sql(")"),
        }
    }

    /// Appends the offset from this machine's clock to the database server's, in microseconds.
    /// The subquery is evaluated once for each statement.
    #[cfg(feature = "postgres")]
    pub(crate) fn clock_offset(self) -> Self {
        self.sql("(SELECT 1000000 * round(extract(epoch FROM clock_timestamp()) - ")
            .bind(Timestamp::now())
            .sql("::bigint / 1000000.0)::bigint)")
    }

    /// Appends a condition that is always true and prepares the transaction for writing ledger lines, see
    /// [`LEDGER_BARRIER`]. SQLite has one writer at a time and needs no preparation.
    pub(crate) fn ledger_barrier(self) -> Self {
        match self.dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => self.sql("TRUE"),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => self.sql(LEDGER_BARRIER),
        }
    }

    pub(crate) fn query<DB: Bind>(self) -> Query<'static, DB, DB::Arguments>
    where
        DB::Arguments: IntoArguments<DB>,
    {
        let (sql, arguments) = self.into_parts::<DB>();
        sqlx::query_with(sql, arguments)
    }

    pub(crate) fn query_as<DB, O>(self) -> QueryAs<'static, DB, O, DB::Arguments>
    where
        DB: Bind,
        DB::Arguments: IntoArguments<DB>,
        O: for<'r> FromRow<'r, DB::Row>,
    {
        let (sql, arguments) = self.into_parts::<DB>();
        sqlx::query_as_with(sql, arguments)
    }

    fn into_parts<DB: Bind>(self) -> (AssertSqlSafe<String>, DB::Arguments) {
        let mut arguments = DB::Arguments::default();
        for value in self.values {
            DB::add(&mut arguments, value).expect("texts, integers and booleans can be encoded");
        }
        (AssertSqlSafe(self.sql), arguments)
    }
}

/// A condition that is always true. It takes the shared advisory lock ("ohledger" in ASCII), and turns
/// `synchronous_commit` on for the transaction if the database's default is off. PostgreSQL
/// evaluates it once, before it reads a row.
#[cfg(feature = "postgres")]
pub(crate) const LEDGER_BARRIER: &str = "(SELECT pg_advisory_xact_lock_shared(8027785518519903602) IS NOT NULL \
     AND CASE current_setting('synchronous_commit') WHEN 'off' \
     THEN set_config('synchronous_commit', 'on', true) IS NOT NULL ELSE true END)";

/// Replaces NUL, which PostgreSQL's text cannot contain. Usernames and error messages come from outside
/// and may have one.
#[cfg(feature = "postgres")]
pub(crate) fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// A database that statements can be bound for.
pub(crate) trait Bind: Database {
    fn add(arguments: &mut Self::Arguments, value: Value) -> Result<(), BoxDynError>;
}

#[cfg(feature = "sqlite")]
impl Bind for sqlx::Sqlite {
    fn add(arguments: &mut Self::Arguments, value: Value) -> Result<(), BoxDynError> {
        use sqlx::Arguments;
        match value {
            Value::Text(value) => arguments.add(value),
            Value::Integer(value) => arguments.add(value),
            Value::Boolean(value) => arguments.add(value),
        }
    }
}

#[cfg(feature = "postgres")]
impl Bind for sqlx::Postgres {
    fn add(arguments: &mut Self::Arguments, value: Value) -> Result<(), BoxDynError> {
        use sqlx::Arguments;
        match value {
            Value::Text(value) => arguments.add(value.map(without_nul)),
            Value::Integer(value) => arguments.add(value),
            Value::Boolean(value) => arguments.add(value),
        }
    }
}

/// A connection that executes statements.
pub(crate) trait Execute: Send {
    const DIALECT: Dialect;

    /// Executes a statement, and returns how many rows it changed.
    fn execute(
        &mut self,
        statement: Statement,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

#[cfg(feature = "sqlite")]
impl Execute for sqlx::SqliteConnection {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        let done = statement.query::<sqlx::Sqlite>().execute(self).await?;
        Ok(done.rows_affected())
    }
}

#[cfg(feature = "postgres")]
impl Execute for sqlx::PgConnection {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        let done = statement.query::<sqlx::Postgres>().execute(self).await?;
        Ok(done.rows_affected())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Integer(Some(value.as_micros()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Integer(value.map(Timestamp::as_micros))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}
