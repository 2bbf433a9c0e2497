//! Pages for members, and a desk for those who see to erasure.
//!
//! Routes that answer programs answer people, too. Given to the builder, [`Pages`] adds these to the
//! [routes](crate::routes), alike in every framework:
//!
//! | route | for | shows |
//! |---|---|---|
//! | `/` | anyone | who is connected, since when, what is shared; log in, log out |
//! | `/files` … | members | their files: list, download, upload, edit, delete |
//! | `/disconnect` | members | the way out, with or without erasure |
//! | `/staff` … | staff | the erasure desk: what is open, what failed, what to do |
//! | `/openapi.json` | programs | the same routes as JSON, described |
//! | `/health`, `/ready` | probes | whether the process answers, and whether its stores do |
//!
//! Pages are plain HTML that works without JavaScript. The same comes as JSON to whoever prefers it
//! by `Accept`. Every POST has to come from the app's own pages. Nothing on a page is inline or from
//! elsewhere, and the Content-Security-Policy says so.
//!
//! The desk is there only if the app says who is staff:
//!
//! ```
//! use oh_core::pages::Pages;
//! use oh_core::{OpenHumans, Settings};
//!
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
//! let staff = ["01026778"];
//! let pages = Pages::new("Sleep study")
//!     .logo("/static/logo.svg")
//!     .stylesheet("/static/brand.css")
//!     .staff(move |_: &http::request::Parts, member: Option<&oh_core::Member>| {
//!         member.is_some_and(|member| staff.contains(&member.id().as_str()))
//!     });
//! let oh = OpenHumans::builder(settings).pages(pages).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod assets;
mod context;
mod desk;
mod disconnect;
mod edit;
mod files;
mod form;
mod home;
mod layout;
mod listing;
mod login;
mod openapi;
mod probes;
mod problem;
mod route;
mod serve;
mod settings;
mod show;
mod texts;
mod upload;
mod view;

pub(crate) use login::{ask_first, login_failed};
pub(crate) use serve::respond;

pub use desk::view::{
    BackgroundView, DeskPage, EventPage, EventsPage, MemberPage, PlotSpan, RunningEvent, Shelf,
    ShelfEvent, Took,
};
pub use route::PageRoute;
pub use settings::{PageContext, PageRenderer, Pages, StaffGuard};
pub use texts::Text;
pub use view::{
    DeleteAllPage, DisconnectPage, DonePage, FileEntry, FilesPage, HomePage, LoginPage, Page,
    ProblemPage,
};
