//! Where the pages are, and what they take.

use http::{Method, Uri};

/// One of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageRoute {
    /// `/`, the mount path itself: who is connected, and what is shared.
    Home,
    /// `/files`: the member's files.
    Files,
    /// `/files/upload`
    Upload,
    /// `/files/delete-all`
    DeleteAll,
    /// `/files/{id}/download`: a redirect to where the file can be fetched.
    Download,
    /// `/files/{id}/edit`
    Edit,
    /// `/files/{id}/delete`
    Delete,
    /// `/disconnect`
    Disconnect,
    /// `/assets/{name}`: stylesheet and script.
    Asset,
    /// `/openapi.json`
    OpenApi,
    /// `/health`: whether the process answers.
    Health,
    /// `/ready`: whether its stores do.
    Ready,
    /// `/staff`: the desk.
    Desk,
    /// `/staff/events`
    Events,
    /// `/staff/events/{id}`
    Event,
    /// `/staff/events/{id}/requeue`
    Requeue,
    /// `/staff/events/{id}/release`: has an event acted on that was held.
    Release,
    /// `/staff/release-all`: has all events acted on that are held.
    ReleaseAll,
    /// `/staff/member`: what happened to one member.
    Member,
    /// `/staff/ledger.jsonl`: the whole ledger.
    Export,
    /// `/staff/checkpoint`: the last checkpoint of the ledger, as a signed note.
    Checkpoint,
}

/// What of a request's body a page wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    Form,
    Upload,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const BOTH: &[Method] = &[Method::GET, Method::POST];

impl PageRoute {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Home,
        Self::Files,
        Self::Upload,
        Self::DeleteAll,
        Self::Download,
        Self::Edit,
        Self::Delete,
        Self::Disconnect,
        Self::Asset,
        Self::OpenApi,
        Self::Health,
        Self::Ready,
        Self::Desk,
        Self::Events,
        Self::Event,
        Self::Requeue,
        Self::Release,
        Self::ReleaseAll,
        Self::Member,
        Self::Export,
        Self::Checkpoint,
    ];

    /// The path under the mount path; a segment in braces stands for any.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Home => "/",
            Self::Files => "/files",
            Self::Upload => "/files/upload",
            Self::DeleteAll => "/files/delete-all",
            Self::Download => "/files/{id}/download",
            Self::Edit => "/files/{id}/edit",
            Self::Delete => "/files/{id}/delete",
            Self::Disconnect => "/disconnect",
            Self::Asset => "/assets/{name}",
            Self::OpenApi => "/openapi.json",
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::Desk => "/staff",
            Self::Events => "/staff/events",
            Self::Event => "/staff/events/{id}",
            Self::Requeue => "/staff/events/{id}/requeue",
            Self::Release => "/staff/events/{id}/release",
            Self::ReleaseAll => "/staff/release-all",
            Self::Member => "/staff/member",
            Self::Export => "/staff/ledger.jsonl",
            Self::Checkpoint => "/staff/checkpoint",
        }
    }

    /// Whether it is the staff's, and so behind the guard.
    pub const fn is_staff(self) -> bool {
        matches!(
            self,
            Self::Desk
                | Self::Events
                | Self::Event
                | Self::Requeue
                | Self::Release
                | Self::ReleaseAll
                | Self::Member
                | Self::Export
                | Self::Checkpoint
        )
    }

    pub(crate) const fn uses_session(self) -> bool {
        !matches!(
            self,
            Self::Asset | Self::OpenApi | Self::Health | Self::Ready
        )
    }

    pub(crate) const fn methods(self) -> &'static [Method] {
        match self {
            Self::Upload | Self::Requeue | Self::Release => POST,
            Self::ReleaseAll | Self::DeleteAll | Self::Edit | Self::Delete | Self::Disconnect => {
                BOTH
            }
            _ => GET,
        }
    }

    pub(crate) fn wants(self, method: &Method) -> Wants {
        match self {
            _ if *method != Method::POST => Wants::Nothing,
            Self::Upload => Wants::Upload,
            _ => Wants::Form,
        }
    }

    /// The segment of a request's path that the braces stand for. Counted from the end: adapters
    /// differ in what they leave of the beginning.
    pub(crate) fn parameter(self, uri: &Uri) -> &str {
        let pattern = self.path().rsplit('/');
        let from_end = pattern.take_while(|part| !part.starts_with('{')).count();
        let path = uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        path.rsplit('/').nth(from_end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_wherever_the_routes_are_mounted() {
        let of = |route: PageRoute, uri: &'static str| {
            route.parameter(&Uri::from_static(uri)).to_owned()
        };
        for uri in ["/files/7/edit", "/a/b/files/7/edit/", "/files/7/edit?x=/8/"] {
            assert_eq!(of(PageRoute::Edit, uri), "7");
        }
        assert_eq!(of(PageRoute::Asset, "/openhumans/assets/a.css"), "a.css");
        assert_eq!(of(PageRoute::Event, "/staff/events/abc/"), "abc");
        assert_eq!(of(PageRoute::Requeue, "/staff/events/abc/requeue"), "abc");
        assert_eq!(of(PageRoute::Edit, "/"), "");
    }

    #[test]
    fn each_has_a_path_of_its_own() {
        let paths: std::collections::HashSet<_> = PageRoute::ALL.map(PageRoute::path).into();
        assert_eq!(paths.len(), PageRoute::ALL.len());
    }
}
