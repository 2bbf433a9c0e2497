//! Logging in with Open Humans: OAuth2's authorization code flow (RFC 6749 section 4.1) with
//! `state` and PKCE (RFC 7636).
//!
//! The [routes](crate::routes) do all of it. What an app may add is here: a [`LoginHandler`] that
//! is told who logged in, and a [`LoginRequest`] for a login the app starts itself.

mod complete;
mod departure;
mod failure;
pub(crate) mod flow;
mod handler;
mod verdict;

pub use crate::return_path::{InvalidReturnPath, ReturnPath};
pub(crate) use complete::Login;
pub use failure::LoginFailure;
pub use handler::{
    ContextTooLong, FailedLogin, InvalidScope, LoggedIn, LoginHandler, LoginRequest, MAX_CONTEXT,
    MAX_SCOPE, WelcomeEveryone,
};
pub use verdict::{Refusal, Welcome};
