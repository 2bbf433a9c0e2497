//! The public acceptance suites on SQLite and PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{PgSchema, SqliteFile};
use oh_core::acceptance::deauth_inbox;
use oh_core::acceptance::token_store::Subject;
use oh_core::deauth::DeauthInbox;
use oh_core::store::{EncryptedStore, Keyring, TokenStore};

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

/// Another subject, sealed.
struct Sealed<S>(S);

#[async_trait]
impl<S: Subject> Subject for Sealed<S> {
    async fn open(&self) -> Arc<dyn TokenStore> {
        let keys = Keyring::parse("test:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=");
        Arc::new(EncryptedStore::new(self.0.open().await, keys.unwrap()))
    }

    fn skip(&self) -> Option<String> {
        self.0.skip()
    }
}

mod sqlite {
    use super::*;

    mod sealed {
        use super::{Sealed, subject as plain};

        async fn subject() -> Sealed<super::OnSqlite> {
            Sealed(plain().await)
        }

        oh_core::token_store_acceptance!(subject);
    }

    async fn subject() -> OnSqlite {
        OnSqlite(SqliteFile::new())
    }

    oh_core::token_store_acceptance!(subject);

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox() {
        // Inboxes outlive the check that uses them, and so must their files.
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
    async fn inbox_only() {
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

    mod sealed {
        use super::{Sealed, subject as plain};

        async fn subject() -> Sealed<super::OnPostgres> {
            Sealed(plain().await)
        }

        oh_core::token_store_acceptance!(subject);
    }

    async fn subject() -> OnPostgres {
        OnPostgres(PgSchema::new().await)
    }

    oh_core::token_store_acceptance!(subject);

    #[tokio::test(flavor = "multi_thread")]
    async fn inbox() {
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
    async fn inbox_only() {
        let Some(_here) = PgSchema::new().await else {
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
