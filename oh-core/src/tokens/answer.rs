//! What a refresh tells those who wait for it, once, before or at its end.

use tokio::sync::oneshot;

use crate::{AccessToken, Error};

pub(super) type Answered = Result<AccessToken, Error>;

/// The first answer counts.
pub(super) struct RouteOutcome(Option<oneshot::Sender<Answered>>);

impl RouteOutcome {
    pub(super) fn new() -> (Self, oneshot::Receiver<Answered>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    pub(super) fn give(&mut self, answer: Answered) {
        if let Some(sender) = self.0.take() {
            // Nobody may be waiting any more.
            let _ = sender.send(answer);
        }
    }
}
