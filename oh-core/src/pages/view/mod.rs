//! What the members' pages show: the same values become HTML and JSON.

mod desk;

use serde::Serialize;

pub use desk::{
    BackgroundView, DeskPage, EventPage, EventsPage, MemberPage, PlotSpan, ReleaseAllPage,
    RunningEvent, SealingView, Shelf, ShelfEvent, Took,
};

use crate::{ProjectMemberId, Timestamp};

/// A page, before it is rendered. Its JSON is that of what it holds.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each holds a type that says what it is")]
pub enum Page {
    Home(HomePage),
    Login(LoginPage),
    Logout(LogoutPage),
    Files(FilesPage),
    Edit(FileEntry),
    Delete(FileEntry),
    DeleteAll(DeleteAllPage),
    Disconnect(DisconnectPage),
    Done(DonePage),
    Problem(ProblemPage),
    Desk(DeskPage),
    Events(EventsPage),
    Event(EventPage),
    ReleaseAll(ReleaseAllPage),
    Member(MemberPage),
}

/// Who is connected, and what is shared. All empty when nobody is logged in.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct HomePage {
    /// Whether someone is.
    pub connected: bool,
    /// The project member id.
    pub project_member_id: Option<ProjectMemberId>,
    /// The Open Humans username, if the member shares it.
    pub username: Option<String>,
    /// When the member last authorized the project.
    pub since: Option<Timestamp>,
    /// The sources the member shares with the project, its own left out; `None` when Open Humans
    /// could not be asked.
    pub sources_shared: Option<Vec<String>>,
    /// Where the member can see and change that.
    pub connections_url: String,
}

/// A way in: after another site has led someone here, or after a login that failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LoginPage {
    /// One word for why a login failed, as
    /// [`LoginFailure::reason`](crate::login::LoginFailure::reason) gives it.
    pub error: Option<&'static str>,
    /// A heading.
    pub title: String,
    /// An explanation.
    pub message: String,
    /// Where to POST to begin a login. It ends where the first was to end.
    pub login_url: String,
}

/// The question whether to log out, for someone who came by a link.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LogoutPage {
    /// Where to POST to log out.
    pub logout_url: String,
}

/// A member's files, one page of them, the newest first.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FilesPage {
    /// The files of this page.
    pub files: Vec<FileEntry>,
    /// How many there are in all.
    pub total: usize,
    /// How many of them are the app's own.
    pub own: usize,
    /// Which page this is, from 1.
    pub page: usize,
    /// How many pages there are, at least 1.
    pub pages: usize,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FileEntry {
    /// Its id at Open Humans.
    pub id: u64,
    /// Its name, as its uploader chose it: any text.
    pub name: String,
    /// Its size in bytes, where it could be found out in time.
    pub size: Option<u64>,
    /// The ending of its name, in upper case, such as `CSV`.
    pub kind: Option<String>,
    /// What its uploader said of it.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was uploaded.
    pub created: Option<Timestamp>,
    /// Whether the app put it there, so that it may edit and delete it.
    pub own: bool,
}

/// The question before everything goes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeleteAllPage {
    /// How many files would be deleted.
    pub count: usize,
}

/// The question before the connection ends.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DisconnectPage {
    /// The Open Humans username, if the member shares it.
    pub username: Option<String>,
}

/// Something was done. Browsers are redirected instead, and see the message there.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DonePage {
    /// One word for what.
    pub done: &'static str,
    /// The id of the file it was done to, or that came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The size of a file that was uploaded, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Something could not be done.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ProblemPage {
    /// One word for why.
    pub error: &'static str,
    /// An explanation.
    pub message: String,
}
