//! The promises of the traits an app may implement, as suites that anyone can run.
//!
//! Each is a module of checks, one for each promise, that panic with what was broken, and a way to
//! run them: a function `all`, or a macro that makes one test of each. Behind the `acceptance`
//! feature, for `[dev-dependencies]`.

pub mod deauth_inbox;
pub mod token_store;
