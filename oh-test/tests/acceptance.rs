//! The acceptance suites on the stores in memory.

use std::sync::Arc;

use async_trait::async_trait;
use oh_core::deauth::{DeauthInbox, MemoryInbox};
use oh_core::store::{MemoryStore, TokenStore};
use oh_test::acceptance::deauth_inbox;
use oh_test::acceptance::token_store::Subject;

struct InMemory(MemoryStore);

#[async_trait]
impl Subject for InMemory {
    async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::new(self.0.clone())
    }
}

async fn in_memory() -> InMemory {
    InMemory(MemoryStore::new())
}

mod memory_store {
    use super::in_memory;

    oh_test::token_store_acceptance!(in_memory);
}

mod encrypted_memory_store {
    use oh_test::acceptance::token_store::Encrypted;

    use super::{InMemory, in_memory};

    async fn subject() -> Encrypted<InMemory> {
        Encrypted(in_memory().await)
    }

    oh_test::token_store_acceptance!(subject);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_inbox_passes_acceptance_suite() {
    deauth_inbox::all(async || Arc::new(MemoryInbox::new()) as Arc<dyn DeauthInbox>).await;
    let inbox = Arc::new(MemoryInbox::new());
    deauth_inbox::durable(async || inbox.clone() as Arc<dyn DeauthInbox>).await;
}
