//! The application's own users: a table with names and passwords.

use anyhow::Result;
use axum_login::{AuthUser, AuthnBackend, UserId};
use serde::Deserialize;
use sqlx::SqlitePool;

/// A user. `member` is the project member id of the connected account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    pub id: i64,
    pub name: String,
    /// Plain text, only in this test
    pub password: String,
    pub member: Option<String>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

/// The form of the application's own login.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    pub name: String,
    pub password: String,
}

/// The users table.
#[derive(Clone, Debug)]
pub struct Users(pub SqlitePool);

impl Users {
    pub async fn new(pool: SqlitePool) -> Result<Self> {
        let table = "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, \
                     password TEXT NOT NULL, member TEXT UNIQUE)";
        sqlx::query(table).execute(&pool).await?;
        Ok(Self(pool))
    }

    pub async fn add(&self, name: &str, password: &str) -> Result<()> {
        let insert = "INSERT INTO users (name, password) VALUES (?, ?)";
        let insert = sqlx::query(insert).bind(name).bind(password);
        insert.execute(&self.0).await?;
        Ok(())
    }

    /// Connects a user and a member. Returns false if either is already connected.
    pub async fn connect(&self, user: i64, member: &str) -> Result<bool> {
        let update = "UPDATE OR IGNORE users SET member = ? \
                      WHERE id = ? AND (member IS NULL OR member = ?)";
        let update = sqlx::query(update).bind(member).bind(user).bind(member);
        Ok(update.execute(&self.0).await?.rows_affected() == 1)
    }

    /// Removes a departed member from its user.
    pub async fn disconnect(&self, member: &str) -> Result<()> {
        let update = sqlx::query("UPDATE users SET member = NULL WHERE member = ?");
        update.bind(member).execute(&self.0).await?;
        Ok(())
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = sqlx::Error;

    async fn authenticate(&self, given: Credentials) -> Result<Option<User>, sqlx::Error> {
        let select = "SELECT id, name, password, member FROM users WHERE name = ? AND password = ?";
        let select = sqlx::query_as(select).bind(given.name).bind(given.password);
        select.fetch_optional(&self.0).await
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, sqlx::Error> {
        let select = sqlx::query_as("SELECT id, name, password, member FROM users WHERE id = ?");
        select.bind(id).fetch_optional(&self.0).await
    }
}
