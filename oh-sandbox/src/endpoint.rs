//! The endpoints that can be counted and made to fail, by the names tests use.

use http::Method;
use serde::{Deserialize, Serialize};

/// One of the things a client asks of Open Humans.
///
/// In JSON, as the `/sandbox/` endpoints take and give it, the name is in snake case:
///
/// ```
/// let endpoint: oh_sandbox::Endpoint = serde_json::from_str("\"exchange_member\"").unwrap();
/// assert_eq!(endpoint, oh_sandbox::Endpoint::ExchangeMember);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Endpoint {
    /// `/direct-sharing/projects/oauth2/authorize/`
    Authorize,
    /// `/oauth2/token/`
    Token,
    /// `/oauth2/revoke_token/`
    Revoke,
    /// `/api/direct-sharing/project/`
    Project,
    /// `/api/direct-sharing/project/exchange-member/`
    ExchangeMember,
    /// `/api/direct-sharing/project/members/`
    Members,
    /// `/api/direct-sharing/project/message/`
    Message,
    /// `/api/direct-sharing/project/remove-members/`
    RemoveMembers,
    /// `/api/direct-sharing/project/files/upload/`, the simple upload.
    Upload,
    /// `/api/direct-sharing/project/files/upload/direct/`
    DirectUpload,
    /// `/api/direct-sharing/project/files/upload/complete/`
    CompleteUpload,
    /// `/api/direct-sharing/project/files/delete/`
    DeleteFiles,
    /// `/data-management/datafile-download/<id>/`, the redirect to the object store.
    Download,
    /// `PUT` at the object store.
    ObjectPut,
    /// `GET` and `HEAD` at the object store.
    ObjectGet,
    /// `/api/public/…` and the older `/api/public-data/…`
    Public,
}

impl Endpoint {
    /// Which endpoint a request to the site asks for.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path.starts_with("/data-management/datafile-download/") {
            return path.ends_with('/').then_some(Self::Download);
        }
        if path.starts_with("/api/public/") || path.starts_with("/api/public-data/") {
            return Some(Self::Public);
        }
        Some(match path {
            "/direct-sharing/projects/oauth2/authorize/" | "/oauth2/authorize/" => Self::Authorize,
            "/oauth2/token/" => Self::Token,
            "/oauth2/revoke_token/" => Self::Revoke,
            "/api/direct-sharing/project/" => Self::Project,
            "/api/direct-sharing/project/exchange-member/" => Self::ExchangeMember,
            "/api/direct-sharing/project/members/" => Self::Members,
            "/api/direct-sharing/project/message/" => Self::Message,
            "/api/direct-sharing/project/remove-members/" => Self::RemoveMembers,
            "/api/direct-sharing/project/files/upload/" => Self::Upload,
            "/api/direct-sharing/project/files/upload/direct/" => Self::DirectUpload,
            "/api/direct-sharing/project/files/upload/complete/" => Self::CompleteUpload,
            "/api/direct-sharing/project/files/delete/" => Self::DeleteFiles,
            _ => return None,
        })
    }

    /// Which endpoint a request to the object store asks for.
    pub(crate) fn of_object(method: &Method) -> Option<Self> {
        match *method {
            Method::PUT => Some(Self::ObjectPut),
            Method::GET | Method::HEAD => Some(Self::ObjectGet),
            _ => None,
        }
    }

    /// Whether a path that only lacks its trailing slash would be one of the server's.
    pub(crate) fn wants_slash(path: &str) -> bool {
        if path.ends_with('/') {
            return false;
        }
        let with_slash = format!("{path}/");
        Self::of(&with_slash).is_some()
            || matches!(
                with_slash.as_str(),
                "/oauth2/introspect/" | "/member/me/connections/" | "/account/login/"
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_paths_get_a_slash_added() {
        assert!(Endpoint::wants_slash("/api/direct-sharing/project/message"));
        assert!(Endpoint::wants_slash(
            "/data-management/datafile-download/187"
        ));
        assert!(!Endpoint::wants_slash(
            "/api/direct-sharing/project/message/"
        ));
        assert!(!Endpoint::wants_slash("/api/direct-sharing/project/nope"));
    }
}
