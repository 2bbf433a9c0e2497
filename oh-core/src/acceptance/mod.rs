//! The promises of the traits an app may implement, as suites that anyone can run.
//!
//! Each is a module of checks, one for each promise, and a function `all` that runs them. A check
//! panics with what was broken, so a suite is run from a test.

pub mod deauth_inbox;
