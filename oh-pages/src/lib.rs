//! Ready-made pages for applications that use Open Humans.
//!
//! | route | for | content |
//! |---|---|---|
//! | `/` | anyone | the connected account, the shared sources; log in, log out |
//! | `/files` … | members | the member's files: list, download, upload, edit, delete |
//! | `/disconnect` | members | disconnects the account, with or without erasure |
//! | `/staff` … | staff | the erasure dashboard: pending, failed and overdue requests |
//! | `/openapi.json` | programs | describes the routes |
//! | `/health`, `/ready` | probes | whether the process responds, and whether its stores do |
//!
//! Mount [`Pages::router`] beside the routes of `oh-axum` or `oh-actix`. The pages are HTML that works
//! without JavaScript, and JSON for clients that prefer it. POST requests must come from the
//! application's own pages. The Content-Security-Policy allows nothing inline and nothing from other
//! origins.
//!
//! [`Pages`] also replaces the built-in pages of the login routes, as
//! [`LoginPages`](oh_core::login::LoginPages).
//!
//! ```
//! use oh_core::{Member, OpenHumans, Settings};
//! use oh_pages::Pages;
//!
//! let staff = ["01026778"];
//! let pages = Pages::new("Sleep study")
//!     .logo("/static/logo.svg")
//!     .stylesheet("/static/brand.css")
//!     .staff(move |_: &http::request::Parts, member: Option<&Member>| {
//!         member.is_some_and(|member| staff.contains(&member.id().as_str()))
//!     });
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
//! let openhumans = OpenHumans::builder(settings).login_pages(pages.clone()).build()?;
//! let router: axum::Router = pages.router(&openhumans);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An application changes single texts with [`Pages::texts`], adds a language with
//! [`Pages::language`], restyles the pages with [`Pages::stylesheet`], and renders some or all pages
//! itself with [`Pages::renderer`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod app;
mod appearance;
mod assets;
mod context;
mod error;
mod guard;
mod input;
mod layout;
mod negotiation;
mod openapi;
mod pages;
mod render;
mod renderer;
mod response;
mod router;
mod settings;
mod staff;
#[cfg(test)]
mod tests;
mod texts;

pub use context::PageContext;
pub use pages::{
    BackgroundStatus, CheckpointPage, DashboardPage, DeleteAllPage, DeletePage, DisconnectPage,
    Durations, EditPage, ErrorPage, EventCounts, EventEntry, EventList, EventPage, EventsPage,
    FileEntry, FilesPage, HomePage, LedgerEntry, LoginPage, LogoutPage, MemberPage, Page,
    PlotInterval, ReleaseAllPage, RunningEvent,
};
pub use renderer::PageRenderer;
pub use settings::Pages;
pub use staff::StaffGuard;
pub use texts::TextError;
