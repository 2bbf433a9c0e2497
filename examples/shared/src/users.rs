//! The application's users, and what a login and a departure mean to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use oh_core::ProjectMemberId;
use oh_core::deauth::{DeauthHandler, Departure};
use oh_core::login::{AuthorizedMember, LoginAccepted, LoginHandler, LoginRejected};
use oh_core::transport::BoxError;

/// The application's own data about a member.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The number of logins.
    pub logins: u32,
}

/// All users, in memory. Use a database table in a real application.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<BTreeMap<ProjectMemberId, User>>>);

impl Users {
    /// Returns the data about a member, which is empty after an erasure.
    pub fn get(&self, member: &ProjectMemberId) -> User {
        self.lock().get(member).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectMemberId, User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LoginHandler for Users {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        self.lock().entry(login.member.clone()).or_default().logins += 1;
        Ok(LoginAccepted::new())
    }
}

#[async_trait]
impl DeauthHandler for Users {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        if departure.delete_data {
            self.lock().remove(&departure.event.member);
        }
        Ok(())
    }
}
