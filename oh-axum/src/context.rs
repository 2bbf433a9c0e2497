//! The handle and the session type of each request.

use axum::Extension;
use axum::extract::OriginalUri;
use http::Extensions;
use http::request::Parts;
use oh_core::store::StoreError;
use oh_core::{OpenHumans, SessionMember};

use crate::member::Member;
use crate::rejection::Rejection;
use crate::session::{Access, ApplyChange, HostSession};

/// Returns a layer that adds the [`OpenHumans`] handle to each request, for the extractors.
///
/// Put it around all routes that use [`Member`] or [`Handle`](crate::Handle); it may be inside or
/// outside of the session layer. It works with any tower service that takes [`http::Request`]s.
#[cfg(feature = "tower-sessions")]
pub fn layer(openhumans: &OpenHumans) -> Extension<Context> {
    layer_with_session::<tower_sessions::Session>(openhumans)
}

/// Returns the same layer as [`layer`](crate::layer), for the session type `H`.
pub fn layer_with_session<H: HostSession>(openhumans: &OpenHumans) -> Extension<Context> {
    Extension(Context::new::<H>(openhumans))
}

/// The handle and the session type, which [`layer`](crate::layer) adds to the request extensions.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) openhumans: OpenHumans,
    access: Access,
}

impl Context {
    pub(crate) fn new<H: HostSession>(openhumans: &OpenHumans) -> Self {
        Self {
            openhumans: openhumans.clone(),
            access: Access::to::<H>(),
        }
    }

    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions.get().ok_or_else(|| {
            Rejection::misconfigured(
                "oh_axum::layer is missing: the request has no OpenHumans handle",
            )
        })
    }

    pub(crate) fn session(
        &self,
        extensions: &Extensions,
    ) -> Result<Box<dyn ApplyChange>, Rejection> {
        (self.access.open)(extensions).ok_or_else(no_session)
    }

    /// Returns the session's member, which is not yet checked against the token store.
    pub(crate) async fn session_member(
        &self,
        extensions: &Extensions,
    ) -> Result<Option<SessionMember>, Rejection> {
        let member = (self.access.member)(extensions).ok_or_else(no_session)?;
        member.await.map_err(|e| Rejection::session(&*e))
    }

    /// Returns the authorized member, or the core's response to a request without one.
    pub(crate) async fn require_member(&self, parts: &Parts) -> Result<Member, Rejection> {
        let session = self.session_member(&parts.extensions).await?;
        match self.openhumans.member(session).await {
            Ok(Some(member)) => Ok(Member::new(member)),
            Ok(None) => Err(self.unauthenticated_response(parts, None)),
            Err(error) => Err(self.unauthenticated_response(parts, Some(&error))),
        }
    }

    fn unauthenticated_response(&self, parts: &Parts, error: Option<&StoreError>) -> Rejection {
        // The login returns to this URI, so it must include the prefix that `Router::nest` strips.
        let original = parts.extensions.get::<OriginalUri>();
        let uri = original.map_or(&parts.uri, |OriginalUri(uri)| uri);
        let (method, headers) = (&parts.method, &parts.headers);
        let response = self
            .openhumans
            .unauthenticated_response(method, uri, headers, error);
        Rejection::from(response)
    }
}

fn no_session() -> Rejection {
    Rejection::misconfigured(
        "the request has no session: the session layer is missing, is inside of the Open Humans \
         routes, or uses another version of tower-sessions than oh-axum",
    )
}
