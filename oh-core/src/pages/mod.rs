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
//! Here is what an app says of its pages, and what they hold; they are served with the other routes.
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

pub(crate) mod accept;
pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod texts;
pub(crate) mod view;

pub use route::PageRoute;
pub use settings::{PageContext, PageRenderer, Pages, StaffGuard};
pub use texts::Text;
pub use view::{
    BackgroundView, DeleteAllPage, DeskPage, DisconnectPage, DonePage, EventPage, EventsPage,
    FileEntry, FilesPage, HomePage, LoginPage, LogoutPage, MemberPage, Page, PlotSpan, ProblemPage,
    ReleaseAllPage, RunningEvent, SealingView, Shelf, ShelfEvent, Took,
};
