//! Background work: the worker, the reconciler and the checkpointer of a handle.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

#[cfg(feature = "checkpoints")]
use crate::deauth::Checkpointer;
use crate::deauth::{
    Ledger, Membership, MembershipStatus, Reconciler, ReconcilerSettings, TaskHandle, Worker,
    WorkerSettings,
};
use crate::store::MemberRecord;
use crate::{Error, OpenHumans, ProjectMemberId};

/// How long [`Background::stop`] retries events that could not be stored before.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the background work. Change single values with `..BackgroundSettings::default()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundSettings {
    /// The worker.
    pub worker: WorkerSettings,
    /// The reconciler.
    pub reconciler: ReconcilerSettings,
    /// How often a checkpoint of the ledger is signed if it has new lines. Takes effect with the
    /// feature `checkpoints` and a signing key. Default: 60 s.
    pub checkpoint_interval: Duration,
}

impl Default for BackgroundSettings {
    fn default() -> Self {
        Self {
            worker: WorkerSettings::default(),
            reconciler: ReconcilerSettings::default(),
            checkpoint_interval: Duration::from_secs(60),
        }
    }
}

impl OpenHumans {
    /// Starts the worker, the reconciler and, with a signing key, the checkpointer on the current tokio
    /// runtime.
    ///
    /// Keep the returned value while the application runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use oh_core::{OpenHumans, Settings};
    /// # let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    /// let openhumans = OpenHumans::builder(settings).build()?;
    /// let background = openhumans.start_background();
    /// // Serve requests until the process must stop.
    /// background.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start_background(&self) -> Background {
        self.start_background_with(BackgroundSettings::default())
    }

    /// Starts the background work with other settings. See
    /// [`start_background`](Self::start_background).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use oh_core::{BackgroundSettings, OpenHumans, Settings};
    /// use oh_core::deauth::WorkerSettings;
    ///
    /// # let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    /// # let openhumans = OpenHumans::builder(settings).build()?;
    /// let background = openhumans.start_background_with(BackgroundSettings {
    ///     worker: WorkerSettings {
    ///         handler_timeout: Some(Duration::from_secs(600)),
    ///         ..WorkerSettings::default()
    ///     },
    ///     ..BackgroundSettings::default()
    /// });
    /// # background.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start_background_with(&self, settings: BackgroundSettings) -> Background {
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
        let checkpointer = None;
        #[cfg(feature = "checkpoints")]
        let checkpointer = checkpointer.or(self
            .checkpointer()
            .map(|checkpointer| checkpointer.spawn(settings.checkpoint_interval)));
        Background {
            worker: self.worker(settings.worker).spawn(),
            reconciler: self.reconciler(settings.reconciler).spawn(),
            checkpointer,
            openhumans: self.clone(),
        }
    }

    /// Creates a worker to [run until no event is due](Worker::run_until_idle).
    pub fn worker(&self, settings: WorkerSettings) -> Worker {
        Worker::new(
            self.inner.deauthorizer.clone(),
            self.inner.deauth_handler.clone(),
            self.inner.settings.deletion,
            settings,
        )
    }

    /// Creates a reconciler to [run single passes](Reconciler::run_pass).
    pub fn reconciler(&self, settings: ReconcilerSettings) -> Reconciler {
        let membership = Arc::new(self.clone());
        Reconciler::new(self.inner.deauthorizer.clone(), membership, settings)
    }

    /// Creates a checkpointer to [sign single checkpoints](Checkpointer::sign_checkpoint). Returns
    /// `None` without a [signing key](crate::SettingsBuilder::ledger_signing_key).
    #[cfg(feature = "checkpoints")]
    pub fn checkpointer(&self) -> Option<Checkpointer> {
        let keys = self.inner.settings.ledger_signing_keys.clone();
        let archive = self.inner.checkpoint_archive.clone();
        (!keys.is_empty())
            .then(|| Checkpointer::new(self.inner.deauthorizer.clone(), keys, archive))
    }

    pub(crate) fn signs_checkpoints(&self) -> bool {
        #[cfg(feature = "checkpoints")]
        return !self.inner.settings.ledger_signing_keys.is_empty();
        #[cfg(not(feature = "checkpoints"))]
        false
    }

    /// Returns the ledger, which answers questions about events.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.inner.deauthorizer)
    }
}

/// Running background work. Dropping it aborts all tasks; their events are processed again after the
/// leases have expired.
#[derive(Debug)]
#[must_use = "dropping it aborts the background work"]
pub struct Background {
    worker: TaskHandle,
    reconciler: TaskHandle,
    checkpointer: Option<TaskHandle>,
    openhumans: OpenHumans,
}

impl Background {
    /// Stops the background work gracefully.
    ///
    /// Waits for running handlers, retries events that could not be stored before, waits for
    /// [refreshes in flight](OpenHumans::wait_for_refreshes), and signs a last checkpoint.
    pub async fn stop(self) {
        tokio::join!(self.worker.stop(), self.reconciler.stop());
        tokio::join!(
            self.openhumans
                .inner
                .deauthorizer
                .flush_pending_accepts(FLUSH_TIMEOUT),
            self.openhumans.wait_for_refreshes(),
        );
        // Last, so that the checkpoint covers the lines that the others have written.
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.stop().await;
        }
    }
}

#[async_trait]
impl Membership for OpenHumans {
    /// Calls `exchange-member` with the member's own token, refreshed if necessary. With a master token
    /// Open Humans would respond for members who have left, too.
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        match self.member_client(member).project_member_id().await {
            Ok(id) if id == *member => Ok(MembershipStatus::Authorized),
            Ok(_) => Ok(MembershipStatus::Unknown),
            Err(Error::Deauthorized) => Ok(MembershipStatus::Deauthorized),
            Err(error) => Err(error),
        }
    }

    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error> {
        let Some(tokens) = &record.tokens else {
            return Ok(MembershipStatus::Unknown);
        };
        let client = self.inner.client.member(tokens.access_token.clone());
        match client.project_member_id().await {
            Ok(id) if id == record.member => Ok(MembershipStatus::Authorized),
            Ok(_) | Err(Error::Unauthorized { .. } | Error::Expired) => {
                Ok(MembershipStatus::Unknown)
            }
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        self.inner.member_list.read().await
    }
}
