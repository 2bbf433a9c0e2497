//! What the extractors need to know, put into each request by a layer.

use std::fmt;

use axum::Extension;
use axum::extract::OriginalUri;
use http::Extensions;
use http::request::Parts;
use oh_core::store::StoreError;
use oh_core::{OpenHumans, SessionMember};

use crate::member::Member;
use crate::rejection::Rejection;
use crate::session::{Access, AnySession, HostSession};

/// The layer that [`layer`] makes, to name it in a type.
pub type OpenHumansLayer = Extension<Context>;

/// Puts the handle where the extractors find it. Goes inside the app's session layer or outside
/// of it, but around the routes that use [`Member`] or [`Handle`](crate::Handle).
///
/// It works on any tower service whose requests are [`http::Request`]s.
#[cfg(feature = "tower-sessions")]
pub fn layer(openhumans: &OpenHumans) -> OpenHumansLayer {
    layer_with_session::<tower_sessions::Session>(openhumans)
}

/// As `layer`, for sessions that are not tower-sessions'.
pub fn layer_with_session<H: HostSession>(openhumans: &OpenHumans) -> OpenHumansLayer {
    Extension(Context::new::<H>(openhumans))
}

/// The handle, and how to find the session of a request. What [`OpenHumansLayer`] puts into
/// requests; of no use by itself.
#[derive(Clone)]
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

    /// The one that the layer put there.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions.get().ok_or_else(|| {
            Rejection::misconfigured("no Open Humans in this request: oh_axum::layer is missing")
        })
    }

    /// The session of a request.
    pub(crate) fn session(
        &self,
        extensions: &Extensions,
    ) -> Result<Box<dyn AnySession>, Rejection> {
        (self.access.open)(extensions).ok_or_else(no_session)
    }

    /// Who the session says is there, not checked yet.
    pub(crate) async fn session_member(
        &self,
        extensions: &Extensions,
    ) -> Result<Option<SessionMember>, Rejection> {
        let reading = (self.access.member)(extensions).ok_or_else(no_session)?;
        reading.await.map_err(|e| Rejection::session(&*e))
    }

    /// The member who is there, or the core's answer for when there is none.
    pub(crate) async fn require_member(&self, parts: &Parts) -> Result<Member, Rejection> {
        let session = self.session_member(&parts.extensions).await?;
        match self.openhumans.member(session).await {
            Ok(Some(member)) => Ok(Member::new(member)),
            Ok(None) => Err(self.unauthenticated_response(parts, None)),
            Err(error) => Err(self.unauthenticated_response(parts, Some(&error))),
        }
    }

    fn unauthenticated_response(&self, parts: &Parts, error: Option<&StoreError>) -> Rejection {
        // The way back leads to what was asked for, and nesting takes the beginning off that.
        let whole = parts.extensions.get::<OriginalUri>();
        let uri = whole.map_or(&parts.uri, |OriginalUri(whole)| whole);
        let (method, headers) = (&parts.method, &parts.headers);
        let answer = self
            .openhumans
            .unauthenticated_response(method, uri, headers, error);
        Rejection::from(answer)
    }
}

fn no_session() -> Rejection {
    Rejection::misconfigured(
        "no session in this request: the session layer is missing, is inside of the Open Humans \
         routes, or is of another version than oh-axum's",
    )
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
