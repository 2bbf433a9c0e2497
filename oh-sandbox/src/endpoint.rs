//! The endpoints for which the sandbox counts requests and injects faults.

use std::borrow::Cow;

use http::Method;
use serde::{Deserialize, Serialize};

/// An endpoint of Open Humans.
///
/// The JSON form, which the paths under `/sandbox/` use, is in snake case:
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
    /// `/data-management/newdatafileaccesslog/`, the log of download requests.
    FileAccessLog,
    /// `/data-management/awsdatafileaccesslog/`, the log of the object store.
    StoreAccessLog,
    /// `/api/public/…` and the older `/api/public-data/…`
    Public,
}

impl Endpoint {
    /// Returns the endpoint of a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path.starts_with("/data-management/datafile-download/") {
            return path.ends_with('/').then_some(Self::Download);
        }
        if path.starts_with("/api/public/") || path.starts_with("/api/public-data/") {
            return Some(Self::Public);
        }
        let (path, _) = split_format(path);
        Some(match &*path {
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
            "/data-management/newdatafileaccesslog/" => Self::FileAccessLog,
            "/data-management/awsdatafileaccesslog/" => Self::StoreAccessLog,
            _ => return None,
        })
    }

    /// Returns whether a POST crashes the server if its path contains a format.
    pub(crate) fn crashes_on_format(self) -> bool {
        matches!(
            self,
            Self::Upload | Self::DirectUpload | Self::CompleteUpload | Self::DeleteFiles
        )
    }

    /// Returns the endpoint of a request to the object store.
    pub(crate) fn of_object(method: &Method) -> Option<Self> {
        match *method {
            Method::PUT => Some(Self::ObjectPut),
            Method::GET | Method::HEAD => Some(Self::ObjectGet),
            _ => None,
        }
    }

    /// Returns whether the path is valid except for a missing trailing slash.
    pub(crate) fn lacks_slash(path: &str) -> bool {
        if path.ends_with('/') || Self::of(path).is_some() {
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

/// Splits a path of the project API such as `project/members.json` into the path and the format. A
/// trailing slash is optional.
pub(crate) fn split_format(path: &str) -> (Cow<'_, str>, Option<&str>) {
    let whole = (Cow::Borrowed(path), None);
    if !path.starts_with("/api/direct-sharing/project") {
        return whole;
    }
    let bare = path.strip_suffix('/').unwrap_or(path);
    let name = bare.rsplit('/').next().unwrap_or_default();
    let Some((_, format)) = name.rsplit_once('.') else {
        return whole;
    };
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if format.is_empty() || !format.bytes().all(known) {
        return whole;
    }
    let stem = &bare[..bare.len() - format.len() - 1];
    (Cow::Owned(format!("{stem}/")), Some(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_ignores_format_of_project_api_path() {
        for path in ["project.json", "project.json/", "project.api"] {
            let path = format!("/api/direct-sharing/{path}");
            assert_eq!(Endpoint::of(&path), Some(Endpoint::Project), "{path}");
        }
        let upload = "/api/direct-sharing/project/files/upload/direct.json";
        assert_eq!(Endpoint::of(upload), Some(Endpoint::DirectUpload));
        assert_eq!(split_format(upload).1, Some("json"));
        for path in [
            "/api/direct-sharing/project/nope.json",
            "/oauth2/token.json",
        ] {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
        assert!(!Endpoint::lacks_slash("/api/direct-sharing/project.json"));
    }

    #[test]
    fn lacks_slash_is_true_for_known_paths_only() {
        assert!(Endpoint::lacks_slash("/api/direct-sharing/project/message"));
        assert!(Endpoint::lacks_slash(
            "/data-management/datafile-download/187"
        ));
        assert!(!Endpoint::lacks_slash(
            "/api/direct-sharing/project/message/"
        ));
        assert!(!Endpoint::lacks_slash("/api/direct-sharing/project/nope"));
    }
}
