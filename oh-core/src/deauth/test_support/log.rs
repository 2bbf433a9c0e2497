//! A log that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts warnings and errors of the current thread as its default subscriber.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Counts>);

#[derive(Default)]
struct Counts {
    warnings: AtomicUsize,
    errors: AtomicUsize,
}

impl Log {
    pub(crate) fn warnings(&self) -> usize {
        self.0.warnings.load(Ordering::SeqCst)
    }

    pub(crate) fn errors(&self) -> usize {
        self.0.errors.load(Ordering::SeqCst)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let count = match *event.metadata().level() {
            Level::ERROR => &self.0.errors,
            _ => &self.0.warnings,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
