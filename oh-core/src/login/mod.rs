//! Login with Open Humans: the OAuth 2.0 authorization code flow (RFC 6749, section 4.1) with
//! `state` and PKCE (RFC 7636).
//!
//! The [routes](crate::routes) implement the whole flow. An application can add a
//! [`LoginHandler`], which accepts or rejects each member, and start logins of its own with a
//! [`LoginRequest`].

mod complete;
mod decision;
mod departure;
mod failure;
mod handler;
mod pages;
pub(crate) mod pending;
mod request;

pub use crate::return_path::{InvalidReturnPath, ReturnPath};
pub(crate) use complete::Login;
pub use decision::{LoginAccepted, LoginRejected};
pub use failure::LoginFailure;
pub(crate) use handler::AcceptAllLogins;
pub use handler::{AuthorizedMember, FailedLogin, LoginHandler};
pub use pages::{LoginPage, LoginPages};
pub use request::{InvalidLoginRequest, LoginRequest};
