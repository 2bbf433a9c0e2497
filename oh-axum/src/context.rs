//! What the extractors need to know, put into each request by a layer.

use std::fmt;
use std::task::Poll;

use axum::extract::OriginalUri;
use http::request::Parts;
use http::{Extensions, Request};
use oh_core::store::StoreError;
use oh_core::{OpenHumans, SessionMember};
use tower_layer::Layer;
use tower_service::Service;

use crate::member::Member;
use crate::rejection::Rejection;
use crate::session::{Access, AnySession, HostSession};

/// Puts the handle where the extractors find it; made by [`layer`] and [`layer_with_session`].
#[derive(Clone, Debug)]
pub struct OpenHumansLayer {
    context: Context,
}

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
    OpenHumansLayer {
        context: Context::new::<H>(openhumans),
    }
}

impl<S> Layer<S> for OpenHumansLayer {
    type Service = WithOpenHumans<S>;

    fn layer(&self, inner: S) -> WithOpenHumans<S> {
        WithOpenHumans {
            inner,
            context: self.context.clone(),
        }
    }
}

/// The service that [`OpenHumansLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct WithOpenHumans<S> {
    inner: S,
    context: Context,
}

impl<S, B> Service<Request<B>> for WithOpenHumans<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.context.clone());
        self.inner.call(request)
    }
}

/// The handle, and how to find the session of a request.
#[derive(Clone)]
pub(crate) struct Context {
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
