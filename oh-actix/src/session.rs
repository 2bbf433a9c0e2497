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
