//! What a page's work comes to, before it is rendered in the form that is wanted.

use http::StatusCode;

use super::problem::Problem;
use crate::pages::view::{DonePage, Page};
use crate::routes::RouteOutcome;
use crate::session::SessionChange;

/// An answer yet to be rendered.
#[derive(Debug)]
pub(super) enum Reply {
    /// A page, with the status it is answered with.
    Page(StatusCode, Page),
    /// Something was done: browsers go to `to` and see it there, programs are told.
    Done {
        status: StatusCode,
        to: String,
        done: DonePage,
        change: SessionChange,
    },
    /// An answer that has but one form.
    RouteOutcome(RouteOutcome),
}

pub(super) type Outcome = Result<Reply, Problem>;

impl Reply {
    pub(super) fn done(to: &str, done: DonePage) -> Self {
        Self::Done {
            status: StatusCode::OK,
            to: to.to_owned(),
            done,
            change: SessionChange::Keep,
        }
    }
}

/// A page that is shown as it was asked for.
pub(super) fn page(page: Page) -> Outcome {
    Ok(Reply::Page(StatusCode::OK, page))
}

impl From<RouteOutcome> for Reply {
    fn from(answer: RouteOutcome) -> Self {
        Self::RouteOutcome(answer)
    }
}
