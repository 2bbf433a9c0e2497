//! The route table: every page with its access and its view.
//!
//! A new page is a module here, a line in [`table`] and, if it shows something, a variant of
//! [`Page`].

mod dashboard;
mod disconnect;
mod error;
mod files;
mod home;
mod login;
mod probes;

use serde::Serialize;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

pub use self::dashboard::{
    BackgroundStatus, CheckpointPage, DashboardPage, Durations, EventCounts, EventEntry, EventList,
    EventPage, EventsPage, LedgerEntry, MemberPage, PlotInterval, ReleaseAllPage, RunningEvent,
};
pub use self::disconnect::DisconnectPage;
pub use self::error::ErrorPage;
pub use self::files::{DeleteAllPage, DeletePage, EditPage, FileEntry, FilesPage};
pub use self::home::HomePage;
pub use self::login::{LoginPage, LogoutPage};

use crate::access::Access;
use crate::app::App;
use crate::layout::View;

/// Every page with the kind of requests that may use it. The router puts a guard before each.
pub(crate) fn table() -> Vec<(Access, UtoipaMethodRouter<App>)> {
    vec![
        (Access::Public, routes!(probes::health)),
        (Access::Public, routes!(probes::ready)),
        (Access::Anyone, routes!(home::home)),
        (Access::Member, routes!(files::list)),
        (Access::Member, routes!(files::upload)),
        (Access::Member, routes!(files::download)),
        (Access::Member, routes!(files::edit_form, files::edit)),
        (Access::Member, routes!(files::delete_form, files::delete)),
        (
            Access::Member,
            routes!(files::delete_all_form, files::delete_all),
        ),
        (
            Access::Member,
            routes!(disconnect::form, disconnect::disconnect),
        ),
        (Access::Staff, routes!(dashboard::overview)),
        (Access::Staff, routes!(dashboard::list_events)),
        (Access::Staff, routes!(dashboard::show_event)),
        (Access::Staff, routes!(dashboard::requeue)),
        (Access::Staff, routes!(dashboard::release)),
        (
            Access::Staff,
            routes!(dashboard::release_all_form, dashboard::release_all),
        ),
        (Access::Staff, routes!(dashboard::find_member)),
        (Access::Staff, routes!(dashboard::export)),
        (Access::Staff, routes!(dashboard::checkpoint)),
    ]
}

macro_rules! pages {
    ($($name:ident($view:ty),)+) => {
        /// A page before it is rendered. Its JSON is the JSON of the view.
        #[derive(Clone, Debug, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each variant holds a documented type")]
        pub enum Page {
            $($name($view),)+
        }

        impl Page {
            pub(crate) fn view(&self) -> &dyn View {
                match self { $(Self::$name(view) => view,)+ }
            }
        }

        $(impl From<$view> for Page {
            fn from(view: $view) -> Self { Self::$name(view) }
        })+
    };
}

pages! {
    Home(HomePage),
    Login(LoginPage),
    Logout(LogoutPage),
    Files(FilesPage),
    Edit(EditPage),
    Delete(DeletePage),
    DeleteAll(DeleteAllPage),
    Disconnect(DisconnectPage),
    Error(ErrorPage),
    Dashboard(DashboardPage),
    Events(EventsPage),
    Event(EventPage),
    ReleaseAll(ReleaseAllPage),
    Member(MemberPage),
}
