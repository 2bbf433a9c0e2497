//! The app's own users, and what members coming and going means to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use oh_core::ProjectMemberId;
use oh_core::deauth::{DeauthHandler, Departure};
use oh_core::login::{LoggedIn, LoginHandler, Refusal, Welcome};
use oh_core::transport::BoxError;

/// What the app itself knows about someone.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    /// How often they have logged in.
    pub(crate) logins: u32,
}

/// All users, in memory. A real app has a table here.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<BTreeMap<ProjectMemberId, User>>>);

impl Users {
    /// What is known about a member; nothing, after erasure.
    pub(crate) fn get(&self, member: &ProjectMemberId) -> User {
        self.lock().get(member).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectMemberId, User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LoginHandler for Users {
    async fn logged_in(&self, login: &LoggedIn) -> Result<Welcome, Refusal> {
        self.lock().entry(login.member.clone()).or_default().logins += 1;
        Ok(Welcome::new())
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
