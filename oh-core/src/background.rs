//! The background work of a handle: the worker, the reconciler that asks over the same handle, and
//! the checkpointer that seals the ledger.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::deauth::{
    Checkpointer, CheckpointerHandle, Ledger, Membership, MembershipStatus, Reconciler,
    ReconcilerHandle, Worker, WorkerHandle,
};
use crate::store::MemberRecord;
use crate::{Error, OpenHumans, ProjectMemberId};

impl OpenHumans {
    /// The worker that has the app's `DeauthHandler` act on members leaving, yet to be started.
    pub fn worker(&self) -> Worker {
        Worker::new(
            self.inner.deauthorizer.clone(),
            self.inner.deauth_handler.clone(),
            self.inner.settings.deletion,
        )
    }

    /// The reconciler that finds members who left unannounced, yet to be started.
    pub fn reconciler(&self) -> Reconciler {
        Reconciler::new(
            self.inner.deauthorizer.clone(),
            std::sync::Arc::new(self.clone()),
        )
    }

    /// The checkpointer that seals the ledger, yet to be started. `None` without a
    /// [signing key](crate::SettingsBuilder::ledger_signing_key).
    pub fn checkpointer(&self) -> Option<Checkpointer> {
        let mut keys = self.inner.settings.ledger_signing_keys.iter().cloned();
        let first = Checkpointer::new(self.inner.deauthorizer.clone(), keys.next()?);
        let checkpointer = keys.fold(first, Checkpointer::also_sign_with);
        Some(match &self.inner.checkpoint_archive {
            Some(archive) => checkpointer.archive(archive.clone()),
            None => checkpointer,
        })
    }

    /// Starts all three, as they come, on the current tokio runtime. Keep what is returned for as long
    /// as the app runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use oh_core::{OpenHumans, Settings};
    /// # let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    /// let oh = OpenHumans::builder(settings).build()?;
    /// let background = oh.start_background();
    /// // The app serves, until it is told to stop.
    /// background.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start_background(&self) -> Background {
        self.start_background_with(self.worker(), self.reconciler())
    }

    /// As [`start_background`](Self::start_background), with a worker and a reconciler that were set
    /// up otherwise. What is returned holds the checkpointer's handle, for an app that starts
    /// another in its place.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start_background_with(&self, worker: Worker, reconciler: Reconciler) -> Background {
        let openhumans = self.clone();
        tokio::spawn(async move {
            if let Err(error) = openhumans.check_token_store().await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "failed to decrypt stored tokens; check the store keys"
                );
            }
        });
        Background {
            openhumans: self.clone(),
            worker: worker.spawn(),
            reconciler: reconciler.spawn(),
            checkpointer: self.checkpointer().map(Checkpointer::spawn),
        }
    }

    /// What happened to members who left: what is pending, what is overdue, and the proof.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.inner.deauthorizer)
    }
}

/// Worker, reconciler and checkpointer at work. Dropping it ends all at once.
#[derive(Debug)]
#[must_use = "dropping it ends the background work"]
pub struct Background {
    /// The worker.
    pub worker: WorkerHandle,
    /// The reconciler.
    pub reconciler: ReconcilerHandle,
    /// The checkpointer, if there is a key to seal the ledger with.
    pub checkpointer: Option<CheckpointerHandle>,
    openhumans: OpenHumans,
}

/// How long the end waits for the inbox to take what it did not take yet.
const FINISH: Duration = Duration::from_secs(10);

impl Background {
    /// Ends all, the worker after it has finished what it had begun, keeps what the inbox did not
    /// take so far if it takes it now, and waits for
    /// [refreshes that were sent](OpenHumans::wait_for_refreshes).
    pub async fn stop(self) {
        tokio::join!(self.worker.stop(), self.reconciler.stop());
        tokio::join!(
            self.openhumans.inner.deauthorizer.finish(FINISH),
            self.openhumans.wait_for_refreshes(),
        );
        // Last, so that it seals what the others wrote.
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.stop().await;
        }
    }
}

#[async_trait]
impl Membership for OpenHumans {
    /// Asks `exchange-member` with the member's own token, refreshed if need be. With a master
    /// token it would answer for members who have left as if they had not.
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        match self.member_client(member).project_member_id().await {
            Ok(who) if who == *member => Ok(MembershipStatus::Authorized),
            Ok(_) => Ok(MembershipStatus::Unsure),
            Err(Error::Deauthorized) => Ok(MembershipStatus::Gone),
            Err(error) => Err(error),
        }
    }

    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error> {
        let Some(tokens) = &record.tokens else {
            return Ok(MembershipStatus::Unsure);
        };
        let client = self.inner.client.member(tokens.access_token.clone());
        match client.project_member_id().await {
            Ok(who) if who == record.member => Ok(MembershipStatus::Authorized),
            Ok(_) | Err(Error::Unauthorized { .. } | Error::Expired) => {
                Ok(MembershipStatus::Unsure)
            }
            Err(error) => Err(error),
        }
    }

    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        let Some(token) = &self.inner.settings.master_token else {
            return Ok(None);
        };
        let mut list = self.inner.client.project(token.clone()).member_ids();
        let mut members = HashSet::new();
        while let Some(member) = list.try_next().await? {
            members.insert(member);
        }
        Ok(Some(members))
    }
}
