//! The erasure desk: what is open, what failed, how long it takes, and what to do.
//!
//! It reads the inbox a page at a time, whatever its size, and names no member.

pub(super) mod event;
pub(super) mod events;
mod export;
pub(super) mod held;
pub(super) mod member;
pub(super) mod overview;
mod plot;
mod table;
#[cfg(test)]
mod tests;

use super::context::Context;
use super::problem::Problem;
use super::reply::Outcome;
use crate::pages::route::PageRoute;

/// Answers a request of someone the guard has let in.
pub(super) async fn serve(cx: &Context<'_>, route: PageRoute) -> Outcome {
    match route {
        PageRoute::Desk => overview::overview(cx).await,
        PageRoute::Events => events::list(cx).await,
        PageRoute::Event => event::show(cx, route.parameter(&cx.head.uri)).await,
        PageRoute::Requeue => event::requeue(cx, route.parameter(&cx.head.uri)).await,
        PageRoute::Release => held::release(cx, route.parameter(&cx.head.uri)).await,
        PageRoute::ReleaseAll if cx.head.method == http::Method::POST => {
            held::release_all(cx).await
        }
        PageRoute::ReleaseAll => held::ask(cx).await,
        PageRoute::Member => member::find(cx).await,
        PageRoute::Export => Ok(export::export(cx).into()),
        PageRoute::Checkpoint => export::checkpoint(cx).await,
        _ => Err(Problem::not_found()),
    }
}
