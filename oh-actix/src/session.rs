//! The app's session: what we read of it before the core is asked, and change after.
//!
//! actix-session's `Session` cannot leave its thread and borrows as it goes, so it is only ever
//! touched here, in functions that do not wait.

use actix_session::{Session, SessionExt};
use actix_web::{HttpMessage, HttpRequest};
use oh_core::{SESSION_KEY, SessionChange, SessionMember};

use crate::rejection::Rejection;

/// Who the session says is there, not checked yet. A value that cannot be read, from another
/// version for instance, counts as none.
pub(crate) fn member(request: &HttpRequest) -> Option<SessionMember> {
    request.get_session().get(SESSION_KEY).ok().flatten()
}

/// Does to the session what the core says. What else the app keeps there stays.
pub(crate) fn apply(request: &HttpRequest, change: SessionChange) -> Result<(), Rejection> {
    let session = request.get_session();
    match change {
        SessionChange::Keep => {}
        SessionChange::LogIn(member) => {
            session.renew();
            let kept = session.insert(SESSION_KEY, member);
            kept.map_err(|e| Rejection::session(&e))?;
            request.extensions_mut().insert(Unsaved(session));
        }
        SessionChange::LogOut => {
            session.renew();
            session.remove(SESSION_KEY);
        }
    }
    Ok(())
}

/// Notices that nobody saved the session: without `SessionMiddleware` actix-session forgets
/// silently, and every login would seem to work and be gone at the next page. The middleware
/// empties the session when it saves it, so what is still there at the end was not saved.
struct Unsaved(Session);

impl Drop for Unsaved {
    fn drop(&mut self) {
        if self.0.contains_key(SESSION_KEY) {
            tracing::error!(
                "a login was not kept: wrap the app in actix_session::SessionMiddleware, around \
                 the Open Humans routes"
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
    use oh_core::store::Epoch;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    async fn log_in(request: HttpRequest) -> Result<HttpResponse, Rejection> {
        let member = SessionMember::new("01026778".parse().unwrap(), Epoch::from_stored(1));
        apply(&request, SessionChange::LogIn(member))?;
        Ok(HttpResponse::Ok().finish())
    }

    /// Counts errors that are logged while a login goes through an app.
    async fn errors(with_sessions: bool) -> usize {
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
    async fn a_login_that_nobody_saves_is_said_loudly() {
        assert_eq!(errors(true).await, 0);
        assert_eq!(errors(false).await, 1);
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
