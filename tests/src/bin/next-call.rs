//! Makes the next call of every member whose tokens a store has: asks Open Humans who it is, with the
//! member's own token, refreshed where it has expired.
//!
//! ```sh
//! next-call postgres://app@localhost/app
//! ```
//!
//! Reads the settings from the environment. Prints how many members there are
//! and how many calls were answered rightly, and fails unless all were.

use std::process::ExitCode;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oh_core::store::TokenStore;
use oh_core::transport::BoxError;
use oh_core::{OpenHumans, ProjectMemberId, Settings};
use oh_sqlx::{PgStore, SqliteStore};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<ExitCode, BoxError> {
    let database = std::env::args().nth(1).ok_or("which database?")?;
    let store: Arc<dyn TokenStore> = if database.starts_with("postgres://") {
        Arc::new(PgStore::connect(&database).await?)
    } else {
        Arc::new(SqliteStore::connect(&database).await?)
    };
    let mut members: Vec<ProjectMemberId> = Vec::new();
    loop {
        let page = store.page(members.last(), 500).await?;
        if page.is_empty() {
            break;
        }
        members.extend(page.into_iter().map(|record| record.member));
    }
    let openhumans = OpenHumans::builder(Settings::from_env()?)
        .token_store(store)
        .build()?;
    let asked = stream::iter(&members).map(|member| {
        let client = openhumans.member_client(member);
        async move {
            client
                .project_member_id()
                .await
                .is_ok_and(|who| who == *member)
        }
    });
    let right = asked
        .buffer_unordered(16)
        .filter(|right| std::future::ready(*right));
    let right = right.count().await;
    println!("{} members, {right} answered rightly", members.len());
    Ok(match right == members.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
