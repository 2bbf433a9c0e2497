//! The acceptance suites on SQLite and PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{PgSchema, SqliteFile};
use oh_core::deauth::DeauthInbox;
use oh_core::store::TokenStore;
use oh_test::acceptance::deauth_inbox;
use oh_test::acceptance::token_store::{Encrypted, Subject};

struct OnSqlite(SqliteFile);

#[async_trait]
impl Subject for OnSqlite {
    async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::new(self.0.open().await)
    }
}

struct OnPostgres(Option<PgSchema>);

#[async_trait]
impl Subject for OnPostgres {
    async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::new(self.0.as_ref().unwrap().open().await)
    }

    fn skip(&self) -> Option<String> {
        self.0.is_none().then(|| "no PostgreSQL".to_owned())
    }
}

mod sqlite {
    use super::*;

    mod encrypted {
        use super::{Encrypted, subject as plain};

        async fn subject() -> Encrypted<super::OnSqlite> {
            Encrypted(plain().await)
        }

        oh_test::token_store_acceptance!(subject);
    }

    async fn subject() -> OnSqlite {
        OnSqlite(SqliteFile::new())
    }

    oh_test::token_store_acceptance!(subject);

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox_passes_acceptance_suite() {
        // The files must outlive the inboxes.
        let files = std::sync::Mutex::new(Vec::new());
        deauth_inbox::all(async || {
            let file = SqliteFile::new();
            let inbox = file.open().await;
            files.lock().unwrap().push(file);
            Arc::new(inbox) as Arc<dyn DeauthInbox>
        })
        .await;
        let file = SqliteFile::new();
        deauth_inbox::durable(async || Arc::new(file.open().await) as Arc<dyn DeauthInbox>).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox_only_passes_acceptance_suite() {
        let files = std::sync::Mutex::new(Vec::new());
        deauth_inbox::all(async || {
            let file = SqliteFile::new();
            let inbox = file.open().await.inbox_only();
            files.lock().unwrap().push(file);
            Arc::new(inbox) as Arc<dyn DeauthInbox>
        })
        .await;
    }
}

mod postgres {
    use super::*;

    mod encrypted {
        use super::{Encrypted, subject as plain};

        async fn subject() -> Encrypted<super::OnPostgres> {
            Encrypted(plain().await)
        }

        oh_test::token_store_acceptance!(subject);
    }

    async fn subject() -> OnPostgres {
        OnPostgres(PgSchema::new().await)
    }

    oh_test::token_store_acceptance!(subject);

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox_passes_acceptance_suite() {
        let Some(schema) = PgSchema::new().await else {
            return;
        };
        let schemas = std::sync::Mutex::new(Vec::new());
        deauth_inbox::all(async || {
            let schema = PgSchema::new().await.unwrap();
            let inbox = schema.open().await;
            schemas.lock().unwrap().push(schema);
            Arc::new(inbox) as Arc<dyn DeauthInbox>
        })
        .await;
        deauth_inbox::durable(async || Arc::new(schema.open().await) as Arc<dyn DeauthInbox>).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox_only_passes_acceptance_suite() {
        let Some(_schema) = PgSchema::new().await else {
            return;
        };
        let schemas = std::sync::Mutex::new(Vec::new());
        deauth_inbox::all(async || {
            let schema = PgSchema::new().await.unwrap();
            let inbox = schema.open().await.inbox_only();
            schemas.lock().unwrap().push(schema);
            Arc::new(inbox) as Arc<dyn DeauthInbox>
        })
        .await;
    }
}
