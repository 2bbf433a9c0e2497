//! The erasure dashboard: pending, failed and overdue erasure requests, and their actions.
//!
//! It reads the inbox in pages of bounded size, and shows no names or ids of members.

mod event;
mod events;
mod export;
mod member;
mod overview;
mod plot;
mod release;
mod table;
#[cfg(test)]
mod tests;

pub use self::event::EventPage;
pub use self::events::{EventList, EventsPage};
pub use self::member::MemberPage;
pub use self::overview::{
    BackgroundStatus, CheckpointPage, DashboardPage, Durations, EventCounts, RunningEvent,
};
pub use self::plot::PlotInterval;
pub use self::release::ReleaseAllPage;
pub use self::table::{EventEntry, LedgerEntry};

// `routes!` needs the items that utoipa generates beside each handler.
pub(crate) use self::event::*;
pub(crate) use self::events::*;
pub(crate) use self::export::*;
pub(crate) use self::member::*;
pub(crate) use self::overview::*;
pub(crate) use self::release::*;
