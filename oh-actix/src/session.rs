//! Access to the session of the host application.
//!
//! actix-session's `Session` is not `Send` and borrows from a `RefCell`, so only synchronous
//! functions use it.

use actix_session::{Session, SessionExt};
use actix_web::{HttpMessage, HttpRequest};
use oh_core::{SESSION_KEY, SessionChange, SessionMember};

use crate::rejection::Rejection;

/// Returns the session's member, which is not yet checked against the token store.
///
/// A value that cannot be deserialized, for example one of another version, counts as `None`.
pub(crate) fn member(request: &HttpRequest) -> Option<SessionMember> {
    request.get_session().get(SESSION_KEY).ok().flatten()
}

/// Applies a session change and leaves the application's own values unchanged.
pub(crate) fn apply(request: &HttpRequest, change: SessionChange) -> Result<(), Rejection> {
    let session = request.get_session();
    match change {
        SessionChange::Keep => {}
        SessionChange::LogIn(member) => {
            session.renew();
            let inserted = session.insert(SESSION_KEY, member);
            inserted.map_err(|e| Rejection::session(&e))?;
            request.extensions_mut().insert(Unsaved(session));
        }
        SessionChange::LogOut => {
            session.renew();
            session.remove(SESSION_KEY);
        }
    }
    Ok(())
}

/// Logs an error if the session is dropped without being saved.
///
/// Without `SessionMiddleware`, actix-session silently discards the session, so every login would
/// be lost at the next request. The middleware empties the session when it saves it; a member that
/// is still in the session on drop was not saved.
struct Unsaved(Session);

impl Drop for Unsaved {
    fn drop(&mut self) {
        if self.0.contains_key(SESSION_KEY) {
            tracing::error!(
                "the session of a login was not saved: wrap the app in \
                 actix_session::SessionMiddleware"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix_session::SessionMiddleware;
    use actix_session::storage::CookieSessionStore;
    use actix_web::cookie::Key;
    use actix_web::middleware::Condition;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use oh_core::Timestamp;
    use oh_core::store::Epoch;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    async fn log_in(request: HttpRequest) -> Result<HttpResponse, Rejection> {
        let member = SessionMember::new(
            "01026778".parse().unwrap(),
            Epoch::from_stored(1),
            Timestamp::now(),
        );
        apply(&request, SessionChange::LogIn(member))?;
        Ok(HttpResponse::Ok().finish())
    }

    /// Returns the number of errors logged during a login.
    async fn logged_errors(with_sessions: bool) -> usize {
        let errors = Errors::default();
        let _guard = tracing::subscriber::set_default(errors.clone());
        let sessions = SessionMiddleware::new(CookieSessionStore::default(), Key::generate());
        let app = App::new()
            .route("/", web::get().to(log_in))
            .wrap(Condition::new(with_sessions, sessions));
        let service = init_service(app).await;
        let response = call_service(&service, TestRequest::get().to_request()).await;
        assert_eq!(response.status(), 200);
        drop(response);
        errors.0.load(Ordering::SeqCst)
    }

    #[actix_web::test]
    async fn login_logs_error_without_session_middleware() {
        assert_eq!(logged_errors(true).await, 0);
        assert_eq!(logged_errors(false).await, 1);
    }

    #[derive(Clone, Default)]
    struct Errors(Arc<AtomicUsize>);

    impl Subscriber for Errors {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::ERROR
        }

        fn event(&self, _event: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}
