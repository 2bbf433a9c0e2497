//! The state that handlers share.

use std::sync::Arc;

use oh_core::OpenHumans;
use tokio::sync::OnceCell;

use crate::appearance::Appearance;
use crate::staff::StaffGuard;

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) openhumans: OpenHumans,
    pub(crate) appearance: Appearance,
    pub(crate) max_upload: u64,
    pub(crate) staff: Option<Arc<dyn StaffGuard>>,
    /// The name that the project's own files have as a source.
    pub(crate) source: OnceCell<Option<String>>,
    /// The OpenAPI document.
    pub(crate) document: serde_json::Value,
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub(crate) fn openhumans(&self) -> &OpenHumans {
        &self.0.openhumans
    }

    pub(crate) fn appearance(&self) -> &Appearance {
        &self.0.appearance
    }

    /// The size limit of an upload in bytes.
    pub(crate) fn max_upload(&self) -> u64 {
        self.0.max_upload
    }

    pub(crate) fn staff(&self) -> Option<&dyn StaffGuard> {
        self.0.staff.as_deref()
    }

    pub(crate) fn source(&self) -> &OnceCell<Option<String>> {
        &self.0.source
    }

    pub(crate) fn document(&self) -> &serde_json::Value {
        &self.0.document
    }
}
